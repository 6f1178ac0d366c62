// Hand-overs of leadership that an operator asks for.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/engine/engine.h"

namespace ursula::engine {
namespace {

// What a leader under load has under way, and what one that is asked gets in time.
constexpr uint64_t kHandOverLagMax = 256;

TransferOutcome HandOver(group::Replica* replica, NodeId to) {
  if (replica->leader() == to) return TransferOutcome::kLeads;
  if (!replica->leads()) return TransferOutcome::kNotLeader;
  if (replica->hands_over()) return TransferOutcome::kHandsOver;
  const std::vector<ReplicaId> voters = replica->members().voters;
  auto is = [to](ReplicaId voter) { return NodeOf(voter) == to; };
  if (std::ranges::none_of(voters, is)) return TransferOutcome::kNoVoter;
  if (replica->HandOverTo(to, kHandOverLagMax)) return TransferOutcome::kBegun;
  for (const raft::PeerStatus& peer : replica->Peers()) {
    if (NodeOf(peer.id) == to && peer.recently_active) return TransferOutcome::kBehind;
  }
  return TransferOutcome::kNotThere;
}

}  // namespace

void Engine::TransferLeader(GroupId group, NodeId to, Done<TransferReply> done) {
  Status valid;
  if (Raw(group) >= group_count_) {
    valid = Status(StatusCode::kInvalidArgument, "there is no group " + std::to_string(Raw(group)) +
                                                     ": they are numbered from 0 to " +
                                                     std::to_string(group_count_ - 1));
    group = kMetaGroup;
  }
  auto call = Admit(group, std::move(to), std::move(done));
  Enter(group, call, std::move(valid), [this, call, group] {
    group::Replica& replica = ShardOf(group).replica(group);
    TransferReply reply;
    reply.outcome = HandOver(&replica, call->request);
    reply.leader = replica.leader();
    call->done(reply);
  });
}

}  // namespace ursula::engine
