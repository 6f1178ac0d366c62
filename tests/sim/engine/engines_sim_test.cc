// The fixed seeds of a cluster. A failure names its seed; engines_sim replays it.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/sim/engine/runner.h"

namespace ursula::engine::sim {
namespace {

using ursula::sim::RangeResult;
using ursula::sim::RunRange;
using ursula::sim::RunSeed;

constexpr uint64_t kFixedSeeds = 40;

TEST(EnginesSimTest, SomeOrderExplainsEveryAnswerOfTheFixedSeeds) {
  const RangeResult range =
      RunRange(EnginesSimulation(), 0, kFixedSeeds, [](const std::string& violation) {
        ADD_FAILURE() << violation;
        return true;
      });
  EXPECT_EQ(range.seeds, kFixedSeeds);
  for (const char* figure : {"operations", "together", "batched", "lost", "restarts", "troubles",
                             "evictions", "looks", "directories lost", "put back", "grown"}) {
    EXPECT_GT(range.figure(figure), 0u) << figure;
  }
  // Rare, and so missed without harm: a core of a cluster this small has no 16 MiB under way to one
  // peer; a leader falls with a call of its own under way in one seed of some fifty; and what was
  // put back must fall once more after it was told
  // (AnOlderStateOfADirectoryThatIsPutBackTakesNoPart of membership_test has that).
  const std::vector<std::string> rare{"forward: a call had no room on its way to a leader",
                                      "forward: a call met the end of its leadership",
                                      "members: what was put back was refused at its next opening"};
  for (const std::string& mark : ursula::sim::Marks(EnginesSimulation(), false)) {
    EXPECT_NE(std::ranges::find(rare, mark), rare.end()) << mark;
  }
  std::printf("%s\n", range.Describe().c_str());
}

TEST(EnginesSimTest, ASeedIsAHistory) {
  EXPECT_EQ(RunSeed(EnginesSimulation(), 7).trace, RunSeed(EnginesSimulation(), 7).trace);
  EXPECT_NE(RunSeed(EnginesSimulation(), 7).trace, RunSeed(EnginesSimulation(), 8).trace);
}

}  // namespace
}  // namespace ursula::engine::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ursula::sim::InstallCrashHandler();
  return RUN_ALL_TESTS();
}
