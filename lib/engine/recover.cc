// Bringing a cluster back that has lost its majority for ever (docs/decisions/0054): what this node
// could be recovered from, and the plan that an operator gives every survivor.
//
// A node that takes a plan is silent first, then looks whether the plan's term is above its own,
// and only then makes the plan durable: nothing that it knows is of the plan's term or a later one.
// It goes by the plan from its next opening on.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/engine/engine.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kTermMax = uint64_t{1} << 48;
constexpr uint64_t kNumberMax = uint64_t{1} << 32;
// Of more than two in a half of the first configuration a majority isn't all of them.
constexpr std::size_t kSurvivorsMax = 4;

constexpr const char* kWaits =
    "this node has ended its part in its cluster, which is to be recovered: once ursulactl recover "
    "says so, restart it";

Status Invalid(std::string why) { return Status(StatusCode::kInvalidArgument, std::move(why)); }

std::string Name(NodeId node) { return "node " + std::to_string(Raw(node)); }

std::vector<NodeId> NodesOf(const std::vector<ReplicaId>& replicas) {
  std::vector<NodeId> nodes;
  for (ReplicaId replica : replicas) nodes.push_back(NodeOf(replica));
  return nodes;
}

RecoveryGroup StateOf(const group::Replica& replica) {
  RecoveryGroup state;
  state.group = replica.group();
  state.has_leader = replica.leader() != kNoNode && !replica.failed();
  state.term = Raw(replica.term());
  state.last_term = Raw(replica.last_term());
  state.last_index = Raw(replica.last());
  state.commit = Raw(replica.commit());
  state.lacking_bytes = replica.lacking_bytes();
  const raft::ConfState conf = replica.members();
  state.voters = NodesOf(conf.voters);
  state.voters_outgoing = NodesOf(conf.voters_outgoing);
  return state;
}

// As META says it, of this directory and of the cluster that it is in.
std::optional<RecoveryPlan> PlanOf(const storage::DirectoryMeta& meta) {
  if (meta.recovery.number == 0) return std::nullopt;
  RecoveryPlan plan;
  plan.number = meta.recovery.number;
  plan.cluster_before = meta.recovery.cluster_before;
  plan.cluster_id = meta.cluster_id;
  plan.history_id = meta.recovery.history_id;
  plan.term = Raw(meta.recovery.term);
  for (std::size_t i = 0; i < meta.founders.size(); ++i) {
    plan.survivors.push_back({NodeId{meta.founders[i].node_id}, meta.founders[i].id,
                              LivesBefore(meta.founding_voters[i])});
  }
  for (uint64_t node : meta.recovery.lost) plan.lost.push_back(NodeId{node});
  return plan;
}

storage::DirectoryPlan DirectoryPlanOf(const RecoveryPlan& plan,
                                       const storage::DataDirectory& directory) {
  storage::DirectoryPlan to{.cluster_id = plan.cluster_id,
                            .history_id = directory.history_id(),
                            .group_count = directory.group_count()};
  for (const RecoveryPlan::Survivor& survivor : plan.survivors) {
    to.founders.push_back({Raw(survivor.node), survivor.directory});
    to.replicas.push_back(ReplicaOf(survivor.node, survivor.lives_before));
  }
  to.recovery = {.number = plan.number,
                 .term = Term{plan.term},
                 .history_id = plan.history_id,
                 .cluster_before = plan.cluster_before};
  for (NodeId node : plan.lost) to.recovery.lost.push_back(Raw(node));
  return to;
}

bool Survives(const RecoveryPlan& plan, NodeId node) {
  return std::ranges::find(plan.survivors, node, &RecoveryPlan::Survivor::node) !=
         plan.survivors.end();
}

bool IsLost(const RecoveryPlan& plan, NodeId node) {
  return std::ranges::find(plan.lost, node) != plan.lost.end();
}

template <class Of, class Number>
bool Ascends(const std::vector<Of>& all, Number number) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const uint64_t one = number(all[i]);
    if (one == 0 || one > kNodeMax || (i > 0 && one <= number(all[i - 1]))) return false;
  }
  return !all.empty();
}

