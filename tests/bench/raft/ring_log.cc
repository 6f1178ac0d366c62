#include "tests/bench/raft/ring_log.h"

#include "lib/base/check.h"

namespace ursula::raft {

Term RingLog::TermAt(Index index) const {
  return index + 1 == first_ ? compacted_term_ : At(index).term;
}

bool RingLog::Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const {
  URSULA_CHECK(first_ <= low);
  uint64_t bytes = 0;
  for (Index at = low; at < high; at = at + 1) {
    bytes += EntryBytes(At(at));
    if (at > low && bytes > bytes_max) break;
    out->push_back(At(at));
  }
  return true;
}

void RingLog::Append(std::span<const Entry> entries) {
  for (const Entry& entry : entries) {
    URSULA_CHECK(entry.index <= end_);
    if (entry.index - first_ == kWindow) {
      compacted_term_ = At(first_).term;
      first_ = first_ + 1;
    }
    ring_[Raw(entry.index) % kWindow] = entry;
    end_ = entry.index + 1;
  }
}

}  // namespace ursula::raft
