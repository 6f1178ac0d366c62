// server/recovery_report.h
//
// RecoveryReport logs how far an opening is, every few seconds while it lasts. Its timer runs on a
// core, which recovery leaves free.

#pragma once

#include <cstdint>

#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "ursula/opening.h"

namespace ursula::server {

class RecoveryReport {
 public:
  static constexpr uint64_t kIntervalMs = 3000;

  // Both outlive it, or the loop no longer turns.
  RecoveryReport(io::Loop* loop, const Opening* opening) : loop_(*loop), opening_(*opening) {
    timer_.Then<&RecoveryReport::OnTime>(this);
  }

  // From no core. Stop blocks until no line comes any more; nothing, if it wasn't started.
  void Start();
  void Stop();

 private:
  void OnTime();
  void Again() { loop_.StartTimer(&timer_, loop_.now_ns() + kIntervalMs * 1'000'000); }

  io::Loop& loop_;
  const Opening& opening_;
  io::Timer timer_;
};

}  // namespace ursula::server
