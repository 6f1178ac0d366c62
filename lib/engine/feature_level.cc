// The cluster's feature level: what replicated formats and commands there may be. The meta group's
// state holds it; its leader raises it once every member can (lib/meta/feature_levels.h), and each
// group's leader then says so in its own group, before it writes anything of it.
//
// Every node writes META before the meta group's leader proposes, so that one that can't holds the
// raise, and not the groups.
//
// Invariant (group::LevelGate): META comes first. No log and no snapshot here has a SetFeatureLevel
// above META's level, so an older release refuses the directory by its number; and a node that
// can't is out at the first entry or word that tells of it, with nothing of that level stored.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/sometimes.h"
#include "lib/engine/engine.h"

namespace ursula::engine {
namespace {

// Of META, when its disk refused: it is written in the core's turn. Twice as long each time.
constexpr uint64_t kRetryNs = 1'000'000'000;
constexpr uint64_t kRetryMaxNs = 30'000'000'000;

std::string Number(uint64_t number) { return std::to_string(number); }

}  // namespace

// Any core. META is written where it always is, at the next tick of the meta group's core.
bool Engine::Reach(uint64_t level) {
  if (level <= level_stored_.load(std::memory_order_acquire)) return true;
  uint64_t wanted = level_wanted_.load(std::memory_order_relaxed);
  while (wanted < level && !level_wanted_.compare_exchange_weak(wanted, level)) {
  }
  return false;
}

// An older META was put back beside snapshots of a higher level.
Status Engine::CheckLevels(const std::vector<group::RecoveredGroup>& groups) {
  uint64_t highest = 0;
  for (const group::RecoveredGroup& group : groups) {
    highest = std::max(highest, group.machine->feature_level());
  }
  if (highest <= directory_->feature_level()) return {};
  if (highest > options_.feature_level_max) {
    return Status(StatusCode::kFailedPrecondition, directory_->path() + ": " + CantBe(highest));
  }
  return directory_->RaiseFeatureLevel(runtime_.loop(CoreId{0}).disk(),
                                       static_cast<uint32_t>(highest));
}

std::string Engine::CantBe(uint64_t level) const {
  return "the cluster is at feature level " + Number(level) + ", and this node can " +
         Number(options_.feature_level_max) +
         ": start it with a release that can more, and without a lower --feature-level-max "
         "(feature_level_max)";
}

// The leader's META is first: if it can't be written, all may go back still.
bool Engine::MayStore(const group::Replica& meta, uint32_t level) const {
  if (level == 0) return false;
  if (meta.leads()) return !meta.failed() && IsRecovered(meta.machine());
  return levels_.said.StoredOf(meta.leader()) >= level;
}

void Engine::StoreLevel(uint64_t wanted, uint64_t now_ns) {
  if (wanted <= level_stored_.load(std::memory_order_relaxed)) return levels_.cannot.clear();
  if (wanted > options_.feature_level_max) return TakePartNoMore(CantBe(wanted));
  if (now_ns < levels_.store_ns) return;
  Status stored =
      directory_->RaiseFeatureLevel(runtime_.Current()->disk(), static_cast<uint32_t>(wanted));
  if (!stored.ok()) {
    URSULA_SOMETIMES("levels: META couldn't be written");
    levels_.store_wait_ns = std::clamp(2 * levels_.store_wait_ns, kRetryNs, kRetryMaxNs);
    levels_.store_ns = now_ns + levels_.store_wait_ns;
    levels_.cannot =
        "feature level " + Number(wanted) + " can't be written to META: " + stored.message();
    return StorageLog()(storage::LogLevel::kError, levels_.cannot);
  }
  levels_.store_wait_ns = 0;
  levels_.cannot.clear();
  registration_.next_ns = 0;  // The others wait for this.
  level_stored_.store(wanted, std::memory_order_release);
  StorageLog()(storage::LogLevel::kInfo,
               directory_->path() + " is of feature level " + Number(wanted) + " from now on");
}

// Members of the meta group's state, those that are leaving included.
std::vector<meta::LevelMember> Engine::LevelMembers(const stream::Machine& meta) const {
  std::vector<meta::LevelMember> members;
  for (ReplicaId member : WantedMembers(meta)) {
    members.push_back({NodeOf(member), LivesBefore(member)});
  }
  for (const auto& [number, state] : NodesKnown(meta)) {
    if (state.stage != stream::NodeState::Stage::kLeaving) continue;
    members.push_back({NodeId{number}, state.lives_before});
  }
  std::ranges::sort(members);
  return members;
}

void Engine::RunLevels(group::Replica* meta) {
  if (registration_.state == Registration::State::kRefused) return;
  const auto in_force = static_cast<uint32_t>(meta->machine().feature_level());
  TellLevel(in_force);
  if (directory_ == nullptr) return published_levels_.Set({in_force, {}});
  const uint64_t now_ns = runtime_.Current()->now_ns();
  const meta::LevelMember self = {NodeId{directory_->node_id()},
                                  LivesBefore(directory_->replica_id())};
  levels_.said.OnSaid(self, options_.feature_level_max, directory_->feature_level(), now_ns);
  const std::vector<meta::LevelMember> members = LevelMembers(meta->machine());
  std::vector<NodeId> away;
  for (const meta::LevelMember& member : members) {
    const bool hears = !meta->leads() || meta->Hears(ReplicaOf(member.node, member.lives_before));
    if (!hears) away.push_back(member.node);
  }
  meta::LevelVerdict verdict = levels_.said.Judge(members, away, in_force, now_ns);
  uint64_t wanted = level_wanted_.load(std::memory_order_relaxed);
  if (MayStore(*meta, verdict.level)) wanted = std::max<uint64_t>(wanted, verdict.level);
  StoreLevel(wanted, now_ns);
  const bool leads = meta->leads() && !meta->failed() && IsRecovered(meta->machine());
  if (verdict.stored_by_all && leads) ProposeLevel(meta, verdict.level);
  published_levels_.Set({in_force, LevelWaitsFor(std::move(verdict))});
}

std::string Engine::LevelWaitsFor(meta::LevelVerdict verdict) const {
  if (!levels_.cannot.empty()) return levels_.cannot;
  if (!verdict.stored_by_all || levels_.refused.empty()) return std::move(verdict.waits_for);
  return verdict.waits_for + "; the last attempt failed: " + levels_.refused;
}

// The meta group's by what was judged, every other one's by that.
void Engine::ProposeLevel(group::Replica* replica, uint64_t level) {
  GroupChores& chores = chores_[Raw(replica->group())];
  if (chores.raising || !Reach(level) || !gate_.Enter()) return;
  if (replica->group() == kMetaGroup) URSULA_SOMETIMES("levels: a cluster's level was raised");
  chores.raising = true;
  const bool is_meta = replica->group() == kMetaGroup;
  replica->Propose(stream::SetFeatureLevel{level},
                   [this, &chores, is_meta](Result<stream::Reply> reply) {
                     chores.raising = false;
                     if (is_meta) levels_.refused = reply.ok() ? "" : reply.status().message();
                     CallEnded();
                   });
}

// On the group's core, each tick.
void Engine::LevelChore(group::Replica* replica) {
  const uint64_t level = replica->machine().feature_level();
  if (directory_ != nullptr) (void)Reach(level);  // Of a log that an older META was put beside.
  if (replica->group() == kMetaGroup || !replica->leads()) return;
  const uint64_t in_force = level_in_force_.load(std::memory_order_relaxed);
  if (level < in_force) ProposeLevel(replica, in_force);
}

void Engine::TellLevel(uint32_t in_force) {
  const uint64_t before = level_in_force_.exchange(in_force, std::memory_order_relaxed);
  if (std::exchange(levels_.told, true) && before == in_force) return;
  if (before != 0 && before != in_force) {
    StorageLog()(storage::LogLevel::kInfo,
                 "the cluster's feature level is " + Number(in_force) + " now, " + Number(before) +
                     " before: there is no way back to releases that can't");
  }
  if (options_.cluster.transport != nullptr) options_.cluster.transport->OnFeatureLevel(in_force);
}

// A member's word, from its process.
void Engine::NoteLevels(const meta::FoundingHello& hello) {
  if (hello.record.state != meta::FoundingState::kMember) return;
  if (hello.record.plan.cluster_id != directory_->cluster_id()) return;
  levels_.said.OnSaid({hello.from.node, hello.record.lives_before}, hello.feature_level_max,
                      hello.stored_level, runtime_.Current()->now_ns());
  if (hello.feature_level <= options_.feature_level_max) return;
  URSULA_SOMETIMES("levels: a node heard from a peer that it can't");
  TakePartNoMore(CantBe(hello.feature_level));
}

void Engine::OnNodeLost(NodeId peer) {
  if (!ShardOf(kMetaGroup).loop().InLoop()) return;
  levels_.said.OnLost(peer);
  disks_.OnLost(peer);
}

}  // namespace ursula::engine
