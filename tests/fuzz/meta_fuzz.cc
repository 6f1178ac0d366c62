// A data directory's META: the fields of one, whose head and checksum are put around them; then the
// same bytes as they are. What is read is written again so that it reads the same, and is refused
// after any damage.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/base/crc32c.h"
#include "lib/storage/directory_format.h"

namespace ursula::storage {
namespace {

constexpr std::string_view kMagic = "URSULADD";
constexpr uint32_t kVersion = 2;

void Check(std::string_view bytes) {
  Result<DirectoryMeta> meta = DecodeDirectoryMeta(bytes);
  if (!meta.ok()) {
    URSULA_CHECK(meta.status().code() == StatusCode::kFailedPrecondition);
    URSULA_CHECK(!meta.status().message().empty());
    return;
  }
  std::string encoded = EncodeDirectoryMeta(*meta);
  Result<DirectoryMeta> again = DecodeDirectoryMeta(encoded);
  URSULA_CHECK(again.ok());
  URSULA_CHECK(*again == *meta);
  URSULA_CHECK(EncodeDirectoryMeta(*again) == encoded);
  // Which bit, the input itself says.
  const std::size_t at = Crc32c(0, bytes) % encoded.size();
  encoded[at] = static_cast<char>(encoded[at] ^ 1);
  URSULA_CHECK(!DecodeDirectoryMeta(encoded).ok());
  encoded.pop_back();
  URSULA_CHECK(!DecodeDirectoryMeta(encoded).ok());
}

void Run(std::string_view input) {
  Check(input);
  std::string file(kMagic);
  PutFixed<uint32_t>(&file, kVersion);
  PutFixed<uint32_t>(&file, static_cast<uint32_t>(input.size()));
  file.append(input);
  PutFixed<uint32_t>(&file, Crc32c(0, file));
  Check(file);
}

}  // namespace
}  // namespace ursula::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::storage::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
