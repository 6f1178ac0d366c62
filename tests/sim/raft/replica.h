// tests/sim/raft/replica.h
//
// One replica: a core, the disk it lives on, the state machine it feeds, and the driver between
// them, which keeps the contract of lib/raft/core.h with asynchronous storage.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/raft/core.h"
#include "tests/sim/raft/event_queue.h"
#include "tests/sim/raft/storage.h"

namespace ursula::raft::sim {

class World;

class Replica final : private Driver {
 public:
  Replica(uint32_t id, ConfState born_with, World* world);

  void Start();
  void Crash();
  // Stands still until then: no clock, no messages, no answers of storage.
  void PauseUntil(Time time) { paused_until_ = time; }
  // Its writes take at least until then; the one under way too.
  void StickDiskUntil(Time time);

  // Events. REQUIRES: up().
  void OnTick();
  void OnDelivered(Message message);
  void OnStored();
  void OnApplied();
  void OnSnapshotReport(ReplicaId peer, bool installed);
  void OnUnreachable(ReplicaId peer);

  // What clients and operators ask. REQUIRES: up().
  void Propose(std::span<const Bytes> commands, uint64_t first_id);
  void Read(uint64_t id);
  void Reconfigure(const ConfChange& change);
  void Transfer(ReplicaId to);
  void ForgetLeader();
  void Campaign();
  // What is applied becomes what a restart begins with and a snapshot holds.
  void SaveCheckpoint();

  uint32_t id() const { return id_; }
  ReplicaId node() const { return ReplicaId{id_}; }
  bool up() const { return core_ != nullptr; }
  Time paused_until() const { return paused_until_; }
  bool running(Time now) const { return up() && paused_until_ <= now; }
  uint64_t incarnation() const { return incarnation_; }
  uint64_t write_under_way() const { return write_under_way_; }
  const Core& core() const { return *core_; }  // REQUIRES: up().
  Disk& disk() { return disk_; }
  const Disk& disk() const { return disk_; }
  Index applied() const { return applied_.meta.index; }
  uint64_t state() const { return applied_.state; }
  // Of the log as it was handed out, durable or not. REQUIRES: above the commit index.
  std::optional<Term> HandedOut(Index index) const;
  const ConfState& conf() const { return applied_.meta.conf; }
  // Whether what it may still apply could change that. REQUIRES: up(), the whole log at hand.
  bool conf_may_change() const;

 private:
  // A command or a read of a client that waits at this replica.
  struct Waiting {
    Index index{};
    Term term{};
    uint64_t id = 0;
  };

  uint32_t Jitter(uint32_t bound) override;
  bool MayCatchUp(ReplicaId peer) override;

  void Settle();  // After every call into the core.
  void TakeAppend(StorageAppend append);
  void StartWrite();
  void ScheduleWrite();
  void NoteHandedOut(const StorageAppend& append);
  void StartApply();
  void Release(std::vector<Message> responses);
  void InstallSnapshot();
  void Apply(const Entry& entry);
  void ApplyConfChange(const Entry& entry);
  void ResolveProposals(const Entry& entry);
  void OnRead(const ReadState& read);

  const uint32_t id_;
  World& world_;
  Disk disk_;
  std::unique_ptr<Core> core_;
  Ready ready_;
  uint64_t incarnation_ = 0;
  Time paused_until_ = 0;
  Time disk_stuck_until_ = 0;

  uint64_t writes_ = 0;
  uint64_t write_under_way_ = 0;  // Its number; 0: none.
  std::size_t in_write_ = 0;      // How many of the disk's queue it holds.
  std::deque<StorageApply> applies_;
  bool applying_ = false;
  // A snapshot up to here was handed out: what is still to be applied below it is void.
  Index superseded_{};
  Disk::Checkpoint applied_;  // The state machine in memory.
  bool checkpoint_due_ = false;
  std::vector<Term> handed_out_;  // From handed_from_ on.
  Index handed_from_{};
  std::vector<Waiting> proposals_;
  std::vector<Waiting> reads_;
  std::vector<ReplicaId> held_;  // Until the next tick.
};

}  // namespace ursula::raft::sim
