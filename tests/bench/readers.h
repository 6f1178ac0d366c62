// tests/bench/readers.h
//
// SSE readers at the tail of streams. Time to delivery comes from the stamp in each payload.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/driver.h"
#include "tests/bench/loop.h"
#include "tests/bench/request.h"

namespace ursula::bench {

struct ReaderPlan {
  Names names;
  std::string name = "deliver";
  uint32_t streams = 1;  // Reader i reads stream i mod streams.
  uint32_t readers = 0;
  // Further servers: every reader after the first of so many and one is at one of these.
  const std::vector<Address>* servers = nullptr;
  uint32_t payload_bytes = 0;
  double rate =
      0;  // Of the one writer of the one stream: each reader gets every message. 0: unknown.
  bool slow = false;  // Nothing is read before the window ends.
  uint32_t worker = 0;
  uint32_t worker_count = 1;
};

std::unique_ptr<Driver> NewReaderDriver(Loop* loop, ReaderPlan plan);

// How many operations are due in [start, end) at `rate` a second, the first at start.
uint64_t CountDue(const Window& window, double rate);

}  // namespace ursula::bench
