#include "lib/raft/log.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"

namespace ursula::raft {

Log::Log(const LogStorage* storage, uint64_t applying_bytes_max)
    : storage_(storage),
      tail_(storage->last() + 1),
      committed_(storage->first() - 1),
      applying_(committed_),
      applied_(committed_),
      applying_bytes_max_(applying_bytes_max) {}

void Log::StartAt(Index committed, Index applied) {
  URSULA_CHECK(committed_ <= committed);
  URSULA_CHECK(committed <= LastIndex());
  committed_ = committed;
  if (applied == Index{}) return;
  URSULA_CHECK(applied_ <= applied);
  URSULA_CHECK(applied <= committed);
  applied_ = applied;
  applying_ = applied;
}

Index Log::FirstIndex() const {
  if (tail_.snapshot()) return tail_.snapshot()->meta.index + 1;
  return storage_->first();
}

Index Log::LastIndex() const { return tail_.end() - 1; }

std::optional<Term> Log::TermAt(Index index) const {
  if (std::optional<Term> term = tail_.TermAt(index)) return term;
  if (index + 1 < FirstIndex() || index > LastIndex() || index >= tail_.offset()) {
    return std::nullopt;
  }
  return storage_->TermAt(index);
}

LogPosition Log::Last() const {
  const Index last = LastIndex();
  const std::optional<Term> term = TermAt(last);
  URSULA_CHECK(term.has_value());
  return {*term, last};
}

bool Log::Matches(LogPosition at) const { return TermAt(at.index) == at.term; }

bool Log::UpToDate(LogPosition theirs) const {
  const LogPosition ours = Last();
  return theirs.term > ours.term || (theirs.term == ours.term && theirs.index >= ours.index);
}

LogPosition Log::LastNotAfter(Index index, Term term) const {
  for (; index > Index{}; index = index - 1) {
    const std::optional<Term> ours = TermAt(index);
    if (!ours) return {Term{}, index};
    if (*ours <= term) return {*ours, index};
  }
  return {};
}

void Log::Append(std::span<const Entry> entries) {
  if (entries.empty()) return;
  URSULA_CHECK(entries.front().index > committed_);
  URSULA_CHECK(entries.front().index <= LastIndex() + 1);
  tail_.Append(entries);
}

Index Log::FirstNew(std::span<const Entry> entries) const {
  for (const Entry& entry : entries) {
    if (!Matches({entry.term, entry.index})) return entry.index;
  }
  return Index{};
}

bool Log::Slice(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const {
  if (low < FirstIndex()) return false;
  URSULA_CHECK(high <= LastIndex() + 1);
  uint64_t bytes = 0;
  bool any = false;
  if (low < tail_.offset() && low < high) {
    const Index cut = std::min(high, tail_.offset());
    const std::size_t before = out->size();
    if (!storage_->Entries(low, cut, bytes_max, out)) return false;
    for (std::size_t i = before; i < out->size(); ++i) bytes += EntryBytes((*out)[i]);
    if (out->size() - before < cut - low || bytes >= bytes_max) return true;
    low = cut;
    any = true;
  }
  if (low >= high) return true;
  const std::span<const Entry> tail = tail_.Slice(low, high);
  std::size_t fits = 0;
  while (fits < tail.size()) {
    bytes += EntryBytes(tail[fits]);
    if ((any || fits > 0) && bytes > bytes_max) break;
    ++fits;
  }
  out->insert(out->end(), tail.begin(), tail.begin() + static_cast<std::ptrdiff_t>(fits));
  return true;
}

bool Log::EntriesFrom(Index low, uint64_t bytes_max, std::vector<Entry>* out) const {
  const Index last = LastIndex();
  return low > last || Slice(low, last + 1, bytes_max, out);
}

bool Log::ConfChangeUnapplied() const {
  // In pages, so that a long gap does not come into memory at once.
  constexpr uint64_t kPageBytes = 1 << 20;
  std::vector<Entry> page;
  for (Index at = applied_ + 1; at <= committed_; at = at + page.size()) {
    page.clear();
    // Not at hand: what can't be looked at may hold a change.
    if (!Slice(at, committed_ + 1, kPageBytes, &page) || page.empty()) return true;
    if (std::any_of(page.begin(), page.end(),
                    [](const Entry& entry) { return entry.kind != EntryKind::kNormal; })) {
      return true;
    }
  }
  return false;
}

bool Log::CommitTo(Index index) {
  if (index <= committed_) return false;
  URSULA_CHECK(index <= LastIndex());
  committed_ = index;
  return true;
}

bool Log::MaybeCommit(LogPosition at) {
  return at.term != Term{} && at.index > committed_ && Matches(at) && CommitTo(at.index);
}

Index Log::AppliableEnd(bool unstable_too) const {
  return unstable_too ? committed_ : std::min(committed_, tail_.offset() - 1);
}

bool Log::HasCommittedToApply(bool unstable_too) const {
  // What lies behind a snapshot is applied only on top of it.
  if (applying_paused_ || tail_.snapshot()) return false;
  return applying_ < AppliableEnd(unstable_too);
}

void Log::CommittedToApply(bool unstable_too, std::vector<Entry>* out) const {
  if (!HasCommittedToApply(unstable_too)) return;
  URSULA_CHECK(applying_bytes_ < applying_bytes_max_);
  Slice(applying_ + 1, AppliableEnd(unstable_too) + 1, applying_bytes_max_ - applying_bytes_, out);
}

void Log::AcceptApplying(Index last, uint64_t bytes, bool unstable_too) {
  URSULA_CHECK(last <= committed_);
  applying_ = last;
  applying_bytes_ += bytes;
  applying_paused_ = applying_bytes_ >= applying_bytes_max_ || last < AppliableEnd(unstable_too);
  if (applying_paused_) URSULA_SOMETIMES("raft: applying is at its limit");
}

void Log::AppliedTo(Index index, uint64_t bytes) {
  URSULA_CHECK(index <= committed_);
  URSULA_CHECK(index >= applied_);
  applied_ = index;
  applying_ = std::max(applying_, index);
  applying_bytes_ -= std::min(applying_bytes_, bytes);
  applying_paused_ = applying_bytes_ >= applying_bytes_max_;
}

std::optional<Snapshot> Log::NewestSnapshot() const {
  if (tail_.snapshot()) return tail_.snapshot();
  return storage_->NewestSnapshot();
}

void Log::Restore(Snapshot snapshot) {
  committed_ = snapshot.meta.index;
  tail_.Restore(std::move(snapshot));
}

}  // namespace ursula::raft
