// lib/group/group_log.h
//
// The durable part of one group's Raft log, as the core reads it. Three positions in it are three
// things: the newest snapshot, up to which the state is durable; what the write-ahead log has
// released, which is its own affair; and the first entry that is still in memory. Entries below the
// snapshot are kept, within a budget, for peers that are behind; below those is the window: entries
// that the write-ahead log has still, and that are read back from there when they are asked for.
// What is older reaches peers as a snapshot alone.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "lib/raft/storage.h"
#include "lib/raft/types.h"

namespace ursula::group {

// Invariant: entries_[i].index == before_.index + 1 + i, and every entry here is synced in the
// write-ahead log, or part of the snapshot. before_.index <= snapshot_.index <= last(). Where there
// is a window it ends at before_, and the term of the entry before its first is known.
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
  // them take `kept_bytes_max` at most; those from `window_from` on become part of the window.
  // REQUIRES: snapshot().index <= meta.index <= last().
  void Compact(raft::SnapshotMeta meta, uint64_t kept_bytes_max = 0,
               Index window_from = Index{UINT64_MAX});

  // ---- the window ----
  // What is below `from` can't be read back, or needn't.
  void NarrowWindow(Index from);
  bool has_window() const { return !terms_.empty(); }
  Index first_in_memory() const { return before_.index + 1; }
  // An entry of the window that was asked for since the last call, and wasn't at hand; of several,
  // one after the other in turn. UINT64_MAX: there is none.
  Index TakeMissed();
  bool has_missed() const { return !missed_.empty(); }
  // What was read back from `from` on: those of `entries` that belong there, without a gap, are at
  // hand from now on, and no others of the window. False: none does.
  bool Fill(Index from, std::vector<raft::Entry>&& entries);
  void DropFilled() {
    filled_ = {};
    filled_bytes_ = 0;
  }
  const std::vector<raft::Entry>& filled() const { return filled_; }
  bool IsFilled(Index index) const {
    return !filled_.empty() && index >= filled_.front().index && index <= filled_.back().index;
  }

  // A snapshot of a peer took the place of all that is here.
  void Reset(raft::SnapshotMeta meta);

  const raft::SnapshotMeta& snapshot() const { return snapshot_; }
  // Payload and overhead of the entries above the snapshot: what another one would free.
  uint64_t bytes() const { return bytes_; }
  // Of those that are kept below it, and of what was read back.
  uint64_t kept_bytes() const { return kept_bytes_ + filled_bytes_; }

  // ---- raft::LogStorage ----
  Index first() const override { return has_window() ? window_first_ : before_.index + 1; }
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
  void CloseWindow();

  raft::SnapshotMeta snapshot_;
  Position before_;  // Of the entry before the first.
  std::deque<raft::Entry> entries_;
  // Of the window: where each term begins; the first is that of the entry before the window.
  std::deque<Position> terms_;
  Index window_first_{};
  uint64_t filled_bytes_ = 0;
  std::vector<raft::Entry> filled_;    // What is at hand of it, without a gap.
  mutable std::vector<Index> missed_;  // Each once.
  std::size_t missed_turn_ = 0;
  uint64_t bytes_ = 0;
  uint64_t kept_bytes_ = 0;
};

}  // namespace ursula::group
