// tests/bench/histogram.h
//
// A log-linear histogram: values up to 2^40 in buckets that are never wider than 1/1024 of their
// value, which is three significant digits. Recording is a few instructions; two of them add up.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ursula::bench {

class Histogram {
 public:
  static constexpr uint64_t kValueMax = (uint64_t{1} << 40) - 1;  // Larger values count as this.

  Histogram();

  void Record(uint64_t value);
  void Merge(const Histogram& other);

  uint64_t count() const { return count_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }  // Exact, as is max().
  uint64_t max() const { return max_; }
  double Mean() const;

  // The value that `percent` of all values do not exceed (nearest rank), rounded up to the end of
  // its bucket but not past max(). 0 when empty. REQUIRES: 0 <= percent <= 100.
  uint64_t Percentile(double percent) const;

 private:
  static constexpr int kExactBits = 11;  // Below 2^11 each value has a bucket of its own.
  static std::size_t BucketOf(uint64_t value);
  static uint64_t LastValueOf(std::size_t bucket);

  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t min_ = kValueMax;
  uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace ursula::bench
