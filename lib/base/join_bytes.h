// lib/base/join_bytes.h
//
// Bytes put together of pieces, in one block of just their size.

#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>

#include "ursula/bytes.h"

namespace ursula {

inline Bytes JoinBytes(std::initializer_list<std::string_view> pieces) {
  std::size_t size = 0;
  for (std::string_view piece : pieces) size += piece.size();
  std::shared_ptr<char[]> block = std::make_shared_for_overwrite<char[]>(size);
  char* at = block.get();
  for (std::string_view piece : pieces) at = std::copy(piece.begin(), piece.end(), at);
  const std::string_view all(block.get(), size);
  return Bytes(std::move(block), all);
}

}  // namespace ursula
