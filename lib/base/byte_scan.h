// lib/base/byte_scan.h
//
// Looks for control characters, eight bytes at a time: what ends a line is below 0x20.

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace ursula {

// Where the first byte below `limit` stands; npos: nowhere. REQUIRES: `limit` is 1 to 128.
inline std::size_t FindByteBelow(std::string_view text, unsigned char limit) {
  static_assert(std::endian::native == std::endian::little);
  constexpr uint64_t kOnes = UINT64_MAX / 255;
  constexpr uint64_t kHighBits = kOnes * 128;
  std::size_t at = 0;
  for (; text.size() - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof(word));
    // A byte's high bit is set if it is below the limit; a borrow can set those above it too, which
    // come later in the text.
    const uint64_t below = (word - kOnes * limit) & ~word & kHighBits;
    if (below != 0) return at + static_cast<std::size_t>(std::countr_zero(below)) / 8;
  }
  for (; at < text.size(); ++at) {
    if (static_cast<unsigned char>(text[at]) < limit) return at;
  }
  return std::string_view::npos;
}

}  // namespace ursula
