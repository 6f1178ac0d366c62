// lib/storage/scrub.h
//
// Reads a core's files again in the background and checks them, so that rot is found while others
// still have what it took: a slice at a time, at a bounded rate, round after round. Nothing is
// remembered of it; a round begins at any file, so that one that restarts often gets to all.

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "ursula/function.h"

namespace ursula::storage {

inline constexpr uint64_t kScrubSliceBytes = 256 << 10;

// Files of one kind. What it finds it tells by itself.
class ScrubTarget {
 public:
  // All there are by now, from any of them on: `random`.
  virtual void BeginRound(uint64_t random) = 0;
  // Reads and checks the next slice, about kScrubSliceBytes; then `done`, not inside the call, with
  // what was read. 0: the round is over.
  virtual void CheckNext(Function<void(uint64_t bytes)> done) = 0;
  // Lets go of what it holds. REQUIRES: nothing under way.
  virtual void EndRound() = 0;

 protected:
  ~ScrubTarget() = default;
};

class Scrub {
 public:
  struct Options {
    uint64_t bytes_per_second = 0;  // 0: never.
    uint64_t every_ns = 0;          // From one round's begin to the next one's.
  };
  struct Stats {
    uint64_t bytes = 0;
    uint64_t rounds = 0;  // That have ended.
  };

  // The targets outlive it.
  Scrub(io::Loop* loop, const Options& options, std::vector<ScrubTarget*> targets);

  void Start();  // The first round begins soon.
  const Stats& stats() const { return stats_; }
  // Once what is under way has ended: `done`, not inside the call.
  void Stop(Function<void()> done);

 private:
  void OnTimer();
  void OnChecked(uint64_t bytes);
  void EndRound();

  static constexpr uint64_t kFirstNs = 60'000'000'000;

  io::Loop& loop_;
  const Options options_;
  const std::vector<ScrubTarget*> targets_;
  std::size_t target_ = 0;
  bool in_round_ = false;
  bool checking_ = false;
  uint64_t round_ns_ = 0;  // When it began.
  uint64_t due_ns_ = 0;    // When the next slice is.
  Stats stats_;
  io::Timer timer_;
  bool stopping_ = false;
  Function<void()> stop_done_;
};

}  // namespace ursula::storage
