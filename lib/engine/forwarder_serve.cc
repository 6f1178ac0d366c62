// What peers send to this core's groups: letters for replicas, and calls.

#include <algorithm>
#include <utility>

#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "lib/engine/forwarder.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr std::size_t kOlderMax = 16;  // Openings of a peer that are remembered.

}  // namespace

void Forwarder::OnLetter(NodeId from, GroupId group, Bytes letter) {
  if (letter.empty()) return;
  const auto first = static_cast<uint8_t>(letter.data()[0]);
  if (first == kCallLetter || first == kAnswerLetter) {
    const std::optional<CallId> id = PeekId(letter);
    if (!id) return;
    if (first == kAnswerLetter) {
      const auto core = static_cast<uint16_t>(id->number >> kCallNumberBits);
      return host_.RouteAnswer(CoreId{core}, std::move(letter));
    }
    // Judged where it arrives, for there a peer's calls come in order.
    if (!IsNew(from, *id)) return;
    if (!host_.RouteLetter(from, group, std::move(letter), loop_.now_ns())) {
      Refuse(from, group, *id, kNoNode);
    }
    return;
  }
  (void)host_.RouteLetter(from, group, std::move(letter), loop_.now_ns());
}

void Forwarder::OnBeats(peers::Beats record) { host_.RouteBeats(std::move(record)); }

void Forwarder::OnGroupBeats(const peers::Beats& record) {
  for (const peers::Beat& beat : record.beats) {
    if (group::Replica* replica = Find(beat.group)) {
      replica->OnPeerBeat(record.from, record.to, beat);
    }
  }
}

void Forwarder::OnOtherFrame(NodeId from, Bytes frame) { host_.OnNodeFrame(from, frame); }

// Numbers grow: one that isn't above the last was carried out, or comes too late for it.
bool Forwarder::IsNew(NodeId from, const CallId& id) {
  Seen& seen = seen_[from];
  if (std::ranges::find(seen.older, id.opening) != seen.older.end()) return false;
  if (id.opening != seen.opening) {
    if (seen.opening != 0) seen.older.push_front(seen.opening);
    if (seen.older.size() > kOlderMax) seen.older.pop_back();
    seen.opening = id.opening;
    seen.last.clear();
  }
  uint64_t& last = seen.last[id.number >> kCallNumberBits];
  if (id.number <= last) return false;
  last = id.number;
  return true;
}

void Forwarder::OnGroupLetter(NodeId from, GroupId group, const Bytes& letter,
                              uint64_t arrived_ns) {
  if (static_cast<uint8_t>(letter.data()[0]) == kCallLetter) {
    return Serve(from, group, letter, arrived_ns);
  }
  group::Replica* replica = Find(group);
  if (replica != nullptr) replica->OnPeerLetter(from, letter);
}

void Forwarder::Serve(NodeId from, GroupId group, const Bytes& letter, uint64_t arrived_ns) {
  const CallId id = *PeekId(letter);
  Result<CallLetter> call = DecodeCall(letter);
  if (!call.ok()) {  // Of a release that says it in another way.
    AnswerLetter answer;
    answer.id = id;
    answer.answer = call.status();
    return SendAnswer(from, group, answer);
  }
  group::Replica* replica = Find(group);
  if (replica == nullptr || stopped_ || !CanLead(*replica)) {
    const bool knows = replica != nullptr && !stopped_ && !replica->failed();
    URSULA_SOMETIMES("forward: a peer's call came to one that doesn't lead");
    return Refuse(from, group, id, knows ? replica->leader() : kNoNode);
  }
  // Whoever asked has been told that nobody knows: it isn't done after that.
  const uint64_t waited_ms = (loop_.fresh_ns() - arrived_ns) / kNsPerMs;
  if (waited_ms >= call->time_left_ms) return Refuse(from, group, id, kNoNode);
  if (serving_ >= kCallsMax) {
    AnswerLetter full;
    full.id = id;
    full.answer = Status(StatusCode::kResourceExhausted,
                         "too many requests of other nodes wait for this one; try again shortly");
    return SendAnswer(from, group, full);
  }
  if (!host_.EnterCall()) return Refuse(from, group, id, kNoNode);
  ++serving_;
  host_.CarryOutAny(group, std::move(call->ask),
                    [this, from, group, id](Result<ask::LeadersAnswer> done) {
                      OnServed(from, group, id, std::move(done));
                    });
}

void Forwarder::OnServed(NodeId from, GroupId group, const CallId& id,
                         Result<ask::LeadersAnswer> done) {
  --serving_;
  // What this engine's own stop ended is for another leader.
  const StatusCode code = done.status().code();
  const bool stopped = code == StatusCode::kFailedPrecondition || code == StatusCode::kCancelled;
  const bool nothing_applied = code == StatusCode::kUnavailable || (stopped_ && stopped);
  group::Replica* replica = Find(group);
  if (nothing_applied && (replica == nullptr || stopped_ || !CanLead(*replica))) {
    const bool knows = replica != nullptr && !stopped_ && !replica->failed();
    Refuse(from, group, id, knows ? replica->leader() : kNoNode);
  } else {
    AnswerLetter answer;
    answer.id = id;
    answer.answer = std::move(done);
    SendAnswer(from, group, answer);
  }
  host_.LeaveCall();
}

void Forwarder::Refuse(NodeId to, GroupId group, const CallId& id, NodeId leader) {
  AnswerLetter answer;
  answer.id = id;
  answer.elsewhere = leader;
  SendAnswer(to, group, answer);
}

// One that is dropped is made up for by the caller's deadline.
void Forwarder::SendAnswer(NodeId to, GroupId group, const AnswerLetter& answer) {
  ByteParts letter;
  EncodeAnswer(answer, &letter);
  (void)hub_.Send(to, group, Channel::kControl, std::move(letter));
}

}  // namespace ursula::engine
