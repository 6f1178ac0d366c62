// server/http/characters.h
//
// Characters as HTTP's grammar groups them (RFC 9110, 5.5 and 5.6).

#pragma once

#include <string_view>

namespace ursula::http {

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

constexpr bool IsTokenCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

constexpr bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// What a field value may hold: visible characters, blanks, and bytes above ASCII.
constexpr bool IsTextCharacter(char c) {
  return IsBlank(c) || static_cast<unsigned char>(c) >= 0x80 || (c > 0x20 && c < 0x7f);
}

// -1: none.
constexpr int HexDigitValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace ursula::http
