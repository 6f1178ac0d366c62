// lib/group/group_log.h
//
// The durable part of one group's Raft log, as the core reads it, in memory. Three positions in it
// are three things: the newest snapshot, up to which the state is durable; what the write-ahead log
// has released, which is its own affair; and the first entry that is still here. Entries below the
// snapshot are kept, within a budget, for peers that are behind: what is older reaches them as a
// snapshot alone.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "lib/raft/storage.h"
#include "lib/raft/types.h"

namespace ursula::group {

// Invariant: entries_[i].index == before_.index + 1 + i, and every entry here is synced in the
// write-ahead log, or part of the snapshot. before_.index <= snapshot_.index <= last().
class GroupLog final : public raft::LogStorage {
 public:
  // An empty log that starts after `snapshot`.
  explicit GroupLog(raft::SnapshotMeta snapshot)
      : snapshot_(std::move(snapshot)), before_{snapshot_.index, snapshot_.term} {}

  // ---- for the replica ----

  // Appends synced entries; those already here from entries.front().index on are replaced.
  // REQUIRES: entries are contiguous and start at or below last()+1 and above snapshot().index.
  // They are taken out of `entries`, which keeps its capacity.
  void Append(std::vector<raft::Entry>&& entries);

  // There is a snapshot at `meta`: entries up to there may go, the oldest first, until the rest of
  // them take `kept_bytes_max` at most. REQUIRES: snapshot().index <= meta.index <= last().
  void Compact(raft::SnapshotMeta meta, uint64_t kept_bytes_max = 0);

  // A snapshot of a peer took the place of all that is here.
  void Reset(raft::SnapshotMeta meta);

  const raft::SnapshotMeta& snapshot() const { return snapshot_; }
  // Payload and overhead of the entries above the snapshot: what another one would free.
  uint64_t bytes() const { return bytes_; }
  // Of those that are kept below it.
  uint64_t kept_bytes() const { return kept_bytes_; }

  // ---- raft::LogStorage ----
  Index first() const override { return before_.index + 1; }
  Index last() const override { return before_.index + entries_.size(); }
  Term TermAt(Index index) const override;
  bool Entries(Index low, Index high, uint64_t bytes_max,
               std::vector<raft::Entry>* out) const override;
  std::optional<raft::Snapshot> NewestSnapshot() const override;

 private:
  struct Position {
    Index index{};
    Term term{};
  };

  const raft::Entry& At(Index index) const { return entries_[index - before_.index - 1]; }

  raft::SnapshotMeta snapshot_;
  Position before_;  // Of the entry before the first.
  std::deque<raft::Entry> entries_;
  uint64_t bytes_ = 0;
  uint64_t kept_bytes_ = 0;
};

}  // namespace ursula::group
