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

// Learners first, and what is no member any more and never voted goes with that. Then, once every
// learner is whole, all of them become voters and who isn't wanted goes, in one joint change: the
// number of voters passes through no other.
void Replica::Reconcile(const std::vector<ReplicaId>& wanted,
                        Function<void(Result<MembersProgress>)> done) {
  raft::ConfChange change;
  const MembersProgress progress = PlanMembers(wanted, &change);
  if (!leads() || change.steps.empty()) {
    Status status;
    if (!leads()) status = Status(StatusCode::kUnavailable, "this group has no leader here");
    services_.loop->Defer([done = std::move(done), status, progress]() mutable {
      if (!status.ok()) return done(status);
      done(progress);
    });
    return;
  }
  ChangeMembers(change, [done = std::move(done), progress](Status status) mutable {
    if (!status.ok()) return done(std::move(status));
    done(progress);
  });
}

MembersProgress Replica::PlanMembers(const std::vector<ReplicaId>& wanted,
                                     raft::ConfChange* change) const {
  MembersProgress progress;
  const raft::ConfState conf = core_->Configuration();
  if (!conf.voters_outgoing.empty()) return progress;
  std::vector<ReplicaId> gone;
  for (ReplicaId voter : conf.voters) {
    if (!Contains(wanted, voter)) gone.push_back(voter);
  }
  for (ReplicaId one : wanted) {
    if (Contains(conf.voters, one) || Contains(conf.learners, one)) continue;
    change->steps.push_back({raft::ConfChangeOp::kAddLearner, one});
  }
  for (ReplicaId learner : conf.learners) {
    if (!Contains(wanted, learner)) change->steps.push_back({raft::ConfChangeOp::kRemove, learner});
  }
  if (!change->steps.empty()) return progress;
  if (conf.learners.empty() && gone.empty()) {
    progress.done = true;
    return progress;
  }
  progress.waits_for = MissesFor(wanted);
  if (progress.waits_for != raft::kNoReplica) return progress;
  // An even number of voters survives no more than one less of them: two that join do so together.
  if (!conf.learners.empty() && wanted.size() % 2 == 0) return progress;
  for (ReplicaId learner : conf.learners) {
    change->steps.push_back({raft::ConfChangeOp::kAddVoter, learner});
  }
  for (ReplicaId voter : gone) change->steps.push_back({raft::ConfChangeOp::kRemove, voter});
  return progress;
}

// A learner that isn't whole yet, or, of voters to be, one that keeps a majority of them from being
// there: with those alone the group would come to a stop.
ReplicaId Replica::MissesFor(const std::vector<ReplicaId>& wanted) const {
  std::size_t active = 0;
  ReplicaId away = raft::kNoReplica;
  for (const raft::PeerStatus& peer : core_->Peers()) {
    if (!Contains(wanted, peer.id)) continue;
    const bool here = peer.id == services_.self || peer.recently_active;
    if (here) ++active;
    if (!here) away = peer.id;
    if (!peer.learner) continue;
    const bool level = peer.match + kBehindMax >= log_.last();
    if (!here || !level || !whole_peers_.contains(peer.id)) return peer.id;
  }
  return 2 * active > wanted.size() ? raft::kNoReplica : away;
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
