// tests/sim/raft/profile.h
//
// What kind of world a seed makes: how many replicas, how they are configured, and how bad their
// network, disks and operators are.

#pragma once

#include <cstdint>

#include "lib/base/random.h"
#include "lib/raft/config.h"
#include "tests/sim/raft/event_queue.h"

namespace ursula::raft::sim {

inline constexpr uint32_t kReplicasMax = 8;

struct Profile {
  uint32_t voters = 3;    // At the start, ids 1 to `voters`;
  uint32_t learners = 0;  // then these,
  uint32_t spares = 0;    // and then replicas that know no configuration until they are added.
  Config config = {};     // Of every replica, but for its id.

  uint32_t lost_permille = 0;
  uint32_t duplicated_permille = 0;
  uint32_t late_permille = 0;  // Messages that take up to late_max instead of delay_max.
  Time delay_max = 1;
  Time late_max = 1;

  Time write_max = 1;  // How long a write, and an apply, may take.
  Time apply_max = 1;

  uint32_t payload_max = 64;  // Bytes of a command.
  uint32_t batch_max = 1;     // Commands proposed at once.
  Time propose_gap = 1;       // Mean times between two of a kind. 0: none.
  Time read_gap = 1;
  Time reconfigure_gap = 0;
  Time nemesis_gap = 1;
  // Operators may take out a majority of the voters at once (two voters: one is enough).
  bool reckless = false;
  bool tunnels = false;      // A leader of five often reaches one other only (nemesis.h).
  uint32_t held_one_in = 0;  // Times that a leader may go on with one that is behind; 0: none.
  bool stands_back = false;  // Whose disk is stuck stands for no election.
  uint32_t checkpoint_one_in = 8;  // Applies; then half of the time the log is compacted too.

  Time chaos = 0;  // How long until everything is healed.
};

Profile MakeProfile(Random* random);

}  // namespace ursula::raft::sim
