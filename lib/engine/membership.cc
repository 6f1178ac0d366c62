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
// Though nothing has changed: whatever kept a group from its members is found then.
constexpr uint64_t kLookNs = 60'000'000'000;

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
  for (const auto& [number, state] : NodesKnown(meta)) {
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

// What the meta group's state says of them; before it has heard of a recovery, nothing that holds.
const absl::btree_map<uint64_t, stream::NodeState>& Engine::NodesKnown(
    const stream::Machine& meta) const {
  static const absl::btree_map<uint64_t, stream::NodeState> kNone;
  return IsRecovered(meta) ? meta.nodes() : kNone;
}

void Engine::PublishMembers(const group::Replica& meta) {
  std::map<NodeId, MemberStatus> members;
  for (ReplicaId member : WantedMembers(meta.machine())) {
    members[NodeOf(member)] = {.node = NodeOf(member), .lives_before = LivesBefore(member)};
  }
  for (const auto& [number, state] : NodesKnown(meta.machine())) {
    if (state.stage == Stage::kGone) continue;
    MemberStatus& member = members[NodeId{number}];
    member = {.node = NodeId{number},
              .cordoned = state.cordoned,
              .lives_before = state.lives_before,
              .openings = state.opening};
    if (state.stage == Stage::kJoining) member.stage = MemberStatus::Stage::kJoining;
    if (state.stage == Stage::kLeaving) member.stage = MemberStatus::Stage::kLeaving;
    if (state.stage == Stage::kInvited) member.stage = MemberStatus::Stage::kInvited;
  }
  ClusterStatus status;
  for (auto& [node, member] : members) {
    member.feature_level_max = levels_.said.MaxOf(node);
    status.members.push_back(member);
  }
  PutDisks(&status.members);
  if (IsRecovered(meta.machine()) && AnyChanges(meta.machine())) {
    const auto settled = [](const auto& open) { return open && open->empty(); };
    status.groups_settled = static_cast<uint32_t>(std::ranges::count_if(members_.open, settled));
    status.members_wait_for = members_.waits_for;
  }
  published_members_.Set(std::move(status));
  known_members_.Set({WantedMembers(meta.machine()), Raw(meta.applied())});
}

void Engine::RunMembers(group::Replica* meta) {
  if (directory_ == nullptr || options_.cluster.transport == nullptr) return;
  RunDisks();
  PublishMembers(*meta);
  if (!IsRecovered(meta->machine())) return;
  Register(*meta);
  // One whose log has failed leads for ever, as far as it knows.
  if (!meta->leads() || meta->failed()) return BeginRound({});
  std::vector<ReplicaId> wanted = WantedMembers(meta->machine());
  const bool look = members_.todo.empty() && runtime_.Current()->now_ns() >= members_.look_ns;
  if (look || wanted != members_.wanted) BeginRound(std::move(wanted));
  WorkOnGroups();
  SettleMembers(*meta);
}

void Engine::BeginRound(std::vector<ReplicaId> wanted) {
  if (wanted.empty() && members_.wanted.empty()) return;
  ++members_.round;
  members_.waits_for.clear();
  members_.todo.clear();
  members_.open.clear();
  members_.wanted = std::move(wanted);
  members_.as_of = Raw(ShardOf(kMetaGroup).replica(kMetaGroup).applied());
  if (members_.wanted.empty()) return;
  members_.open.resize(group_count_);
  for (uint32_t group = 0; group < group_count_; ++group) members_.todo.push_back(group);
  members_.look_ns = runtime_.Current()->now_ns() + kLookNs;
}

void Engine::WorkOnGroups() {
  members_.waits_for.clear();
  const std::size_t count = std::min(kGroupsAtOnce, members_.todo.size());
  for (std::size_t i = 0; i < count; ++i) {
    const uint32_t group = members_.todo[i];
    if (!members_.asking.contains(group)) ReconcileGroup(GroupId{group});
  }
}

void Engine::ReconcileGroup(GroupId group) {
  if (!gate_.Enter()) return;
  members_.asking.insert(Raw(group));
  CallGroup(group, ask::Reconcile{members_.wanted, members_.as_of},
            [this, group, round = members_.round](Result<group::MembersProgress> progress) {
              members_.asking.erase(Raw(group));
              if (round == members_.round) OnReconciled(group, progress);
              CallEnded();
            });
}

void Engine::OnReconciled(GroupId group, const Result<group::MembersProgress>& progress) {
  if (progress.ok()) members_.open[Raw(group)] = progress->open;
  if (progress.ok() && progress->waits_for != raft::kNoReplica) {
    members_.waits_for = Name(NodeOf(progress->waits_for));
  }
  const bool rests = progress.ok() && progress->rests;
  const bool stalls = !progress.ok() || progress->away;
  if ((!rests && !stalls) || std::erase(members_.todo, Raw(group)) == 0 || rests) return;
  URSULA_SOMETIMES("nodes: a group that waits for who is away let others go first");
  members_.todo.push_back(Raw(group));
}

// Every group has done the node's part: that is what the meta group remembers.
void Engine::SettleMembers(const group::Replica& meta) {
  if (members_.settling) return;
  for (const auto& [number, state] : meta.machine().nodes()) {
    const NodeId node{number};
    const bool settled = std::ranges::all_of(members_.open, [node](const auto& open) {
      return open && !std::ranges::binary_search(*open, node);
    });
    if (!Changes(state.stage) || !settled || !gate_.Enter()) continue;
    const bool joined = state.stage == Stage::kJoining;
    if (joined) URSULA_SOMETIMES("members: every group has taken a new directory in");
    if (!joined) URSULA_SOMETIMES("nodes: no group has one any more that leaves");
    members_.settling = true;
    ProposeAt(kMetaGroup,
              stream::SettleNode{
                  number, state.lives_before,
                  joined ? stream::SettleNode::Step::kWhole : stream::SettleNode::Step::kGone},
              [this](Result<stream::Reply>) {
                members_.settling = false;
                CallEnded();
              });
    return;  // The next one at the next tick.
  }
}

void Engine::CarryOut(group::Replica& replica, ask::Reconcile ask,
                      Function<void(Result<group::MembersProgress>)> done) {
  const ask::Reconcile known = known_members_.Get();
  if (known.as_of >= ask.as_of && known.members != ask.members) {
    URSULA_SOMETIMES("nodes: a late word of members was refused");
    return done(Status(StatusCode::kUnavailable, "the cluster's members have changed since"));
  }
  replica.Reconcile(ask.members, std::move(done));
}

// ---- who may join ------------------------------------------------------------------------------

void Engine::AnswerJoiner(NodeId from, const meta::FoundingHello& hello) {
  NoteLevels(hello);
  NoteDisk(hello);
  meta::FoundingHello answer = AnswerHello(*directory_, options_.cluster, founding_terms_, hello);
  const bool member = hello.record.state == meta::FoundingState::kMember;
  const uint64_t in_force = ShardOf(kMetaGroup).replica(kMetaGroup).machine().feature_level();
  // Who is taken in gets what is here, of which META tells: after a recovery the meta group may be
  // behind others.
  const uint64_t level = std::max<uint64_t>(in_force, directory_->feature_level());
  answer.feature_level = static_cast<uint32_t>(member ? in_force : level);
  const bool of_ours = hello.record.plan.cluster_id == directory_->cluster_id();
  std::string below;
  if (hello.feature_level_max < level) {
    below = Name(from) + " can feature level " + std::to_string(hello.feature_level_max) +
            ", and what it is to be given is of " + std::to_string(level);
  }
  if (member && of_ours) {
    // One that is rotten asks before it gives up what it has: yes is what its next life would be.
    answer.admission = {.directory = hello.from.directory,
                        .waits = below.empty() ? KeepsMemberOut(hello) : below,
                        .refusal = RefusalOf(hello)};
    const bool yes = answer.admission->waits.empty() && answer.admission->refusal.empty();
    if (yes) answer.admission->lives_before = hello.record.lives_before + 1;
  } else if (!member && !below.empty()) {
    answer.admission = {.directory = hello.from.directory, .waits = below};
  } else if (!member && !gate_.closed()) {
    answer.admission = AdmissionOf(hello.from);
  }
  (void)options_.cluster.transport->Send(runtime_.Current()->core(), from, Channel::kControl,
                                         {meta::EncodeFoundingHello(answer)});
}

meta::FoundingAdmission Engine::AdmissionOf(const meta::FoundingNode& joiner) {
  meta::FoundingAdmission admission;
  admission.directory = joiner.directory;
  const stream::Machine& meta = ShardOf(kMetaGroup).replica(kMetaGroup).machine();
  if (!IsRecovered(meta)) {
    admission.waits = KeepsOut(joiner.node);
    return admission;
  }
  auto found = meta.nodes().find(Raw(joiner.node));
  const bool known = found != meta.nodes().end();
  if (known && found->second.directory == joiner.directory && found->second.stage != Stage::kGone) {
    admission.lives_before = found->second.lives_before;
    return admission;
  }
  admission.waits = KeepsOut(joiner.node);
  if (!admission.waits.empty()) return admission;
  AskToAdmit(joiner, known ? found->second.lives_before : 0);
  admission.waits = "the others are being asked to take it in";
  return admission;
}

// Why a new directory of this node isn't taken in now; empty: it is.
std::string Engine::KeepsOut(NodeId node) {
  if (gate_.closed()) return Name(NodeId{directory_->node_id()}) + " isn't serving";
  const stream::Machine& meta = ShardOf(kMetaGroup).replica(kMetaGroup).machine();
  if (!IsRecovered(meta)) {
    return "the cluster is being recovered: all of its survivors are needed";
  }
  const std::vector<ReplicaId> wanted = WantedMembers(meta);
  auto is = [node](ReplicaId member) { return NodeOf(member) == node; };
  const bool member = std::ranges::any_of(wanted, is);
  auto known = meta.nodes().find(Raw(node));
  const bool invited = known != meta.nodes().end() && known->second.stage == Stage::kInvited;
  const std::vector<NodeId>& named = options_.cluster.founders;
  // A cluster of one grows to those that its options name.
  const bool grows = directory_->founding_voters().size() == 1 && known == meta.nodes().end() &&
                     std::ranges::find(named, node) != named.end();
  if (!member && !grows && !invited) {
    return Name(node) + " is no member of this cluster; an operator takes it in: ursulactl node " +
           "add " + std::to_string(Raw(node));
  }
  std::size_t leaderless = 0;
  for (NodeId leader : Leaders()) leaderless += leader == kNoNode || leader == node ? 1 : 0;
  if (leaderless == 0) return {};
  return std::to_string(leaderless) + " groups have no leader: without a majority of the others " +
         "there is nobody to take it in";
}

// What this node knows of the others is of a moment that is over, or of another cluster.
std::string Engine::KnowsNoMore() const {
  const std::string self = Name(NodeId{directory_->node_id()});
  const bool ended = registration_.state == Registration::State::kRefused ||
                     directory_->state() != storage::DirectoryState::kMember ||
                     directory_->to_be() != nullptr;
  return ended ? self + " takes no part in its cluster any more" : "";
}

// Why a member that has a directory is not to give it up now; empty: it may.
std::string Engine::KeepsMemberOut(const meta::FoundingHello& member) {
  std::string waits = KnowsNoMore();
  if (waits.empty()) waits = KeepsOut(member.from.node);
  if (!waits.empty()) return waits;
  const std::string self = Name(NodeId{directory_->node_id()});
  const stream::Machine& meta = ShardOf(kMetaGroup).replica(kMetaGroup).machine();
  const std::vector<ReplicaId> wanted = WantedMembers(meta);
  auto is_wanted = [&wanted](ReplicaId replica) {
    return std::ranges::find(wanted, replica) != wanted.end();
  };
  const auto own = meta.nodes().find(directory_->node_id());
  const bool joins = own != meta.nodes().end() && own->second.stage == Stage::kJoining;
  if (joins || !is_wanted(directory_->replica_id())) return self + " isn't a whole member itself";
  if (!is_wanted(ReplicaOf(member.from.node, member.record.lives_before))) {
    return self + " knows " + Name(member.from.node) + " by another directory";
  }
  if (member.record.lives_before >= kLivesMax) {
    return Name(member.from.node) + " has had as many directories as a node may have";
  }
  const uint64_t lacking = Stats().payload_lacking_bytes;
  if (lacking == 0) return {};
  return self + " still lacks " + std::to_string(lacking) +
         " bytes of payload, which the rotten directory may be the only one to have";
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
