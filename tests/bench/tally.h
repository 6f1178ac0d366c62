// tests/bench/tally.h
//
// What one kind of load on one worker has done: counts and latencies of the measured window, and
// every error of the whole run.

#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "tests/bench/histogram.h"

namespace ursula::bench {

// Load runs from start; what counts lies between measure and end. All CLOCK_MONOTONIC.
struct Window {
  uint64_t start_ns = 0;
  uint64_t measure_ns = 0;
  uint64_t end_ns = 0;
};

// Written by one worker, read by whoever shows progress.
class LiveCount {
 public:
  void Add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

class Tally {
 public:
  explicit Tally(std::string name) : name_(std::move(name)) {}

  void SetWindow(const Window& window) { window_ = window; }
  const Window& window() const { return window_; }

  // An operation that took from `from_ns` to `to_ns`. It counts when it ended in the window
  // (closed loop) …
  void Ended(uint64_t from_ns, uint64_t to_ns, uint64_t bytes) {
    live_operations_.Add();
    if (to_ns >= window_.measure_ns && to_ns < window_.end_ns) Count(from_ns, to_ns, bytes);
  }
  // … or when it was to begin in it (open loop), however late it ended.
  void EndedOfSchedule(uint64_t from_ns, uint64_t to_ns, uint64_t bytes) {
    live_operations_.Add();
    if (from_ns >= window_.measure_ns && from_ns < window_.end_ns) Count(from_ns, to_ns, bytes);
  }
  void Error(const std::string& what, uint64_t count = 1) {
    errors_[what] += count;
    live_errors_.Add(count);
  }
  // Something expected that is worth a line in the report.
  void Note(const std::string& what, uint64_t count = 1) { notes_[what] += count; }
  void Merge(const Tally& other);

  const std::string& name() const { return name_; }
  uint64_t operations() const { return latency_ns_.count(); }
  uint64_t bytes() const { return bytes_; }
  const Histogram& latency_ns() const { return latency_ns_; }
  const std::map<std::string, uint64_t>& errors() const { return errors_; }
  const std::map<std::string, uint64_t>& notes() const { return notes_; }

  uint64_t live_operations() const { return live_operations_.value(); }
  uint64_t live_errors() const { return live_errors_.value(); }

 private:
  void Count(uint64_t from_ns, uint64_t to_ns, uint64_t bytes) {
    latency_ns_.Record(to_ns > from_ns ? to_ns - from_ns : 0);
    bytes_ += bytes;
  }

  std::string name_;
  Window window_;
  Histogram latency_ns_;
  uint64_t bytes_ = 0;
  std::map<std::string, uint64_t> errors_;
  std::map<std::string, uint64_t> notes_;
  LiveCount live_operations_;
  LiveCount live_errors_;
};

// The names that errors have in reports: "status 503", "connection: Connection refused".
std::string StatusError(int status);
std::string ConnectionError(int error);

}  // namespace ursula::bench
