#include <algorithm>
#include <vector>

#include "lib/stream/machine.h"
#include "lib/stream/record_format.h"

// Which directories the nodes of the cluster have: the meta group's word.

namespace ursula::stream {

using Stage = NodeState::Stage;

NodeState Machine::FindNode(uint64_t node) const {
  auto found = nodes_.find(node);
  return found == nodes_.end() ? NodeState() : found->second;
}

void Machine::PutNode(uint64_t node, const NodeState& state) {
  nodes_.insert_or_assign(node, state);
  MarkRecord(kNodeRecord, NodeKey(node));
}

Reply Machine::Decide(const AdmitNode& command, int64_t) const {
  Reply reply;
  const NodeState state = FindNode(command.node);
  const bool out = state.stage == Stage::kLeaving || state.stage == Stage::kGone;
  const bool same = command.directory != 0 && state.directory == command.directory && !out;
  reply.lives_before = same || out ? state.lives_before : state.lives_before + 1;
  if (out || (!same && state.lives_before != command.lives_before)) {
    reply.lives_before = state.lives_before;
    reply.outcome = Outcome::kConflict;
  }
  return reply;
}

void Machine::Commit(Index, const AdmitNode& command, ApplyResult* result) {
  const NodeState state = FindNode(command.node);
  if (result->reply.lives_before == state.lives_before) return;
  PutNode(command.node, {.lives_before = result->reply.lives_before,
                         .stage = Stage::kJoining,
                         .directory = command.directory,
                         .cordoned = state.cordoned});
}

Reply Machine::Decide(const SettleNode& command, int64_t) const {
  Reply reply;
  const NodeState state = FindNode(command.node);
  reply.lives_before = state.lives_before;
  const bool fits = command.step == SettleNode::Step::kWhole
                        ? state.stage == Stage::kJoining || state.stage == Stage::kMember
                        : state.stage == Stage::kLeaving || state.stage == Stage::kGone;
  if (!fits || state.lives_before != command.lives_before) reply.outcome = Outcome::kConflict;
  return reply;
}

void Machine::Commit(Index, const SettleNode& command, ApplyResult*) {
  NodeState state = FindNode(command.node);
  state.stage = command.step == SettleNode::Step::kWhole ? Stage::kMember : Stage::kGone;
  PutNode(command.node, state);
}

Reply Machine::Decide(const MarkNode& command, int64_t) const {
  Reply reply;
  const NodeState state = FindNode(command.node);
  reply.lives_before = state.lives_before;
  const bool there = state.stage == Stage::kMember || state.stage == Stage::kJoining;
  bool fits = there;
  if (command.mark == MarkNode::Mark::kInvite) {
    const bool out = !nodes_.contains(command.node) || state.stage == Stage::kGone;
    const auto counts = [](const auto& node) {
      return node.second.stage != Stage::kGone && node.second.stage != Stage::kLeaving;
    };
    const bool room = std::ranges::count_if(nodes_, counts) < MemberReply::kNodesMax;
    fits = (out && room) || state.stage == Stage::kInvited || state.stage == Stage::kLeaving;
  } else if (command.mark == MarkNode::Mark::kLeave) {
    const Stage keeps = FindNode(command.keeps).stage;
    const bool last = command.keeps == command.node || keeps != Stage::kMember;
    fits = (there && !last) || state.stage == Stage::kLeaving || state.stage == Stage::kInvited;
  }
  if (!fits || state.lives_before != command.lives_before) reply.outcome = Outcome::kConflict;
  return reply;
}

void Machine::Commit(Index, const MarkNode& command, ApplyResult*) {
  NodeState state = FindNode(command.node);
  switch (command.mark) {
    case MarkNode::Mark::kInvite:
      if (state.stage == Stage::kLeaving) {
        state.stage = Stage::kJoining;
      } else {
        state = {.lives_before = state.lives_before, .stage = Stage::kInvited};
      }
      break;
    case MarkNode::Mark::kLeave:
      state.stage = state.stage == Stage::kInvited ? Stage::kGone : Stage::kLeaving;
      break;
    case MarkNode::Mark::kCordon:
      state.cordoned = true;
      break;
    case MarkNode::Mark::kUncordon:
      state.cordoned = false;
      break;
  }
  PutNode(command.node, state);
}

Reply Machine::Decide(const OpenNode& command, int64_t) const {
  Reply reply;
  const NodeState state = FindNode(command.node);
  reply.lives_before = state.lives_before;
  const bool out = state.stage == Stage::kGone || state.stage == Stage::kInvited;
  if (out || state.lives_before != command.lives_before) {
    reply.outcome = Outcome::kGone;
    return reply;
  }
  // The same again is what it was: an answer that was lost. Of openings in between, which nobody
  // was told of, nothing is known.
  const bool again = state.opening == command.opening && state.nonce == command.nonce;
  const bool right_after = state.opening != 0 && command.opening == state.opening + 1;
  const bool next =
      command.opening > state.opening && (!right_after || state.nonce == command.nonce_before);
  if (!again && !next) reply.outcome = Outcome::kConflict;
  return reply;
}

void Machine::Commit(Index, const OpenNode& command, ApplyResult*) {
  NodeState state = FindNode(command.node);
  state.opening = command.opening;
  state.nonce = command.nonce;
  PutNode(command.node, state);
}

Reply Machine::Decide(const Recover& command, int64_t) const {
  Reply reply;
  if (command.number <= recovery_) reply.outcome = Outcome::kConflict;
  return reply;
}

// Who is none any more counts one life more: one that nobody here has heard of may have begun.
void Machine::Commit(Index, const Recover& command, ApplyResult* result) {
  recovery_ = command.number;
  BecomeHistory(command.history, result);
  // Other groups may have lost indices that this one remembers, and give them away again: what was
  // said of the former would hold of the new. Nobody relies on it any more: who stamped or reserved
  // by it is of an opening before, and a bucket that is still being deleted is fenced anew.
  for (const auto& [bucket, fence] : fences_) MarkRecord(kFenceRecord, bucket);
  fences_.clear();
  fences_settled_ = kNoIncarnation;
  for (auto& [home, settled] : settled_) {
    settled = kNoIncarnation;
    MarkRecord(kSettledRecord, SettledKey(home));
  }
  for (const auto& [key, sighting] : sightings_) {
    MarkRecord(kSightingRecord, SightingKey(key.first, key.second));
  }
  sightings_.clear();
  if (command.survivors.empty()) return;
  std::vector<uint64_t> others = command.lost;
  for (const auto& [node, state] : nodes_) others.push_back(node);
  std::ranges::sort(others);
  others.erase(std::ranges::unique(others).begin(), others.end());
  for (const Recover::Survivor& survivor : command.survivors) {
    std::erase(others, survivor.node);
    PutNode(survivor.node, {.lives_before = survivor.lives_before});
  }
  for (uint64_t node : others) {
    PutNode(node, {.lives_before = FindNode(node).lives_before + 1, .stage = Stage::kGone});
  }
}

}  // namespace ursula::stream
