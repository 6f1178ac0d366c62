#include "lib/group/group_log.h"

#include <utility>

#include "lib/base/check.h"

namespace ursula::group {

void GroupLog::Append(std::vector<raft::Entry>&& entries) {
  if (entries.empty()) return;
  Index start = entries.front().index;
  URSULA_CHECK(start > snapshot_.index && start <= last() + 1);
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

void GroupLog::Compact(raft::SnapshotMeta meta, uint64_t kept_bytes_max) {
  URSULA_CHECK(meta.index >= snapshot_.index && meta.index <= last());
  for (Index index = snapshot_.index + 1; index <= meta.index; index = index + 1) {
    if (index <= before_.index) continue;
    const uint64_t bytes = raft::EntryBytes(At(index));
    bytes_ -= bytes;
    kept_bytes_ += bytes;
  }
  snapshot_ = std::move(meta);
  while (kept_bytes_ > kept_bytes_max) {
    kept_bytes_ -= raft::EntryBytes(entries_.front());
    before_ = {entries_.front().index, entries_.front().term};
    entries_.pop_front();
  }
}

void GroupLog::Reset(raft::SnapshotMeta meta) {
  snapshot_ = std::move(meta);
  before_ = {snapshot_.index, snapshot_.term};
  entries_.clear();
  bytes_ = kept_bytes_ = 0;
}

Term GroupLog::TermAt(Index index) const {
  if (index == before_.index) return before_.term;
  URSULA_CHECK(index > before_.index && index <= last());
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
  // What goes to the peer is put together when it is on its way (ship.h).
  raft::Snapshot snapshot;
  snapshot.meta = snapshot_;
  if (snapshot.empty()) return std::nullopt;
  return snapshot;
}

}  // namespace ursula::group
