// lib/io/timer.h
//
// A caller-owned timer, started and cancelled through its Loop. One-shot; its callback may start it
// again. Destroying a running timer cancels it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/base/check.h"

namespace ursula::io {

class TimerHeap;

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  // timer.Then<&Replica::OnTick>(this): the method takes nothing.
  template <auto kMethod, class Owner>
  Timer* Then(Owner* owner) {
    owner_ = owner;
    callback_ = [](Timer& timer) { (static_cast<Owner*>(timer.owner_)->*kMethod)(); };
    return this;
  }

  bool running() const { return heap_ != nullptr; }
  uint64_t deadline_ns() const { return deadline_ns_; }

 private:
  friend class TimerHeap;
  void (*callback_)(Timer&) = nullptr;
  void* owner_ = nullptr;
  uint64_t deadline_ns_ = 0;
  uint64_t sequence_ = 0;  // Equal deadlines fire in the order they were started.
  TimerHeap* heap_ = nullptr;
  std::size_t position_ = 0;
};

// A binary heap by (deadline, start order). One thread.
class TimerHeap {
 public:
  TimerHeap() = default;
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;
  ~TimerHeap() { URSULA_CHECK(heap_.empty()); }

  void Start(Timer* timer, uint64_t deadline_ns);  // Restarts a running one.
  static void Cancel(Timer* timer);                // Nothing, if it isn't running.

  bool empty() const { return heap_.empty(); }
  uint64_t next_deadline_ns() const;  // REQUIRES: !empty().
  void Clear();                       // Cancels all.
  // Fires timers due at `now_ns`, earliest first. Those that their callbacks start for `now_ns` or
  // before count as due at now_ns + 1. `now_ns` never decreases. Returns how many.
  uint32_t Fire(uint64_t now_ns);

 private:
  bool Before(const Timer& a, const Timer& b) const;
  void Place(Timer* timer, std::size_t position);
  void SiftUp(std::size_t position);
  void SiftDown(std::size_t position);

  std::vector<Timer*> heap_;
  uint64_t sequence_ = 0;
  uint64_t firing_ns_ = 0;  // Fire's argument while it runs, else 0.
};

}  // namespace ursula::io
