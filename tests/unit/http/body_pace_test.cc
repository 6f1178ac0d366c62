#include "server/http/body_pace.h"

#include <gtest/gtest.h>

namespace ursula::http {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr BodyPace::Limits kLimits = {
    .pause_ms = 1000, .bytes_per_second_min = 100, .total_ms = 10'000};

TEST(BodyPaceTest, PauseIsCountedFromTheLastBytes) {
  BodyPace pace(kLimits);
  pace.Start(5 * kMs);
  EXPECT_EQ(pace.deadline_ns(), 1005 * kMs);
  pace.Advance(400 * kMs, 200);
  ASSERT_FALSE(pace.IsTooSlow(1005 * kMs));
  EXPECT_EQ(pace.deadline_ns(), 1400 * kMs);
  pace.Advance(1399 * kMs, 200);  // No new bytes.
  EXPECT_TRUE(pace.IsTooSlow(1400 * kMs));
}

TEST(BodyPaceTest, EachStretchMustBringItsShareWhateverCameBefore) {
  BodyPace pace(kLimits);
  pace.Start(0);
  pace.Advance(1 * kMs, 1'000'000);
  pace.Advance(999 * kMs, 1'000'001);
  ASSERT_FALSE(pace.IsTooSlow(1000 * kMs));
  pace.Advance(1500 * kMs, 1'000'100);
  EXPECT_TRUE(pace.IsTooSlow(2000 * kMs));  // 99 bytes.

  pace.Start(0);
  pace.Advance(999 * kMs, 100);
  ASSERT_FALSE(pace.IsTooSlow(1000 * kMs));
  pace.Advance(1999 * kMs, 200);
  EXPECT_FALSE(pace.IsTooSlow(2000 * kMs));
}

TEST(BodyPaceTest, LateTimerAsksForMoreNotForTheSame) {
  BodyPace pace(kLimits);
  pace.Start(0);
  pace.Advance(1900 * kMs, 199);
  EXPECT_TRUE(pace.IsTooSlow(2000 * kMs));
}

TEST(BodyPaceTest, WholeEndsWhateverTheRate) {
  BodyPace pace(kLimits);
  pace.Start(0);
  for (uint64_t second = 1; second < 10; ++second) {
    pace.Advance((second * 1000 - 1) * kMs, second * 1000);
    ASSERT_FALSE(pace.IsTooSlow(second * 1000 * kMs));
  }
  pace.Advance(9'999 * kMs, 10'000);
  EXPECT_EQ(pace.deadline_ns(), 10'000 * kMs);
  EXPECT_TRUE(pace.IsTooSlow(10'000 * kMs));
}

TEST(BodyPaceTest, NoMinimumLeavesPausesAndTheWhole) {
  BodyPace pace({.pause_ms = 1000, .bytes_per_second_min = 0, .total_ms = 5000});
  pace.Start(0);
  for (uint64_t i = 1; i < 5; ++i) {
    pace.Advance((i * 1000 - 1) * kMs, i);
    ASSERT_FALSE(pace.IsTooSlow(i * 1000 * kMs));
  }
  EXPECT_TRUE(pace.IsTooSlow(5000 * kMs));
}

}  // namespace
}  // namespace ursula::http
