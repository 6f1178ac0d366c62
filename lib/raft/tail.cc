#include "lib/raft/tail.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"

namespace ursula::raft {

std::optional<Term> Tail::TermAt(Index index) const {
  if (index < offset_) {
    if (snapshot_ && snapshot_->meta.index == index) return snapshot_->meta.term;
    return std::nullopt;
  }
  if (index >= end()) return std::nullopt;
  return entries()[index - offset_].term;
}

std::span<const Entry> Tail::Slice(Index low, Index high) const {
  URSULA_CHECK(offset_ <= low);
  URSULA_CHECK(low <= high);
  URSULA_CHECK(high <= end());
  return entries().subspan(low - offset_, high - low);
}

std::span<const Entry> Tail::NotHandedOut() const {
  return entries().subspan(handed_end_ - offset_);
}

void Tail::HandOut() {
  handed_end_ = end();
  if (snapshot_) snapshot_handed_ = true;
}

void Tail::Append(std::span<const Entry> entries) {
  URSULA_CHECK(!entries.empty());
  const Index from = entries.front().index;
  URSULA_CHECK(from <= end());
  if (from <= offset_) {
    // Durable entries are replaced too: the tail begins lower now.
    entries_.clear();
    head_ = 0;
    offset_ = from;
    handed_end_ = from;
  } else {
    entries_.resize(head_ + (from - offset_));
    handed_end_ = std::min(handed_end_, from);
  }
  entries_.insert(entries_.end(), entries.begin(), entries.end());
}

void Tail::StableTo(Index index, Term term) {
  if (index < offset_ || index >= handed_end_ || TermAt(index) != term) {
    URSULA_SOMETIMES("raft: storage answered for what was overwritten");
    return;
  }
  DropFront(index - offset_ + 1);
}

void Tail::DropFront(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) entries_[head_ + i].payload = {};
  head_ += count;
  offset_ = offset_ + count;
  handed_end_ = std::max(handed_end_, offset_);
  // Each entry is moved at most once for each time it is dropped past: constant work an entry.
  if (head_ * 2 >= entries_.size()) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void Tail::SnapshotStable(Index index) {
  if (!snapshot_ || snapshot_->meta.index != index) return;
  snapshot_.reset();
  snapshot_handed_ = false;
}

void Tail::Restore(Snapshot snapshot) {
  entries_.clear();
  head_ = 0;
  offset_ = snapshot.meta.index + 1;
  handed_end_ = offset_;
  snapshot_ = std::move(snapshot);
  snapshot_handed_ = false;
}

}  // namespace ursula::raft
