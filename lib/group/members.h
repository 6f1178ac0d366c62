// lib/group/members.h
//
// How far a group is with the members that it is to have.

#pragma once

#include <vector>

#include "lib/raft/types.h"

namespace ursula::group {

struct MembersProgress {
  // Nodes whose part isn't done: they are to have a voter here and don't, or have one of another
  // directory, or none is to be there and one is; or the group has changed just now,
  // and a crash could make it forget that. In order.
  std::vector<NodeId> open = {};
  // Nothing more comes of the same wish: all is done, or what is open waits for another member. An
  // even number of voters survives no more failures than the odd one below it.
  bool rests = false;
  // Of those it waits for: it isn't whole yet, or away. None: the last step is under way, or it
  // rests.
  ReplicaId waits_for = raft::kNoReplica;
  bool away = false;  // That one.

  bool done() const { return open.empty(); }
  friend bool operator==(const MembersProgress&, const MembersProgress&) = default;
};

// Who becomes a voter and who is none any more, in one change.
struct VotersSwap {
  std::vector<ReplicaId> coming = {};
  std::vector<ReplicaId> going = {};
};

}  // namespace ursula::group
