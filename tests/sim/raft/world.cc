#include "tests/sim/raft/world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tests/golden/raft/describe.h"
#include "tests/sim/raft/describe.h"
#include "tests/sim/raft/hash.h"

namespace ursula::raft::sim {
namespace {

// Within so many election timeouts after everything is healed the group is whole again,
constexpr Time kHealingTimeoutsMax = 40;
// and so much for each entry that some replica may have to be sent: limits let one through at once.
constexpr Time kHealingPerEntry = kTickTime;

ConfState FirstConf(const Profile& profile) {
  ConfState conf;
  for (uint64_t id = 1; id <= profile.voters + profile.learners; ++id) {
    (id <= profile.voters ? conf.voters : conf.learners).push_back(ReplicaId{id});
  }
  return conf;
}

std::vector<ReplicaId> Members(const ConfState& conf) {
  std::vector<ReplicaId> members = conf.voters;
  for (const auto* set : {&conf.learners, &conf.voters_outgoing}) {
    for (ReplicaId node : *set) {
      if (std::find(members.begin(), members.end(), node) == members.end()) {
        members.push_back(node);
      }
    }
  }
  return members;
}

}  // namespace

World::World(uint64_t seed, bool verbose)
    : seed_(seed),
      verbose_(verbose),
      random_(seed),
      profile_(MakeProfile(&random_)),
      network_(this),
      checkers_(this),
      workload_(this),
      nemesis_(this) {
  const uint32_t count = profile_.voters + profile_.learners + profile_.spares;
  for (uint32_t id = 1; id <= count; ++id) {
    const bool spare = id > profile_.voters + profile_.learners;
    replicas_.push_back(
        std::make_unique<Replica>(id, spare ? ConfState{} : FirstConf(profile_), this));
  }
}

bool World::Run() {
  for (const auto& replica : replicas_) {
    replica->Start();
    Schedule(random_.Below(kTickTime), EventKind::kTick, replica->id());
  }
  workload_.Start();
  Schedule(profile_.nemesis_gap, EventKind::kNemesis);
  while (ok() && now_ < profile_.chaos) Dispatch(queue_.Pop());
  if (ok()) Heal();
  if (!ok()) return false;
  const Time deadline = now_ + HealingMax();
  Time next_look = now_;
  while (ok()) {
    if (now_ >= next_look) {
      next_look = now_ + kTickTime;
      SwitchOffRemoved();
      if (Converged()) break;
      TryToCommit();
    }
    if (now_ > deadline) {
      stuck_ = workload_.majority_taken_out();
      if (!stuck_) Violate("liveness: the group is not whole again");
      break;
    }
    Dispatch(queue_.Pop());
  }
  if (ok()) checkers_.OnEnded();
  Trace(now_);
  return ok();
}

void World::Dispatch(const Event& event) {
  now_ = event.at;
  ++events_;
  Trace(Mix(Mix(event.at, static_cast<uint64_t>(event.kind)), event.node));
  switch (event.kind) {
    case EventKind::kPropose:
      if (!healed()) workload_.OnPropose();
      break;
    case EventKind::kRead:
      if (!healed()) workload_.OnRead();
      break;
    case EventKind::kReconfigure:
      if (!healed()) workload_.OnReconfigure();
      break;
    case EventKind::kNemesis:
      if (!healed()) nemesis_.OnTurn();
      break;
    case EventKind::kHealLinks:
      network_.HealLinks();
      break;
    default:
      DispatchToReplica(event, &replica(event.node));
      break;
  }
}

void World::DispatchToReplica(const Event& event, Replica* replica) {
  if (event.kind == EventKind::kTick) Schedule(kTickTime, EventKind::kTick, event.node);
  const bool up = replica->up();
  if (up && replica->paused_until() > now_) {
    if (event.kind == EventKind::kTick) return;
    queue_.Push(replica->paused_until(), event.kind, event.node, event.argument);
    return;
  }
  switch (event.kind) {
    case EventKind::kTick:
      if (up) replica->OnTick();
      break;
    case EventKind::kDeliver:
      Deliver(event, replica);
      break;
    case EventKind::kStored:
      if (up && event.argument == replica->write_under_way()) replica->OnStored();
      break;
    case EventKind::kApplied:
      if (up && event.argument == replica->incarnation()) replica->OnApplied();
      break;
    case EventKind::kSnapshotReport:
      if (up) replica->OnSnapshotReport(ReplicaId{event.argument / 2}, event.argument % 2 != 0);
      break;
    case EventKind::kUnreachable:
      if (up) replica->OnUnreachable(ReplicaId{event.argument});
      break;
    default:  // kRestart
      if (!up && !healed()) replica->Start();
      break;
  }
}

void World::Deliver(const Event& event, Replica* replica) {
  bool reports = false;
  Message message = network_.Take(event.argument, &reports);
  if (verbose_) Say((replica->up() ? "" : "to the dead: ") + golden::DescribeMessage(message));
  if (reports) {
    Schedule(1, EventKind::kSnapshotReport, static_cast<uint32_t>(Raw(message.from)),
             Raw(message.to) * 2 + (replica->up() ? 1 : 0));
  }
  if (replica->up()) replica->OnDelivered(std::move(message));
}

void World::Heal() {
  healed_at_ = now_;
  acknowledged_before_healing_ = checkers_.acknowledged();
  if (verbose_) Say("everything is healed");
  network_.HealLinks();
  network_.Calm();
  for (const auto& replica : replicas_) {
    replica->PauseUntil(now_);
    replica->StickDiskUntil(now_);
    replica->disk().SetCold(Index{});
    replica->disk().SetSnapshotsAtHand(true);
    if (!replica->up()) replica->Start();
    if (ok()) replica->SaveCheckpoint();  // One that is due for a replica that joined.
  }
}

Time World::HealingMax() const {
  Index from{UINT64_MAX};
  Index to{};
  for (const auto& replica : replicas_) {
    from = std::min(from, replica->disk().checkpoint().meta.index);
    to = std::max(to, replica->core().last_index());
  }
  return kHealingTimeoutsMax * profile_.config.election_ticks * kTickTime +
         kHealingPerEntry * (to - from);
}

void World::TryToCommit() {
  Replica* leader = Leader();
  if (leader == nullptr || now_ < next_proposal_) return;
  next_proposal_ = now_ + 8 * kTickTime;  // Time enough for the one before to get everywhere.
  workload_.ProposeOne(leader);
}

// Once all members have applied the change that removed a replica and none has another one in its
// log, nobody needs it any more, and its operator switches it off: it would disturb the others if
// it had never learned of its end. One that is added again is switched on.
void World::SwitchOffRemoved() {
  for (const auto& replica : replicas_) {
    if (!replica->up() || replica->applied() != checkers_.committed()) continue;
    const std::vector<ReplicaId> members = Members(replica->conf());
    const bool agreed = std::all_of(members.begin(), members.end(), [&](ReplicaId node) {
      const Replica& member = this->replica(static_cast<uint32_t>(Raw(node)));
      return !member.up() || (member.conf() == replica->conf() && !member.conf_may_change());
    });
    if (!agreed) continue;
    for (const auto& other : replicas_) {
      const bool member = std::find(members.begin(), members.end(), other->node()) != members.end();
      if (!member && other->up()) other->Crash();
      if (member && !other->up()) other->Start();
    }
    return;
  }
}

bool World::Converged() {
  Replica* leader = Leader();
  if (leader == nullptr) return false;
  const Core& core = leader->core();
  const ConfState conf = core.Configuration();
  if (!(conf == leader->conf()) || conf.auto_leave) return false;
  if (checkers_.committed() != core.commit()) return false;
  if (checkers_.acknowledged() == acknowledged_before_healing_) return false;
  const std::vector<ReplicaId> members = Members(conf);
  return std::all_of(members.begin(), members.end(), [&](ReplicaId node) {
    const Replica& member = replica(static_cast<uint32_t>(Raw(node)));
    return member.up() && member.core().term() == core.term() &&
           member.core().commit() == core.commit() && member.applied() == core.commit();
  });
}

Replica* World::Leader() {
  Replica* leader = nullptr;
  for (const auto& replica : replicas_) {
    if (!replica->running(now_) || !replica->core().is_leader()) continue;
    if (leader == nullptr || replica->core().term() > leader->core().term()) {
      leader = replica.get();
    }
  }
  return leader;
}

Replica* World::Anyone() {
  // From a random one on, the first that runs.
  const std::size_t start = random_.Below(replicas_.size());
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    Replica* replica = replicas_[(start + i) % replicas_.size()].get();
    if (replica->running(now_)) return replica;
  }
  return nullptr;
}

void World::Violate(const std::string& what) {
  if (!violation_.empty()) return;
  violation_ = "at " + std::to_string(now_) + ": " + what;
  if (!verbose_) return;
  Say("violation: " + what);
  for (const auto& replica : replicas_) Say(Describe(*replica));
}

void World::Trace(uint64_t value) { trace_ = Mix(trace_, value); }

void World::TraceMessage(const Message& message) {
  uint64_t hash = Mix(static_cast<uint64_t>(message.kind), Raw(message.from) * 8 + Raw(message.to));
  hash = Mix(hash, Raw(message.term));
  hash = Mix(hash, Raw(message.log_term));
  hash = Mix(hash, Raw(message.index));
  hash = Mix(hash, Raw(message.commit));
  hash = Mix(hash, Raw(message.reject_hint) * 2 + (message.reject ? 1 : 0));
  hash = Mix(hash, message.entries.size());
  Trace(Mix(hash, Raw(message.snapshot.meta.index)));
}

void World::Say(const std::string& what) const {
  std::printf("%6llu.%llu  %s\n", static_cast<unsigned long long>(now_ / kTickTime),
              static_cast<unsigned long long>(now_ % kTickTime), what.c_str());
}

}  // namespace ursula::raft::sim
