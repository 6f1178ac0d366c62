#include "server/http/chunk.h"

#include <array>
#include <charconv>
#include <string>
#include <utility>

namespace ursula::http {

Chunk Chunk::Of(std::string_view piece) {
  if (piece.empty()) return {};
  std::array<char, 16> size;
  char* end = std::to_chars(size.data(), size.data() + size.size(), piece.size(), 16).ptr;
  std::string_view line(size.data(), static_cast<std::size_t>(end - size.data()));
  std::string coded;
  coded.reserve(line.size() + 2 + piece.size() + 2);
  coded.append(line).append("\r\n").append(piece).append("\r\n");
  Chunk chunk;
  chunk.coded_ = Bytes::Take(std::move(coded));
  chunk.begin_ = line.size() + 2;
  chunk.size_ = piece.size();
  return chunk;
}

}  // namespace ursula::http
