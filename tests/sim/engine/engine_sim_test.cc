// The fixed seeds. A failure names its seed; engine_sim replays it.

#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "tests/sim/engine/runner.h"

namespace ursula::engine::sim {
namespace {

using ursula::sim::RangeResult;
using ursula::sim::RunRange;
using ursula::sim::RunSeed;

constexpr uint64_t kFixedSeeds = 60;

TEST(EngineSimTest, SomeOrderExplainsEveryAnswerOfTheFixedSeeds) {
  const RangeResult range =
      RunRange(EngineSimulation(), 0, kFixedSeeds, [](const std::string& violation) {
        ADD_FAILURE() << violation;
        return true;
      });
  EXPECT_EQ(range.seeds, kFixedSeeds);
  for (const char* figure :
       {"operations", "together", "batched", "lost", "restarts", "evictions", "looks"}) {
    EXPECT_GT(range.figure(figure), 0u) << figure;
  }
  std::printf("%s\n", range.Describe().c_str());
}

TEST(EngineSimTest, ASeedIsAHistory) {
  EXPECT_EQ(RunSeed(EngineSimulation(), 7).trace, RunSeed(EngineSimulation(), 7).trace);
  EXPECT_NE(RunSeed(EngineSimulation(), 7).trace, RunSeed(EngineSimulation(), 8).trace);
}

}  // namespace
}  // namespace ursula::engine::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ursula::sim::InstallCrashHandler();
  return RUN_ALL_TESTS();
}
