#include "tests/golden/raft/archive.h"

#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

namespace ursula::raft::golden {
namespace {

std::string Decompress(const std::string& packed) {
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream(ZSTD_createDStream());
  std::string out;
  std::string chunk(1 << 20, '\0');
  ZSTD_inBuffer input = {packed.data(), packed.size(), 0};
  while (true) {
    ZSTD_outBuffer output = {chunk.data(), chunk.size(), 0};
    const std::size_t left = ZSTD_decompressStream(stream.get(), &output, &input);
    if (ZSTD_isError(left) != 0) return {};
    out.append(chunk.data(), output.pos);
    if (input.pos == input.size && output.pos < chunk.size()) return out;
  }
}

}  // namespace

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A tar is blocks of 512 bytes: a header (name at 0, size in octal at 124, type at 156), then the
// contents, padded.
std::vector<ArchivedFile> ReadArchive(const std::string& path) {
  constexpr std::size_t kBlock = 512;
  const std::string tar = Decompress(ReadFile(path));
  std::vector<ArchivedFile> files;
  for (std::size_t at = 0; at + kBlock <= tar.size() && tar[at] != '\0';) {
    std::string name(tar.c_str() + at);
    name = name.substr(0, 100);
    const std::size_t size = std::strtoull(tar.substr(at + 124, 12).c_str(), nullptr, 8);
    const bool regular = tar[at + 156] == '0';
    at += kBlock;
    if (at + size > tar.size()) return {};
    if (regular) files.push_back({name.substr(name.rfind('/') + 1), tar.substr(at, size)});
    at += (size + kBlock - 1) / kBlock * kBlock;
  }
  std::sort(files.begin(), files.end(),
            [](const ArchivedFile& a, const ArchivedFile& b) { return a.name < b.name; });
  return files;
}

}  // namespace ursula::raft::golden
