#include "lib/stream/machine.h"
#include "lib/stream/record_format.h"

// Which directories the nodes of the cluster have: the meta group's word.

namespace ursula::stream {

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
  const bool same = command.directory != 0 && state.directory == command.directory &&
                    state.stage != NodeState::Stage::kGone;
  reply.lives_before = same ? state.lives_before : state.lives_before + 1;
  if (!same && state.lives_before != command.lives_before) {
    reply.lives_before = state.lives_before;
    reply.outcome = Outcome::kConflict;
  }
  return reply;
}

void Machine::Commit(Index, const AdmitNode& command, ApplyResult* result) {
  if (result->reply.lives_before == FindNode(command.node).lives_before) return;
  PutNode(command.node, {.lives_before = result->reply.lives_before,
                         .stage = NodeState::Stage::kJoining,
                         .directory = command.directory});
}

Reply Machine::Decide(const SettleNode& command, int64_t) const {
  Reply reply;
  const NodeState state = FindNode(command.node);
  reply.lives_before = state.lives_before;
  using Stage = NodeState::Stage;
  const bool fits = command.step == SettleNode::Step::kWhole
                        ? state.stage == Stage::kJoining || state.stage == Stage::kMember
                    : command.step == SettleNode::Step::kLeave
                        ? true
                        : state.stage == Stage::kLeaving || state.stage == Stage::kGone;
  if (!fits || state.lives_before != command.lives_before) reply.outcome = Outcome::kConflict;
  return reply;
}

void Machine::Commit(Index, const SettleNode& command, ApplyResult*) {
  NodeState state = FindNode(command.node);
  switch (command.step) {
    case SettleNode::Step::kWhole:
      state.stage = NodeState::Stage::kMember;
      break;
    case SettleNode::Step::kLeave:
      if (state.stage != NodeState::Stage::kGone) state.stage = NodeState::Stage::kLeaving;
      break;
    case SettleNode::Step::kGone:
      state.stage = NodeState::Stage::kGone;
      break;
  }
  PutNode(command.node, state);
}

Reply Machine::Decide(const OpenNode& command, int64_t) const {
  Reply reply;
  const NodeState state = FindNode(command.node);
  reply.lives_before = state.lives_before;
  if (state.stage == NodeState::Stage::kGone || state.lives_before != command.lives_before) {
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

}  // namespace ursula::stream
