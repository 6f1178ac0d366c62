// Calls on their way to a group's leader.

#include "lib/engine/forwarder.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint32_t kRedirectsMax = 2;  // Until the next tick, or word of a leader.

Status NoLeader() {
  return Status(StatusCode::kUnavailable,
                "this group has no leader that can be reached; nothing was applied, try again");
}

struct PayloadOf {
  uint64_t operator()(const ask::Propose& ask) const { return SizeOf(ask.messages); }
  uint64_t operator()(const ask::Append& ask) const { return SizeOf(ask.work->messages); }
  uint64_t operator()(const ask::Fork& ask) const { return SizeOf(ask.messages); }
  uint64_t operator()(const auto&) const { return 0; }

  static uint64_t SizeOf(const std::vector<Bytes>& messages) {
    uint64_t bytes = 0;
    for (const Bytes& message : messages) bytes += message.size();
    return bytes;
  }
};

// The kind of answer that is this ask's.
std::size_t AnswerKindOf(const ask::OfLeader& ask) {
  return std::visit(
      [](const auto& one) {
        using Answer = typename std::decay_t<decltype(one)>::Answer;
        return ask::LeadersAnswer(Answer{}).index();
      },
      ask);
}

}  // namespace

Forwarder::Forwarder(io::Loop* loop, Transport* transport, ForwarderHost* host, Replicas* replicas,
                     group::CoreBudget* budget, uint64_t opening, const peers::HubOptions& options)
    : loop_(*loop),
      host_(*host),
      replicas_(*replicas),
      budget_(*budget),
      opening_(opening),
      hub_(loop, transport, this, options) {}

Forwarder::~Forwarder() = default;

group::Replica* Forwarder::Find(GroupId group) {
  auto found = replicas_.find(group);
  return found == replicas_.end() ? nullptr : found->second.get();
}

bool Forwarder::CanLead(const group::Replica& replica) {
  return replica.leads() && !replica.failed() && !replica.hands_over();
}

void Forwarder::Ask(GroupId group, ask::OfLeader ask, ask::LeadersDone done) {
  auto errand = std::make_shared<Errand>();
  errand->group = group;
  errand->ask = std::move(ask);
  errand->done = std::move(done);
  errand->begun_ns = loop_.now_ns();
  errand->payload_bytes = std::visit(PayloadOf{}, errand->ask);
  ++errands_;
  Status refusal;
  if (stopped_) refusal = Status(StatusCode::kUnavailable, "the engine is stopping");
  if (errands_ > kCallsMax) {
    refusal = Status(StatusCode::kResourceExhausted,
                     "too many requests of this core wait for leaders; try again shortly");
  }
  // Who carries it out counts it, too; a replica here counts for itself.
  group::Replica* const replica = Find(group);
  const bool here = replica != nullptr && CanLead(*replica);
  const uint64_t inflight = budget_.inflight_bytes + errand->payload_bytes;
  if (!here && errand->payload_bytes > 0 && budget_.inflight_bytes > 0 &&
      inflight > budget_.inflight_bytes_max) {
    ++budget_.stats.refused_inflight;
    refusal = Status(StatusCode::kResourceExhausted,
                     "too many bytes of appends wait for other nodes; try again shortly");
  }
  if (refusal.ok()) return Route(errand);
  loop_.Defer([this, errand, refusal] { End(errand, refusal); });
}

void Forwarder::Route(const ErrandPtr& errand) {
  group::Replica* replica = Find(errand->group);
  URSULA_CHECK(replica != nullptr);  // Every node has every group, so far.
  if (CanLead(*replica)) return RouteHere(errand);
  const NodeId leader = LeaderFor(errand.get(), *replica);
  if (leader == kNoNode) return Wait(errand, NoLeader());
  if (!IsEncodable(errand->ask)) {
    return End(errand,
               Status(StatusCode::kInvalidArgument,
                      "a name holds NUL or is too long, or a condition names too many states"));
  }
  if (!SendCall(errand, leader)) Wait(errand, NoLeader());
}

