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
#include "tests/unit/group/behind_world.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kSlowTurnNs = 200'000;

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
    loop_.Post([this] {
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
  loop_.RunTurn();
  EXPECT_TRUE(turns_.MayApply());
}

TEST_F(ApplyTurnsTest, AWaitMayEndUntold) {
  Begin('a', 3);
  Begin('b', 4).StopWaiting();
  appliers_[0].reset();
  for (int i = 0; i < 4; ++i) Turn();
  EXPECT_EQ(applied_, "");
}

// ---- groups ------------------------------------------------------------------------------------

// A page is one entry, or two; and a turn has room for one page.
WorldOptions Slowly() {
  WorldOptions options = KeepsNothing();
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

// Three, of which one is slow: it has a turn every now and then.
class SlowOneTest : public ::testing::Test {
 protected:
  void SetUp() override {
    slow_ = world_.away;
    third_ = 6 - world_.leader - slow_;
  }
  Replica& slow() { return cluster().replica(slow_); }
  Replica& leader() { return cluster().replica(world_.leader); }
  ClusterWorld& cluster() { return world_.cluster; }

  template <class Condition>
  bool RunUntil(Condition condition, uint64_t ns = 10 * kSecond) {
    uint64_t until_ns = 0;
    bool had = true;
    return cluster().RunUntil(
        [&] {
          if (condition()) return true;
          if (cluster().now_ns() < until_ns || !std::exchange(had, !had)) return false;
          until_ns = cluster().now_ns() + kSlowTurnNs;
          cluster().Pause(slow_, kSlowTurnNs);
          return false;
        },
        ns);
  }
  // Appends at its leader, at once; the slow one has them in its log, and that they are committed.
  std::vector<Asked> FallBehind(int appends = 300) {
    std::vector<Asked> asked;
    for (int i = 0; i < appends; ++i) {
      world_.all += std::string(100, 'x');
      asked.push_back(cluster().node(world_.leader).Append("s", std::string(100, 'x')));
    }
    EXPECT_TRUE(
        RunUntil([&] { return asked.back()->reply && slow().commit() == leader().last(); }));
    EXPECT_GT(Lag(), 200u);
    return asked;
  }
  uint64_t Lag() { return Raw(leader().last()) - Raw(slow().applied()); }

  Behind world_{1, Slowly()};
  uint64_t slow_ = 0;
  uint64_t third_ = 0;
};

TEST_F(SlowOneTest, WhatIsCommittedMeanwhileNeedsItsLogAndNotThatItApplies) {
  FallBehind();
  cluster().Crash(third_);
  const Asked asked = cluster().node(world_.leader).Append("s", "more");
  world_.all += "more";
  ASSERT_TRUE(RunUntil([&] { return asked->reply.has_value(); }));
  EXPECT_TRUE(asked->ok());
  EXPECT_GT(Lag(), 100u);
  ASSERT_TRUE(cluster().AwaitEqual());
  EXPECT_EQ(cluster().Content(slow_, "s"), world_.all);
}

TEST_F(SlowOneTest, ASnapshotTakesThePlaceOfWhatItHasNotApplied) {
  FallBehind(3000);
  cluster().network().Isolate(NodeId{slow_});
  cluster().Pause(slow_, kSecond);
  for (int i = 0; i < 20; ++i) world_.Append(std::string(100, 'y'));
  world_.Checkpoint();
  cluster().network().Heal();
  const uint64_t installed = cluster().node(slow_).budget().stats.entries_applied;
  ASSERT_TRUE(RunUntil([&] { return Lag() == 0; }));
  // It didn't apply them one turn after the other.
  EXPECT_LT(slow().applied(), Index{4000});
  EXPECT_GT(cluster().node(slow_).budget().stats.entries_applied, installed);
  world_.ExpectAlike();
}

// Its own clock is a year ahead, and what others have stamped since it began isn't applied yet.
TEST_F(SlowOneTest, ANewLeadersClockWaitsForWhatOthersHaveStamped) {
  cluster().Crash(slow_);
  ASSERT_TRUE(cluster().Open(slow_).ok());
  ASSERT_TRUE(cluster().AwaitEqual());
  testing::ManualLoop& loop = cluster().node(slow_).runtime().manual_loop(CoreId{0});
  constexpr int64_t kYearMs = int64_t{365} * 24 * 3600 * 1000;
  const int64_t right_ms = loop.wall_ms();
  loop.SetWallMs(right_ms + kYearMs);
  ASSERT_FALSE(slow().knows_time());
  FallBehind();
  ASSERT_FALSE(slow().knows_time());
  ASSERT_TRUE(leader().HandOverTo(NodeId{slow_}, 1000));
  bool early = false;
  ASSERT_TRUE(RunUntil([&] {
    early |= slow().leader() == NodeId{slow_} && Lag() > 50;
    EXPECT_LT(slow().NowMs(), right_ms + kYearMs / 2);
    EXPECT_LT(slow().ClockAheadMs(), kYearMs);
    return slow().leads();
  }));
  EXPECT_TRUE(early);
  EXPECT_LT(slow().NowMs(), right_ms + kYearMs / 2);
  EXPECT_LT(slow().machine().now_ms(), right_ms + kYearMs / 2);
}

}  // namespace
}  // namespace ursula::group
