#include "lib/engine/sync_window.h"

#include <gtest/gtest.h>

namespace ursula::engine {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(SyncWindowTest, WhatCameLongAgoDoesNotCount) {
  SyncWindow window;
  Histogram total;
  for (uint64_t second = 1; second <= 60; ++second) {
    for (int i = 0; i < 10; ++i) total.Add(second <= 30 ? 100'000 : 100);
    for (uint64_t tick = 0; tick < 10; ++tick) {
      window.Note(total, second * kSecond + tick * kSecond / 10);
    }
    const Histogram recent = window.Recent();
    EXPECT_LE(recent.count, 110u);
    if (second > 11) {
      EXPECT_GE(recent.count, 100u);
    }
    if (second > 1 && second < 30) {
      EXPECT_GT(MedianOf(recent), 90'000u) << second;
    }
    if (second > 41) {
      EXPECT_EQ(recent.sum, 100 * recent.count) << second;
      EXPECT_LT(MedianOf(recent), 128u) << second;
    }
  }
  // Nothing more comes: then nothing is known.
  window.Note(total, 100 * kSecond);
  window.Note(total, 120 * kSecond);
  EXPECT_EQ(window.Recent().count, 0u);
}

TEST(SyncWindowTest, AMedianIsOfEnoughAndBetweenTheBoundsOfItsBucket) {
  Histogram values;
  for (uint64_t i = 0; i < kMedianCountMin; ++i) {
    EXPECT_EQ(MedianOf(values), 0u);
    values.Add(10'000);
  }
  EXPECT_GT(MedianOf(values), 8192u);
  EXPECT_LE(MedianOf(values), 12'288u);
  for (uint64_t i = 0; i < 10 * kMedianCountMin; ++i) values.Add(1);
  EXPECT_GT(MedianOf(values), 0u);
  EXPECT_LE(MedianOf(values), 16u);
  for (uint64_t i = 0; i < 100 * kMedianCountMin; ++i) values.Add(UINT64_MAX / 1'000'000);
  EXPECT_GT(MedianOf(values), 500'000u);
}

}  // namespace
}  // namespace ursula::engine
