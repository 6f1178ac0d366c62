#include "lib/group/stamp_clock.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/support/manual_loop.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

constexpr int64_t kWall = 1'700'000'000'000;
constexpr int64_t kYearMs = int64_t{365} * 24 * 3600 * 1000;
constexpr uint64_t kNsPerMs = 1'000'000;

class StampClockTest : public ::testing::Test {
 protected:
  StampClockTest() { loop_.SetWallMs(kWall); }
  void Pass(int64_t ms) { loop_.AdvanceBy(static_cast<uint64_t>(ms) * kNsPerMs); }
  // The wall clock alone.
  void Jump(int64_t ms) { loop_.SetWallMs(loop_.wall_ms() + ms); }

  ursula::testing::ManualLoop loop_;
  StampClock clock_{&loop_};
};

TEST_F(StampClockTest, ItBeginsAtTheWallClockAndGoesWithIt) {
  EXPECT_EQ(clock_.NowMs(), kWall);
  for (int i = 1; i <= 1000; ++i) {
    Pass(7);
    EXPECT_EQ(clock_.NowMs(), kWall + 7 * i);
  }
}

TEST_F(StampClockTest, FarAheadItRunsOnAtHalfSpeed) {
  clock_.Observe(kWall + kYearMs);
  EXPECT_EQ(clock_.NowMs(), kWall + kYearMs);
  EXPECT_EQ(clock_.AheadMs(), kYearMs);
  for (int i = 0; i < 1000; ++i) {  // Half of each millisecond counts.
    Pass(1);
    clock_.NowMs();
  }
  EXPECT_EQ(clock_.NowMs(), kWall + kYearMs + 500);
}

TEST_F(StampClockTest, ALittleAheadItGoesWithTime) {
  clock_.Observe(kWall + StampClock::kAheadMaxMs);
  Pass(1000);
  EXPECT_EQ(clock_.NowMs(), kWall + StampClock::kAheadMaxMs + 1000);
}

