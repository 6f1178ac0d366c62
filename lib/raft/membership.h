// lib/raft/membership.h
//
// A configuration with its members' Progress, and the changes from one to the next (dissertation
// 4.3). Values: a change yields a new Membership or a Status, and never half of one.

#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lib/raft/progress.h"
#include "lib/raft/quorum.h"
#include "lib/raft/types.h"

namespace ursula::raft {

// What a member that joins starts from.
struct JoinAt {
  Index last_index{};  // Of the leader's log: where probing begins.
  uint32_t inflight_messages_max = 0;
  uint64_t inflight_bytes_max = 0;
};

// Invariant: voters, outgoing voters, learners and learners-to-be are exactly the members; a
// learner is no voter of either half; a learner-to-be is an outgoing voter; out of a joint
// configuration there are neither outgoing voters nor learners-to-be nor auto_leave.
class Membership {
 public:
  using Member = std::pair<ReplicaId, Progress>;

  static Result<Membership> FromConfState(const ConfState& state, const JoinAt& join);
  ConfState ToConfState() const;

  // One voter more or less, any number of learners.
  Result<Membership> Simple(std::span<const ConfChangeStep> steps, const JoinAt& join) const;
  Result<Membership> EnterJoint(bool auto_leave, std::span<const ConfChangeStep> steps,
                                const JoinAt& join) const;
  Result<Membership> LeaveJoint() const;
  Result<Membership> Apply(const ConfChange& change, const JoinAt& join) const;

  bool joint() const { return !outgoing_.empty(); }
  bool auto_leave() const { return auto_leave_; }
  const NodeSet& incoming() const { return incoming_; }
  const NodeSet& outgoing() const { return outgoing_; }
  const NodeSet& learners() const { return learners_; }
  const NodeSet& learners_next() const { return learners_next_; }
  bool IsVoter(ReplicaId node) const {
    return Contains(incoming_, node) || Contains(outgoing_, node);
  }
  NodeSet AllVoters() const;

  // In order of ids.
  std::span<Member> members() { return members_; }
  std::span<const Member> members() const { return members_; }
  Progress* Find(ReplicaId node);
  const Progress* Find(ReplicaId node) const;

 private:
  Status Perform(std::span<const ConfChangeStep> steps, const JoinAt& join);
  void Join(ReplicaId node, bool learner, const JoinAt& join);
  void MakeVoter(ReplicaId node, const JoinAt& join);
  void MakeLearner(ReplicaId node, const JoinAt& join);
  void Remove(ReplicaId node);
  void Forget(ReplicaId node);

  NodeSet incoming_;
  NodeSet outgoing_;
  NodeSet learners_;
  NodeSet learners_next_;
  bool auto_leave_ = false;
  std::vector<Member> members_;
};

}  // namespace ursula::raft
