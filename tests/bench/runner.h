// tests/bench/runner.h
//
// Runs a workload: stages one after the other, each on all workers at once.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/driver.h"
#include "tests/bench/loop.h"
#include "tests/bench/options.h"
#include "tests/bench/tally.h"
#include "tests/bench/usage.h"

namespace ursula::bench {

using Drivers = std::vector<std::unique_ptr<Driver>>;

struct Stage {
  std::string name;
  bool measured = false;  // Else only its errors are reported.
  bool timed = false;     // Warm-up, then the measured window; else until everything is done.
  double warmup_s = 0;
  double duration_s = 0;
  // This worker's drivers. Each worker makes drivers of the same names in the same order.
  std::function<Drivers(Loop* loop, uint32_t worker)> make;
};

struct StageResult {
  std::string name;
  bool measured = false;
  bool timed = false;
  double seconds = 0;  // Of the window; of an untimed stage from its start to the last answer.
  std::vector<Tally*> tallies = {};  // One for each kind of driver, all workers added up.
  Usage before = {};                 // Before the stage set up.
  Usage begin = {};                  // Of the window.
  Usage end = {};
};

class Runner {
 public:
  // `options` is borrowed.
  Runner(const Options* options, const Address& server);
  ~Runner();

  // False: it could not even begin; see error(). Errors of the load are in the results.
  bool Run(std::vector<Stage> stages);
  const std::string& error() const { return error_; }
  const std::vector<StageResult>& results() const { return results_; }

 private:
  struct Shared;  // Between this thread and the workers'.

  void RunWorker(uint32_t worker);
  bool Await(std::size_t stage, const char* what, bool started);
  void ShowProgress(const Stage& stage, const char* what);
  bool RunStage(std::size_t index);
  void Collect(std::size_t stage, StageResult* result);

  const Options* const options_;
  const Address server_;
  std::vector<Stage> stages_;
  std::string error_;
  std::vector<StageResult> results_;
  std::vector<std::unique_ptr<Tally>> merged_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace ursula::bench
