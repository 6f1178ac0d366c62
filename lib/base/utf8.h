// lib/base/utf8.h
//
// UTF-8 by its definition (RFC 3629, 4): shortest forms, no surrogates, up to U+10FFFF.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace ursula {

// The bytes before the first that goes wrong; all, if none does.
inline std::size_t Utf8Bytes(std::string_view text) {
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
    if (first < 0xc2 || first > 0xf4 || text.size() - at <= more) return at;
    uint32_t value = first & (0x3fu >> more);
    for (std::size_t i = 1; i <= more; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      if ((next & 0xc0) != 0x80) return at;
      value = (value << 6) | (next & 0x3fu);
    }
    constexpr uint32_t kLeastOf[] = {0, 0x80, 0x800, 0x10000};
    if (value < kLeastOf[more] || value > 0x10ffff) return at;
    if (value >= 0xd800 && value <= 0xdfff) return at;
    at += more + 1;
  }
  return text.size();
}

// How many bytes a code point has that begins with `byte`; 1 for anything that begins none.
inline std::size_t CodePointBytes(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  if (value >= 0xf0 && value <= 0xf4) return 4;
  if (value >= 0xe0 && value < 0xf0) return 3;
  if (value >= 0xc2 && value < 0xe0) return 2;
  return 1;
}

// The bytes at the end of `text` that begin a code point and don't complete it: 3 at most.
inline std::size_t IncompleteUtf8Bytes(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const char byte = text[text.size() - back];
    const bool continuation = (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
    if (!continuation) return CodePointBytes(byte) > back ? back : 0;
  }
  return 0;
}

inline bool IsUtf8(std::string_view text) { return Utf8Bytes(text) == text.size(); }

}  // namespace ursula
