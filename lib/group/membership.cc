// The part of Replica that changes which replicas its group has.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/group/replica.h"

namespace ursula::group {
namespace {

// A learner that lacks no more entries than this is promoted: it has the rest in a moment.
constexpr uint64_t kBehindMax = 4096;

bool Contains(const std::vector<ReplicaId>& members, ReplicaId one) {
  return std::find(members.begin(), members.end(), one) != members.end();
}

std::vector<NodeId> OpenNodes(const std::vector<ReplicaId>& wanted, const raft::ConfState& conf) {
  std::vector<NodeId> open;
  for (ReplicaId one : wanted) {
    if (!Contains(conf.voters, one)) open.push_back(NodeOf(one));
  }
  for (const auto* members : {&conf.voters, &conf.voters_outgoing, &conf.learners}) {
    for (ReplicaId one : *members) {
      if (!Contains(wanted, one)) open.push_back(NodeOf(one));
    }
  }
  std::ranges::sort(open);
  open.erase(std::ranges::unique(open).begin(), open.end());
  return open;
}

}  // namespace

void Replica::NoteMembership() {
  const raft::ConfState conf = core_->Configuration();
  sole_voter_ =
      conf.voters.size() == 1 && conf.voters_outgoing.empty() && core_->IsVoter(services_.self);
  alone_ = sole_voter_ && conf.learners.empty() && conf.learners_next.empty();
  learns_ = !core_->IsVoter(services_.self);
}

void Replica::ChangeMembers(const raft::ConfChange& change, Function<void(Status)> done) {
  raft::Proposal proposal;
  if (state_ == State::kRunning && leads()) proposal = core_->ProposeConfChange(change);
  Schedule();
  Status refusal;
  if (proposal.outcome != raft::ProposalOutcome::kAppended) {
    refusal =
        Status(StatusCode::kUnavailable, "this group has no leader here; nothing has changed");
  } else if (proposal.conf_change_refused) {
    refusal = Status(StatusCode::kFailedPrecondition,
                     "another change of members is under way, or this one doesn't fit");
  }
  if (!refusal.ok()) {
    services_.loop->Defer([done = std::move(done), refusal]() mutable { done(refusal); });
    return;
  }
  auto applied = [done = std::move(done)](Result<stream::Reply> reply) mutable {
    if (!reply.ok()) return done(reply.status());
    if (reply->outcome == Outcome::kOk) return done(Status());
    done(Status(StatusCode::kFailedPrecondition, "the change of members didn't fit"));
  };
  proposals_.Add({proposal.first, proposal.term, 0, services_.loop->now_ns(), std::move(applied)});
}

// Learners first, and what is no member any more and never voted goes with that. Then, in one joint
// change, those of them that are whole become voters and who isn't wanted goes: the number of
// voters passes through no other.
void Replica::Reconcile(const std::vector<ReplicaId>& wanted,
                        Function<void(Result<MembersProgress>)> done) {
  raft::ConfChange change;
  const MembersProgress progress = PlanMembers(wanted, &change);
  if (!leads() || change.steps.empty()) {
    Status status;
    if (!leads()) status = Status(StatusCode::kUnavailable, "this group has no leader here");
    services_.loop->Defer([done = std::move(done), status, progress]() mutable {
      if (!status.ok()) return done(status);
      done(std::move(progress));
    });
    return;
  }
  ChangeMembers(change, [done = std::move(done), progress](Status status) mutable {
    if (!status.ok()) return done(std::move(status));
    done(std::move(progress));
  });
}

MembersProgress Replica::PlanMembers(const std::vector<ReplicaId>& wanted,
                                     raft::ConfChange* change) {
  const raft::ConfState conf = core_->Configuration();
  MembersProgress progress{.open = OpenNodes(wanted, conf)};
  progress.rests = progress.done();
  if (progress.done() || !leads() || !conf.voters_outgoing.empty()) return progress;
  for (ReplicaId one : wanted) {
    if (Contains(conf.voters, one) || Contains(conf.learners, one)) continue;
    change->steps.push_back({raft::ConfChangeOp::kAddLearner, one});
  }
  for (ReplicaId learner : conf.learners) {
    if (!Contains(wanted, learner)) change->steps.push_back({raft::ConfChangeOp::kRemove, learner});
  }
  if (!change->steps.empty()) return progress;
  if (!Contains(wanted, services_.self)) return LeaveLead(wanted, std::move(progress));
  VotersSwap swap = PlanSwap(wanted, conf, &progress.waits_for);
  if (swap.coming.empty() && swap.going.empty()) {
    progress.rests = progress.waits_for == raft::kNoReplica;
    return progress;
  }
  const ReplicaId away = KeepsFromMajority(conf, swap);
  if (away != raft::kNoReplica) {
    progress.waits_for = away;
    return progress;
  }
  for (ReplicaId one : swap.coming) change->steps.push_back({raft::ConfChangeOp::kAddVoter, one});
  for (ReplicaId one : swap.going) change->steps.push_back({raft::ConfChangeOp::kRemove, one});
  return progress;
}

// Whoever isn't to stay doesn't lead the change that takes it out.
MembersProgress Replica::LeaveLead(const std::vector<ReplicaId>& wanted, MembersProgress progress) {
  for (ReplicaId one : wanted) {
    if (hands_over() || HandOverTo(NodeOf(one), kBehindMax)) break;
  }
  progress.waits_for = services_.self;
  return progress;
}

// Which voters come and which go now. Who is replaced goes with the coming of what replaces it; who
// leaves, as soon as as many voters are left as there were, or as are wanted. Who only adds to them
// comes when their number stays odd. `waits_for`: a learner that isn't whole.
VotersSwap Replica::PlanSwap(const std::vector<ReplicaId>& wanted, const raft::ConfState& conf,
                             ReplicaId* waits_for) const {
  std::vector<ReplicaId> gone;
  for (ReplicaId voter : conf.voters) {
    if (!Contains(wanted, voter)) gone.push_back(voter);
  }
  auto same_node = [](ReplicaId one) {
    return [one](ReplicaId other) { return NodeOf(one) == NodeOf(other); };
  };
  std::vector<ReplicaId> ready;
  for (ReplicaId learner : conf.learners) {
    if (!Contains(wanted, learner)) continue;
    if (!IsWholeHere(learner)) {
      *waits_for = learner;
    } else if (std::ranges::any_of(gone, same_node(learner))) {
      ready.insert(ready.begin(), learner);
    } else {
      ready.push_back(learner);
    }
  }
  const std::size_t least = std::min(conf.voters.size(), wanted.size());
  while (true) {
    VotersSwap swap{.coming = ready};
    std::size_t count = conf.voters.size() + ready.size();
    for (ReplicaId one : gone) {
      const bool replaced = std::ranges::any_of(ready, same_node(one));
      const bool leaves = std::ranges::none_of(wanted, same_node(one));
      if (!replaced && (!leaves || count <= least)) continue;
      swap.going.push_back(one);
      --count;
    }
    if (count % 2 == 1 || count <= conf.voters.size() || ready.empty()) return swap;
    ready.pop_back();
  }
}

bool Replica::IsWholeHere(ReplicaId learner) const {
  for (const raft::PeerStatus& peer : core_->Peers()) {
    if (peer.id != learner) continue;
    const bool level = peer.match + kBehindMax >= log_.last();
    return peer.recently_active && level && whole_peers_.contains(learner);
  }
  return false;
}

// With a majority of the voters to be away the group would come to a stop.
ReplicaId Replica::KeepsFromMajority(const raft::ConfState& conf, const VotersSwap& swap) const {
  std::vector<ReplicaId> voters = conf.voters;
  std::erase_if(voters, [&](ReplicaId voter) { return Contains(swap.going, voter); });
  voters.insert(voters.end(), swap.coming.begin(), swap.coming.end());
  std::size_t here = 0;
  ReplicaId away = raft::kNoReplica;
  for (const raft::PeerStatus& peer : core_->Peers()) {
    if (!Contains(voters, peer.id)) continue;
    const bool active = peer.id == services_.self || peer.recently_active;
    here += active ? 1 : 0;
    if (!active) away = peer.id;
  }
  return 2 * here > voters.size() ? raft::kNoReplica : away;
}

void Replica::TellWhole() {
  if (!learns_ || state_ != State::kRunning || !whole() || installing()) return;
  const ReplicaId leader = core_->leader();
  if (leader == raft::kNoReplica) return;
  WriteLetter(leader, Wholeness{Raw(applied_index_)});
}

// One from before a snapshot that it needs says nothing of what it lacks then.
void Replica::OnWholeness(ReplicaId from, const Wholeness& whole) {
  if (!core_->is_leader()) return;
  auto shipped = shipped_.find(from);
  if (shipped != shipped_.end() && Index{whole.applied} < shipped->second) return;
  whole_peers_.insert(from);
}

void Replica::ForgetWholeness() {
  if (core_->is_leader()) return;
  whole_peers_.clear();
  shipped_.clear();
}

}  // namespace ursula::group
