// lib/raft/log.h
//
// The log as the core sees it: the durable part behind LogStorage, and on top of it the tail that
// is not yet known to be durable. Keeps the commit index, and how far entries were handed out and
// applied.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/raft/storage.h"
#include "lib/raft/tail.h"
#include "lib/raft/types.h"

namespace ursula::raft {

struct LogPosition {
  Term term{};
  Index index{};
  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

// Invariant: applied <= applying <= committed <= LastIndex(), but for a snapshot that is not yet
// durable: then committed is its index.
class Log {
 public:
  // Starts with everything up to the compaction point applied.
  Log(const LogStorage* storage, uint64_t applying_bytes_max);

  Index FirstIndex() const;
  Index LastIndex() const;
  std::optional<Term> TermAt(Index index) const;  // Nothing: compacted, or beyond the end.
  LogPosition Last() const;
  bool Matches(LogPosition at) const;
  // "At least as up-to-date" (paper, 5.4.1).
  bool UpToDate(LogPosition theirs) const;

  // The greatest index up to `index` whose term here is at most `term`, and that term; term 0 where
  // it can't be told. Lets leader and follower skip whole terms (paper, end of 5.3).
  LogPosition LastNotAfter(Index index, Term term) const;

  // REQUIRES: they start at most one above the end and above committed().
  void Append(std::span<const Entry> entries);

  // The index of the first entry that isn't in the log with the same term; 0 if all are.
  Index FirstNew(std::span<const Entry> entries) const;

  // Entries [low, high) in bytes_max, at least one. False: not at hand (compacted or not in
  // memory).
  bool Slice(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const;
  bool EntriesFrom(Index low, uint64_t bytes_max, std::vector<Entry>* out) const;

  // A conf change among the entries committed and not applied.
  bool ConfChangeUnapplied() const;

  Index committed() const { return committed_; }
  Index applied() const { return applied_; }
  Index applying() const { return applying_; }
  bool CommitTo(Index index);                    // False: not further than it was.
  bool MaybeCommit(LogPosition at);              // Only if `at` stands in the log.
  void StartAt(Index committed, Index applied);  // On creation.

  // Hand-out of what is committed. `unstable_too`: also what is not yet durable here.
  bool HasCommittedToApply(bool unstable_too) const;
  void CommittedToApply(bool unstable_too, std::vector<Entry>* out) const;
  void AcceptApplying(Index last, uint64_t bytes, bool unstable_too);
  void AppliedTo(Index index, uint64_t bytes);

  const Tail& tail() const { return tail_; }
  Tail& tail() { return tail_; }
  std::optional<Snapshot> NewestSnapshot() const;
  void Restore(Snapshot snapshot);

 private:
  Index AppliableEnd(bool unstable_too) const;

  const LogStorage* const storage_;
  Tail tail_;
  Index committed_{};
  Index applying_{};
  Index applied_{};
  uint64_t applying_bytes_ = 0;
  const uint64_t applying_bytes_max_;
  bool applying_paused_ = false;
};

}  // namespace ursula::raft