TEST_F(StampClockTest, AWallClockThatJumpsForwardIsCaughtUpAtTwiceTheSpeed) {
  EXPECT_EQ(clock_.NowMs(), kWall);
  Jump(1000);
  Pass(400);
  EXPECT_EQ(clock_.NowMs(), kWall + 800);
  Pass(400);
  EXPECT_EQ(clock_.NowMs(), kWall + 1600);
  Pass(10'000);
  EXPECT_EQ(clock_.NowMs(), kWall + 11'800);
}

TEST_F(StampClockTest, AWallClockThatJumpsBackIsWaitedFor) {
  Pass(1000);
  EXPECT_EQ(clock_.NowMs(), kWall + 1000);
  Jump(-5000);
  Pass(1000);
  EXPECT_EQ(clock_.NowMs(), kWall + 2000);
  Jump(-60'000);
  Pass(1000);
  EXPECT_EQ(clock_.NowMs(), kWall + 2500);
}

// What a follower hears of is the leader's count until then, so none of it is counted again.
TEST_F(StampClockTest, WhatPassedBeforeAnObservedStampIsNotAddedToIt) {
  Pass(20'000);
  clock_.Observe(loop_.wall_ms() - 1);
  Pass(1);
  clock_.BeginTerm();
  EXPECT_EQ(clock_.NowMs(), loop_.wall_ms());
  Pass(5000);
  clock_.Observe(loop_.wall_ms() - 3000);  // An older one changes nothing.
  EXPECT_EQ(clock_.NowMs(), loop_.wall_ms());
}

// A follower's clock is an hour ahead: it deletes nothing by leading.
TEST_F(StampClockTest, ANewLeaderGoesOnFromWhatWasStampedWhileItFollowed) {
  clock_.Observe(kWall, true);
  Jump(3'600'000);
  Pass(5000);
  clock_.Observe(kWall + 5000, true);
  Pass(2000);
  clock_.BeginTerm();
  EXPECT_EQ(clock_.NowMs(), kWall + 7000);
  Pass(1000);
  EXPECT_EQ(clock_.NowMs(), kWall + 9000);  // It nears its own clock.
  clock_.EndTerm();
  Pass(60'000);
  clock_.BeginTerm();
  EXPECT_EQ(clock_.NowMs(), kWall + 69'000);
}

// What it was given of the past says nothing of the present.
TEST_F(StampClockTest, AfterAnothersStateATermBeginsAtTheWallClockIfThatIsLater) {
  clock_.Observe(kWall, true);
  Pass(3'600'000);
  clock_.Restart(kWall);
  clock_.Forget();
  Pass(1000);
  clock_.BeginTerm();
  EXPECT_EQ(clock_.NowMs(), loop_.wall_ms());
}

TEST_F(StampClockTest, ATermBeginsAtTheWallClockIfThatIsLater) {
  EXPECT_EQ(clock_.NowMs(), kWall);
  Jump(kYearMs);  // A week switched off, or a year.
  clock_.BeginTerm();
  EXPECT_EQ(clock_.NowMs(), kWall + kYearMs);
}

// ---- of a whole replica ------------------------------------------------------------------------

// To the wall clock; what it moved by.
int64_t StepNow(GroupWorld* world) {
  std::optional<int64_t> moved;
  world->replica().StepClock([&](Result<int64_t> step) { moved = step.ok() ? *step : -1; });
  EXPECT_TRUE(world->RunUntil([&] { return moved.has_value(); }));
  return moved.value_or(-1);
}

TEST(GroupClockTest, AStampFarAheadFreezesNothingAndAStepSetsItRight) {
  GroupWorld world;
  ASSERT_TRUE(world.Open().ok());
  auto set_wall = [&](int64_t ms) { world.runtime().manual_loop(CoreId{0}).SetWallMs(ms); };
  const int64_t right = world.loop().wall_ms();
  set_wall(right + kYearMs);
  EXPECT_GT(StepNow(&world), kYearMs / 2);
  set_wall(right);
  ASSERT_TRUE(world.CreateNow("s"));
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  set_wall(right);
  const int64_t before = world.replica().NowMs();
  EXPECT_GT(world.replica().ClockAheadMs(), kYearMs / 2);
  world.runtime().AdvanceBy(10'000 * kNsPerMs);
  EXPECT_GE(world.replica().NowMs(), before + 4900);
  EXPECT_TRUE(
      world.Logged("s ahead of this node's clock: deadlines come late; when the clock is "
                   "right, step the groups' time to it (docs/OPERATING.md, Clocks)"));

  std::optional<int64_t> moved;
  world.replica().StepClock([&](Result<int64_t> step) { moved = step.ok() ? *step : 1; });
  // Stamped after the step, though it isn't applied yet.
  Asked append = world.Append("s", "x");
  EXPECT_TRUE(world.RunUntil([&] { return moved && append->reply; }));
  EXPECT_LT(*moved, -kYearMs / 2);
  EXPECT_LT(world.replica().ClockAheadMs(), 1000);
  EXPECT_LT(world.replica().machine().now_ms(), right + kYearMs / 2);
  // And stays right over a restart, which applies the far stamps again.
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  set_wall(right + 60'000);
  EXPECT_LT(world.replica().ClockAheadMs(), 1000);
  ASSERT_TRUE(world.CreateNow("t"));
  EXPECT_LT(world.replica().machine().now_ms(), right + kYearMs / 2);
  world.runtime().AdvanceBy(10'000 * kNsPerMs);
  EXPECT_FALSE(world.Logged("ahead of this node's clock"));
  EXPECT_TRUE(world.Stop());
}

TEST(GroupClockTest, SlidingLifetimesMoveWithTheStepAndFixedOnesStay) {
  stream::Machine machine(GroupId{0});
  auto create = [&](uint64_t index, const char* name, Lifetime lifetime) {
    stream::CreateStream body;
    body.id = {kUpstreamBucket, "", name};
    body.lifetime = lifetime;
    machine.Apply(Index{index}, {kYearMs, body});
    return stream::Incarnation{index};
  };
  Lifetime sliding, fixed;
  sliding.ttl_seconds = 60;
  fixed.expires_at_ms = kYearMs + 90'000;
  stream::Incarnation a = create(1, "a", sliding);
  stream::Incarnation b = create(2, "b", fixed);
  machine.Apply(Index{3}, {kYearMs + 1000, stream::StepClock{-kYearMs}});
  EXPECT_EQ(machine.now_ms(), 1000);
  EXPECT_EQ(*machine.FindIncarnation(a).deadline_ms, 60'000);
  EXPECT_EQ(*machine.FindIncarnation(b).deadline_ms, kYearMs + 90'000);
}

}  // namespace
}  // namespace ursula::group
