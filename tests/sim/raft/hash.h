// tests/sim/raft/hash.h
//
// Hashes of what the cores handle.

#pragma once

#include <cstdint>

#include "lib/raft/types.h"
#include "tests/sim/seeds/hash.h"

namespace ursula::raft::sim {

using ursula::sim::HashBytes;
using ursula::sim::Mix;

inline uint64_t HashEntry(const Entry& entry) {
  return Mix(Mix(Mix(Raw(entry.index), Raw(entry.term)), static_cast<uint64_t>(entry.kind)),
             HashBytes(entry.payload.view()));
}

inline uint64_t HashConf(const ConfState& conf) {
  uint64_t hash = conf.auto_leave ? 1 : 0;
  for (const auto* set :
       {&conf.voters, &conf.learners, &conf.voters_outgoing, &conf.learners_next}) {
    hash = Mix(hash, set->size());
    for (ReplicaId node : *set) hash = Mix(hash, Raw(node));
  }
  return hash;
}

}  // namespace ursula::raft::sim
