// lib/raft/quorum.h
//
// Majorities, and joint majorities: decisions that need a majority of each half (dissertation 4.3).

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/raft/types.h"

namespace ursula::raft {

enum class VoteResult : uint8_t { kPending, kLost, kWon };

// A set of ids, ascending.
using NodeSet = std::vector<ReplicaId>;
bool Contains(const NodeSet& set, ReplicaId node);
void Insert(NodeSet* set, ReplicaId node);
void Erase(NodeSet* set, ReplicaId node);

// How far a majority has come: `positions` holds one index for each voter, in any order; it is
// reordered. No voters: no bound (the largest index), so that an empty half never holds back.
Index MajorityIndex(std::vector<Index>* positions);

// REQUIRES: yes + no <= voters. No voters: won.
VoteResult MajorityVote(std::size_t voters, std::size_t yes, std::size_t no);

VoteResult JointVote(VoteResult incoming, VoteResult outgoing);

}  // namespace ursula::raft
