#include "lib/engine/turn_log.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/manual_loop.h"
#include "tests/support/test_node.h"

namespace ursula::engine {
namespace {

TEST(TurnLogTest, CountsEachAndLogsOneNowAndThen) {
  testing::ManualLoop loop;
  std::vector<std::string> lines;
  Function<void(int, std::string_view)> log = [&](int level, std::string_view message) {
    EXPECT_EQ(level, 2);
    lines.emplace_back(message);
  };
  TurnLog turns(&loop, &log);
  loop.WatchTurns(&turns);

  io::LongTurn turn;
  turn.took_ns = 25'340'000;
  turn.ran_ns_max = 4'000'000;
  turn.part(io::TurnPart::kCompletions) = {3, 100'000};
  turn.part(io::TurnPart::kTimers) = {1, 25'240'000};
  for (int i = 0; i < 3; ++i) loop.TellLongTurn(turn);
  const std::string line =
      "a turn of core 0 took 25.3 ms (running at most 4.0 ms): 3 completions 0.1 ms, "
      "1 timers 25.2 ms";
  EXPECT_EQ(lines, std::vector<std::string>{line});
  EXPECT_EQ(turns.count(), 3u);

  loop.AdvanceBy(TurnLog::kLineNs);
  loop.TellLongTurn(turn);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1], line + "; 2 more since the last such line");
  turns.Unlink();
  loop.TellLongTurn(turn);
  EXPECT_EQ(turns.count(), 4u);
}

TEST(TurnLogTest, CountIsAmongTheFiguresOfTheCore) {
  testing::FaultDisk disk;
  testing::TestNode node(&disk);
  ASSERT_TRUE(node.Open({}).ok());
  EXPECT_EQ(node.shard_of(0).Stats().long_turns, 0u);
  node.runtime().loop(CoreId{0}).TellLongTurn({});
  node.runtime().AdvanceBy(1'000'000'000);
  EXPECT_EQ(node.shard_of(0).Stats().long_turns, 1u);
}

}  // namespace
}  // namespace ursula::engine
