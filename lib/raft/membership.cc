#include "lib/raft/membership.h"

#include <algorithm>
#include <iterator>

#include "lib/base/check.h"

namespace ursula::raft {
namespace {

Status Refused(const char* why) { return Status(StatusCode::kFailedPrecondition, why); }

bool IsAscending(const NodeSet& set) {
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (set[i] == kNoReplica || (i > 0 && set[i - 1] >= set[i])) return false;
  }
  return true;
}

bool Disjoint(const NodeSet& a, const NodeSet& b) {
  return std::none_of(a.begin(), a.end(), [&b](ReplicaId node) { return Contains(b, node); });
}

// How many are in one set and not in the other.
std::size_t Difference(const NodeSet& a, const NodeSet& b) {
  NodeSet out;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out.size();
}

NodeSet Sorted(NodeSet set) {
  std::sort(set.begin(), set.end());
  return set;
}

}  // namespace

Result<Membership> Membership::FromConfState(const ConfState& state, const JoinAt& join) {
  Membership to;
  to.incoming_ = Sorted(state.voters);
  to.outgoing_ = Sorted(state.voters_outgoing);
  to.learners_ = Sorted(state.learners);
  to.learners_next_ = Sorted(state.learners_next);
  to.auto_leave_ = state.auto_leave;
  for (const NodeSet* set : {&to.incoming_, &to.outgoing_, &to.learners_, &to.learners_next_}) {
    if (!IsAscending(*set)) return Refused("configuration: node 0 or a node twice");
  }
  if (!Disjoint(to.learners_, to.incoming_) || !Disjoint(to.learners_, to.outgoing_)) {
    return Refused("configuration: a learner votes");
  }
  if (!Disjoint(to.learners_next_, to.incoming_) || !Disjoint(to.learners_next_, to.learners_)) {
    return Refused("configuration: a learner-to-be in the incoming half");
  }
  for (ReplicaId node : to.learners_next_) {
    if (!Contains(to.outgoing_, node))
      return Refused("configuration: a learner-to-be not outgoing");
  }
  if (!to.joint() && to.auto_leave_) return Refused("configuration: nothing to leave");
  if (to.joint() && to.incoming_.empty()) return Refused("configuration: no incoming voters");
  for (ReplicaId node : to.AllVoters()) to.Join(node, false, join);
  for (ReplicaId node : to.learners_) to.Join(node, true, join);
  return to;
}

ConfState Membership::ToConfState() const {
  return {incoming_, learners_, outgoing_, learners_next_, auto_leave_};
}

NodeSet Membership::AllVoters() const {
  NodeSet all;
  all.reserve(incoming_.size() + outgoing_.size());
  std::set_union(incoming_.begin(), incoming_.end(), outgoing_.begin(), outgoing_.end(),
                 std::back_inserter(all));
  return all;
}

Progress* Membership::Find(ReplicaId node) {
  auto at = std::lower_bound(members_.begin(), members_.end(), node,
                             [](const Member& member, ReplicaId id) { return member.first < id; });
  return at != members_.end() && at->first == node ? &at->second : nullptr;
}

const Progress* Membership::Find(ReplicaId node) const {
  return const_cast<Membership*>(this)->Find(node);
}

void Membership::Join(ReplicaId node, bool learner, const JoinAt& join) {
  if (Find(node) != nullptr) return;
  Progress progress;
  progress.next = std::max(join.last_index, Index{1});
  progress.inflights = Inflights(join.inflight_messages_max, join.inflight_bytes_max);
  progress.learner = learner;
  // So that the quorum check doesn't count it as gone before it could answer.
  progress.recently_active = true;
  auto at = std::lower_bound(members_.begin(), members_.end(), node,
                             [](const Member& member, ReplicaId id) { return member.first < id; });
  members_.emplace(at, node, std::move(progress));
}

void Membership::Forget(ReplicaId node) {
  std::erase_if(members_, [node](const Member& member) { return member.first == node; });
}

void Membership::MakeVoter(ReplicaId node, const JoinAt& join) {
  Join(node, false, join);
  Find(node)->learner = false;
  Erase(&learners_, node);
  Erase(&learners_next_, node);
  Insert(&incoming_, node);
}

void Membership::MakeLearner(ReplicaId node, const JoinAt& join) {
  Join(node, true, join);
  Erase(&incoming_, node);
  if (Contains(outgoing_, node)) {
    // It still votes; it becomes a learner when the joint configuration is left.
    Insert(&learners_next_, node);
  } else {
    Find(node)->learner = true;
    Insert(&learners_, node);
  }
}

void Membership::Remove(ReplicaId node) {
  Erase(&incoming_, node);
  Erase(&learners_, node);
  Erase(&learners_next_, node);
  if (!Contains(outgoing_, node)) Forget(node);
}

Status Membership::Perform(std::span<const ConfChangeStep> steps, const JoinAt& join) {
  for (const ConfChangeStep& step : steps) {
    if (step.node == kNoReplica) continue;
    switch (step.op) {
      case ConfChangeOp::kAddVoter:
        MakeVoter(step.node, join);
        break;
      case ConfChangeOp::kAddLearner:
        MakeLearner(step.node, join);
        break;
      case ConfChangeOp::kRemove:
        Remove(step.node);
        break;
      case ConfChangeOp::kUpdate:
        break;  // The driver's own business.
    }
  }
  return incoming_.empty() ? Refused("removed all voters") : Status();
}

Result<Membership> Membership::Simple(std::span<const ConfChangeStep> steps,
                                      const JoinAt& join) const {
  if (joint()) return Refused("can't apply simple config change in joint config");
  Membership to = *this;
  if (Status status = to.Perform(steps, join); !status.ok()) return status;
  // Majorities of sets that differ by one overlap; of others they may not (4.2.1).
  if (Difference(incoming_, to.incoming_) > 1) {
    return Refused("more than one voter changed without entering joint config");
  }
  return to;
}

Result<Membership> Membership::EnterJoint(bool auto_leave, std::span<const ConfChangeStep> steps,
                                          const JoinAt& join) const {
  if (joint()) return Refused("config is already joint");
  if (incoming_.empty()) return Refused("can't make a zero-voter config joint");
  Membership to = *this;
  to.outgoing_ = incoming_;
  to.auto_leave_ = auto_leave;
  if (Status status = to.Perform(steps, join); !status.ok()) return status;
  return to;
}

Result<Membership> Membership::LeaveJoint() const {
  if (!joint()) return Refused("can't leave a non-joint config");
  Membership to = *this;
  for (ReplicaId node : learners_next_) {
    Insert(&to.learners_, node);
    to.Find(node)->learner = true;
  }
  to.learners_next_.clear();
  to.outgoing_.clear();
  to.auto_leave_ = false;
  for (ReplicaId node : outgoing_) {
    if (!Contains(to.incoming_, node) && !Contains(to.learners_, node)) to.Forget(node);
  }
  return to;
}

Result<Membership> Membership::Apply(const ConfChange& change, const JoinAt& join) const {
  if (change.leaves_joint()) return LeaveJoint();
  if (change.enters_joint()) {
    return EnterJoint(change.transition != Transition::kExplicit, change.steps, join);
  }
  return Simple(change.steps, join);
}

}  // namespace ursula::raft
