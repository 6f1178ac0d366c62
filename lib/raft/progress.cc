#include "lib/raft/progress.h"

#include <algorithm>

#include "lib/base/check.h"

namespace ursula::raft {

void Inflights::Add(Index last, uint64_t bytes) {
  URSULA_CHECK(!full());
  if (count_ == ring_.size()) Grow();
  ring_[(start_ + count_) % ring_.size()] = {last, bytes};
  ++count_;
  bytes_ += bytes;
}

void Inflights::FreeThrough(Index index) {
  while (count_ > 0 && ring_[start_].last <= index) {
    bytes_ -= ring_[start_].bytes;
    start_ = static_cast<uint32_t>((start_ + 1) % ring_.size());
    --count_;
  }
}

void Inflights::Reset() {
  start_ = 0;
  count_ = 0;
  bytes_ = 0;
}

void Inflights::Grow() {
  std::vector<Item> bigger(std::clamp<std::size_t>(ring_.size() * 2, 1, messages_max_));
  for (uint32_t i = 0; i < count_; ++i) bigger[i] = ring_[(start_ + i) % ring_.size()];
  ring_ = std::move(bigger);
  start_ = 0;
}

void Progress::Enter(ProgressState to) {
  state = to;
  flow_paused = false;
  pending_snapshot = Index{};
  inflights.Reset();
}

void Progress::Restart(Index from) {
  Enter(ProgressState::kProbe);
  match = Index{};
  next = from;
  sent_commit = Index{};
  recently_active = false;
}

void Progress::BecomeProbe() {
  // After a snapshot the follower's log begins behind it, if the snapshot arrived.
  const Index from = state == ProgressState::kSnapshot ? pending_snapshot : Index{};
  Enter(ProgressState::kProbe);
  next = std::max(match, from) + 1;
  sent_commit = std::min(sent_commit, next - 1);
}

void Progress::BecomeReplicate() {
  Enter(ProgressState::kReplicate);
  next = match + 1;
}

void Progress::BecomeSnapshot(Index snapshot) {
  Enter(ProgressState::kSnapshot);
  pending_snapshot = snapshot;
  next = snapshot + 1;
  sent_commit = snapshot;
}

void Progress::SentEntries(std::size_t count, uint64_t bytes) {
  URSULA_CHECK(state != ProgressState::kSnapshot);
  if (state == ProgressState::kProbe) {
    if (count > 0) flow_paused = true;
    return;
  }
  if (count > 0) {
    next = next + count;
    inflights.Add(next - 1, bytes);
  }
  flow_paused = inflights.full();
}

bool Progress::CommitWouldHelp(Index commit) const {
  // It can't commit beyond next-1, the end of what it was sent.
  return commit > sent_commit && sent_commit < next - 1;
}

bool Progress::Acknowledged(Index index) {
  if (index <= match) return false;
  match = index;
  next = std::max(next, index + 1);
  flow_paused = false;
  return true;
}

bool Progress::Rejected(Index rejected, Index hint) {
  if (state == ProgressState::kReplicate) {
    if (rejected <= match) return false;
    next = match + 1;
    sent_commit = std::min(sent_commit, next - 1);
    return true;
  }
  // A probe's refusal must be of the probe that is out, at next-1.
  if (next - 1 != rejected) return false;
  // It has acknowledged what it refuses: the refusal is old, or its disk has lost it. Asked again
  // at once it would say the same; a heartbeat's answer asks again.
  if (rejected <= match) return false;
  next = std::max(std::min(rejected, hint + 1), match + 1);
  sent_commit = std::min(sent_commit, next - 1);
  flow_paused = false;
  return true;
}

}  // namespace ursula::raft
