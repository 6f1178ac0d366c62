// tests/bench/driver.h
//
// A Driver makes one kind of load on one worker: its thread, its loop. A stage of a run first lets
// all drivers set up, then starts them together, then waits until each is done.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/tally.h"

namespace ursula::bench {

constexpr uint64_t kNever = UINT64_MAX;

class Driver {
 public:
  explicit Driver(std::string name) : tally_(std::move(name)) {}
  virtual ~Driver() = default;

  virtual void SetUp() = 0;                      // Begin to get ready: connections, subscriptions.
  virtual bool ready() const = 0;                // It is, or it never will be (see the errors).
  virtual void Start(const Window& window) = 0;  // REQUIRES: ready().
  // What is due; when to come again at the latest.
  virtual uint64_t OnTime(uint64_t now_ns) = 0;
  virtual bool done() const = 0;  // Nothing is under way after the window.
  // Past done, or past all patience: counts what is missing, lets go of the connections.
  virtual void Finish() = 0;

  const Tally& tally() const { return tally_; }

 protected:
  Tally tally_;
};

}  // namespace ursula::bench
