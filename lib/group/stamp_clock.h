// lib/group/stamp_clock.h
//
// The time that a leader stamps into commands: the wall clock as its term began, from there on the
// monotonic clock, and never less than what was stamped before. A wall clock that is set back or
// forth therefore moves no deadline within a term.

#pragma once

#include <algorithm>
#include <cstdint>

#include "lib/io/loop.h"

namespace ursula::group {

class StampClock {
 public:
  explicit StampClock(const io::Loop* loop) : loop_(*loop) { Rebase(); }

  // A term begins.
  void Rebase() {
    base_ms_ = loop_.wall_ms();
    base_ns_ = loop_.now_ns();
  }

  int64_t NowMs() {
    int64_t elapsed_ms = static_cast<int64_t>((loop_.now_ns() - base_ns_) / 1'000'000);
    last_ms_ = std::max({last_ms_, base_ms_ + elapsed_ms, int64_t{0}});
    return last_ms_;
  }

  // A command stamped by an earlier leader was applied.
  void Observe(int64_t stamped_ms) { last_ms_ = std::max(last_ms_, stamped_ms); }

 private:
  const io::Loop& loop_;
  int64_t base_ms_ = 0;
  uint64_t base_ns_ = 0;
  int64_t last_ms_ = 0;
};

}  // namespace ursula::group
