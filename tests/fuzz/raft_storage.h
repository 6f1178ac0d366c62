// tests/fuzz/raft_storage.h
//
// What one raft replica keeps, as a stand-in that survives its crashes: log, hard state, snapshot.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/raft/ready.h"
#include "lib/raft/storage.h"

namespace ursula::raft {

class FuzzStorage final : public LogStorage {
 public:
  explicit FuzzStorage(ConfState conf) { snapshot_.meta.conf = std::move(conf); }

  Index first() const override { return snapshot_.meta.index + 1; }
  Index last() const override { return snapshot_.meta.index + entries_.size(); }
  Term TermAt(Index index) const override {
    return index == snapshot_.meta.index ? snapshot_.meta.term : At(index).term;
  }
  bool Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const override;
  std::optional<Snapshot> NewestSnapshot() const override {
    if (!at_hand || snapshot_.empty()) return std::nullopt;
    return snapshot_;
  }

  void Write(const StorageAppend& append);
  // The state machine has come to `applied`, with `conf`: what is before may go.
  void Compact(Index applied, ConfState conf);

  const HardState& hard() const { return hard_; }
  const SnapshotMeta& snapshot() const { return snapshot_.meta; }
  const Entry& At(Index index) const { return entries_[index - first()]; }

  bool at_hand = true;  // False: applied entries and the snapshot are not in memory now.
  Index applied{};

 private:
  HardState hard_;
  Snapshot snapshot_;  // The log begins behind it.
  std::vector<Entry> entries_;
};

}  // namespace ursula::raft
