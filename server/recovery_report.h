// server/recovery_report.h
//
// RecoveryReport tells how far an opening is, every few seconds while it lasts: the log, and the
// service manager, of which it asks for more time as long as recovery gets on, or waits for peers
// to found a cluster or to take this node in again. Its timer runs on a core, which recovery leaves
// free.

#pragma once

#include <cstdint>
#include <string>

#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "server/service_manager.h"
#include "ursula/engine.h"

namespace ursula::server {

class RecoveryReport {
 public:
  static constexpr uint64_t kIntervalMs = 3000;
  static constexpr uint64_t kPatienceMs = 60'000;  // For one file or group.

  // They outlive it, or the loop no longer turns.
  RecoveryReport(io::Loop* loop, const Opening* opening, const ServiceManager* manager)
      : loop_(*loop), opening_(*opening), manager_(*manager) {
    timer_.Then<&RecoveryReport::OnTime>(this);
  }

  // From no core. Stop blocks until no line comes any more; nothing, if it wasn't started.
  void Start();
  void Stop();

 private:
  void OnTime();
  void TellManager(const std::string& text, const OpeningProgress& progress);
  void Again() { loop_.StartTimer(&timer_, loop_.now_ns() + kIntervalMs * 1'000'000); }

  io::Loop& loop_;
  const Opening& opening_;
  const ServiceManager& manager_;
  OpeningProgress told_;
  io::Timer timer_;
};

}  // namespace ursula::server
