#include "tests/bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace ursula::bench {
namespace {

constexpr std::size_t kExact = std::size_t{1} << 11;
constexpr std::size_t kHalf = kExact / 2;  // Buckets for each further power of two.

}  // namespace

Histogram::Histogram() : buckets_(BucketOf(kValueMax) + 1) {}

std::size_t Histogram::BucketOf(uint64_t value) {
  if (value < kExact) return static_cast<std::size_t>(value);
  auto shift = static_cast<int>(std::bit_width(value)) - kExactBits;
  auto within = static_cast<std::size_t>(value >> shift) - kHalf;
  return kExact + static_cast<std::size_t>(shift - 1) * kHalf + within;
}

uint64_t Histogram::LastValueOf(std::size_t bucket) {
  if (bucket < kExact) return bucket;
  std::size_t above = bucket - kExact;
  auto shift = static_cast<int>(above / kHalf) + 1;
  return ((uint64_t{above % kHalf + kHalf + 1}) << shift) - 1;
}

void Histogram::Record(uint64_t value) {
  value = std::min(value, kValueMax);
  ++buckets_[BucketOf(value)];
  ++count_;
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

void Histogram::Merge(const Histogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

double Histogram::Mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

uint64_t Histogram::Percentile(double percent) const {
  if (count_ == 0) return 0;
  auto rank = static_cast<uint64_t>(std::ceil(percent / 100 * static_cast<double>(count_)));
  rank = std::clamp<uint64_t>(rank, 1, count_);
  uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(LastValueOf(i), max_);
  }
  return max_;
}

}  // namespace ursula::bench
