#include "tests/golden/raft/node_log.h"

#include <algorithm>

#include "lib/base/check.h"

namespace ursula::raft::golden {

Term NodeLog::TermAt(Index index) const {
  URSULA_CHECK(index >= compacted_.index);
  URSULA_CHECK(index <= last());
  return index == compacted_.index ? compacted_.term : entries_[index - first()].term;
}

bool NodeLog::Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const {
  URSULA_CHECK(first() <= low);
  URSULA_CHECK(low < high);
  URSULA_CHECK(high <= last() + 1);
  uint64_t bytes = 0;
  for (Index at = low; at < high; at = at + 1) {
    const Entry& entry = entries_[at - first()];
    bytes += EntryBytes(entry);
    if (at != low && bytes > bytes_max) break;
    out->push_back(entry);
  }
  return true;
}

bool NodeLog::ApplySnapshot(const Snapshot& snapshot) {
  if (snapshot.meta.index <= snapshot_index_) return false;
  snapshot_index_ = snapshot.meta.index;
  conf_ = snapshot.meta.conf;
  compacted_ = {snapshot.meta.term, snapshot.meta.index};
  entries_.clear();
  if (snapshots_enter_history_) history_.push_back(snapshot);
  return true;
}

void NodeLog::Append(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    if (entry.index < first()) continue;
    URSULA_CHECK(entry.index <= last() + 1);
    entries_.resize(entry.index - first());
    entries_.push_back(entry);
  }
}

void NodeLog::CompactTo(Index last_gone) {
  URSULA_CHECK(last_gone <= last());
  if (last_gone <= compacted_.index) return;
  const Position at{TermAt(last_gone), last_gone};
  entries_.erase(entries_.begin(),
                 entries_.begin() + static_cast<std::ptrdiff_t>(last_gone - compacted_.index));
  compacted_ = at;
}

}  // namespace ursula::raft::golden
