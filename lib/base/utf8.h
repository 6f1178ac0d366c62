// lib/base/utf8.h
//
// UTF-8 by its definition (RFC 3629, 4): shortest forms, no surrogates, up to U+10FFFF.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace ursula {

inline bool IsUtf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (uint64_t eight = 0; text.size() - at >= sizeof eight) {
      std::memcpy(&eight, text.data() + at, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const auto first = static_cast<unsigned char>(text[at]);
    if (first < 0x80) {
      ++at;
      continue;
    }
    const std::size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || text.size() - at <= more) return false;
    uint32_t value = first & (0x3fu >> more);
    for (std::size_t i = 1; i <= more; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      if ((next & 0xc0) != 0x80) return false;
      value = (value << 6) | (next & 0x3fu);
    }
    constexpr uint32_t kLeastOf[] = {0, 0x80, 0x800, 0x10000};
    if (value < kLeastOf[more] || value > 0x10ffff) return false;
    if (value >= 0xd800 && value <= 0xdfff) return false;
    at += more + 1;
  }
  return true;
}

}  // namespace ursula
