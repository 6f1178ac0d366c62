// server/http/chunk.h
//
// A piece of an answer without a known end, in the chunked coding (RFC 9112, 7.1) and without it:
// made once, sent to any number of clients.

#pragma once

#include <cstddef>
#include <string_view>

#include "ursula/bytes.h"

namespace ursula::http {

class Chunk {
 public:
  Chunk() = default;
  // Copies `piece`, once. Empty: an empty Chunk, for the coding's own empty chunk ends the answer.
  static Chunk Of(std::string_view piece);

  const Bytes& coded() const { return coded_; }
  std::string_view view() const { return coded_.view().substr(begin_, size_); }
  Bytes plain() const { return coded_.Slice(begin_, size_); }
  std::size_t size() const { return size_; }  // Of the piece.
  bool empty() const { return size_ == 0; }

 private:
  Bytes coded_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

}  // namespace ursula::http
