// lib/group/members.h
//
// How far a group is with the members that it is to have.

#pragma once

#include "lib/raft/types.h"

namespace ursula::group {

struct MembersProgress {
  bool done = false;
  // Of those it waits for: it isn't whole yet, or away. None: the last step is under way, or
  // another learner has to come first.
  ReplicaId waits_for = raft::kNoReplica;
};

}  // namespace ursula::group
