#include "tests/fuzz/raft_storage.h"

#include <utility>

#include "lib/base/check.h"

namespace ursula::raft {

bool FuzzStorage::Entries(Index low, Index high, uint64_t bytes_max,
                          std::vector<Entry>* out) const {
  URSULA_CHECK(first() <= low && low < high && high <= last() + 1);
  if (!at_hand && low <= applied) return false;
  uint64_t bytes = 0;
  for (Index at = low; at < high; at = at + 1) {
    bytes += EntryBytes(At(at));
    if (at > low && bytes > bytes_max) break;
    out->push_back(At(at));
  }
  return true;
}

void FuzzStorage::Write(const StorageAppend& append) {
  if (append.hard_state) {
    URSULA_CHECK(append.hard_state->term >= hard_.term);
    URSULA_CHECK(append.hard_state->commit >= hard_.commit);
    // One vote a term.
    URSULA_CHECK(append.hard_state->term > hard_.term || hard_.vote == kNoReplica ||
                 append.hard_state->vote == hard_.vote);
    hard_ = *append.hard_state;
  }
  if (!append.snapshot.empty()) {
    URSULA_CHECK(append.snapshot.meta.index > applied);
    snapshot_ = append.snapshot;
    entries_.clear();
  }
  if (append.entries.empty()) return;
  const Index from = append.entries.front().index;
  URSULA_CHECK(applied < from && first() <= from && from <= last() + 1);
  entries_.resize(from - first());
  Term term = TermAt(from - 1);
  for (const Entry& entry : append.entries) {
    URSULA_CHECK(entry.index == last() + 1);
    URSULA_CHECK(entry.term >= term && entry.term <= hard_.term);
    term = entry.term;
    entries_.push_back(entry);
  }
}

void FuzzStorage::Compact(Index to, ConfState conf) {
  URSULA_CHECK(to <= applied && to <= last());
  if (to <= snapshot_.meta.index) return;
  const Term term = TermAt(to);
  entries_.erase(entries_.begin(),
                 entries_.begin() + static_cast<std::ptrdiff_t>(to - first() + 1));
  snapshot_.meta = {to, term, std::move(conf)};
}

}  // namespace ursula::raft
