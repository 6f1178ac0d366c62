// server/http/body_pace.h
//
// BodyPace says how long a connection waits for the rest of a request's body: for each pause, for
// what every stretch of time must bring, and for the whole. A limit of pauses alone would let a
// client keep a connection, and the memory of what it has sent, with a byte now and then.

#pragma once

#include <cstdint>

namespace ursula::http {

class BodyPace {
 public:
  struct Limits {
    uint64_t pause_ms = 0;              // Also the length of a stretch.
    uint64_t bytes_per_second_min = 0;  // On average over each stretch. 0: none.
    uint64_t total_ms = 0;
  };

  explicit BodyPace(const Limits& limits) : limits_(limits) {}

  void Start(uint64_t now_ns);  // The head is complete.
  void End() { running_ = false; }
  bool running() const { return running_; }

  // ---- REQUIRES: running() ----
  void Advance(uint64_t now_ns, uint64_t body_bytes);  // That many have come since Start.
  uint64_t deadline_ns() const;                        // When to ask IsTooSlow.
  // False: a new stretch has begun, and deadline_ns() has moved.
  bool IsTooSlow(uint64_t now_ns);

 private:
  Limits limits_;
  bool running_ = false;
  uint64_t body_bytes_ = 0;
  uint64_t stretch_bytes_ = 0;  // body_bytes_ when the stretch began.
  uint64_t start_ns_ = 0;
  uint64_t stretch_start_ns_ = 0;
  uint64_t last_bytes_ns_ = 0;
};

}  // namespace ursula::http
