// server/http/counters.h
//
// What a core's HTTP side counts. One core writes, any thread reads: relaxed atomics. SharedUse is
// what all cores draw on together.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ursula/stats.h"

namespace ursula::http {

class Counter {
 public:
  void Add(uint64_t n = 1) { value_.store(Get() + n, std::memory_order_relaxed); }
  void Subtract(uint64_t n = 1) { value_.store(Get() - n, std::memory_order_relaxed); }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

class HistogramCounter {
 public:
  void Add(uint64_t value) {
    counts_[static_cast<std::size_t>(Histogram::BucketOf(value))].Add();
    sum_.Add(value);
  }
  Histogram Get() const {
    Histogram histogram;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      histogram.counts[i] = counts_[i].Get();
      histogram.count += histogram.counts[i];
    }
    histogram.sum = sum_.Get();
    return histogram;
  }

 private:
  std::array<Counter, Histogram::kBuckets> counts_;
  Counter sum_;
};

enum class Refusal : uint8_t {
  kConnections,  // connections_max
  kBodyBudget,   // inflight_body_bytes_max
  kBodyTooLarge,
  kHeadTooLarge,  // Request line or headers.
  kMalformed,
  kTimeout,
  kSlowReader,  // Took nothing of an answer for too long.
  kHead,        // Its head said enough: the body wasn't read.
  kCount,
};
inline constexpr std::array<const char*, static_cast<std::size_t>(Refusal::kCount)> kRefusalNames =
    {"connections", "body_budget", "body_too_large", "head_too_large",
     "malformed",   "timeout",     "slow_reader",    "unread_body"};

struct CoreCounters {
  Counter connections_accepted;
  Counter connections_open;
  Counter connections_moved;  // Here, from other cores.
  Counter accept_failures;
  Counter requests;
  Counter requests_open;
  std::array<Counter, 6> responses;  // By the status's first digit.
  Counter received_bytes;
  Counter sent_bytes;
  std::array<Counter, static_cast<std::size_t>(Refusal::kCount)> refused;
  Counter subscribers_open;
  Counter frames_encoded;  // SSE frames made, and sent without making them again.
  Counter frames_shared;
  Counter page_hits;  // Pages given out again, and made.
  Counter page_misses;
  Counter page_evictions;
  Counter page_bytes;           // That are kept now.
  HistogramCounter request_us;  // From the whole request to the whole answer handed over.
  HistogramCounter
      delivery_us;  // From the data's arrival to an SSE frame's hand-over to the kernel.
};

struct HttpStats {
  uint64_t connections_accepted = 0;
  uint64_t connections_open = 0;
  uint64_t connections_moved = 0;  // Between cores.
  uint64_t accept_failures = 0;
  uint64_t requests = 0;
  uint64_t requests_open = 0;
  std::array<uint64_t, 6> responses = {};
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  std::array<uint64_t, static_cast<std::size_t>(Refusal::kCount)> refused = {};
  uint64_t subscribers_open = 0;
  uint64_t frames_encoded = 0;
  uint64_t frames_shared = 0;
  uint64_t page_hits = 0;
  uint64_t page_misses = 0;
  uint64_t page_evictions = 0;
  uint64_t page_bytes = 0;
  uint64_t body_bytes = 0;  // Of request bodies in memory now.
  Histogram request_us = {};
  Histogram delivery_us = {};

  void Merge(const CoreCounters& core);
};

// Limits of the whole server, drawn on by every core.
struct SharedUse {
  std::atomic<uint64_t> body_bytes = 0;
  std::atomic<uint32_t> connections = 0;

  // False: `most` would be passed, and nothing was taken.
  template <class T>
  static bool Take(std::atomic<T>* use, T n, T most) {
    T now = use->load(std::memory_order_relaxed);
    do {
      if (n > most || now > most - n) return false;
    } while (!use->compare_exchange_weak(now, now + n, std::memory_order_relaxed));
    return true;
  }
  template <class T>
  static void Give(std::atomic<T>* use, T n) {
    use->fetch_sub(n, std::memory_order_relaxed);
  }
};

}  // namespace ursula::http
