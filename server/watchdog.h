// server/watchdog.h
//
// Watchdog tells the service manager that every core turns. Each round asks every core to answer
// from its own loop; only when all have, WATCHDOG=1 is sent and the next round begins. So a core
// that hangs, the one with the timer too, is heard of by silence, and a manager that restarts what
// falls silent does so for what clients would notice.

#pragma once

#include <atomic>
#include <cstdint>

#include "lib/io/runtime.h"
#include "lib/io/timer.h"
#include "server/service_manager.h"

namespace ursula::server {

class Watchdog {
 public:
  // Both outlive it; it outlives the loops' last turn.
  Watchdog(io::LoopRuntime* runtime, const ServiceManager* manager);

  // From no core, each once. Nothing, if the manager doesn't ask for it.
  void Start();
  void Stop();  // Blocks until nothing is told any more.

 private:
  static constexpr uint64_t kTellsPerInterval = 4;

  void OnTime();
  void BeginRound();

  io::LoopRuntime& runtime_;
  const ServiceManager& manager_;
  const uint64_t interval_ns_;
  std::atomic<uint32_t> missing_ = 0;  // Cores that have not answered yet.
  io::Timer timer_;
};

}  // namespace ursula::server
