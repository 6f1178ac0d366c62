// lib/raft/storage.h
//
// LogStorage is what the core reads of the durable log. The driver implements it; the core never
// writes through it: writes leave as Ready::append.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/raft/types.h"

namespace ursula::raft {

// Invariant: first() <= last() + 1; entries [first, last] are contiguous, terms never fall; the
// term of first()-1 (the compaction point) is known. Between two StorageAppends the log changes
// only by compaction, and never above the applied index.
class LogStorage {
 public:
  virtual ~LogStorage() = default;

  // Index of the first entry not compacted away (1 in a new log), and of the last durable one
  // (first()-1 when there is none).
  virtual Index first() const = 0;
  virtual Index last() const = 0;

  // REQUIRES: first()-1 <= index <= last().
  virtual Term TermAt(Index index) const = 0;

  // Appends entries [low, high) to `out`, as many as fit in `bytes_max` by EntryBytes but at least
  // one. False: they are not in memory now; nothing was appended, and the core asks again later
  // (for a follower, at its next answer). Entries above the applied index must always be at hand.
  // REQUIRES: first() <= low < high <= last()+1.
  virtual bool Entries(Index low, Index high, uint64_t bytes_max,
                       std::vector<Entry>* out) const = 0;

  // The newest snapshot, for a follower that is too far behind: its index is at least first()-1 and
  // at most applied. Nothing: not now; the core asks again later. A replica that is not in its
  // configuration refuses it: for one that just joined, make it after the change is applied.
  virtual std::optional<Snapshot> NewestSnapshot() const = 0;
};

}  // namespace ursula::raft
