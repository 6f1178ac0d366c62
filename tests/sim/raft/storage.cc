#include "tests/sim/raft/storage.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/base/check.h"

namespace ursula::raft::sim {

Bytes EncodeState(uint64_t state) {
  char data[sizeof(state)];
  std::memcpy(data, &state, sizeof(state));
  return Bytes::Copy(std::string_view(data, sizeof(data)));
}

uint64_t DecodeState(const Bytes& data) {
  uint64_t state = 0;
  URSULA_CHECK(data.size() == sizeof(state));
  std::memcpy(&state, data.data(), sizeof(state));
  return state;
}

void Disk::Format(ConfState conf) {
  hard_ = {kFirstCheckpoint.term, kNoReplica, kFirstCheckpoint.index};
  synced_commit_ = hard_.commit;
  compacted_ = kFirstCheckpoint;
  checkpoint_ = {{kFirstCheckpoint.index, kFirstCheckpoint.term, std::move(conf)}, kFirstState};
}

Term Disk::TermAt(Index index) const {
  URSULA_CHECK(index >= compacted_.index);
  URSULA_CHECK(index <= last());
  return index == compacted_.index ? compacted_.term : entries_[index - first()].term;
}

bool Disk::Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const {
  URSULA_CHECK(first() <= low);
  URSULA_CHECK(low < high);
  URSULA_CHECK(high <= last() + 1);
  if (low <= cold_up_to_) return false;
  uint64_t bytes = 0;
  for (Index at = low; at < high; at = at + 1) {
    const Entry& entry = entries_[at - first()];
    bytes += EntryBytes(entry);
    if (at != low && bytes > bytes_max) break;
    out->push_back(entry);
  }
  return true;
}

std::optional<Snapshot> Disk::NewestSnapshot() const {
  if (!snapshots_at_hand_ || checkpoint_.meta.index == Index{}) return std::nullopt;
  return Snapshot{checkpoint_.meta, EncodeState(checkpoint_.state)};
}

InitialState Disk::Initial() const {
  InitialState initial;
  initial.hard = hard_;
  initial.hard.commit = std::max(hard_.commit, checkpoint_.meta.index);
  initial.conf = checkpoint_.meta.conf;
  initial.applied = checkpoint_.meta.index;
  return initial;
}

bool Disk::Holds(Index index, Term term) const {
  if (index <= compacted_.index) return true;
  return index <= last() && TermAt(index) == term;
}

bool Disk::Complete() {
  URSULA_CHECK(!queue_.empty());
  return Write(queue_.front());
}

std::vector<Message> Disk::TakeResponses() {
  std::vector<Message> responses = std::move(queue_.front().responses);
  queue_.pop_front();
  return responses;
}

bool Disk::Crash(Random* random) {
  for (uint64_t kept = random->Below(queue_.size() + 1); kept > 0; --kept) {
    if (!Write(queue_.front())) return false;
    queue_.pop_front();
  }
  queue_.clear();
  // Whatever was written since the last sync may be gone, and of that there is only commit indexes.
  if (random->OneIn(2)) hard_.commit = synced_commit_;
  cold_up_to_ = Index{};
  snapshots_at_hand_ = true;
  return true;
}

bool Disk::Write(const StorageAppend& append) {
  if (append.hard_state) {
    if (append.hard_state->term < hard_.term) return false;
    hard_ = *append.hard_state;
  }
  if (!append.snapshot.empty()) {
    const SnapshotMeta& meta = append.snapshot.meta;
    if (meta.index <= checkpoint_.meta.index) return false;
    entries_.clear();
    compacted_ = {meta.term, meta.index};
    checkpoint_ = {meta, DecodeState(append.snapshot.data)};
  }
  if (!append.entries.empty()) {
    const Index from = append.entries.front().index;
    if (from <= checkpoint_.meta.index || from > last() + 1) return false;
    entries_.resize(from - first());
    entries_.insert(entries_.end(), append.entries.begin(), append.entries.end());
  }
  if (append.must_sync) synced_commit_ = hard_.commit;
  return true;
}

void Disk::Compact(Index index) {
  URSULA_CHECK(index <= checkpoint_.meta.index);
  if (index <= compacted_.index) return;
  const Term term = TermAt(index);
  entries_.erase(entries_.begin(),
                 entries_.begin() + static_cast<std::ptrdiff_t>(index - compacted_.index));
  compacted_ = {term, index};
}

}  // namespace ursula::raft::sim
