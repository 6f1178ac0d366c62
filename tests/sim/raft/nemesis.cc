#include "tests/sim/raft/nemesis.h"

#include "tests/sim/raft/world.h"

namespace ursula::raft::sim {

void Nemesis::OnTurn() {
  Random& random = world_.random();
  world_.Schedule(1 + random.Below(2 * world_.profile().nemesis_gap), EventKind::kNemesis);
  if (world_.profile().tunnels && random.OneIn(2)) {
    Tunnel();
    return;
  }
  switch (random.Below(8)) {
    case 0:
    case 1:
      CutLinks();
      break;
    case 2:
    case 3:
      Crash();
      break;
    case 4:
      Pause();
      break;
    case 5:
      StickDisk();
      break;
    case 6:
      HideLog();
      break;
    default:
      Operate();
      break;
  }
}

void Nemesis::Isolate(uint32_t victim) {
  const uint64_t directions = world_.random().Below(3);  // Deaf, mute, or both.
  for (uint32_t other = 1; other <= world_.replicas().size(); ++other) {
    if (other == victim) continue;
    if (directions != 0) world_.network().Cut(victim, other);
    if (directions != 1) world_.network().Cut(other, victim);
  }
}

// The leader reaches nobody but one replica, most often the same, and that one's disk is stuck:
// what this leader and those who follow it write there piles up, each over the other's.
void Nemesis::Tunnel() {
  Random& random = world_.random();
  Replica* leader = world_.Leader();
  if (leader == nullptr) return;
  const uint32_t count = static_cast<uint32_t>(world_.replicas().size());
  if (tunnel_end_ == 0 || random.OneIn(8))
    tunnel_end_ = static_cast<uint32_t>(1 + random.Below(count));
  if (tunnel_end_ == leader->id()) return;
  world_.replica(tunnel_end_).StickDiskUntil(world_.now() + kTickTime * (20 + random.Below(60)));
  world_.network().HealLinks();
  for (uint32_t other = 1; other <= count; ++other) {
    if (other == leader->id() || other == tunnel_end_) continue;
    world_.network().Cut(leader->id(), other);
    world_.network().Cut(other, leader->id());
  }
  if (world_.verbose()) world_.Say("nemesis: a tunnel to " + std::to_string(tunnel_end_));
}

void Nemesis::CutLinks() {
  Random& random = world_.random();
  Network& network = world_.network();
  const uint32_t count = static_cast<uint32_t>(world_.replicas().size());
  const uint32_t one = static_cast<uint32_t>(1 + random.Below(count));
  const uint64_t sides = random.Next();  // A bit for each replica.
  const uint64_t kind = random.Below(4);
  if (kind == 0) {
    Replica* leader = world_.Leader();
    Isolate(leader != nullptr ? leader->id() : one);
  } else if (kind == 1) {
    network.Cut(one, static_cast<uint32_t>(1 + random.Below(count)));
  } else {
    // Two sides; of a bridge, `one` still hears and is heard by both.
    for (uint32_t from = 1; from <= count; ++from) {
      for (uint32_t to = 1; to <= count; ++to) {
        const bool apart = ((sides >> from) & 1) != ((sides >> to) & 1);
        const bool bridge = kind == 3 && (from == one || to == one);
        if (apart && !bridge) network.Cut(from, to);
      }
    }
  }
  if (world_.verbose()) world_.Say("nemesis: cut links, kind " + std::to_string(kind));
  world_.Schedule(kTickTime * (2 + random.Below(80)), EventKind::kHealLinks);
}

void Nemesis::CrashOne(Replica* replica) {
  if (replica == nullptr || !replica->up()) return;
  if (world_.verbose()) world_.Say("nemesis: crash of " + std::to_string(replica->id()));
  replica->Crash();
  world_.Schedule(kTickTime * (1 + world_.random().Below(60)), EventKind::kRestart, replica->id());
}

void Nemesis::Crash() {
  Random& random = world_.random();
  const uint64_t kind = random.Below(8);
  if (kind == 0) {  // The power fails.
    for (const auto& replica : world_.replicas()) CrashOne(replica.get());
  } else if (kind < 4) {
    CrashOne(world_.Leader());
  } else {
    CrashOne(&world_.replica(static_cast<uint32_t>(1 + random.Below(world_.replicas().size()))));
  }
}

void Nemesis::Pause() {
  Replica* leader = world_.Leader();
  Replica* replica = world_.random().OneIn(2) && leader != nullptr ? leader : world_.Anyone();
  if (replica == nullptr) return;
  if (world_.verbose()) world_.Say("nemesis: pause of " + std::to_string(replica->id()));
  replica->PauseUntil(world_.now() + kTickTime * (1 + world_.random().Below(50)));
}

void Nemesis::StickDisk() {
  Replica* replica = world_.Anyone();
  if (replica == nullptr) return;
  if (world_.verbose()) world_.Say("nemesis: stuck disk of " + std::to_string(replica->id()));
  replica->StickDiskUntil(world_.now() + kTickTime * (5 + world_.random().Below(150)));
}

void Nemesis::HideLog() {
  Random& random = world_.random();
  for (const auto& replica : world_.replicas()) {
    // What is above the applied index is always at hand.
    const Index saved = replica->disk().checkpoint().meta.index;
    replica->disk().SetCold(random.OneIn(4) ? saved : Index{});
    replica->disk().SetSnapshotsAtHand(!random.OneIn(4));
  }
}

void Nemesis::HandOver() {
  Replica* asked = world_.random().OneIn(4) ? world_.Anyone() : world_.Leader();
  const ReplicaId to{1 + world_.random().Below(world_.replicas().size())};
  if (asked != nullptr) asked->Transfer(to);
}

void Nemesis::Operate() {
  Replica* replica = world_.Anyone();
  if (replica == nullptr) return;
  switch (world_.random().Below(6)) {
    case 0:
      replica->ForgetLeader();
      break;
    case 1:
      replica->Campaign();
      break;
    case 2:
      replica->SaveCheckpoint();
      break;
    default:
      HandOver();
      break;
  }
}

}  // namespace ursula::raft::sim
