// tests/bench/replay.h
//
// Clients that read a whole log from its beginning, again and again.

#pragma once

#include <cstdint>
#include <memory>

#include "tests/bench/driver.h"
#include "tests/bench/loop.h"
#include "tests/bench/request.h"

namespace ursula::bench {

struct ReplayPlan {
  Names names;  // Stream 0 is the log.
  uint32_t clients = 0;
  uint64_t log_bytes = 0;  // 0: not known beforehand, but the same for all.
  bool gzip = false;       // Asked for, and each answer must be.
  bool reconnect = false;
  uint32_t rounds = 0;  // Of each client; 0: until the window ends.
  uint32_t worker = 0;
  uint32_t worker_count = 1;
};

std::unique_ptr<Driver> NewReplayDriver(Loop* loop, ReplayPlan plan);

}  // namespace ursula::bench
