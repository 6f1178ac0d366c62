// tests/sim/cluster/profile.h
//
// What a seed chooses once: how many nodes, how much they keep, how bad things get.

#pragma once

#include <cstdint>

#include "lib/base/random.h"
#include "tests/support/test_network.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group::sim {

struct Profile {
  uint32_t nodes = 3;
  uint32_t voters = 3;  // Of them, that found the groups; the others may come to be members.
  WorldOptions options = {};
  testing::NetworkFaults network = {};
  uint32_t streams = 3;
  uint32_t operations = 600;
  uint64_t pause_ns_max = 0;  // Between two operations.
  uint32_t append_bytes_max = 200;
  uint32_t trouble_one_in = 40;  // Of operations.
  uint64_t disk_latency_ns_max = 0;
  uint32_t checkpoint_one_in = 60;
  uint32_t change_one_in = 0;  // Members change. 0: never.
};

Profile MakeProfile(Random* random);

}  // namespace ursula::group::sim
