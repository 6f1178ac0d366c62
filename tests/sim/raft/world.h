// tests/sim/raft/world.h
//
// A group of replicas, their network, clients and operators, and everything that goes wrong, in one
// thread, from one seed.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "tests/sim/raft/checkers.h"
#include "tests/sim/raft/event_queue.h"
#include "tests/sim/raft/nemesis.h"
#include "tests/sim/raft/network.h"
#include "tests/sim/raft/profile.h"
#include "tests/sim/raft/replica.h"
#include "tests/sim/raft/workload.h"

namespace ursula::raft::sim {

class World {
 public:
  World(uint64_t seed, bool verbose);

  // Chaos, then calm until everything has come together again. False: there is a violation().
  bool Run();

  const std::string& violation() const { return violation_; }
  uint64_t trace_hash() const { return trace_; }
  uint64_t events() const { return events_; }
  Time healing_took() const { return now_ - healed_at_; }
  // Not whole again, which is no violation: operators took out a majority of the voters at once.
  bool stuck() const { return stuck_; }

  // For the parts.
  const Profile& profile() const { return profile_; }
  Random& random() { return random_; }
  Time now() const { return now_; }
  bool ok() const { return violation_.empty(); }
  bool healed() const { return healed_at_ != 0; }
  Network& network() { return network_; }
  Checkers& checkers() { return checkers_; }
  const std::vector<std::unique_ptr<Replica>>& replicas() const { return replicas_; }
  Replica& replica(uint32_t id) { return *replicas_[id - 1]; }
  const Replica& replica(uint32_t id) const { return *replicas_[id - 1]; }
  // Of those that run (are up and not paused): who believes to lead, in the latest term; or null.
  Replica* Leader();
  // Any that runs, or null.
  Replica* Anyone();
  Time write_max() const { return healed() ? 2 : profile_.write_max; }
  Time apply_max() const { return healed() ? 2 : profile_.apply_max; }

  void Schedule(Time in, EventKind kind, uint32_t node = 0, uint64_t argument = 0) {
    queue_.Push(now_ + in, kind, node, argument);
  }
  void Violate(const std::string& what);  // The first counts.
  void Trace(uint64_t value);
  void TraceMessage(const Message& message);
  bool verbose() const { return verbose_; }
  void Say(const std::string& what) const;  // REQUIRES: verbose().

 private:
  void Dispatch(const Event& event);
  void DispatchToReplica(const Event& event, Replica* replica);
  void Deliver(const Event& event, Replica* replica);
  void Heal();
  Time HealingMax() const;
  void TryToCommit();
  void SwitchOffRemoved();
  bool Converged();

  const uint64_t seed_;
  const bool verbose_;
  Random random_;
  const Profile profile_;
  EventQueue queue_;
  Time now_ = 0;
  Time healed_at_ = 0;
  bool stuck_ = false;
  uint64_t acknowledged_before_healing_ = 0;
  Time next_proposal_ = 0;
  uint64_t events_ = 0;
  uint64_t trace_ = 0;
  std::string violation_;

  Network network_;
  Checkers checkers_;
  Workload workload_;
  Nemesis nemesis_;
  std::vector<std::unique_ptr<Replica>> replicas_;
};

}  // namespace ursula::raft::sim
