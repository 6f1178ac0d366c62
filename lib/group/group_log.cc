#include "lib/group/group_log.h"

#include <utility>

#include "lib/base/check.h"

namespace ursula::group {

void GroupLog::Append(std::vector<raft::Entry>&& entries) {
  if (entries.empty()) return;
  Index start = entries.front().index;
  URSULA_CHECK(start > compacted_.index && start <= last() + 1);
  while (last() >= start) {
    bytes_ -= raft::EntryBytes(entries_.back());
    entries_.pop_back();
  }
  for (raft::Entry& entry : entries) {
    URSULA_CHECK(entry.index == last() + 1);
    bytes_ += raft::EntryBytes(entry);
    entries_.push_back(std::move(entry));
  }
}

void GroupLog::Compact(raft::SnapshotMeta meta) {
  URSULA_CHECK(meta.index >= compacted_.index && meta.index <= last());
  while (!entries_.empty() && entries_.front().index <= meta.index) {
    bytes_ -= raft::EntryBytes(entries_.front());
    entries_.pop_front();
  }
  compacted_ = std::move(meta);
}

Term GroupLog::TermAt(Index index) const {
  if (index == compacted_.index) return compacted_.term;
  URSULA_CHECK(index > compacted_.index && index <= last());
  return At(index).term;
}

bool GroupLog::Entries(Index low, Index high, uint64_t bytes_max,
                       std::vector<raft::Entry>* out) const {
  URSULA_CHECK(low >= first() && low < high && high <= last() + 1);
  uint64_t bytes = 0;
  for (Index index = low; index < high; index = index + 1) {
    const raft::Entry& entry = At(index);
    bytes += raft::EntryBytes(entry);
    if (bytes > bytes_max && index > low) break;
    out->push_back(entry);
  }
  return true;
}

std::optional<raft::Snapshot> GroupLog::NewestSnapshot() const {
  // A peer fetches state by the meta alone (lib/group ships chunks itself), so no data travels
  // here.
  raft::Snapshot snapshot;
  snapshot.meta = compacted_;
  if (snapshot.empty()) return std::nullopt;
  return snapshot;
}

}  // namespace ursula::group
