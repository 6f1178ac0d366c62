// tests/bench/append.h
//
// POST of small payloads, closed loop (the next when the last is answered) or open (on a schedule
// that does not wait for answers; latency counts from when each was due).

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/bench/driver.h"
#include "tests/bench/loop.h"
#include "tests/bench/request.h"

namespace ursula::bench {

struct AppendPlan {
  Names names;
  uint32_t streams = 1;
  uint32_t connections = 1;
  uint32_t payload_bytes = 256;
  std::string content_type;
  double rate = 0;  // A second, of all workers together; 0: closed loop.
  bool producers = false;
  bool stamped = false;    // Payloads say when they were due.
  uint64_t count_max = 0;  // Of each connection; 0: until the window ends.
  bool each_once = false;  // One append to each stream, then it is done.
  uint32_t worker = 0;
  uint32_t worker_count = 1;
  std::string run_id;
};

std::unique_ptr<Driver> NewAppendDriver(Loop* loop, AppendPlan plan);

}  // namespace ursula::bench
