// lib/raft/tail.h
//
// The part of the log that is not yet known to be durable: perhaps a snapshot, then entries. A
// prefix of it is "handed out": on its way to storage in some StorageAppend.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/raft/types.h"

namespace ursula::raft {

// Invariant: entry i of entries() has index offset()+i; offset() <= handed_end() <= end().
class Tail {
 public:
  explicit Tail(Index offset) : offset_(offset), handed_end_(offset) {}

  Index offset() const { return offset_; }
  Index end() const { return offset_ + entries().size(); }
  Index handed_end() const { return handed_end_; }  // Below it, all is handed out.
  std::span<const Entry> entries() const { return std::span<const Entry>(entries_).subspan(head_); }
  const std::optional<Snapshot>& snapshot() const { return snapshot_; }

  std::optional<Term> TermAt(Index index) const;
  // REQUIRES: offset() <= low <= high <= end().
  std::span<const Entry> Slice(Index low, Index high) const;

  std::span<const Entry> NotHandedOut() const;
  bool SnapshotToHandOut() const { return snapshot_.has_value() && !snapshot_handed_; }
  void HandOut();  // All of it.

  // Replaces what stands at the first of them and above. REQUIRES: not empty, contiguous, starts at
  // most at end().
  void Append(std::span<const Entry> entries);

  // Entries up to `index` are durable, if the one there still has `term`: else it was overwritten
  // after the write was handed out, and the newer write will say so.
  void StableTo(Index index, Term term);
  void SnapshotStable(Index index);
  void Restore(Snapshot snapshot);

 private:
  void DropFront(std::size_t count);

  std::optional<Snapshot> snapshot_;
  bool snapshot_handed_ = false;
  std::vector<Entry> entries_;
  std::size_t head_ = 0;  // Entries before it were dropped and wait to be compacted away.
  Index offset_;
  Index handed_end_;
};

}  // namespace ursula::raft
