// tests/sim/raft/nemesis.h
//
// What goes wrong at random: cut links, crashes, pauses, stuck disks; and what operators do at the
// worst moment: hand-overs, campaigns, compaction.

#pragma once

#include <cstdint>

#include "tests/sim/raft/profile.h"

namespace ursula::raft::sim {

class Replica;
class World;

class Nemesis {
 public:
  explicit Nemesis(World* world) : world_(*world) {}

  void OnTurn();  // Does one thing, and the next turn is scheduled.

 private:
  void CutLinks();
  void Isolate(uint32_t victim);
  void Tunnel();
  void Crash();
  void CrashOne(Replica* replica);
  void Pause();
  void StickDisk();
  void HideLog();
  void Operate();
  void HandOver();

  World& world_;
  uint32_t tunnel_end_ = 0;
};

}  // namespace ursula::raft::sim