// Of any directory.
Status CheckForm(const RecoveryPlan& plan) {
  const bool numbered = plan.number > 0 && plan.number < kNumberMax && plan.term > 0 &&
                        plan.term < kTermMax && plan.cluster_id != 0 && plan.history_id != 0 &&
                        plan.cluster_id != plan.cluster_before;
  const bool ascends = Ascends(plan.survivors, [](const auto& one) { return Raw(one.node); }) &&
                       Ascends(plan.lost, [](NodeId one) { return Raw(one); });
  const bool small = plan.survivors.size() + plan.lost.size() <= 2 * MemberReply::kNodesMax;
  if (!numbered || !ascends || !small) return Invalid("this is no plan of a recovery");
  if (plan.survivors.size() > kSurvivorsMax) {
    return Invalid("a recovery is of four survivors at most: the first leader needs all of them");
  }
  for (const RecoveryPlan::Survivor& survivor : plan.survivors) {
    if (survivor.lives_before == 0 || survivor.lives_before > kLivesMax) {
      return Invalid("this is no plan of a recovery");
    }
    if (IsLost(plan, survivor.node)) {
      return Invalid(Name(survivor.node) + " can't be lost and survive");
    }
  }
  return {};
}

bool HasMajority(const RecoveryPlan& plan, const std::vector<NodeId>& voters) {
  const auto here =
      std::ranges::count_if(voters, [&plan](NodeId voter) { return Survives(plan, voter); });
  return voters.empty() || 2 * static_cast<std::size_t>(here) > voters.size();
}

}  // namespace

bool Engine::IsRecovered(const stream::Machine& meta) const {
  return directory_ == nullptr || meta.recovery() >= directory_->recovery().number;
}

// Who has a directory in this cluster, as far as is known here.
std::vector<NodeId> Engine::KnownNodes() const {
  const stream::Machine& meta = ShardOf(kMetaGroup).replica(kMetaGroup).machine();
  std::vector<NodeId> nodes = NodesOf(WantedMembers(meta));
  for (const auto& [number, state] : meta.nodes()) {
    if (IsRecovered(meta) && state.stage == stream::NodeState::Stage::kLeaving) {
      nodes.push_back(NodeId{number});
    }
  }
  std::ranges::sort(nodes);
  nodes.erase(std::ranges::unique(nodes).begin(), nodes.end());
  return nodes;
}

// `done` on this loop. `silence`: none of them takes part in anything from there on.
void Engine::LookAtGroups(bool silence, Function<void(std::vector<RecoveryGroup>)> done) {
  struct Look {
    std::size_t missing = 0;
    std::vector<RecoveryGroup> groups = {};
    Function<void(std::vector<RecoveryGroup>)> done;
  };
  auto look = std::make_shared<Look>();
  look->missing = shards_.size();
  look->done = std::move(done);
  io::Loop* here = runtime_.Current();
  for (auto& shard : shards_) {
    shard->loop().Post([target = shard.get(), here, look, silence] {
      if (silence) target->Refuse(kWaits);
      std::vector<RecoveryGroup> part;
      for (group::Replica* replica : target->Replicas()) part.push_back(StateOf(*replica));
      here->Post([look, part = std::move(part)] {
        look->groups.insert(look->groups.end(), part.begin(), part.end());
        if (--look->missing > 0) return;
        std::ranges::sort(look->groups, {},
                          [](const RecoveryGroup& group) { return Raw(group.group); });
        look->done(std::move(look->groups));
      });
    });
  }
}

Status Engine::HasDirectory() const {
  if (directory_ != nullptr) return {};
  return Status(StatusCode::kFailedPrecondition,
                "this server keeps everything in memory: there is nothing to recover it from");
}

// What was replaced or put back has forgotten what it promised: nothing is recovered from it.
Status Engine::IsMemberStill() const {
  if (directory_->state() == storage::DirectoryState::kMember) return {};
  return Status(StatusCode::kFailedPrecondition, refused_.Get());
}

void Engine::InspectRecovery(Done<RecoveryStatus> done) {
  auto call = Admit(kMetaGroup, Inspection{}, std::move(done));
  Enter(kMetaGroup, call, HasDirectory(), [this, call] {
    Status member = IsMemberStill();
    if (!member.ok()) return call->done(std::move(member));
    RecoveryStatus status;
    status.node = NodeId{directory_->node_id()};
    status.cluster_id = directory_->cluster_id();
    status.directory = directory_->id();
    status.lives_before = LivesBefore(directory_->replica_id());
    status.number = directory_->recovery().number;
    status.stored = directory_->to_be() != nullptr;
    status.plan = PlanOf(status.stored ? *directory_->to_be() : directory_->meta());
    status.members = KnownNodes();
    LookAtGroups(false,
                 [call, status = std::move(status)](std::vector<RecoveryGroup> groups) mutable {
                   status.groups = std::move(groups);
                   call->done(std::move(status));
                 });
  });
}

