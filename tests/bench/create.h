// tests/bench/create.h
//
// PUT of numbered streams, each once.

#pragma once

#include <memory>
#include <string>

#include "tests/bench/driver.h"
#include "tests/bench/loop.h"
#include "tests/bench/request.h"

namespace ursula::bench {

struct CreatePlan {
  Names names;
  uint32_t streams = 0;
  uint32_t connections = 0;
  std::string content_type;
  uint32_t worker = 0;
  uint32_t worker_count = 1;
};

std::unique_ptr<Driver> NewCreateDriver(Loop* loop, CreatePlan plan);

}  // namespace ursula::bench
