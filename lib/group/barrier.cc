#include "lib/group/barrier.h"

#include <utility>

#include "lib/base/coding.h"

namespace ursula::group {

Bytes Barrier::ContextOf(uint64_t number) const {
  char context[3 * sizeof(uint64_t)];
  StoreFixed<uint64_t>(context, Raw(self_));
  StoreFixed<uint64_t>(context + 8, opening_);
  StoreFixed<uint64_t>(context + 16, number);
  return Bytes::Copy(std::string_view(context, sizeof(context)));
}

void Barrier::StartRound(raft::Core* core, uint64_t now_ns) {
  if (next_.empty()) return;
  Round& round = rounds_.emplace_back();
  round.number = ++last_number_;
  round.begun_ns = now_ns;
  round.deadline_ns = now_ns + deadline_ns_;
  round.waiting = std::exchange(next_, {});
  // Refused where there is no leader, or too many wait: AskAgain goes on until the deadline.
  (void)core->ReadIndex(ContextOf(round.number));
}

// The newest alone: its answer confirms the earlier ones.
void Barrier::AskAgain(raft::Core* core) {
  if (rounds_.empty() || rounds_.back().confirmed) return;
  (void)core->ReadIndex(ContextOf(rounds_.back().number));
}

void Barrier::OnRead(const raft::ReadState& read) {
  if (read.context.size() != 3 * sizeof(uint64_t)) return;
  const char* at = read.context.data();
  if (LoadFixed<uint64_t>(at) != Raw(self_)) return;
  if (LoadFixed<uint64_t>(at + 8) != opening_) return;
  const uint64_t number = LoadFixed<uint64_t>(at + 16);
  for (Round& round : rounds_) {
    if (round.number > number || round.confirmed) continue;
    round.confirmed = true;
    round.index = read.index;
  }
}

std::vector<BarrierDone> Barrier::TakeReached(Index applied) {
  std::vector<BarrierDone> reached;
  while (HasReached(applied)) {
    for (BarrierDone& done : rounds_.front().waiting) reached.push_back(std::move(done));
    // Not when it was confirmed: the index may be of a moment right after the beginning.
    fresh_ns_ = rounds_.front().begun_ns;
    rounds_.pop_front();
  }
  return reached;
}

void Barrier::Expire(uint64_t now_ns) {
  while (!rounds_.empty() && rounds_.front().deadline_ns <= now_ns) {
    std::vector<BarrierDone> waiting = std::move(rounds_.front().waiting);
    rounds_.pop_front();
    Fail(&waiting, Status(StatusCode::kUnavailable,
                          "no majority of this group's replicas has confirmed the read in time; "
                          "try again"));
  }
}

void Barrier::FailAll(const Status& status) {
  std::deque<Round> rounds = std::exchange(rounds_, {});
  std::vector<BarrierDone> next = std::exchange(next_, {});
  for (Round& round : rounds) Fail(&round.waiting, status);
  Fail(&next, status);
}

void Barrier::Fail(std::vector<BarrierDone>* waiting, const Status& status) {
  for (BarrierDone& done : *waiting) done(status);
  waiting->clear();
}

}  // namespace ursula::group
