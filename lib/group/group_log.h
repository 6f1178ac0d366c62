// lib/group/group_log.h
//
// The durable part of one group's Raft log, as the core reads it: the entries since the last
// checkpoint, in memory. What is older lives on only as state (snapshot and payload segments).

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "lib/raft/storage.h"
#include "lib/raft/types.h"

namespace ursula::group {

// Invariant: entries_[i].index == compacted_.index + 1 + i, and every entry here is synced in the
// write-ahead log.
class GroupLog final : public raft::LogStorage {
 public:
  // An empty log that starts after `compacted`.
  explicit GroupLog(raft::SnapshotMeta compacted) : compacted_(std::move(compacted)) {}

  // ---- for the replica ----

  // Appends synced entries; those already here from entries.front().index on are replaced.
  // REQUIRES: entries are contiguous and start at or below last()+1 and above compacted().index.
  // They are taken out of `entries`, which keeps its capacity.
  void Append(std::vector<raft::Entry>&& entries);

  // Forgets entries up to `meta.index`. REQUIRES: compacted().index <= meta.index <= last().
  void Compact(raft::SnapshotMeta meta);

  const raft::SnapshotMeta& compacted() const { return compacted_; }
  // Payload and overhead of the entries held.
  uint64_t bytes() const { return bytes_; }

  // ---- raft::LogStorage ----
  Index first() const override { return compacted_.index + 1; }
  Index last() const override { return compacted_.index + entries_.size(); }
  Term TermAt(Index index) const override;
  bool Entries(Index low, Index high, uint64_t bytes_max,
               std::vector<raft::Entry>* out) const override;
  std::optional<raft::Snapshot> NewestSnapshot() const override;

 private:
  const raft::Entry& At(Index index) const { return entries_[index - compacted_.index - 1]; }

  raft::SnapshotMeta compacted_;
  std::deque<raft::Entry> entries_;
  uint64_t bytes_ = 0;
};

}  // namespace ursula::group
