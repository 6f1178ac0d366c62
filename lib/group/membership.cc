// The part of Replica that changes which replicas its group has.

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/group/replica.h"

namespace ursula::group {
namespace {

// A learner that lacks no more entries than this is promoted: it has the rest in a moment.
constexpr uint64_t kBehindMax = 4096;
constexpr uint64_t kHeardNs = 1'000'000'000;  // Some heartbeats, one of which may be lost.
constexpr uint64_t kTellWholeTicks = 50 * Replica::kHeartbeatTicks;  // A voter's word may be lost.
constexpr uint64_t kTellLackingTicks = 5 * Replica::kHeartbeatTicks;
// Of what is told as trouble. A voter says that it lacks nothing each ten seconds.
constexpr uint64_t kAwayNs = 5'000'000'000;
constexpr uint64_t kWordNs = 15'000'000'000;
constexpr uint64_t kFarBehind = 10'000;
constexpr GroupId kMetaGroup{0};

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

bool Replica::OfFormerMembers(const raft::Entry& entry) const {
  if (services_.recovered == nullptr || entry.term >= services_.recovered->term) return false;
  URSULA_SOMETIMES("recover: a change of the former members was passed over");
  return true;
}

// Before all else that its first leader has to say: until it is applied, `leads` is false.
void Replica::ProposeRecovery() {
  const bool may = core_->is_leader() && applied_term_ == core_->term();
  if (recovery_applied() || !may || recovery_pending_ || state_ > State::kRunning) return;
  recovery_pending_ = true;
  stream::Command command;
  command.now_ms = clock_.NowMs();
  stream::Recover recover = services_.recovered->command;
  if (group_ != kMetaGroup) {
    recover.survivors.clear();
    recover.lost.clear();
  }
  command.body = std::move(recover);
  Stage(stream::Encode(command), 0, [this](Result<stream::Reply>) { recovery_pending_ = false; });
}

void Replica::NoteChange(const raft::ConfState& before) {
  changed_at_ = core_->last_index();
  for (const raft::ConfState& conf : {before, core_->Configuration()}) {
    for (const auto* members : {&conf.voters, &conf.voters_outgoing, &conf.learners}) {
      for (ReplicaId one : *members) changed_.push_back(NodeOf(one));
    }
  }
  std::ranges::sort(changed_);
  changed_.erase(std::ranges::unique(changed_).begin(), changed_.end());
}

// An entry that was proposed once the change was applied says to whoever stores it that the change
// is committed, and is preceded by that in its log (WriteAppend). So once such a one is committed
// each majority of the new members has one that remembers it and has the newest log: it is elected
// without the members that have gone. What leads by then has applied the change, so that what it
// has proposed since, of its own term, is such a one.
bool Replica::ChangeIsRemembered() const {
  return core_->commit() > changed_at_ && core_->CommittedInOwnTerm();
}

// A group that idles has nothing to say behind its change.
void Replica::AwaitRemembrance(bool proposes, MembersProgress* progress) {
  // It followed when the change was applied, and what its log had behind that was cut off since.
  changed_at_ = std::min(changed_at_, core_->last_index());
  if (ChangeIsRemembered()) return changed_.clear();
  progress->open.insert(progress->open.end(), changed_.begin(), changed_.end());
  std::ranges::sort(progress->open);
  progress->open.erase(std::ranges::unique(progress->open).begin(), progress->open.end());
  progress->rests = false;
  if (!proposes || core_->last_index() > changed_at_) return;
  URSULA_SOMETIMES("members: a group said something behind its change");
  const Bytes nothing;
  (void)core_->Propose(std::span(&nothing, 1));
  Schedule();
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
  std::optional<raft::ConfChange> change;
  MembersProgress progress = PlanMembers(wanted, &change);
  if (leads()) AwaitRemembrance(!change, &progress);
  if (!leads() || !change) {
    Status status;
    if (!leads()) status = Status(StatusCode::kUnavailable, "this group has no leader here");
    services_.loop->Defer([done = std::move(done), status, progress]() mutable {
      if (!status.ok()) return done(status);
      done(std::move(progress));
    });
    return;
  }
  ChangeMembers(*change, [done = std::move(done), progress](Status status) mutable {
    if (!status.ok()) return done(std::move(status));
    done(std::move(progress));
  });
}

MembersProgress Replica::PlanMembers(const std::vector<ReplicaId>& wanted,
                                     std::optional<raft::ConfChange>* planned) {
  const raft::ConfState conf = core_->Configuration();
  MembersProgress progress{.open = OpenNodes(wanted, conf)};
  progress.rests = progress.done();
  if (progress.done() || !leads()) return progress;
  raft::ConfChange change;
  if (!conf.voters_outgoing.empty()) {
    // Left by itself most often; a hand-over in that moment may have kept it from that.
    *planned = std::move(change);
    return progress;
  }
  for (ReplicaId one : wanted) {
    if (Contains(conf.voters, one) || Contains(conf.learners, one)) continue;
    change.steps.push_back({raft::ConfChangeOp::kAddLearner, one});
  }
  for (ReplicaId learner : conf.learners) {
    if (!Contains(wanted, learner)) change.steps.push_back({raft::ConfChangeOp::kRemove, learner});
  }
  if (change.steps.empty()) PlanVoters(wanted, conf, &progress, &change);
  if (!change.steps.empty()) *planned = std::move(change);
  return progress;
}

// Whoever isn't to stay doesn't lead the change that takes it out, if one that stays can.
void Replica::PlanVoters(const std::vector<ReplicaId>& wanted, const raft::ConfState& conf,
                         MembersProgress* progress, raft::ConfChange* change) {
  const bool stays = Contains(wanted, services_.self);
  const auto heir =
      std::ranges::find_if(wanted, [&conf](ReplicaId one) { return Contains(conf.voters, one); });
  if (!stays && heir != wanted.end()) {
    for (ReplicaId one : wanted) {
      if (hands_over() || HandOverTo(NodeOf(one), kBehindMax)) break;
    }
    progress->waits_for = *heir;
    progress->away = !IsActive(*heir);
    return;
  }
  VotersSwap swap = PlanSwap(wanted, conf, &progress->waits_for);
  std::erase(swap.going, services_.self);
  const ReplicaId missing = KeepsFromMajority(conf, swap);
  if (swap.coming.empty() && swap.going.empty()) {
    progress->rests = progress->waits_for == raft::kNoReplica;
  } else if (missing != raft::kNoReplica) {
    progress->waits_for = missing;
  } else if (!swap.going.empty() && going_since_ns_ == 0) {
    // By the next step, by what is heard from now on: without a majority of those who stay nothing
    // could be taken back.
    going_since_ns_ = services_.loop->now_ns();
    return;
  } else {
    for (ReplicaId one : swap.coming) change->steps.push_back({raft::ConfChangeOp::kAddVoter, one});
    for (ReplicaId one : swap.going) change->steps.push_back({raft::ConfChangeOp::kRemove, one});
  }
  const bool waits = services_.loop->now_ns() - going_since_ns_ <= kHeardNs;
  if (missing == raft::kNoReplica || !waits) going_since_ns_ = 0;
  progress->away = progress->waits_for != raft::kNoReplica && !IsActive(progress->waits_for);
}

// Its last word is a moment old: what Raft calls active may be gone for an election timeout.
bool Replica::IsActive(ReplicaId member) const {
  const uint64_t now_ns = services_.loop->now_ns();
  return HeardSince(member, now_ns - std::min(now_ns, kHeardNs));
}

bool Replica::HeardSince(ReplicaId member, uint64_t ns) const {
  if (member == services_.self) return true;
  auto heard = heard_of_.find(member);
  return heard != heard_of_.end() && heard->second.ns > ns;
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
    return IsActive(learner) && level && whole_peers_.contains(learner);
  }
  return false;
}

// With a majority of the voters to be away the group would come to a stop; and whoever goes takes
// its payload along, so that a majority of those who stay must lack none of it.
ReplicaId Replica::KeepsFromMajority(const raft::ConfState& conf, const VotersSwap& swap) const {
  std::vector<ReplicaId> voters = conf.voters;
  std::erase_if(voters, [&](ReplicaId voter) { return Contains(swap.going, voter); });
  voters.insert(voters.end(), swap.coming.begin(), swap.coming.end());
  std::size_t here = 0;
  std::size_t sound = 0;
  ReplicaId away = raft::kNoReplica;
  ReplicaId lacks = raft::kNoReplica;
  for (ReplicaId voter : voters) {
    const bool active = IsActive(voter) && HeardSince(voter, going_since_ns_);
    const bool has_all = voter == services_.self ? whole() : whole_peers_.contains(voter);
    here += active ? 1 : 0;
    sound += has_all ? 1 : 0;
    if (!active) away = voter;
    if (!has_all) lacks = voter;
  }
  if (2 * here <= voters.size()) return away;
  return swap.going.empty() || 2 * sound > voters.size() ? raft::kNoReplica : lacks;
}

// A learner is waited for; a voter's word is needed only when another is to go.
void Replica::TellWhole() {
  if (state_ != State::kRunning || leads() || !whole() || installing()) {
    whole_told_ = Term{};
    return TellLacking();
  }
  lacking_told_ = Term{};
  const ReplicaId leader = core_->leader();
  if (leader == raft::kNoReplica) return;
  // Again all groups at once, in a turn in which there is something to send anyhow.
  const bool again = learns_ || ticks_ % kTellWholeTicks == 0;
  if (whole_told_ == core_->term() && !again) return;
  whole_told_ = core_->term();
  WriteLetter(leader, Wholeness{Raw(applied_index_)});
}

// What a leader takes for whole may rot: until it hears otherwise it counts on it.
void Replica::TellLacking() {
  const bool lacks = payload_checked_ && !fetch_.whole();
  if (state_ != State::kRunning || leads() || installing() || !lacks) {
    lacking_told_ = Term{};
    return;
  }
  const ReplicaId leader = core_->leader();
  if (leader == raft::kNoReplica) return;
  if (lacking_told_ == core_->term() && ticks_ % kTellLackingTicks != 0) return;
  lacking_told_ = core_->term();
  WriteLetter(leader, Lacking{fetch_.lacking_bytes()});
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
  heard_of_.clear();
  going_since_ns_ = 0;
  led_not_ns_ = services_.loop->now_ns();
}

// One that has just begun to lead has heard little yet.
std::vector<ReplicaTrouble> Replica::Troubles() const {
  std::vector<ReplicaTrouble> troubles;
  if (!leads() || failed()) return troubles;
  const uint64_t now_ns = services_.loop->now_ns();
  const uint64_t leads_ns = now_ns - std::min(now_ns, led_not_ns_);
  const bool judges_silence = leads_ns > kAwayNs;
  const bool judges_words = leads_ns > kWordNs;
  for (const raft::PeerStatus& peer : core_->Peers()) {
    if (peer.learner) continue;
    const NodeId node = NodeOf(peer.id);
    const bool self = peer.id == services_.self;
    const bool has_all = self ? whole() : whole_peers_.contains(peer.id);
    if (judges_silence && !HeardSince(peer.id, now_ns - kAwayNs)) {
      troubles.push_back({node, ReplicaTrouble::Kind::kAway});
    } else if (!self && (peer.state == raft::ProgressState::kSnapshot ||
                         Raw(peer.match) + kFarBehind < Raw(log_.last()))) {
      troubles.push_back({node, ReplicaTrouble::Kind::kBehind});
    } else if (judges_words && !has_all) {
      troubles.push_back({node, ReplicaTrouble::Kind::kNotWhole});
    }
  }
  return troubles;
}

}  // namespace ursula::group
