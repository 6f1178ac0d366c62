// Which directories the nodes of the cluster have, and the groups' members that follow from it: a
// directory that comes empty is admitted by the meta group as its node's next life, and the meta
// group's leader brings every group to have that replica, whole, in the place of the lost one.
//
// Whoever leads the meta group takes this up from what is in its state: nothing else is remembered.

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/engine/engine.h"
#include "lib/engine/founding_task.h"
#include "lib/meta/founding_format.h"

namespace ursula::engine {
namespace {

// Each may have a snapshot and payload on its way to the new member.
constexpr std::size_t kGroupsAtOnce = 8;

using Stage = stream::NodeState::Stage;

std::string Name(NodeId node) { return "node " + std::to_string(Raw(node)); }

bool Changes(Stage stage) { return stage == Stage::kJoining || stage == Stage::kLeaving; }

bool AnyChanges(const stream::Machine& meta) {
  return std::ranges::any_of(meta.nodes(),
                             [](const auto& node) { return Changes(node.second.stage); });
}

}  // namespace

std::vector<ReplicaId> Engine::WantedMembers(const stream::Machine& meta) const {
  std::map<NodeId, ReplicaId> wanted;
  for (ReplicaId founder : directory_->founding_voters()) wanted[NodeOf(founder)] = founder;
  for (const auto& [number, state] : meta.nodes()) {
    const NodeId node{number};
    wanted.erase(node);
    if (state.stage == Stage::kMember || state.stage == Stage::kJoining) {
      wanted[node] = ReplicaOf(node, state.lives_before);
    }
  }
  std::vector<ReplicaId> members;
  for (const auto& [node, replica] : wanted) members.push_back(replica);
  return members;
}

void Engine::PublishMembers(const group::Replica& meta) {
  ClusterStatus status;
  for (ReplicaId member : WantedMembers(meta.machine())) {
    status.members.push_back({.node = NodeOf(member), .lives_before = LivesBefore(member)});
  }
  for (const auto& [number, state] : meta.machine().nodes()) {
    const NodeId node{number};
    if (state.stage == Stage::kLeaving) {
      status.members.push_back({node, MemberStatus::Stage::kLeaving, state.lives_before});
    }
    auto member = std::ranges::find(status.members, node, &MemberStatus::node);
    if (member == status.members.end()) continue;
    if (state.stage == Stage::kJoining) member->stage = MemberStatus::Stage::kJoining;
    member->openings = state.opening;
  }
  std::ranges::sort(status.members, {}, [](const MemberStatus& member) { return member.node; });
  status.groups_settled = static_cast<uint32_t>(std::ranges::count(members_.settled, true));
  status.members_wait_for = members_.waits_for;
  published_members_.Set(std::move(status));
}

void Engine::RunMembers(group::Replica* meta) {
  if (directory_ == nullptr || options_.cluster.transport == nullptr) return;
  PublishMembers(*meta);
  Register(*meta);
  if (!meta->leads() || !AnyChanges(meta->machine())) {
    members_.wanted.clear();
    members_.settled.clear();
    members_.waits_for.clear();
    return;
  }
  std::vector<ReplicaId> wanted = WantedMembers(meta->machine());
  if (wanted != members_.wanted) {
    members_.wanted = std::move(wanted);
    ++members_.round;
    members_.settled.assign(group_count_, false);
  }
  members_.waits_for.clear();
  std::size_t open = 0;
  for (uint32_t group = 0; group < group_count_ && open < kGroupsAtOnce; ++group) {
    if (members_.settled[group]) continue;
    ++open;
    if (!members_.asking.contains(group)) ReconcileGroup(GroupId{group});
  }
  if (open == 0) SettleMembers(*meta);
}

void Engine::ReconcileGroup(GroupId group) {
  if (!gate_.Enter()) return;
  members_.asking.insert(Raw(group));
  CallGroup(group, ask::Reconcile{members_.wanted},
            [this, group, round = members_.round](Result<group::MembersProgress> progress) {
              members_.asking.erase(Raw(group));
              const bool now = round == members_.round && !members_.settled.empty();
              if (now && progress.ok()) {
                members_.settled[Raw(group)] = progress->done;
                if (progress->waits_for != raft::kNoReplica) {
                  members_.waits_for = Name(NodeOf(progress->waits_for));
                }
              }
              CallEnded();
            });
}

// Every group has them: that is what the meta group remembers.
void Engine::SettleMembers(const group::Replica& meta) {
  if (members_.settling) return;
  for (const auto& [number, state] : meta.machine().nodes()) {
    if (!Changes(state.stage) || !gate_.Enter()) continue;
    URSULA_SOMETIMES("members: every group has taken a new directory in");
    members_.settling = true;
    const stream::SettleNode::Step step = state.stage == Stage::kJoining
                                              ? stream::SettleNode::Step::kWhole
                                              : stream::SettleNode::Step::kGone;
    ProposeAt(kMetaGroup, stream::SettleNode{number, state.lives_before, step},
              [this](Result<stream::Reply>) {
                members_.settling = false;
                CallEnded();
              });
    return;  // The next one at the next tick.
  }
}

void Engine::CarryOut(group::Replica& replica, ask::Reconcile ask,
                      Function<void(Result<group::MembersProgress>)> done) {
  replica.Reconcile(ask.members, std::move(done));
}

// ---- who may join ------------------------------------------------------------------------------

void Engine::AnswerJoiner(NodeId from, const meta::FoundingHello& hello) {
  meta::FoundingHello answer = AnswerHello(*directory_, options_.cluster, founding_terms_, hello);
  const bool member = hello.record.state == meta::FoundingState::kMember;
  if (member) {
    answer.admission = {.directory = hello.from.directory, .refusal = RefusalOf(hello)};
  } else if (!gate_.closed()) {
    answer.admission = AdmissionOf(hello.from);
  }
  (void)options_.cluster.transport->Send(runtime_.Current()->core(), from, Channel::kControl,
                                         {meta::EncodeFoundingHello(answer)});
}

meta::FoundingAdmission Engine::AdmissionOf(const meta::FoundingNode& joiner) {
  meta::FoundingAdmission admission;
  admission.directory = joiner.directory;
  const stream::Machine& meta = ShardOf(kMetaGroup).replica(kMetaGroup).machine();
  auto found = meta.nodes().find(Raw(joiner.node));
  const bool known = found != meta.nodes().end();
  if (known && found->second.directory == joiner.directory && found->second.stage != Stage::kGone) {
    admission.lives_before = found->second.lives_before;
    return admission;
  }
  admission.waits = KeepsOut(meta, joiner.node);
  if (!admission.waits.empty()) return admission;
  AskToAdmit(joiner, known ? found->second.lives_before : 0);
  admission.waits = "the others are being asked to take it in";
  return admission;
}

// Why a new directory of this node isn't taken in now; empty: it is.
std::string Engine::KeepsOut(const stream::Machine& meta, NodeId node) {
  const std::vector<ReplicaId> wanted = WantedMembers(meta);
  auto is = [node](ReplicaId member) { return NodeOf(member) == node; };
  const bool member = std::ranges::any_of(wanted, is);
  const std::vector<NodeId>& named = options_.cluster.founders;
  // A cluster of one grows to those that its options name.
  const bool grows = directory_->founding_voters().size() == 1 &&
                     !meta.nodes().contains(Raw(node)) &&
                     std::ranges::find(named, node) != named.end();
  if (!member && !grows) return Name(node) + " is no member of this cluster";
  for (const auto& [number, state] : meta.nodes()) {
    const bool other = NodeId{number} != node && state.stage == Stage::kJoining;
    if (other && !grows) {
      return Name(NodeId{number}) + " is being taken in, one at a time";
    }
  }
  std::size_t leaderless = 0;
  for (NodeId leader : Leaders()) leaderless += leader == kNoNode || leader == node ? 1 : 0;
  if (leaderless == 0) return {};
  return std::to_string(leaderless) + " groups have no leader: without a majority of the others " +
         "there is nobody to take it in";
}

void Engine::AskToAdmit(const meta::FoundingNode& joiner, uint64_t lives_before) {
  if (!members_.admitting.insert(Raw(joiner.node)).second) return;
  if (!gate_.Enter()) {
    members_.admitting.erase(Raw(joiner.node));
    return;
  }
  ProposeAt(kMetaGroup, stream::AdmitNode{Raw(joiner.node), joiner.directory, lives_before},
            [this, node = joiner.node](Result<stream::Reply> reply) {
              members_.admitting.erase(Raw(node));
              if (reply.ok() && reply->outcome == Outcome::kOk) {
                URSULA_SOMETIMES("members: a new directory of a node was admitted");
              }
              CallEnded();
            });
}

}  // namespace ursula::engine
