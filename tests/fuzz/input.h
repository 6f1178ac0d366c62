// tests/fuzz/input.h
//
// Input reads a fuzzer's bytes as choices: small numbers, texts, flags. At the end everything is 0
// and empty, so that a prefix of an input means a prefix of what it does.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lib/base/check.h"

namespace ursula::fuzz {

class Input {
 public:
  Input(const uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const uint8_t byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  bool Flag() { return (Byte() & 1) != 0; }
  // REQUIRES: 0 < bound <= 256.
  uint8_t Below(unsigned bound) {
    URSULA_CHECK(bound > 0 && bound <= 256);
    return static_cast<uint8_t>(Byte() % bound);
  }
  uint64_t Fixed64() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 8) value |= uint64_t{Byte()} << shift;
    return value;
  }
  // Mostly `near` or a little beside it, sometimes anything.
  uint64_t Near(uint64_t near) {
    const uint8_t byte = Byte();
    return byte == 0x80 ? Fixed64() : near + static_cast<uint64_t>(static_cast<int8_t>(byte));
  }
  // A length byte, then so many bytes, as far as there are any.
  std::string_view Text(std::size_t bytes_max = 255) {
    return Take(std::min<std::size_t>(Byte(), bytes_max));
  }
  std::string_view Take(std::size_t bytes) {
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view Rest() { return Take(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace ursula::fuzz
