#include "lib/io/timer.h"

#include <algorithm>

namespace ursula::io {

Timer::~Timer() { TimerHeap::Cancel(this); }

void TimerHeap::Start(Timer* timer, uint64_t deadline_ns) {
  URSULA_CHECK(timer->callback_ != nullptr);
  Cancel(timer);
  timer->heap_ = this;
  // What a callback starts for a time already come waits for the next Fire: else a timer that
  // restarts itself for "now" would never let Fire end.
  timer->deadline_ns_ = firing_ns_ == 0 ? deadline_ns : std::max(deadline_ns, firing_ns_ + 1);
  timer->sequence_ = sequence_++;
  heap_.push_back(timer);
  SiftUp(heap_.size() - 1);
}

void TimerHeap::Cancel(Timer* timer) {
  TimerHeap* heap = timer->heap_;
  if (heap == nullptr) return;
  std::size_t hole = timer->position_;
  URSULA_CHECK(heap->heap_[hole] == timer);
  timer->heap_ = nullptr;
  Timer* last = heap->heap_.back();
  heap->heap_.pop_back();
  if (last == timer) return;
  heap->Place(last, hole);
  heap->SiftUp(hole);
  heap->SiftDown(last->position_);
}

uint64_t TimerHeap::next_deadline_ns() const {
  URSULA_CHECK(!heap_.empty());
  return heap_.front()->deadline_ns_;
}

uint32_t TimerHeap::Fire(uint64_t now_ns) {
  uint32_t count = 0;
  firing_ns_ = now_ns;
  while (!heap_.empty() && heap_.front()->deadline_ns_ <= now_ns) {
    Timer* timer = heap_.front();
    Cancel(timer);
    timer->callback_(*timer);  // May destroy it.
    ++count;
  }
  firing_ns_ = 0;
  return count;
}

void TimerHeap::Clear() {
  while (!heap_.empty()) Cancel(heap_.back());
}

bool TimerHeap::Before(const Timer& a, const Timer& b) const {
  if (a.deadline_ns_ != b.deadline_ns_) return a.deadline_ns_ < b.deadline_ns_;
  return a.sequence_ < b.sequence_;
}

void TimerHeap::Place(Timer* timer, std::size_t position) {
  heap_[position] = timer;
  timer->position_ = position;
}

void TimerHeap::SiftUp(std::size_t position) {
  Timer* timer = heap_[position];
  while (position > 0) {
    std::size_t parent = (position - 1) / 2;
    if (!Before(*timer, *heap_[parent])) break;
    Place(heap_[parent], position);
    position = parent;
  }
  Place(timer, position);
}

void TimerHeap::SiftDown(std::size_t position) {
  Timer* timer = heap_[position];
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && Before(*heap_[child + 1], *heap_[child])) ++child;
    if (!Before(*heap_[child], *timer)) break;
    Place(heap_[child], position);
    position = child;
  }
  Place(timer, position);
}

}  // namespace ursula::io
