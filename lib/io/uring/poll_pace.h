// lib/io/uring/poll_pace.h
//
// When a loop may poll instead of sleeping. Each look for completions is followed by sched_yield,
// which gives the rest of the thread's slice away: beside a program that uses all the CPU it can,
// it returns after that one's slice, milliseconds later, while a thread that sleeps is woken at
// once. So a yield that took long ends the poll and begins a pause, which doubles until yields are
// short again.

#pragma once

#include <algorithm>
#include <cstdint>

namespace ursula::io::uring {

class PollPace {
 public:
  static constexpr uint64_t kLongYieldNs = 1'000'000;  // Clients and the kernel take less.
  static constexpr uint64_t kPauseMinNs = 10'000'000;
  static constexpr uint64_t kPauseMaxNs = 60'000'000'000;
  static constexpr uint32_t kShortYieldsMin = 1000;  // So many in a row end the doubling.

  explicit PollPace(uint64_t long_yield_ns = kLongYieldNs) : long_yield_ns_(long_yield_ns) {}

  bool may_poll(uint64_t now_ns) const { return now_ns >= resume_ns_; }

  // A yield began and ended. False: not to poll any longer.
  bool Yielded(uint64_t from_ns, uint64_t to_ns) {
    if (to_ns - from_ns < long_yield_ns_) {
      if (short_yields_ < kShortYieldsMin) ++short_yields_;
      return true;
    }
    const bool rare = short_yields_ >= kShortYieldsMin;
    pause_ns_ = rare ? kPauseMinNs : std::min(2 * pause_ns_, kPauseMaxNs);
    short_yields_ = 0;
    resume_ns_ = to_ns + pause_ns_;
    return false;
  }

 private:
  uint64_t long_yield_ns_;
  uint64_t resume_ns_ = 0;
  uint64_t pause_ns_ = kPauseMinNs / 2;
  uint32_t short_yields_ = 0;
};

// When a loop may yield between two turns, for those who wait for what it has sent. Beside a
// program that uses all the CPU it can, yields take milliseconds; then they take a tenth of the
// time at most.
class WayPace {
 public:
  static constexpr uint64_t kLongYieldNs = 3'000'000;
  static constexpr uint64_t kPauseForEach = 10;

  bool may_yield(uint64_t now_ns) const { return now_ns >= resume_ns_; }
  void Yielded(uint64_t from_ns, uint64_t to_ns) {  // A yield began and ended.
    const uint64_t took_ns = to_ns - from_ns;
    if (took_ns >= kLongYieldNs) resume_ns_ = to_ns + kPauseForEach * took_ns;
  }

 private:
  uint64_t resume_ns_ = 0;
};

}  // namespace ursula::io::uring
