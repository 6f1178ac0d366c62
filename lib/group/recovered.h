// lib/group/recovered.h
//
// What the survivors of a cluster that had lost its majority go on from (docs/decisions/0054).

#pragma once

#include <optional>

#include "lib/base/ids.h"
#include "lib/raft/types.h"
#include "lib/storage/directory.h"
#include "lib/stream/command.h"

namespace ursula::group {

// Invariant: the same on every survivor, and on who joins them.
struct Recovered {
  // Snapshots and changes of members of lower terms say nothing of who the members are,
  Term term{};
  // which these are then. No replica is of a lower term.
  raft::ConfState conf = {};
  stream::Recover command = {};  // The meta group's; others have it without nodes.
};

// None: its cluster was never recovered.
std::optional<Recovered> RecoveredOf(const storage::DataDirectory& directory);

// All of them are needed to elect the first leader, so that it has the longest log of all: with
// three or more they are split over a joint configuration, which the leader leaves by itself.
// REQUIRES: `survivors` isn't empty.
raft::ConfState SurvivorsConf(std::vector<ReplicaId> survivors);

}  // namespace ursula::group
