// tests/sim/raft/network.h
//
// Messages on their way: copies, which get lost, doubled, late and out of order, and links that are
// cut in one direction at a time.

#pragma once

#include <cstdint>
#include <vector>

#include "lib/raft/message.h"
#include "tests/sim/raft/profile.h"

namespace ursula::raft::sim {

class World;

class Network {
 public:
  explicit Network(World* world) : world_(*world) {}

  // From a replica that is up; decides the message's fate. (message.from is not always the sender.)
  void Send(uint32_t from, const Message& message);
  // Arrives: leaves its slot. `reports`: its sender is to be told how a snapshot fared.
  Message Take(uint64_t slot, bool* reports);

  void Cut(uint32_t from, uint32_t to) { cut_[from] |= 1u << to; }
  void HealLinks();
  void Calm() { calm_ = true; }  // From now on nothing is lost, doubled or late.

 private:
  struct InFlight {
    Message message;
    bool reports = false;
  };

  void Launch(const Message& message, bool reports);
  void Lose(uint32_t from, const Message& message);

  World& world_;
  std::vector<InFlight> in_flight_;
  std::vector<uint32_t> free_slots_;
  uint32_t cut_[kReplicasMax + 1] = {};  // A bit for each receiver.
  bool calm_ = false;
};

}  // namespace ursula::raft::sim
