// tests/sim/seeds/hash.h
//
// Hashes for comparing histories. Not for adversaries.

#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace ursula::sim {

inline uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 29);
}

inline uint64_t HashBytes(std::string_view bytes) {
  uint64_t hash = bytes.size();
  while (!bytes.empty()) {
    uint64_t word = 0;
    const std::size_t count = bytes.size() < sizeof(word) ? bytes.size() : sizeof(word);
    std::memcpy(&word, bytes.data(), count);
    hash = Mix(hash, word);
    bytes.remove_prefix(count);
  }
  return hash;
}

}  // namespace ursula::sim