void Engine::RecoverCluster(RecoveryPlan plan, Done<RecoveryReply> done) {
  Status valid = HasDirectory();
  if (valid.ok()) valid = CheckForm(plan);
  auto call = Admit(kMetaGroup, std::move(plan), std::move(done));
  Enter(kMetaGroup, call, std::move(valid), [this, call] { RecoverAt(call); });
}

// On the meta group's core, as all that follows.
void Engine::RecoverAt(RecoverCall call) {
  const RecoveryPlan& plan = call->request;
  Status member = IsMemberStill();
  if (!member.ok()) return call->done(std::move(member));
  const bool stored = directory_->to_be() != nullptr;
  if (PlanOf(stored ? *directory_->to_be() : directory_->meta()) == plan) {
    return call->done(RecoveryReply{RecoveryOutcome::kIsSo});
  }
  // With this node nobody has gone by the stored one, and without it nobody could.
  const bool replaces = stored && plan.cluster_before == directory_->cluster_id() &&
                        plan.cluster_id != directory_->to_be()->cluster_id;
  if (stored && !replaces) {
    return call->done(RecoveryReply{RecoveryOutcome::kOtherPlan});
  }
  if (recovering_) {
    return call->done(
        Status(StatusCode::kUnavailable, "this node is being given a plan; ask again"));
  }
  Status fits = CheckPlan(plan);
  if (!fits.ok()) return call->done(std::move(fits));
  recovering_ = true;
  LookAtGroups(false, [this, call, replaces](const std::vector<RecoveryGroup>& groups) {
    // Who its members are a node may have missed; a group that needs no recovery has a leader. Who
    // holds a plan takes part in none any more.
    const bool alive = !replaces && std::ranges::all_of(groups, [&](const RecoveryGroup& group) {
      return group.has_leader && HasMajority(call->request, group.voters) &&
             HasMajority(call->request, group.voters_outgoing);
    });
    if (!alive) return StoreRecovery(call);
    recovering_ = false;
    call->done(RecoveryReply{RecoveryOutcome::kNotNeeded});
  });
}

// Whether it is of this directory, and says of everybody what has become of them.
Status Engine::CheckPlan(const RecoveryPlan& plan) const {
  if (plan.cluster_before != directory_->cluster_id()) {
    return Invalid("the plan is of another cluster than this node");
  }
  if (plan.number <= directory_->recovery().number) {
    return Invalid("this node went through a later recovery already");
  }
  const NodeId self{directory_->node_id()};
  const auto own = std::ranges::find(plan.survivors, self, &RecoveryPlan::Survivor::node);
  if (own == plan.survivors.end() || own->directory != directory_->id() ||
      own->lives_before != LivesBefore(directory_->replica_id()) + 1) {
    return Invalid("the plan doesn't name this directory of " + Name(self) + " as a survivor");
  }
  // Survivors that it hasn't heard of may have come while it was away.
  for (NodeId node : KnownNodes()) {
    if (Survives(plan, node) || IsLost(plan, node)) continue;
    return Invalid(Name(node) + " is a member, and the plan doesn't say what has become of it");
  }
  return {};
}

void Engine::StoreRecovery(RecoverCall call) {
  registration_.state = Registration::State::kRefused;  // Nothing else is written into META.
  refused_.Set(kWaits);
  LookAtGroups(true, [this, call](const std::vector<RecoveryGroup>& groups) {
    recovering_ = false;
    const RecoveryPlan& plan = call->request;
    const bool above = std::ranges::all_of(
        groups, [&plan](const RecoveryGroup& group) { return group.term < plan.term; });
    if (!above) {
      URSULA_SOMETIMES("recover: a plan's term was too low");
      return call->done(RecoveryReply{RecoveryOutcome::kTerm});
    }
    Status stored =
        directory_->Recover(runtime_.Current()->disk(), DirectoryPlanOf(plan, *directory_));
    if (!stored.ok()) return call->done(std::move(stored));
    URSULA_SOMETIMES("recover: a plan was stored");
    StorageLog()(storage::LogLevel::kWarning,
                 directory_->path() + " holds the plan of recovery " + std::to_string(plan.number) +
                     ": from its next opening on it is of the survivors' cluster");
    call->done(RecoveryReply{RecoveryOutcome::kStored});
  });
}

}  // namespace ursula::engine
