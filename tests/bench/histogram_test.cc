#include "tests/bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "lib/base/random.h"

namespace ursula::bench {
namespace {

uint64_t NearestRank(const std::vector<uint64_t>& sorted, double percent) {
  auto rank =
      static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

TEST(HistogramTest, IsEmptyAtFirst) {
  Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.Percentile(99), 0u);
  EXPECT_EQ(histogram.Mean(), 0);
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram histogram;
  for (uint64_t value = 0; value < 2048; ++value) histogram.Record(value);
  for (uint64_t value = 0; value < 2048; ++value) {
    double percent = 100.0 * static_cast<double>(value + 1) / 2048;
    EXPECT_EQ(histogram.Percentile(percent), value);
  }
  EXPECT_EQ(histogram.Mean(), 1023.5);
}

TEST(HistogramTest, EveryValueKeepsThreeDigits) {
  Random random(1);
  for (int bits = 11; bits <= 40; ++bits) {
    for (int i = 0; i < 200; ++i) {
      uint64_t value = (uint64_t{1} << (bits - 1)) + random.Below(uint64_t{1} << (bits - 1));
      Histogram histogram;
      histogram.Record(value);
      histogram.Record(Histogram::kValueMax);  // max() would else hide how wide a bucket is.
      uint64_t seen = histogram.Percentile(50);
      ASSERT_GE(seen, value);
      ASSERT_LE(static_cast<double>(seen - value), static_cast<double>(value) / 1024) << value;
    }
  }
}

TEST(HistogramTest, PercentilesAreThoseOfTheSortedValues) {
  Random random(2);
  std::vector<uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 20'000; ++i) {
    uint64_t value = random.Next() >> (24 + random.Below(40));
    values.push_back(value);
    histogram.Record(value);
  }
  std::sort(values.begin(), values.end());
  for (double percent : {0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    uint64_t exact = NearestRank(values, percent);
    uint64_t seen = histogram.Percentile(percent);
    EXPECT_GE(seen, exact) << percent;
    EXPECT_LE(static_cast<double>(seen - exact), static_cast<double>(exact) / 1024) << percent;
  }
  EXPECT_EQ(histogram.min(), values.front());
  EXPECT_EQ(histogram.max(), values.back());
  EXPECT_EQ(histogram.Percentile(100), values.back());
}

TEST(HistogramTest, MergedHistogramsCountWhatBothDid) {
  Random random(3);
  Histogram parts[2];
  Histogram whole;
  for (int i = 0; i < 5000; ++i) {
    uint64_t value = random.Below(uint64_t{1} << 34);
    parts[i % 2].Record(value);
    whole.Record(value);
  }
  parts[0].Merge(parts[1]);
  EXPECT_EQ(parts[0].count(), whole.count());
  EXPECT_EQ(parts[0].min(), whole.min());
  EXPECT_EQ(parts[0].max(), whole.max());
  EXPECT_DOUBLE_EQ(parts[0].Mean(), whole.Mean());
  for (double percent = 0; percent <= 100; percent += 0.5) {
    ASSERT_EQ(parts[0].Percentile(percent), whole.Percentile(percent));
  }
}

TEST(HistogramTest, ValuesPastTheLimitCountAsTheLimit) {
  Histogram histogram;
  histogram.Record(UINT64_MAX);
  EXPECT_EQ(histogram.max(), Histogram::kValueMax);
  EXPECT_EQ(histogram.Percentile(50), Histogram::kValueMax);
}

}  // namespace
}  // namespace ursula::bench
