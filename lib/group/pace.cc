#include "lib/group/pace.h"

#include <algorithm>

#include "lib/base/check.h"

namespace ursula::group {
namespace {

uint64_t Nanoseconds(uint64_t bytes, uint64_t bytes_per_second) {
  const double ns = static_cast<double>(bytes) * 1e9 / static_cast<double>(bytes_per_second);
  return ns >= Pace::kDebtNsMax ? Pace::kDebtNsMax : static_cast<uint64_t>(ns);
}

}  // namespace

Pace::Pace(io::Loop* loop, const Options& options) : loop_(*loop), options_(options) {
  timer_.Then<&Pace::OnTimer>(this);
}

Pace::~Pace() {
  URSULA_CHECK(waiters_.empty());
  loop_.CancelTimer(&timer_);
}

bool Pace::MayTake(Waiter* waiter) {
  if (!limited()) return true;
  const bool first = called_ == nullptr ? waiters_.empty() : called_ == waiter;
  if (first && due()) return true;
  if (waiter->linked()) return false;
  waiters_.PushBack(waiter);
  if (called_ != nullptr) return false;  // OnTimer goes on from there.
  if (!timer_.running()) held_ns_ = waits_since_ns_ = loop_.now_ns();
  Wait();
  return false;
}

Pace::Taken Pace::Take(uint64_t bytes) {
  stats_.bytes += bytes;
  if (!limited()) return {bytes, 0};
  const uint64_t now_ns = loop_.now_ns();
  const uint64_t from_ns = std::max(due_ns_, now_ns - std::min(now_ns, kBurstNs));
  const uint64_t held_ns = timer_.running() ? held_ns_ : now_ns;
  const uint64_t due_ns = from_ns + Nanoseconds(bytes, options_.bytes_per_second);
  due_ns_ = std::max(from_ns, std::min(due_ns, held_ns + kDebtNsMax));
  return {bytes, due_ns_ - from_ns};
}

void Pace::Correct(const Taken& taken, uint64_t bytes) {
  if (bytes > taken.bytes) {
    Take(bytes - taken.bytes);
    return;
  }
  stats_.bytes -= std::min(taken.bytes - bytes, stats_.bytes);
  if (!limited()) return;
  Hasten(taken.ns - std::min(taken.ns, Nanoseconds(bytes, options_.bytes_per_second)));
}

void Pace::Earn(uint64_t bytes) {
  if (timer_.running()) Hasten(Nanoseconds(bytes, options_.bytes_per_second));
}

void Pace::Hasten(uint64_t ns) {
  due_ns_ -= std::min(due_ns_, ns);
  if (timer_.running()) Wait();
}

void Pace::Wait() {
  const uint64_t due_ns = std::max(due_ns_, loop_.now_ns() + 1);
  // One that is too early waits again.
  if (timer_.running() && timer_.deadline_ns() <= due_ns) return;
  loop_.StartTimer(&timer_, due_ns);
}

// Each that waits by now at most once: who waits again stands behind them.
void Pace::OnTimer() {
  IntrusiveList<Waiter> now;
  now.Splice(&waiters_);
  while (due() && (called_ = now.PopFront()) != nullptr) {
    held_ns_ = loop_.now_ns();
    called_->OnPace();
  }
  called_ = nullptr;
  now.Splice(&waiters_);  // Behind those that weren't called.
  waiters_.Splice(&now);
  if (!waiters_.empty()) return Wait();
  stats_.waited_ns += loop_.now_ns() - waits_since_ns_;
}

Pace::Stats Pace::stats() const {
  Stats stats = stats_;
  if (timer_.running()) stats.waited_ns += loop_.now_ns() - waits_since_ns_;
  return stats;
}

}  // namespace ursula::group
