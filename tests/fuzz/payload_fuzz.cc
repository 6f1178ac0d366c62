// Payload files read back. The input: blocks as a writer would make them, some with odd numbers
// though their checksums hold, perhaps a footer, then damage. Every byte of a stream has one right
// value: a read gives it, or says that it can't.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/crc32c.h"
#include "lib/base/ids.h"
#include "lib/storage/payload_format.h"
#include "lib/storage/payload_store.h"
#include "tests/fuzz/data_directory.h"
#include "tests/fuzz/input.h"

namespace ursula::storage {
namespace {

using fuzz::Input;

constexpr unsigned kKeys = 3;
constexpr uint64_t kStartEnd = uint64_t{1} << 40;
constexpr std::size_t kReadsMax = 64;

PayloadKey KeyOf(unsigned number) { return {GroupId{number & 1}, number + uint64_t{1}}; }

char ByteAt(PayloadKey key, uint64_t offset) {
  uint64_t mixed = (offset + 1) * 0x9e3779b97f4a7c15 + key.incarnation;
  mixed ^= mixed >> 32;
  return static_cast<char>(mixed * 0xff51afd7ed558ccd >> 56);
}

class FileWriter {
 public:
  explicit FileWriter(uint32_t seed) : seed_(seed) {}

  bool odd() const { return odd_; }
  std::string& bytes() { return bytes_; }

  void Step(Input* input) {
    const uint8_t flags = input->Byte();
    const unsigned number = (flags & 3) % kKeys;
    PayloadBlock block;
    block.key = KeyOf(number);
    block.length = input->Byte() + uint32_t{(flags & 4) != 0 ? 300u : 1u};
    block.start = tails_[number];
    if ((flags & 8) != 0) block.start = input->Near(block.start) % kStartEnd;
    block.attested = static_cast<uint32_t>(bytes_.size());
    for (uint32_t end = 0; end < block.length;) {
      end += 1 + (input->Byte() & 63u);
      if (end <= block.length) block.message_ends.push_back(end);
    }
    if ((flags & 0xf0) == 0xf0) MakeOdd(input, &block);
    Append(block);
    tails_[number] = block.start + block.length;
  }

  void Finish() {
    bytes_ += EncodePayloadFooter({extents_, {}}, seed_, static_cast<uint32_t>(bytes_.size()));
  }

 private:
  void MakeOdd(Input* input, PayloadBlock* block) {
    odd_ = true;
    switch (input->Below(3)) {
      case 0:
        block->start = input->Fixed64();
        break;
      case 1:
        block->attested = static_cast<uint32_t>(input->Fixed64());
        break;
      default:
        block->length = static_cast<uint32_t>(input->Fixed64() | 1);
        block->message_ends.clear();
        break;
    }
  }

  void Append(PayloadBlock block) {
    std::string payload;
    for (uint32_t i = 0; i < std::min<uint32_t>(block.length, 4096); ++i) {
      payload += ByteAt(block.key, block.start + i);
    }
    const uint32_t offset = static_cast<uint32_t>(bytes_.size());
    block.payload_crc = Crc32c(PayloadBlockSeed(seed_, offset), payload);
    block.header_bytes = AppendPayloadHeader(&bytes_, block, seed_, offset);
    extents_.push_back({block.key, block.start, block.length, offset, block.header_bytes});
    bytes_ += payload;
    bytes_.resize((bytes_.size() + kPayloadAlignment - 1) / kPayloadAlignment * kPayloadAlignment);
  }

  const uint32_t seed_;
  std::string bytes_;
  std::vector<PayloadExtent> extents_;
  uint64_t tails_[kKeys] = {};
  bool odd_ = false;
};

void CheckSlice(PayloadKey key, uint64_t from, const PayloadSlice& slice) {
  URSULA_CHECK(slice.start == from && slice.next > from);
  uint64_t at = slice.start;
  for (const Bytes& part : slice.parts) {
    for (const char c : part.view()) URSULA_CHECK(c == ByteAt(key, at++));
  }
  URSULA_CHECK(at == slice.next);
  uint64_t previous = slice.start;
  for (const uint64_t end : slice.message_ends) {
    URSULA_CHECK(end > previous && end <= slice.next);
    previous = end;
  }
}

// Reads all that is indexed of `key`; true if nothing was refused.
bool ReadAll(testing::ManualLoop* loop, PayloadStore* store, PayloadKey key, uint64_t* bytes) {
  bool good = true;
  uint64_t from = store->FindNext(key, 0);
  for (std::size_t reads = 0; from != UINT64_MAX && reads < kReadsMax; ++reads) {
    std::optional<Result<PayloadSlice>> slice;
    store->Read(key, from, 1 << 16, [&slice](Result<PayloadSlice> got) { slice = std::move(got); });
    URSULA_CHECK(loop->RunUntil([&slice] { return slice.has_value(); }));
    const uint64_t end = store->Find(key, from);
    if (slice->ok()) {
      CheckSlice(key, from, **slice);
      *bytes += (**slice).next - from;
      from = store->FindNext(key, (**slice).next);
      continue;
    }
    good = false;
    const StatusCode code = slice->status().code();
    URSULA_CHECK(code == StatusCode::kDataLoss || code == StatusCode::kInvalidArgument ||
                 code == StatusCode::kIoError || code == StatusCode::kStorageFull ||
                 code == StatusCode::kResourceExhausted);
    if (end <= from) break;
    from = store->FindNext(key, end);
  }
  return good;
}

void Damage(Input* input, std::string* file) {
  while (!input->empty()) {
    const std::size_t high = input->Byte();
    const std::size_t offset = high << 8 | input->Byte();
    if (offset == 0xffff) {
      file->resize(file->size() - std::min<std::size_t>(file->size(), input->Byte()));
    } else {
      fuzz::Overwrite(file, {offset, std::string(input->Text())});
    }
  }
}

void Run(Input input) {
  fuzz::FuzzDirectory world;
  const PayloadFileName name{1, 0, 1};
  FileWriter writer(PayloadSeed(world.directory().id(), name));
  const uint8_t shape = input.Byte();
  const unsigned blocks = shape & 7u;
  for (unsigned i = 0; i < blocks; ++i) writer.Step(&input);
  if ((shape & 8) != 0) writer.Finish();
  std::string file = writer.bytes();
  Damage(&input, &file);
  const bool intact = file == writer.bytes();
  world.Write(world.directory().payload_path() + "/" + FormatPayloadFileName(name), file);

  const Result<std::shared_ptr<RecoveredPayload>> recovered =
      RecoverPayload(world.disk(), world.directory(), 1, [](GroupId) { return 0u; }, {});
  if (!recovered.ok()) {
    URSULA_CHECK(recovered.status().code() == StatusCode::kDataLoss);
    return;
  }
  std::unique_ptr<PayloadStore> store =
      MakePayloadStore(&world.loop(), world.directory(), 0, {}, recovered->get());
  uint64_t bytes = 0;
  for (unsigned i = 0; i < kKeys; ++i) {
    const bool good = ReadAll(&world.loop(), store.get(), KeyOf(i), &bytes);
    if (intact && !writer.odd()) URSULA_CHECK(good);
  }
  if (intact && !writer.odd()) URSULA_CHECK((bytes > 0) == (blocks > 0));
  bool stopped = false;
  store->Stop([&stopped] { stopped = true; });
  URSULA_CHECK(world.loop().RunUntil([&stopped] { return stopped; }));
}

}  // namespace
}  // namespace ursula::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::storage::Run(ursula::fuzz::Input(data, size));
  return 0;
}
