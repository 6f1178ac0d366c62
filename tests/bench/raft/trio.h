// tests/bench/raft/trio.h
//
// Three replicas of one group on one thread, each with a log and a state machine that answer late,
// as a disk does. Every turn the leader is given a batch; what each replica hands out in one turn
// is durable, applied and delivered in the next. So several batches are always on the way, at every
// stage.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/raft/core.h"
#include "tests/bench/raft/ring_log.h"

namespace ursula::raft {

class Network {
 public:
  virtual ~Network() = default;
  // Takes `message` over, for the next turn.
  virtual void Send(Message* message) = 0;
};

// A replica with its driver. It keeps to the contract of core.h with asynchronous storage.
class BenchReplica final : public Driver {
 public:
  BenchReplica(ReplicaId self, Network* network);

  uint32_t Jitter(uint32_t) override { return 0; }

  Core& core() { return *core_; }
  uint64_t applied_bytes() const { return applied_bytes_; }
  bool idle() const { return !ready_.append && !ready_.apply && !core_->HasReady(); }

  // The write and the apply taken last turn are done: their answers are stepped or sent.
  void CompleteStorage();
  // Takes and sends what the core wants done now.
  void TakeReady();

 private:
  void CompleteAppend(StorageAppend* append);
  void CompleteApply(const StorageApply& apply);

  Network* const network_;
  RingLog log_;
  std::unique_ptr<Core> core_;
  Ready ready_;  // Its append and apply are under way until the next turn.
  uint64_t applied_bytes_ = 0;
};

class Trio final : public Network {
 public:
  Trio();  // The first replica leads.

  std::span<const std::unique_ptr<BenchReplica>> replicas() const { return replicas_; }

  // One turn, in which the leader is given `batch` (if it isn't empty). False: refused.
  bool Turn(std::span<const Bytes> batch);
  // Turns without proposals until nothing moves any more.
  void Settle();

  void Send(Message* message) override;

 private:
  static constexpr uint64_t kTurnsPerTick = 1024;

  bool Idle() const;

  std::vector<std::unique_ptr<BenchReplica>> replicas_;
  std::vector<Message> arriving_;
  std::vector<Message> sent_;
  uint64_t turns_ = 0;
};

}  // namespace ursula::raft
