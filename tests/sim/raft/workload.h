// tests/sim/raft/workload.h
//
// Clients that propose and read, and operators that change the membership.

#pragma once

#include <cstdint>
#include <vector>

#include "lib/raft/types.h"
#include "tests/sim/raft/profile.h"

namespace ursula::raft::sim {

class Replica;
class World;

class Workload {
 public:
  explicit Workload(World* world) : world_(*world) {}

  // One round each, and the next is scheduled.
  void Start();
  void OnPropose();
  void OnRead();
  void OnReconfigure();

  // A majority of the voters was taken out at once. It takes effect on a replica when it is applied
  // there; a voter that remains, hasn't learned of it, and lacks entries that those taken out have,
  // finds no majority: the group may be stuck for good.
  bool majority_taken_out() const { return majority_taken_out_; }

  // One small command.
  void ProposeOne(Replica* replica);

 private:
  Replica* Somebody();  // Most often the leader.
  // Those of the voters who remain voters are still a majority of them.
  static bool KeepsMajority(const ConfState& conf, const ConfChange& change);
  ConfChange MakeChange(const ConfState& conf);
  ConfChangeStep MakeStep(const ConfState& conf);

  World& world_;
  uint64_t next_command_ = 1;
  uint64_t next_read_ = 1;
  bool majority_taken_out_ = false;
  std::vector<Bytes> commands_;
};

}  // namespace ursula::raft::sim
