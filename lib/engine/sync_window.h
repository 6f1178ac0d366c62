// lib/engine/sync_window.h
//
// What has come into a histogram lately, and the median of that.

#pragma once

#include <cstdint>
#include <deque>

#include "ursula/stats.h"

namespace ursula::engine {

class SyncWindow {
 public:
  static constexpr uint64_t kSpanNs = 10'000'000'000;
  static constexpr uint64_t kStepNs = 1'000'000'000;

  // All there is by now; more than when it was told last.
  void Note(const Histogram& total, uint64_t now_ns);
  // Of the last kSpanNs, and of up to a step before that.
  Histogram Recent() const;

 private:
  struct Past {
    uint64_t ns = 0;
    Histogram total = {};
  };
  std::deque<Past> past_;  // A step apart; the first is the newest that is older than kSpanNs.
  Histogram total_;
};

// As many values make one.
inline constexpr uint64_t kMedianCountMin = 8;
// To a fraction of its bucket; 0: there are too few.
uint64_t MedianOf(const Histogram& values);

}  // namespace ursula::engine
