// What an operator changes of the cluster's nodes. It is judged by what the meta group has applied,
// and again where its entry is: what has come in between refuses it.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/engine/engine.h"

namespace ursula::engine {
namespace {

using Kind = MemberChange::Kind;
using Mark = stream::MarkNode::Mark;
using Stage = stream::NodeState::Stage;

Mark MarkOf(Kind kind) {
  switch (kind) {
    case Kind::kAdd:
      return Mark::kInvite;
    case Kind::kRemove:
      return Mark::kLeave;
    case Kind::kCordon:
      return Mark::kCordon;
    case Kind::kUncordon:
      break;
  }
  return Mark::kUncordon;
}

std::size_t CountOfInvited(const stream::Machine& meta) {
  return static_cast<std::size_t>(std::ranges::count_if(
      meta.nodes(), [](const auto& node) { return node.second.stage == Stage::kInvited; }));
}

// A member, for good, that isn't `node`; 0: there is none.
uint64_t WhoStays(const std::vector<ReplicaId>& wanted, const stream::Machine& meta, NodeId node) {
  for (ReplicaId one : wanted) {
    auto state = meta.nodes().find(Raw(NodeOf(one)));
    const bool member = state == meta.nodes().end() || state->second.stage == Stage::kMember;
    if (member && NodeOf(one) != node) return Raw(NodeOf(one));
  }
  return 0;
}

}  // namespace

void Engine::ChangeMember(MemberChange change, Done<MemberReply> done) {
  Status valid;
  if (Raw(change.node) == 0 || Raw(change.node) > kNodeMax) {
    valid = Status(StatusCode::kInvalidArgument, "nodes are numbered from 1 to 65535");
  } else if (directory_ == nullptr || options_.cluster.transport == nullptr) {
    valid = Status(StatusCode::kFailedPrecondition, "this server is alone: it has no cluster");
  }
  auto call = Admit(kMetaGroup, std::move(change), std::move(done));
  Enter(kMetaGroup, call, std::move(valid), [this, call] {
    ShardOf(kMetaGroup).replica(kMetaGroup).AfterBarrier([this, call](Status status) {
      if (!status.ok()) return call->done(std::move(status));
      ChangeMemberAt(call);
    });
  });
}

void Engine::ChangeMemberAt(MemberCall call) {
  stream::MarkNode mark;
  const stream::Machine& meta = ShardOf(kMetaGroup).replica(kMetaGroup).machine();
  const std::optional<MemberOutcome> end = Judge(call->request, meta, &mark);
  if (end) return call->done(MemberReply{*end});
  const std::vector<NodeId>& named = options_.cluster.founders;
  const NodeId node = call->request.node;
  if (call->request.kind == Kind::kAdd && std::ranges::find(named, node) == named.end()) {
    return call->done(Status(StatusCode::kInvalidArgument,
                             "node " + std::to_string(Raw(node)) +
                                 " is none of those that this node's options name, so nobody could "
                                 "reach it: name it first, on every node"));
  }
  ProposeAt(kMetaGroup, mark, [call](Result<stream::Reply> reply) {
    if (!reply.ok()) return call->done(reply.status());
    call->done(MemberReply{reply->outcome == Outcome::kOk ? MemberOutcome::kAccepted
                                                          : MemberOutcome::kOtherChange});
  });
}

// What it comes to without a command; none: `mark` is the command.
std::optional<MemberOutcome> Engine::Judge(const MemberChange& change, const stream::Machine& meta,
                                           stream::MarkNode* mark) const {
  const std::vector<ReplicaId> wanted = WantedMembers(meta);
  auto found = meta.nodes().find(Raw(change.node));
  stream::NodeState state;
  if (found != meta.nodes().end()) state = found->second;
  *mark = {
      .node = Raw(change.node), .lives_before = state.lives_before, .mark = MarkOf(change.kind)};
  const bool member = std::ranges::find(wanted, change.node, &NodeOf) != wanted.end();
  const bool leaves = state.stage == Stage::kLeaving;
  const bool invited = state.stage == Stage::kInvited;
  switch (change.kind) {
    case Kind::kAdd:
      if (member) return MemberOutcome::kIsMember;
      if (leaves) return std::nullopt;  // It stays after all.
      if (invited) return MemberOutcome::kIsSo;
      if (wanted.size() + CountOfInvited(meta) >= MemberReply::kNodesMax) {
        return MemberOutcome::kTooMany;
      }
      return std::nullopt;
    case Kind::kRemove: {
      if (leaves) return MemberOutcome::kIsSo;
      if (invited) return std::nullopt;
      if (!member) return MemberOutcome::kIsNoMember;
      mark->keeps = WhoStays(wanted, meta, change.node);
      if (mark->keeps == 0) return MemberOutcome::kLast;
      return std::nullopt;
    }
    case Kind::kCordon:
    case Kind::kUncordon:
      if (leaves) return MemberOutcome::kOtherChange;
      if (!member) return MemberOutcome::kIsNoMember;
      if (state.cordoned == (change.kind == Kind::kCordon)) return MemberOutcome::kIsSo;
      return std::nullopt;
  }
  return MemberOutcome::kOtherChange;
}

}  // namespace ursula::engine
