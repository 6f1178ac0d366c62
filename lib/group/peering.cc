// The part of Replica that deals with the group's other replicas, and with what only they can end.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/group/replica.h"
#include "lib/stream/command.h"

namespace ursula::group {
namespace {

constexpr uint64_t kCampaignNs = 200'000'000;  // Between two that stand for one who has ended.
constexpr int kCampaigns = 3;                  // Of each; then its timeout goes on.

// As many times CoreBudget::unapplied_max: so that who is made leader by his last word, which is a
// moment old, doesn't stand back.
constexpr uint64_t kStandsBackTimes = 4;

// In which a replica says how far it has applied, in what Raft doesn't use there.
bool Tells(raft::MessageKind kind) {
  return kind == raft::MessageKind::kAppendReply || kind == raft::MessageKind::kHeartbeatReply;
}

}  // namespace

void Replica::Send(std::vector<raft::Message> messages) {
  for (raft::Message& message : messages) {
    if (message.to == services_.self) {
      core_->Step(std::move(message));
    } else {
      SendToPeer(std::move(message));
    }
  }
}

// One whose log or payload store has failed is silent: heartbeats would keep it leader, and what it
// can't store it must not be counted for.
void Replica::SendToPeer(raft::Message message) {
  if (services_.hub == nullptr || state_ == State::kFailed) return;
  if (Tells(message.kind) && lags()) message.commit = applied_index_ + 1;
  if (message.kind == raft::MessageKind::kSnapshot) return Ship(std::move(message));
  if (message.kind == raft::MessageKind::kHeartbeat ||
      message.kind == raft::MessageKind::kHeartbeatReply) {
    return SendBeat(message);
  }
  // Appends stay in order among themselves: one that tells of the commit index alone, overtaking
  // others, would be refused for the gap before it.
  const bool append = message.kind == raft::MessageKind::kAppend;
  const ReplicaId to = message.to;
  const std::size_t entries = message.entries.size();
  if (message.kind == raft::MessageKind::kReadIndexReply) {
    if (!leads()) return HoldReadReply(std::move(message));
    PutLeadersTime(&message);
  }
  if (Write(to, append ? Channel::kBulk : Channel::kControl, std::move(message))) {
    services_.budget->stats.peer_sent_entries += entries;
    return;
  }
  URSULA_SOMETIMES("group: a letter to a peer was dropped");
  core_->ReportUnreachable(to);
}

// It would tell the time of what is applied here, which may be far behind.
void Replica::HoldReadReply(raft::Message reply) {
  if (!core_->is_leader()) return;
  URSULA_SOMETIMES("group: a read's answer waited for the leader's time");
  held_read_replies_.insert_or_assign(reply.to, std::move(reply));
}

// With those of the core's other groups: idle ones have nothing else to say.
void Replica::SendBeat(const raft::Message& message) {
  if (NodeOf(message.to) == node()) return;
  peers::Beat beat;
  beat.group = group_;
  beat.answer = message.kind == raft::MessageKind::kHeartbeatReply;
  beat.term = Raw(message.term);
  beat.index = Raw(message.commit);
  beat.round = message.read_round;
  services_.hub->SendBeat(services_.self, message.to, beat);
}

void Replica::OnPeerBeat(ReplicaId from, ReplicaId to, const peers::Beat& beat) {
  if (state_ == State::kFailed || state_ == State::kStopped) return;
  if (to != services_.self) {
    URSULA_SOMETIMES("members: a beat came for a replica that its node has lost");
    return;
  }
  raft::Message message;
  message.kind = beat.answer ? raft::MessageKind::kHeartbeatReply : raft::MessageKind::kHeartbeat;
  message.from = from;
  message.to = to;
  message.term = Term{beat.term};
  message.commit = Index{beat.index};
  message.read_round = beat.round;
  OnPeerMessage(std::move(message));
}

// What is for another replica of this very node is for one that it has lost.
bool Replica::Write(ReplicaId to, Channel channel, Letter letter) {
  if (NodeOf(to) == node()) return false;
  ByteParts parts;
  EncodeLetter({services_.self, to, std::move(letter)}, &parts);
  return services_.hub->Send(NodeOf(to), group_, channel, std::move(parts));
}

// Whether it is let in. A follower has no client to refuse: it leaves out entries that it has no
// room for, and its leader sends them again, at the pace of its heartbeats. No replica forwards
// proposals; one that came would pass by all that is looked at below, and in Propose.
bool Replica::Listens(const raft::Message& message) {
  if (state_ == State::kFailed || state_ == State::kStopped) return false;
  if (message.kind == raft::MessageKind::kPropose) return false;
  if (!payload_failure_.ok() && !core_->is_leader()) return false;
  if (message.kind != raft::MessageKind::kAppend || message.entries.empty()) return true;
  // One with smaller limits than its leader can't store this, ever.
  for (const raft::Entry& entry : message.entries) {
    if (entry.payload.size() + 1 <= services_.wal->record_bytes_max()) continue;
    if (!std::exchange(entry_too_large_logged_, true)) {
      services_.Log(3, group_,
                    "an entry of " + std::to_string(entry.payload.size()) +
                        " bytes is larger than this node's log takes: give it the limits of the "
                        "others (body-bytes-max, wal-bytes-max)");
    }
    return false;
  }
  for (const raft::Entry& entry : message.entries) {
    if (entry.kind != raft::EntryKind::kNormal) continue;
    if (services_.Reaches(stream::FeatureLevelIn(entry.payload.view()))) continue;
    URSULA_SOMETIMES("levels: an entry waited for its level to be in META");
    return false;
  }
  const CoreBudget& budget = *services_.budget;
  if (budget.unflushed_bytes > budget.hot_bytes_max) {
    URSULA_SOMETIMES("group: a follower had no room in memory");
    return false;
  }
  if (services_.wal->Ready().code() == StatusCode::kResourceExhausted) {
    URSULA_SOMETIMES("group: a follower's log was full");
    return false;
  }
  return true;
}

// What the first leader that is heard of had committed by then, or has from leaders before it, may
// have been stamped long ago: it doesn't tell what time it is.
void Replica::NotePast(const raft::Message& append) {
  if (heard_ || append.term < core_->term()) return;  // A fallen one knows less than its successor.
  heard_ = true;
  opened_at_ = std::max(opened_at_, append.commit);
  opened_term_ = append.term;
}

void Replica::OnPeerMessage(raft::Message message) {
  if (!Listens(message)) return;
  Schedule();
  if (core_->is_leader()) {
    Heard& heard = heard_of_[message.from];
    heard.ns = services_.loop->now_ns();
    if (Tells(message.kind)) heard.applies = message.commit != Index{};
  }
  if (message.kind == raft::MessageKind::kAppend) NotePast(message);
  if (message.kind == raft::MessageKind::kTimeoutNow && !GetsReadyToLead(message.term)) return;
  if (message.kind == raft::MessageKind::kReadIndexReply) TakeLeadersTime(&message);
  if (message.kind != raft::MessageKind::kSnapshot) {
    (void)core_->Step(std::move(message));
    return;
  }
  const bool newer = message.term >= core_->term() && message.snapshot.meta.index > core_->commit();
  if (newer && install_.Expects(message) && !ApplyAll()) return;
  if (!install_.OnMessage(message)) return;
  (void)core_->Step(std::move(message));
  Pump();
  install_.AfterMessage();
}

// It is asked to, so it stands, however much it has to apply.
bool Replica::GetsReadyToLead(Term asked_in) {
  asked_to_lead_ = asked_in;
  if (asked_in < core_->term()) return true;  // And not heard.
  core_->StandBack(services_.budget->log_hangs);
  return lags() || ApplyAll();
}

void Replica::OnPeerLost(NodeId peer, bool ended) {
  if (state_ == State::kFailed || state_ == State::kStopped) return;
  ReportUnreachable(peer);
  // A hand-over to it would hold everything for an election timeout. One to itself ends that.
  if (hands_over() && NodeOf(core_->transfer_target()) == peer) {
    core_->TransferLeadership(services_.self);
  }
  shipments_.OnLost(peer);
  if (ended && core_->leader() != raft::kNoReplica && leader() == peer) {
    URSULA_SOMETIMES("group: the leader's process has ended");
    core_->ForgetLeader();
    PlanCampaign(peer);
  }
  Schedule();
}

// The leader's process has ended for certain, so nobody waits for a timeout: those who are left
// stand one after the other, each group's beginning with another one, so that they don't take each
// other's votes. Who hasn't seen the end yet refuses, and is asked again (dissertation 9.6).
void Replica::PlanCampaign(NodeId gone) {
  std::vector<ReplicaId> left = core_->Configuration().voters;
  std::erase_if(left, [gone](ReplicaId voter) { return NodeOf(voter) == gone; });
  std::ranges::sort(left, {}, [](ReplicaId voter) { return Raw(voter); });
  const auto self = std::ranges::find(left, services_.self);
  if (self == left.end()) return;
  const auto place = static_cast<std::size_t>(self - left.begin());
  const uint64_t rank = (place + Raw(group_)) % left.size();
  campaign_at_ns_ = services_.loop->now_ns() + rank * kCampaignNs;
  campaigns_left_ = kCampaigns;
}

void Replica::CampaignIfDue() {
  if (core_->leader() != raft::kNoReplica || core_->is_leader()) campaign_at_ns_ = UINT64_MAX;
  if (services_.loop->now_ns() < campaign_at_ns_ || StandsBack()) return;
  URSULA_SOMETIMES("group: a follower stood for its leader that had ended");
  campaign_at_ns_ =
      --campaigns_left_ == 0 ? UINT64_MAX : services_.loop->now_ns() + 2 * kCampaignNs;
  core_->Campaign();
}

void Replica::OnLetterDropped(NodeId to) {
  if (state_ == State::kFailed || state_ == State::kStopped) return;
  ReportUnreachable(to);
  Schedule();
}

void Replica::ReportUnreachable(NodeId node) {
  const raft::ConfState conf = core_->Configuration();
  for (const auto* members : {&conf.voters, &conf.voters_outgoing, &conf.learners}) {
    for (ReplicaId member : *members) {
      if (NodeOf(member) == node) core_->ReportUnreachable(member);
    }
  }
}

void Replica::WatchLeader() {
  if (core_->leader() != raft::kNoReplica) leader_seen_ns_ = services_.loop->now_ns();
  if (!core_->is_leader() || sole_voter() || core_->transfer_target() != raft::kNoReplica) return;
  // What it can't store, or not in time, others can.
  const bool slow =
      !appends_.empty() && services_.loop->now_ns() - appends_.front().start_ns >= kSlowLogNs;
  // Whether others have room is known to who counts its core's leaders, where anybody knows it.
  const bool full =
      !services_.budget->spared && services_.wal->Ready().code() == StatusCode::kStorageFull;
  if (payload_failure_.ok() && !slow && !full) return;
  HandOver();
}

// What was heard of a moment ago may have ended since; then it is probed.
bool Replica::MayTakeOver(const raft::PeerStatus& peer) const {
  return peer.id != services_.self && !peer.learner && peer.recently_active &&
         peer.state == raft::ProgressState::kReplicate;
}

bool Replica::CanTakeOver(const raft::PeerStatus& peer) const {
  return MayTakeOver(peer) && HasApplied(peer.id);
}

// Nobody else can take over yet, but somebody will.
bool Replica::AwaitsHeir() const {
  if (!core_->is_leader() || sole_voter() || hands_over()) return false;
  const std::vector<raft::PeerStatus> peers = core_->Peers();
  return std::ranges::any_of(peers, [this](const auto& peer) { return MayTakeOver(peer); });
}

// After a start a replica has stored, and acknowledges, what it takes seconds to apply; and it
// leads only then.
bool Replica::HasApplied(ReplicaId peer) const {
  auto heard = heard_of_.find(peer);
  if (heard == heard_of_.end() || !heard->second.applies) return true;
  URSULA_SOMETIMES("group: one that had much to apply wasn't made leader");
  return false;
}

bool Replica::LacksApplied(uint64_t entries) const {
  return Raw(applied_index_) + entries < Raw(std::min(core_->commit(), log_.last()));
}

// Nor does it stand by itself: others have applied more.
bool Replica::StandsBack() const {
  const CoreBudget& budget = *services_.budget;
  return budget.log_hangs ||
         (!sole_voter() && LacksApplied(kStandsBackTimes * budget.unapplied_max));
}

bool Replica::HandOverTo(NodeId node, uint64_t lag_max) {
  if (state_ != State::kRunning || !leads() || core_->transfer_target() != raft::kNoReplica) {
    return false;
  }
  for (const raft::PeerStatus& peer : core_->Peers()) {
    if (NodeOf(peer.id) != node || !CanTakeOver(peer)) continue;
    if (Raw(peer.match) + lag_max < Raw(log_.last())) continue;
    core_->TransferLeadership(peer.id);
    Schedule();
    return true;
  }
  return false;
}

void Replica::TellLeader() {
  if (services_.leaders == nullptr || state_ == State::kStarting) return;
  if (core_->leader() == told_leader_ && leads() == told_leads_) return;
  if (leads() && !told_leads_) {
    ++services_.budget->stats.elections_won;
    const bool asked = Raw(asked_to_lead_) + 1 == Raw(core_->term()) && asked_to_lead_ != Term{};
    if (asked) ++services_.budget->stats.handed_over;
  }
  const std::string term = ", term " + std::to_string(Raw(core_->term()));
  if (leads() != told_leads_) {
    services_.Log(0, group_, (leads() ? "leads here" : "leads here no longer") + term);
  }
  told_leader_ = core_->leader();
  if (leads() && !told_leads_) leads_since_ns_ = services_.loop->now_ns();
  told_leads_ = leads();
  services_.leaders->OnLeader(group_);
}

bool Replica::MayLead(NodeId node) const {
  const auto& nodes = services_.budget->spared;
  return !nodes || std::ranges::find(*nodes, node) == nodes->end();
}

// To the voter that has the most, of those that are to lead something if there is any.
void Replica::HandOver() {
  if (!core_->is_leader() || sole_voter()) return;
  ReplicaId best = raft::kNoReplica;
  std::pair<bool, Index> most;
  for (const raft::PeerStatus& peer : core_->Peers()) {
    if (peer.id == services_.self || !CanTakeOver(peer)) continue;
    const std::pair<bool, Index> has = {MayLead(NodeOf(peer.id)), peer.match};
    if (best != raft::kNoReplica && has <= most) continue;
    best = peer.id;
    most = has;
  }
  if (best == raft::kNoReplica) return;
  URSULA_SOMETIMES("group: a leader hands over");
  core_->TransferLeadership(best);
}

void Replica::ExpireWaiting() {
  // A sole voter waits for its own disk alone, which says itself when it has failed.
  if (sole_voter()) return;
  const uint64_t now_ns = services_.loop->now_ns();
  barrier_.Expire(now_ns);
  const uint64_t append_ns_max = services_.budget->append_ns_max;
  if (now_ns >= append_ns_max) {
    for (Proposals::Waiter& waiter : proposals_.TakeOlder(now_ns - append_ns_max)) {
      URSULA_SOMETIMES("group: a proposal met its deadline");
      EndUnknown(&waiter, "no majority has confirmed this in time; it may or may not be applied");
    }
  }
  if (now_ns < stop_deadline_ns_) return;
  for (Proposals::Waiter& waiter : proposals_.TakeAll()) {
    URSULA_SOMETIMES("group: a stop ended what waited for a majority");
    EndUnknown(&waiter,
               "the engine stopped before this was confirmed; it may or may not be applied");
  }
  barrier_.FailAll(Status(StatusCode::kUnavailable, "the engine is stopping"));
}

void Replica::EndUnknown(Proposals::Waiter* waiter, const char* why) {
  services_.budget->inflight_bytes -= waiter->payload_bytes;
  waiter->done(Status(StatusCode::kOutcomeUnknown, why));
}

}  // namespace ursula::group
