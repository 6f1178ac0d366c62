// tests/sim/raft/storage.h
//
// The disk of one replica: what is durable, what is on its way there, and what a crash leaves of
// it.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "lib/base/random.h"
#include "lib/raft/config.h"
#include "lib/raft/log.h"
#include "lib/raft/ready.h"
#include "lib/raft/storage.h"

namespace ursula::raft::sim {

// Where the log of a new group begins.
inline constexpr LogPosition kFirstCheckpoint{Term{1}, Index{1}};
inline constexpr uint64_t kFirstState = 1;

// Writes become durable in the order in which they came. One that needs no sync of its own is seen
// at its turn, but survives a crash for sure only once a later one is synced.
class Disk final : public LogStorage {
 public:
  // What the state machine has on disk. `state` is the hash of its history up to meta.index.
  struct Checkpoint {
    SnapshotMeta meta = {};
    uint64_t state = 0;
  };

  // Before anything ran, in a first member: the group exists, with this configuration. Whoever
  // joins later gets that in a snapshot.
  void Format(ConfState conf);

  Index first() const override { return compacted_.index + 1; }
  Index last() const override { return compacted_.index + entries_.size(); }
  Term TermAt(Index index) const override;
  bool Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const override;
  std::optional<Snapshot> NewestSnapshot() const override;

  // What a core starts from. Applied is committed, whatever became of the commit index.
  InitialState Initial() const;
  const Checkpoint& checkpoint() const { return checkpoint_; }
  const HardState& hard() const { return hard_; }
  // Index and term stand in the durable log, or in what was compacted away.
  bool Holds(Index index, Term term) const;

  void Queue(StorageAppend append) { queue_.push_back(std::move(append)); }
  std::size_t queued() const { return queue_.size(); }
  const StorageAppend& oldest() const { return queue_.front(); }  // REQUIRES: queued() > 0.
  // The oldest write is durable. False: it doesn't fit what is there, which the core owes.
  [[nodiscard]] bool Complete();
  std::vector<Message> TakeResponses();  // Of the write just completed; it leaves the queue.

  // Some of the queue made it, in order; the rest never was. False: as Complete.
  [[nodiscard]] bool Crash(Random* random);

  void Save(Checkpoint checkpoint) { checkpoint_ = std::move(checkpoint); }
  // REQUIRES: up to the checkpoint at most.
  void Compact(Index index);

  // Entries up to here can't be read now (they are "not in memory"); nor can a snapshot be had.
  void SetCold(Index up_to) { cold_up_to_ = up_to; }
  void SetSnapshotsAtHand(bool at_hand) { snapshots_at_hand_ = at_hand; }

 private:
  bool Write(const StorageAppend& append);

  HardState hard_;
  Index synced_commit_{};
  LogPosition compacted_;
  Checkpoint checkpoint_;
  std::vector<Entry> entries_;  // From compacted_.index + 1 on.
  std::deque<StorageAppend> queue_;
  Index cold_up_to_{};
  bool snapshots_at_hand_ = true;
};

// The `data` of a snapshot, and back.
Bytes EncodeState(uint64_t state);
uint64_t DecodeState(const Bytes& data);

}  // namespace ursula::raft::sim
