// lib/group/stamp_clock.h
//
// The time that a leader stamps into commands. It begins at what was stamped last and, where that
// was before this process, at the wall clock if that is later; and it runs with CLOCK_BOOTTIME: a
// wall clock that jumps ahead is caught up at twice the speed at most, one that jumps back is
// waited for. Where the group's time is more than kAheadMax ahead of the wall clock (a wrong clock
// stamped it once), it runs on at half speed: time never stands still, and the wall clock comes
// nearer. An operator's step sets it right.
//
// Invariant: NowMs never falls but by Step.

#pragma once

#include <algorithm>
#include <cstdint>

#include "lib/io/loop.h"

namespace ursula::group {

class StampClock {
 public:
  static constexpr int64_t kAheadMaxMs = 10'000;

  explicit StampClock(const io::Loop* loop) : loop_(*loop), read_ns_(loop->now_ns()) {}

  // This replica leads from here on. If leaders have stamped anything since this process began,
  // time goes on from that, so that a new leader whose clock is wrong doesn't take it along at
  // once. Else nobody knows better than its wall clock.
  void BeginTerm() {
    Advance();
    if (!seen_live_) last_ms_ = std::max(last_ms_, loop_.wall_ms());
    last_ms_ = std::max(last_ms_, int64_t{0});
    leads_ = true;
  }
  // Others stamp: what passes is counted, and this replica's wall clock pulls at nothing.
  void EndTerm() {
    Advance();
    leads_ = false;
  }

  int64_t NowMs() {
    if (!leads_) BeginTerm();
    Advance();
    return last_ms_;
  }

  // A command was applied; `live`: its leader stamped it since this process began. What had passed
  // until then is in the stamp.
  void Observe(int64_t stamped_ms, bool live = false) {
    Advance();
    last_ms_ = std::max(last_ms_, stamped_ms);
    seen_live_ |= live;
  }

  void Step(int64_t delta_ms) { last_ms_ = std::max<int64_t>(last_ms_ + delta_ms, 0); }

  // A step that another replica proposed was applied: what was seen before counts no more.
  void Restart(int64_t stamped_ms) {
    last_ms_ = stamped_ms;
    read_ns_ = loop_.now_ns();
  }

  // For whoever watches: NowMs as it would be if nothing changed, and whether anything was stamped
  // since this process began.
  int64_t PeekMs() const {
    StampClock copy = *this;
    copy.Advance();
    return copy.last_ms_;
  }
  bool seen_live() const { return seen_live_; }
  bool leads() const { return leads_; }

  // What was stamped last may be long past: the next term begins as the first one did.
  void Forget() { seen_live_ = false; }

  // Of the wall clock; negative: behind it.
  int64_t AheadMs() {
    NowMs();
    return last_ms_ - loop_.wall_ms();
  }

 private:
  static constexpr uint64_t kNsPerMs = 1'000'000;

  void Advance() {
    const uint64_t now_ns = loop_.now_ns();
    if (now_ns <= read_ns_) return;
    const uint64_t elapsed_ns = now_ns - read_ns_;
    read_ns_ = now_ns;
    const int64_t wall_ms = loop_.wall_ms();
    if (leads_ && last_ms_ < wall_ms) {
      const int64_t passed = static_cast<int64_t>(elapsed_ns / kNsPerMs);
      const int64_t latest = std::max(wall_ms, last_ms_ + passed);
      Run(elapsed_ns * 2);
      last_ms_ = std::min(last_ms_, latest);
    } else {
      Run(last_ms_ - wall_ms > kAheadMaxMs ? elapsed_ns / 2 : elapsed_ns);
    }
  }

  void Run(uint64_t ns) {
    rest_ns_ += ns;
    last_ms_ += static_cast<int64_t>(rest_ns_ / kNsPerMs);
    rest_ns_ %= kNsPerMs;
  }

  const io::Loop& loop_;
  uint64_t read_ns_;
  uint64_t rest_ns_ = 0;  // Passed, and not yet a millisecond.
  int64_t last_ms_ = 0;
  bool leads_ = false;
  bool seen_live_ = false;
};

}  // namespace ursula::group
