// Calls on their way to a group's leader.

#include "lib/engine/forwarder.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

Status NoLeader() {
  return Status(StatusCode::kUnavailable,
                "this group has no leader that can be reached; nothing was applied, try again");
}

}  // namespace

Forwarder::Forwarder(io::Loop* loop, Transport* transport, ForwarderHost* host, Replicas* replicas,
                     uint64_t opening)
    : loop_(*loop),
      host_(*host),
      replicas_(*replicas),
      opening_(opening),
      hub_(loop, transport, this) {}

Forwarder::~Forwarder() = default;

group::Replica* Forwarder::Find(GroupId group) {
  auto found = replicas_.find(group);
  return found == replicas_.end() ? nullptr : found->second.get();
}

bool Forwarder::CanLead(const group::Replica& replica) {
  return replica.leads() && !replica.failed();
}

void Forwarder::Ask(GroupId group, ask::OfLeader ask, ask::LeadersDone done) {
  auto errand = std::make_shared<Errand>();
  errand->group = group;
  errand->ask = std::move(ask);
  errand->done = std::move(done);
  errand->begun_ns = loop_.now_ns();
  ++errands_;
  Status refusal;
  if (stopped_) refusal = Status(StatusCode::kUnavailable, "the engine is stopping");
  if (errands_ > kCallsMax) {
    refusal = Status(StatusCode::kResourceExhausted,
                     "too many requests of this core wait for leaders; try again shortly");
  }
  if (refusal.ok()) return Route(errand);
  loop_.Defer([this, errand, refusal] { End(errand, refusal); });
}

void Forwarder::Route(const ErrandPtr& errand) {
  group::Replica* replica = Find(errand->group);
  URSULA_CHECK(replica != nullptr);  // Every node has every group, so far.
  if (CanLead(*replica)) return RouteHere(errand);
  const NodeId leader = LeaderFor(errand.get(), *replica);
  if (leader == raft::kNoNode) return Wait(errand, NoLeader());
  if (!IsEncodable(errand->ask)) {
    return End(errand,
               Status(StatusCode::kInvalidArgument,
                      "a name holds NUL or is too long, or a condition names too many states"));
  }
  if (!SendCall(errand, leader)) Wait(errand, NoLeader());
}

// The leader, as far as it is known. A replica that has failed hears of none: the others are asked
// in turn, who say whom they know.
NodeId Forwarder::LeaderFor(Errand* errand, const group::Replica& replica) {
  const NodeId hint = std::exchange(errand->hint, raft::kNoNode);
  if (hint != raft::kNoNode && hint != replica.self()) return hint;
  if (!replica.failed()) {
    return replica.leader() == replica.self() ? raft::kNoNode : replica.leader();
  }
  std::vector<NodeId> others;
  for (NodeId voter : replica.members().voters) {
    if (voter != replica.self()) others.push_back(voter);
  }
  if (others.empty()) return raft::kNoNode;
  return others[errand->tries++ % others.size()];
}

bool Forwarder::SendCall(const ErrandPtr& errand, NodeId to) {
  CallLetter call;
  call.id = {opening_, uint64_t{Raw(loop_.core())} << kCallNumberBits | next_number_++};
  const uint64_t end_ns = errand->begun_ns + kAnswerNs;
  const uint64_t now_ns = loop_.now_ns();
  call.time_left_ms = now_ns >= end_ns ? 0 : (end_ns - now_ns) / kNsPerMs;
  call.ask = errand->ask;
  ByteParts letter;
  EncodeCall(call, &letter);
  if (!hub_.Send(to, errand->group, Channel::kBulk, std::move(letter), call.id.number)) {
    URSULA_SOMETIMES("forward: a call had no room on its way to a leader");
    return false;
  }
  ++forwarded_;
  errand->state = Errand::State::kThere;
  errand->to = to;
  errand->number = call.id.number;
  there_.emplace(call.id.number, errand);
  return true;
}

void Forwarder::RouteHere(const ErrandPtr& errand) {
  errand->state = Errand::State::kHere;
  host_.CarryOutAny(errand->group, errand->ask, [this, errand](Result<ask::LeadersAnswer> answer) {
    OnCarriedOut(errand, std::move(answer));
  });
}

void Forwarder::OnCarriedOut(const ErrandPtr& errand, Result<ask::LeadersAnswer> answer) {
  const bool nothing_applied = answer.status().code() == StatusCode::kUnavailable;
  group::Replica* replica = Find(errand->group);
  if (!nothing_applied || stopped_ || replica == nullptr || CanLead(*replica)) {
    return End(errand, std::move(answer));
  }
  URSULA_SOMETIMES("forward: a call met the end of its leadership");
  Wait(errand, answer.status());
}

