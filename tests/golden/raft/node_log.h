// tests/golden/raft/node_log.h
//
// The storage of one scripted node: what a real one would find on its disk after a crash, and the
// snapshots its state machine could make.

#pragma once

#include <vector>

#include "lib/raft/storage.h"
#include "lib/raft/types.h"

namespace ursula::raft::golden {

class NodeLog final : public LogStorage {
 public:
  Index first() const override { return compacted_.index + 1; }
  Index last() const override { return compacted_.index + entries_.size(); }
  Term TermAt(Index index) const override;
  bool Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const override;
  std::optional<Snapshot> NewestSnapshot() const override { return history_.back(); }

  void SetHardState(const HardState& hard) { hard_ = hard; }
  // False: an older snapshot than the one it has.
  bool ApplySnapshot(const Snapshot& snapshot);
  void Append(const std::vector<Entry>& entries);
  void CompactTo(Index last_gone);
  std::vector<Entry> All() const { return entries_; }

  const HardState& hard() const { return hard_; }
  const ConfState& conf() const { return conf_; }

  // A snapshot that is installed is the newest of history() too. (In the older recordings the state
  // machine did not notice.)
  void set_snapshots_enter_history(bool enter) { snapshots_enter_history_ = enter; }

  // The state machine after each entry it applied: a node sends the newest as its snapshot.
  std::vector<Snapshot>& history() { return history_; }

 private:
  struct Position {
    Term term{};
    Index index{};
  };
  HardState hard_;
  ConfState conf_;  // Of the last snapshot it was given.
  Position compacted_;
  Index snapshot_index_{};
  std::vector<Entry> entries_;
  bool snapshots_enter_history_ = false;
  std::vector<Snapshot> history_ = {Snapshot()};
};

}  // namespace ursula::raft::golden