// The leader, as far as it is known. A replica that has failed hears of none, nor does one that its
// group hasn't taken in yet: the others are asked in turn, who say whom they know.
NodeId Forwarder::LeaderFor(Errand* errand, const group::Replica& replica) {
  const NodeId hint = std::exchange(errand->hint, kNoNode);
  if (hint != kNoNode && hint != replica.node()) return hint;
  const NodeId leader = replica.leader() == replica.node() ? kNoNode : replica.leader();
  if (!replica.failed() && leader != kNoNode) return leader;
  const raft::ConfState members = replica.members();
  const bool votes = std::ranges::find(members.voters, replica.self()) != members.voters.end();
  if (!replica.failed() && votes) return kNoNode;
  if (!replica.failed()) URSULA_SOMETIMES("forward: a node asked for a group it isn't in yet");
  std::vector<NodeId> others;
  for (ReplicaId voter : members.voters) {
    if (NodeOf(voter) != replica.node()) others.push_back(NodeOf(voter));
  }
  if (others.empty()) return kNoNode;
  return others[errand->tries++ % others.size()];
}

bool Forwarder::SendCall(const ErrandPtr& errand, NodeId to) {
  CallLetter call;
  call.id = {opening_, uint64_t{Raw(loop_.core())} << kCallNumberBits | next_number_++};
  const uint64_t end_ns = errand->begun_ns + budget_.append_ns_max;
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
  Count(errand.get(), true);
  errand->state = Errand::State::kThere;
  errand->to = to;
  errand->number = call.id.number;
  there_.emplace(call.id.number, errand);
  return true;
}

void Forwarder::RouteHere(const ErrandPtr& errand) {
  Count(errand.get(), false);
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
  Count(errand.get(), true);
  errand->state = Errand::State::kWaiting;
  errand->last = std::move(why);
  waiting_.push_back(errand);
}

void Forwarder::Count(Errand* errand, bool counted) {
  if (std::exchange(errand->counted, counted) == counted) return;
  if (counted) {
    budget_.inflight_bytes += errand->payload_bytes;
  } else {
    budget_.inflight_bytes -= errand->payload_bytes;
  }
}

void Forwarder::End(const ErrandPtr& errand, Result<ask::LeadersAnswer> answer) {
  --errands_;
  Count(errand.get(), false);
  ask::LeadersDone done = std::move(errand->done);
  done(std::move(answer));
}

void Forwarder::Tick() {
  const uint64_t now_ns = loop_.now_ns();
  std::vector<ErrandPtr> late;
  for (auto& [number, errand] : there_) {
    if (now_ns >= errand->begun_ns + budget_.append_ns_max) late.push_back(errand);
  }
  for (const ErrandPtr& errand : late) {
    there_.erase(errand->number);
    if (hub_.Withdraw(errand->to, Channel::kBulk, errand->number)) {
      End(errand, NoLeader());
      continue;
    }
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
    } else if (now_ns < errand->begun_ns + budget_.leader_ns_max) {
      errand->redirects = 0;
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
  host_.OnNodeLost(peer);
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
  if (!read->elsewhere) {
    const bool other = read->answer.ok() && read->answer->index() != AnswerKindOf(errand->ask);
    if (!other) return End(errand, std::move(read->answer));
    return End(errand, Status(StatusCode::kOutcomeUnknown,
                              "the group's leader gave an answer of another kind; it may or may "
                              "not be applied"));
  }
  if (stopped_) return End(errand, Status(StatusCode::kUnavailable, "the engine is stopping"));
  URSULA_SOMETIMES("forward: a call was sent on to another leader");
  // Who it was sent to may know better: then it goes on at once. But peers may not know yet that
  // the one that they name has fallen, or is this very node.
  const NodeId hint = *read->elsewhere;
  const group::Replica* replica = Find(errand->group);
  const bool known = hint != kNoNode && hint != errand->to && replica != nullptr &&
                     hint != replica->node() && errand->redirects++ < kRedirectsMax;
  if (!known) return Wait(errand, NoLeader());
  errand->hint = hint;
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
