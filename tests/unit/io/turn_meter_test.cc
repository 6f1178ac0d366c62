#include "lib/io/turn_meter.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/unit/io/real_loops.h"

namespace ursula::io {
namespace {

uint64_t now_ns = 0;
uint64_t cpu_ns = 0;
int cpu_reads = 0;

class TurnMeterTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kMs = 1'000'000;

  TurnMeterTest() {
    now_ns = 1000 * kMs;
    cpu_ns = 0;
    cpu_reads = 0;
  }
  // Callbacks that took `took_ns`, so much of it on the CPU.
  void Do(TurnPart part, uint32_t count, uint64_t took_ns, uint64_t ran_ns) {
    now_ns += took_ns;
    cpu_ns += ran_ns;
    meter_.Did(part, count);
  }

  TurnMeter meter_{[] { return now_ns; },
                   [] {
                     ++cpu_reads;
                     return cpu_ns;
                   }};
};

TEST_F(TurnMeterTest, TellsWhatALongTurnDid) {
  meter_.Begin(now_ns);
  Do(TurnPart::kCompletions, 7, 2 * kMs, 2 * kMs);
  Do(TurnPart::kTimers, 0, 0, 0);
  Do(TurnPart::kPosted, 2, 18 * kMs, kMs);
  Do(TurnPart::kTurnEnd, 1, 1, 1);
  std::optional<LongTurn> turn = meter_.End();
  ASSERT_TRUE(turn.has_value());
  EXPECT_EQ(turn->took_ns, 20 * kMs + 1);
  EXPECT_EQ(turn->ran_ns_max, 3 * kMs + 1);
  EXPECT_EQ(turn->part(TurnPart::kCompletions).count, 7u);
  EXPECT_EQ(turn->part(TurnPart::kCompletions).ns, 2 * kMs);
  EXPECT_EQ(turn->part(TurnPart::kTimers).count, 0u);
  EXPECT_EQ(turn->part(TurnPart::kPosted).ns, 18 * kMs);
  EXPECT_EQ(turn->Describe(),
            "20.0 ms (running at most 3.0 ms): 7 completions 2.0 ms, 2 posted 18.0 ms, "
            "1 at its end 0.0 ms");
}

TEST_F(TurnMeterTest, ShortTurnsAreNotToldHoweverManyAndHoweverLongTheLoopSleeps) {
  for (int i = 0; i < 100; ++i) {
    now_ns += 60'000 * kMs;  // Asleep.
    meter_.Begin(now_ns);
    Do(TurnPart::kPosted, 1, 20 * kMs, 20 * kMs);
    EXPECT_FALSE(meter_.End().has_value());
    meter_.Begin(now_ns);  // Nothing to do.
    EXPECT_FALSE(meter_.End().has_value());
  }
}

TEST_F(TurnMeterTest, CpuTimeIsReadNowAndThenAndTellsOfALongTurnAtMostSoMuchMore) {
  for (int i = 0; i < 10; ++i) {
    meter_.Begin(now_ns);
    Do(TurnPart::kPosted, 1, kMs, kMs);
    EXPECT_FALSE(meter_.End().has_value());
  }
  EXPECT_EQ(cpu_reads, 2);
  // It stood still for long, and what ran since the last reading counts as well.
  meter_.Begin(now_ns);
  Do(TurnPart::kDeferred, 1, 100 * kMs, 7 * kMs);
  std::optional<LongTurn> turn = meter_.End();
  ASSERT_TRUE(turn.has_value());
  EXPECT_GE(turn->ran_ns_max, 7 * kMs);
  EXPECT_LE(turn->ran_ns_max, 7 * kMs + TurnMeter::kCpuReadNs);
}

struct Keeper final : TurnWatcher {
  void OnLongTurn(const LongTurn& turn) override {
    if (++count == 1) first = turn;
  }
  int count = 0;
  LongTurn first;
};

TEST(LoopTurnTest, WatcherHearsOfATurnThatTookLong) {
  RealLoops loops;
  Loop& loop = loops.loop();
  Keeper keeper;
  loops.Run([&] { loop.WatchTurns(&keeper); });
  loops.Run([&] {
    const uint64_t end = loop.now_ns() + TurnMeter::kLongNs + 1;
    while (loop.fresh_ns() < end) {
    }
  });
  loops.Run([&] { keeper.Unlink(); });  // In a later turn.
  ASSERT_GE(keeper.count, 1);
  EXPECT_GT(keeper.first.took_ns, TurnMeter::kLongNs);
  EXPECT_GE(keeper.first.took_ns, keeper.first.ran_ns_max);
  EXPECT_GE(keeper.first.part(TurnPart::kPosted).count, 1u);
}

}  // namespace
}  // namespace ursula::io
