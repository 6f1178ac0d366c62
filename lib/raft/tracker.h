// lib/raft/tracker.h
//
// The configuration in force, each member's Progress, and the votes of the running election.

#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lib/raft/membership.h"
#include "lib/raft/progress.h"
#include "lib/raft/quorum.h"
#include "lib/raft/types.h"

namespace ursula::raft {

class Tracker {
 public:
  const Membership& membership() const { return membership_; }
  void Adopt(Membership membership) { membership_ = std::move(membership); }

  std::span<Membership::Member> members() { return membership_.members(); }
  std::span<const Membership::Member> members() const { return membership_.members(); }
  Progress* Find(ReplicaId node) { return membership_.Find(node); }
  const Progress* Find(ReplicaId node) const { return membership_.Find(node); }

  // One voter; not always the leader, which may have been removed.
  bool IsSingleton() const;
  // The highest index that a quorum has.
  Index Committed() const;
  // A quorum was heard of since the marks were last cleared.
  bool QuorumActive() const;

  void ResetVotes() { votes_.clear(); }
  void RecordVote(ReplicaId voter, bool granted);  // Its first counts.
  VoteResult TallyVotes() const;
  // Whether these nodes are a quorum.
  bool IsQuorum(const std::vector<ReplicaId>& nodes) const;

 private:
  Membership membership_;
  std::vector<std::pair<ReplicaId, bool>> votes_;
  mutable std::vector<Index> scratch_;
};

}  // namespace ursula::raft
