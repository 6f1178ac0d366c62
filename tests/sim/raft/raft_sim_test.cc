// The fixed seeds. A failure names its seed; raft_sim replays it.

#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "tests/sim/raft/runner.h"

namespace ursula::raft::sim {
namespace {

using ursula::sim::Marks;
using ursula::sim::RangeResult;
using ursula::sim::RunRange;
using ursula::sim::RunSeed;

constexpr uint64_t kFixedSeeds = 2000;

TEST(RaftSimTest, FixedSeedsHoldAndComeByEveryMark) {
  const RangeResult range =
      RunRange(RaftSimulation(), 0, kFixedSeeds, [](const std::string& violation) {
        ADD_FAILURE() << violation;
        return true;
      });
  EXPECT_EQ(range.seeds, kFixedSeeds);
  EXPECT_FALSE(Marks(RaftSimulation(), true).empty());
  for (const std::string& mark : Marks(RaftSimulation(), false))
    ADD_FAILURE() << "not hit: " << mark;
  std::printf("%s\n", range.Describe().c_str());
}

// Of long runs, what showed a fault in the simulation or the core.
TEST(RaftSimTest, SeedsThatFoundSomethingHold) {
  for (uint64_t seed : {40672}) EXPECT_EQ(RunSeed(RaftSimulation(), seed).violation, "");
}

TEST(RaftSimTest, ASeedIsAHistory) {
  EXPECT_EQ(RunSeed(RaftSimulation(), 7).trace, RunSeed(RaftSimulation(), 7).trace);
  EXPECT_NE(RunSeed(RaftSimulation(), 7).trace, RunSeed(RaftSimulation(), 8).trace);
}

}  // namespace
}  // namespace ursula::raft::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ursula::sim::InstallCrashHandler();
  return RUN_ALL_TESTS();
}
