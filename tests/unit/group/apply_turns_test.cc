// How much is applied in a turn: of the replicas of one core together, and of one group.

#include "lib/group/apply_turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "tests/support/manual_loop.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

class ApplyTurnsTest : public ::testing::Test {
 protected:
  struct Applier final : ApplyTurns::Waiter {
    explicit Applier(std::function<void()> what) : then(std::move(what)) {}
    void OnApplyTurn() override { then(); }
    std::function<void()> then;
  };

  // One with so many pages, of half a turn each.
  Applier& Begin(char name, int pages) {
    auto& one = appliers_.emplace_back(std::make_unique<Applier>([] {}));
    one->then = [this, name, pages, self = one.get()]() mutable {
      while (pages > 0 && turns_.MayApply()) {
        --pages;
        Page(name);
      }
      if (pages > 0) turns_.Wait(self);
    };
    one->then();
    return *one;
  }
  void Page(char name) {
    turns_.Applied(1, ApplyTurns::kTurnCost / 2 - ApplyTurns::kEntryCost);
    applied_ += name;
  }
  std::string Turn() {
    applied_.clear();
    ++loop_.clock().now_ns;  // As it does between any two turns.
    loop_.RunTurn();
    return applied_;
  }

  testing::ManualLoop loop_;
  ApplyTurns turns_{&loop_};
  std::string applied_;
  std::vector<std::unique_ptr<Applier>> appliers_;
};

TEST_F(ApplyTurnsTest, ATurnHasRoomForSomeAndTheNextForMore) {
  Begin('a', 5);
  EXPECT_EQ(applied_, "aa");
  EXPECT_EQ(Turn(), "aa");
  EXPECT_EQ(Turn(), "a");
  EXPECT_EQ(Turn(), "");
  EXPECT_TRUE(turns_.MayApply());
}

TEST_F(ApplyTurnsTest, ThoseThatWaitTakeTurns) {
  Begin('a', 6);
  Begin('b', 4);
  Begin('c', 1);
  applied_.clear();
  std::string all;
  for (int i = 0; i < 12; ++i) all += Turn();
  EXPECT_EQ(all, "aabbcabba");
}

// However much is applied meanwhile by those that don't wait.
TEST_F(ApplyTurnsTest, WhoWaitsIsCalled) {
  Begin('a', 6);
  std::string all;
  for (int i = 0; i < 8; ++i) {
    loop_.At(loop_.now_ns() + 1, [this] {  // Before timers.
      for (int page = 0; page < 100 && turns_.MayApply(); ++page) Page('x');
    });
    all += Turn();
  }
  EXPECT_EQ(std::ranges::count(all, 'a'), 4);
}

TEST_F(ApplyTurnsTest, SmallEntriesCostWhatTheyTake) {
  turns_.Applied(ApplyTurns::kTurnCost / ApplyTurns::kEntryCost - 1, 0);
  EXPECT_TRUE(turns_.MayApply());
  turns_.Applied(1, 0);
  EXPECT_FALSE(turns_.MayApply());
  ++loop_.clock().now_ns;
  EXPECT_TRUE(turns_.MayApply());
}

TEST_F(ApplyTurnsTest, AWaitMayEndUntold) {
  Begin('a', 3);
  Begin('b', 4).StopWaiting();
  appliers_[0].reset();
  std::string all;
  for (int i = 0; i < 4; ++i) all += Turn();
  EXPECT_EQ(all, "");
}

// ---- groups ------------------------------------------------------------------------------------

// A page is one entry, or two; and a turn has room for one page.
WorldOptions Slowly() {
  WorldOptions options;
  options.apply_page_bytes = 200;
  options.apply_turn_cost = 1;
  return options;
}

TEST(SlowApplyTest, AStartAppliesItsLogOverManyTurnsAndOfEachGroupSome) {
  GroupWorld world;
  world.options = Slowly();
  world.options.groups = 2;
  ASSERT_TRUE(world.Open().ok());
  std::string all;
  for (uint32_t group : {0, 1}) {
    ASSERT_TRUE(world.Finish(world.Create("s", {}, group)));
  }
  for (int i = 0; i < 100; ++i) {
    const std::string bytes = std::to_string(i) + std::string(100, 'x');
    all += bytes;
    for (uint32_t group : {0, 1}) ASSERT_TRUE(world.Finish(world.Append("s", bytes, group)));
  }
  world.Crash();
  ASSERT_TRUE(world.Begin().ok());
  uint64_t steps = 0;
  uint64_t longest = 0;
  uint64_t apart = 0;
  std::vector<uint64_t> before(2);
  ASSERT_TRUE(world.RunUntil([&] {
    for (uint32_t group : {0, 1}) {
      // Before the log has begun there is no replica.
      if (world.started() || world.budget().stats.entries_applied == 0) continue;
      const uint64_t applied = Raw(world.replica(group).applied());
      longest = std::max(longest, applied - before[group]);
      if (applied > before[group]) ++steps;
      before[group] = applied;
    }
    apart = std::max(apart, std::max(before[0], before[1]) - std::min(before[0], before[1]));
    return world.started();
  }));
  ASSERT_TRUE(world.start_status().ok());
  EXPECT_GE(steps, 100u);
  EXPECT_LE(longest, 4u);
  EXPECT_LE(apart, 8u);
  for (uint32_t group : {0, 1}) EXPECT_EQ(world.Content("s", group), all);
  EXPECT_TRUE(world.Stop());
}

TEST(SlowApplyTest, AStopDoesNotWaitForAllOfIt) {
  GroupWorld world;
  world.options = Slowly();
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(world.AppendNow("s", std::string(100, 'x')));
  world.Crash();
  ASSERT_TRUE(world.Begin().ok());
  ASSERT_TRUE(world.RunUntil([&] { return world.budget().stats.entries_applied > 10; }));
  ASSERT_FALSE(world.started());
  ASSERT_TRUE(world.Stop());
  EXPECT_LT(world.budget().stats.entries_applied, 20u);
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Content("s").size(), 100u * 100);
}

}  // namespace
}  // namespace ursula::group
