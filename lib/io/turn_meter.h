// lib/io/turn_meter.h
//
// How long the turns of a loop take. While one lasts, nothing else of its core gets on: a long one
// is told to who watches, with what was done in it.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "lib/base/intrusive_list.h"

namespace ursula::io {

// What a turn does, in this order.
enum class TurnPart : uint8_t { kCompletions, kTimers, kPosted, kDeferred, kTurnEnd };

struct LongTurn {
  static constexpr std::size_t kParts = 5;
  struct Part {
    uint32_t count = 0;  // Callbacks.
    uint64_t ns = 0;
  };

  uint64_t took_ns = 0;
  // At most so much of it the thread was running; else it waited for the disk, or for other threads
  // to let it have the CPU.
  uint64_t ran_ns_max = 0;
  std::array<Part, kParts> parts = {};

  Part& part(TurnPart which) { return parts[static_cast<std::size_t>(which)]; }
  // "25.3 ms (running at most 24.1 ms): 3 completions 0.1 ms, 1 posted 25.2 ms".
  std::string Describe() const;
};

// On the loop's thread, at the end of the turn.
class TurnWatcher : public ListHook<TurnWatcher> {
 public:
  virtual ~TurnWatcher() = default;
  virtual void OnLongTurn(const LongTurn& turn) = 0;
};

// Reads the clock once for each part that did something.
class TurnMeter {
 public:
  static constexpr uint64_t kLongNs = 20'000'000;
  // The thread's CPU time costs a system call: it is read no more often than this.
  static constexpr uint64_t kCpuReadNs = 5'000'000;

  using Clock = uint64_t (*)();  // Nanoseconds.
  TurnMeter(Clock clock, Clock thread_cpu) : clock_(clock), thread_cpu_(thread_cpu) {}

  void Begin(uint64_t now_ns) {
    began_ns_ = last_ns_ = now_ns;
    turn_.parts = {};
    if (now_ns < cpu_read_ns_ + kCpuReadNs) return;
    cpu_read_ns_ = now_ns;
    cpu_ns_ = thread_cpu_();
  }
  void Did(TurnPart part, uint32_t count) {
    if (count == 0) return;
    const uint64_t now_ns = clock_();
    turn_.part(part) = {count, now_ns - last_ns_};
    last_ns_ = now_ns;
  }
  // What to tell of the turn, if it was longer than kLongNs.
  std::optional<LongTurn> End();

 private:
  const Clock clock_;
  const Clock thread_cpu_;
  uint64_t began_ns_ = 0;
  uint64_t last_ns_ = 0;
  uint64_t cpu_read_ns_ = 0;  // When it was read last, and what it was then.
  uint64_t cpu_ns_ = 0;
  LongTurn turn_;
};

}  // namespace ursula::io