void Forwarder::Wait(const ErrandPtr& errand, Status why) {
  errand->state = Errand::State::kWaiting;
  errand->last = std::move(why);
  waiting_.push_back(errand);
}

void Forwarder::End(const ErrandPtr& errand, Result<ask::LeadersAnswer> answer) {
  --errands_;
  ask::LeadersDone done = std::move(errand->done);
  done(std::move(answer));
}

void Forwarder::Tick() {
  const uint64_t now_ns = loop_.now_ns();
  std::vector<ErrandPtr> late;
  for (auto& [number, errand] : there_) {
    if (now_ns >= errand->begun_ns + kAnswerNs) late.push_back(errand);
  }
  for (const ErrandPtr& errand : late) {
    there_.erase(errand->number);
    URSULA_SOMETIMES("forward: a call's answer didn't come in time");
    End(errand, Status(StatusCode::kOutcomeUnknown,
                       "the group's leader hasn't answered in time; it may or may not be applied"));
  }
  RouteWaiting(std::nullopt);
}

void Forwarder::RouteWaiting(const std::optional<GroupId>& group) {
  const uint64_t now_ns = loop_.now_ns();
  for (const ErrandPtr& errand : std::exchange(waiting_, {})) {
    if (group && errand->group != *group) {
      waiting_.push_back(errand);
    } else if (now_ns < errand->begun_ns + kFindLeaderNs) {
      Route(errand);
    } else {
      URSULA_SOMETIMES("forward: a call found no leader in time");
      End(errand, errand->last);
    }
  }
}

// The replica is at work: whoever waited for this goes on when it is at rest.
void Forwarder::OnLeader(GroupId group) {
  if (waiting_.empty()) return;
  loop_.Defer([this, group] {
    if (!stopped_) RouteWaiting(group);
  });
}

// What it would find out is the same whoever answers, and it changes nothing.
bool Forwarder::MayBeSentAgain(const Errand& errand) const {
  return std::holds_alternative<ask::Home>(errand.ask);
}

void Forwarder::OnPeerLost(NodeId peer, bool ended) {
  for (auto& [group, replica] : replicas_) replica->OnPeerLost(peer, ended);
  std::vector<ErrandPtr> lost;
  for (auto& [number, errand] : there_) {
    if (errand->to == peer) lost.push_back(errand);
  }
  for (const ErrandPtr& errand : lost) {
    there_.erase(errand->number);
    if (MayBeSentAgain(*errand)) {
      Wait(errand, NoLeader());
      continue;
    }
    URSULA_SOMETIMES("forward: a call's connection broke");
    End(errand, Status(StatusCode::kOutcomeUnknown,
                       "the connection to the group's leader broke; it may or may not be applied"));
  }
}

void Forwarder::OnDropped(NodeId to, GroupId group, uint64_t token) {
  if (token == 0) {
    if (group::Replica* replica = Find(group)) replica->OnLetterDropped(to);
    return;
  }
  auto found = there_.find(token);
  if (found == there_.end()) return;
  URSULA_SOMETIMES("forward: a call never left");
  ErrandPtr errand = std::move(found->second);
  there_.erase(found);
  Wait(errand, NoLeader());
}

void Forwarder::OnAnswer(const Bytes& letter) {
  Result<AnswerLetter> read = DecodeAnswer(letter);
  if (!read.ok() || read->id.opening != opening_) return;
  auto found = there_.find(read->id.number);
  if (found == there_.end()) return;
  ErrandPtr errand = std::move(found->second);
  there_.erase(found);
  if (!read->elsewhere) return End(errand, std::move(read->answer));
  if (stopped_) return End(errand, Status(StatusCode::kUnavailable, "the engine is stopping"));
  URSULA_SOMETIMES("forward: a call was sent on to another leader");
  // Who it was sent to may know better: then it goes on at once.
  if (*read->elsewhere == raft::kNoNode || *read->elsewhere == errand->to) {
    return Wait(errand, NoLeader());
  }
  errand->hint = *read->elsewhere;
  errand->last = NoLeader();
  Route(errand);
}

void Forwarder::Stop() {
  stopped_ = true;
  for (const ErrandPtr& errand : std::exchange(waiting_, {})) {
    End(errand, Status(StatusCode::kUnavailable, "the engine is stopping"));
  }
  auto there = std::exchange(there_, {});
  for (auto& [number, errand] : there) {
    End(errand,
        Status(StatusCode::kOutcomeUnknown,
               "the engine stopped before this was answered; it may or may not be applied"));
  }
}

}  // namespace ursula::engine
