#include "lib/group/apply_turns.h"

#include "lib/base/check.h"

namespace ursula::group {

ApplyTurns::ApplyTurns(io::Loop* loop, uint64_t turn_cost) : loop_(*loop), turn_cost_(turn_cost) {
  timer_.Then<&ApplyTurns::OnTimer>(this);
}

ApplyTurns::~ApplyTurns() {
  URSULA_CHECK(waiters_.empty());
  loop_.CancelTimer(&timer_);
}

void ApplyTurns::Applied(uint64_t entries, uint64_t bytes) {
  if (loop_.now_ns() != turn_ns_) used_ = 0;
  turn_ns_ = loop_.now_ns();
  used_ += entries * kEntryCost + bytes;
}

void ApplyTurns::Wait(Waiter* waiter) {
  if (waiter->linked()) return;
  if (waiters_.empty()) loop_.StartTimer(&timer_, loop_.now_ns());
  waiters_.PushBack(waiter);
}

// A turn of its own for those that wait, however much the others have applied by now.
void ApplyTurns::OnTimer() {
  used_ = 0;
  while (!waiters_.empty() && MayApply()) {
    waiters_.PopFront()->OnApplyTurn();
  }
  if (!waiters_.empty()) loop_.StartTimer(&timer_, loop_.now_ns());
}

}  // namespace ursula::group
