#include "tests/support/manual_loop.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ursula::testing {
namespace {

struct Bell {
  Bell(char n, std::string* o, io::Loop* l) : name(n), order(o), loop(l) {
    timer.Then<&Bell::OnTime>(this);
  }
  void OnTime() {
    order->push_back(name);
    at = loop->now_ns();
  }
  char name;
  std::string* order;
  io::Loop* loop;
  uint64_t at = 0;
  io::Timer timer;
};

TEST(ManualLoopTest, TimeStandsStillButForAdvance) {
  ManualLoop loop;
  std::string order;
  Bell a('a', &order, &loop), b('b', &order, &loop);
  uint64_t start = loop.now_ns();
  int64_t wall = loop.wall_ms();
  loop.StartTimer(&a.timer, start + 5'000'000);
  loop.StartTimer(&b.timer, start + 2'000'000);
  loop.RunUntilIdle();
  EXPECT_EQ(order, "");
  EXPECT_EQ(loop.NextEventNs(), start + 2'000'000);
  loop.AdvanceBy(10'000'000);
  EXPECT_EQ(order, "ba");
  EXPECT_EQ(b.at, start + 2'000'000);
  EXPECT_EQ(a.at, start + 5'000'000);
  EXPECT_EQ(loop.now_ns(), start + 10'000'000);
  EXPECT_EQ(loop.wall_ms(), wall + 10);
  loop.SetWallMs(42);
  EXPECT_EQ(loop.wall_ms(), 42);
}

struct Hook : io::TurnHook {
  explicit Hook(std::string* o) : order(o) {}
  void OnTurnEnd() override { order->push_back('h'); }
  std::string* order;
};

TEST(ManualLoopTest, ATurnRunsTimersThenPostedThenDeferredThenHooks) {
  ManualLoop loop;
  std::string order;
  Hook hook(&order);
  Bell bell('t', &order, &loop);
  loop.AtTurnEnd(&hook);
  loop.AtTurnEnd(&hook);
  loop.Defer([&] { order += 'd'; });
  loop.Post([&] {
    order += 'p';
    loop.Post([&] { order += 'P'; });
    loop.Defer([&] { order += 'D'; });
  });
  loop.StartTimer(&bell.timer, loop.now_ns());
  EXPECT_TRUE(loop.RunTurn());
  EXPECT_EQ(order, "tpdDh");
  loop.RunUntilIdle();
  EXPECT_EQ(order, "tpdDhP");
  EXPECT_FALSE(loop.RunTurn());
}

TEST(ManualLoopTest, RunUntilMovesTimeOnlyWhenNothingElseIsToDo) {
  ManualLoop loop;
  std::string order;
  Bell bell('t', &order, &loop);
  uint64_t start = loop.now_ns();
  loop.StartTimer(&bell.timer, start + 1000);
  loop.Post([&] { order += 'p'; });
  EXPECT_TRUE(loop.RunUntil([&] { return order == "pt"; }));
  EXPECT_EQ(loop.now_ns(), start + 1000);
  EXPECT_FALSE(loop.RunUntil([] { return false; }));
}

TEST(ManualLoopTest, CrashForgetsAllThatWasToRun) {
  ManualLoop loop;
  std::string order;
  Hook hook(&order);
  Bell bell('t', &order, &loop);
  loop.AtTurnEnd(&hook);
  loop.StartTimer(&bell.timer, loop.now_ns());
  loop.Post([&] { order += 'p'; });
  loop.Defer([&] { order += 'd'; });
  loop.Crash();
  EXPECT_FALSE(loop.RunTurn());
  EXPECT_EQ(loop.NextEventNs(), ManualLoop::kNever);
  EXPECT_FALSE(bell.timer.running());
  EXPECT_FALSE(hook.linked());
  EXPECT_EQ(order, "");
}

TEST(ManualLoopTest, TryPostRefusesBeyondTheLimit) {
  ManualLoop loop;
  for (uint32_t i = 0; i < io::Loop::kMailboxMax; ++i) ASSERT_TRUE(loop.TryPost([] {}));
  EXPECT_FALSE(loop.TryPost([] {}));
  loop.RunUntilIdle();
  EXPECT_TRUE(loop.TryPost([] {}));
}

TEST(ManualRuntimeTest, CoresShareClockAndDiskAndKnowWhoseTurnItIs) {
  FaultDisk disk;
  ManualRuntime runtime(2, &disk);
  std::string order;
  EXPECT_EQ(runtime.Current(), nullptr);
  io::Loop& a = runtime.loop(CoreId{0});
  io::Loop& b = runtime.loop(CoreId{1});
  EXPECT_FALSE(a.InLoop());
  a.Post([&] {
    EXPECT_EQ(runtime.Current(), &a);
    EXPECT_FALSE(b.InLoop());
    b.Post([&] {
      EXPECT_EQ(runtime.Current(), &b);
      EXPECT_TRUE(b.InLoop());
      order += 'b';
    });
    order += 'a';
  });
  runtime.RunUntilIdle();
  EXPECT_EQ(order, "ab");
  ASSERT_TRUE(a.disk().Open("f", {.create = true, .write = true}).ok());
  EXPECT_TRUE(b.disk().Open("f", {}).ok());
  Bell bell('t', &order, &b);
  b.StartTimer(&bell.timer, runtime.now_ns() + 7);
  runtime.AdvanceBy(10);
  EXPECT_EQ(order, "abt");
  EXPECT_EQ(a.now_ns(), b.now_ns());
}

}  // namespace
}  // namespace ursula::testing
