// tests/sim/raft/hash.h
//
// Hashes for comparing histories. Not for adversaries.

#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "lib/raft/types.h"

namespace ursula::raft::sim {

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

inline uint64_t HashEntry(const Entry& entry) {
  return Mix(Mix(Mix(Raw(entry.index), Raw(entry.term)), static_cast<uint64_t>(entry.kind)),
             HashBytes(entry.payload.view()));
}

inline uint64_t HashConf(const ConfState& conf) {
  uint64_t hash = conf.auto_leave ? 1 : 0;
  for (const auto* set :
       {&conf.voters, &conf.learners, &conf.voters_outgoing, &conf.learners_next}) {
    hash = Mix(hash, set->size());
    for (NodeId node : *set) hash = Mix(hash, Raw(node));
  }
  return hash;
}

}  // namespace ursula::raft::sim
