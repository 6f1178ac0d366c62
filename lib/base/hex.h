// lib/base/hex.h
//
// How the ids of clusters are written for people: as the options take them.

#pragma once

#include <charconv>
#include <cstdint>
#include <string>

namespace ursula {

// 16 digits, small letters: 171 is "00000000000000ab".
inline std::string Hex16(uint64_t value) {
  char digits[16];
  char* const end = std::to_chars(digits, digits + sizeof(digits), value, 16).ptr;
  return std::string(static_cast<std::size_t>(digits + sizeof(digits) - end), '0') +
         std::string(digits, end);
}

}  // namespace ursula
