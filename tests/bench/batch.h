// tests/bench/batch.h
//
// POST of batches: many small appends to many streams in each request, the next one when all of the
// last are answered. Every item counts as an operation, which took as long as its request.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tests/bench/driver.h"
#include "tests/bench/loop.h"
#include "tests/bench/request.h"

namespace ursula::bench {

struct BatchPlan {
  Names names;
  uint32_t streams = 64;
  uint32_t connections = 1;
  uint32_t items = 100;  // Of each request; over the streams in turn.
  uint32_t payload_bytes = 256;
  std::string content_type;
  uint32_t worker = 0;
  uint32_t worker_count = 1;
};

// The bytes of a request whose items go to the streams `first`, `first` + 1 … of `streams`.
// REQUIRES: the paths of `names` are below /v1/stream/, or in a bucket.
std::string BatchRequest(const Names& names, uint64_t first, uint32_t streams, uint32_t items,
                         std::string_view content_type, std::string_view payload);

std::unique_ptr<Driver> NewBatchDriver(Loop* loop, BatchPlan plan);

}  // namespace ursula::bench
