#include "lib/group/group_log.h"

#include <algorithm>
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

void GroupLog::Compact(raft::SnapshotMeta meta, uint64_t kept_bytes_max, Index window_from) {
  URSULA_CHECK(meta.index >= snapshot_.index && meta.index <= last());
  for (Index index = snapshot_.index + 1; index <= meta.index; index = index + 1) {
    if (index <= before_.index) continue;
    const uint64_t bytes = raft::EntryBytes(At(index));
    bytes_ -= bytes;
    kept_bytes_ += bytes;
  }
  snapshot_ = std::move(meta);
  while (kept_bytes_ > kept_bytes_max) {
    const Position gone{entries_.front().index, entries_.front().term};
    kept_bytes_ -= raft::EntryBytes(entries_.front());
    entries_.pop_front();
    if (gone.index >= window_from && !has_window()) {
      terms_.push_back(before_);
      window_first_ = gone.index;
    }
    if (has_window() && gone.term != terms_.back().term) terms_.push_back(gone);
    before_ = gone;
  }
}

void GroupLog::NarrowWindow(Index from) {
  if (!has_window() || from <= window_first_) return;
  if (from > before_.index) return CloseWindow();
  window_first_ = from;
  while (terms_.size() > 1 && terms_[1].index < from) terms_.pop_front();
}

void GroupLog::CloseWindow() {
  terms_.clear();
  DropFilled();
  missed_.clear();
}

// What is asked for in vain is asked for again; so all else may be forgotten.
Index GroupLog::TakeMissed() {
  std::erase_if(missed_, [this](Index one) { return one < first(); });
  if (missed_.empty()) return Index{UINT64_MAX};
  std::ranges::sort(missed_);
  const Index taken = missed_[missed_turn_++ % missed_.size()];
  missed_.clear();
  return taken;
}

bool GroupLog::Fill(Index from, std::vector<raft::Entry>&& entries) {
  DropFilled();
  missed_.clear();
  if (from < first()) return false;
  Index next = from;
  for (raft::Entry& entry : entries) {
    // Another one of that index has been replaced.
    if (entry.index != next || next > before_.index || entry.term != TermAt(next)) continue;
    filled_bytes_ += raft::EntryBytes(entry);
    filled_.push_back(std::move(entry));
    next = next + 1;
  }
  return !filled_.empty();
}

void GroupLog::Reset(raft::SnapshotMeta meta) {
  snapshot_ = std::move(meta);
  before_ = {snapshot_.index, snapshot_.term};
  entries_.clear();
  bytes_ = kept_bytes_ = 0;
  CloseWindow();
}

Term GroupLog::TermAt(Index index) const {
  if (index == before_.index) return before_.term;
  if (index < before_.index) {
    URSULA_CHECK(index + 1 >= first());
    const auto later = [](Index one, const Position& begin) { return one < begin.index; };
    return std::prev(std::upper_bound(terms_.begin(), terms_.end(), index, later))->term;
  }
  URSULA_CHECK(index <= last());
  return At(index).term;
}

bool GroupLog::Entries(Index low, Index high, uint64_t bytes_max,
                       std::vector<raft::Entry>* out) const {
  URSULA_CHECK(low >= first() && low < high && high <= last() + 1);
  const bool in_memory = low > before_.index;
  if (!in_memory) {
    if (!IsFilled(low)) {
      if (std::ranges::find(missed_, low) == missed_.end()) missed_.push_back(low);
      return false;
    }
    high = std::min(high, filled_.back().index + 1);
  }
  uint64_t bytes = 0;
  for (Index index = low; index < high; index = index + 1) {
    const raft::Entry& entry = in_memory ? At(index) : filled_[index - filled_.front().index];
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
