// The fixed seeds. A failure names its seed; storage_sim replays it.

#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "tests/sim/storage/runner.h"

namespace ursula::storage::sim {
namespace {

using ursula::sim::Marks;
using ursula::sim::RangeResult;
using ursula::sim::RunRange;
using ursula::sim::RunSeed;

constexpr uint64_t kFixedSeeds = 300;

TEST(StorageSimTest, FixedSeedsHoldAndComeByEveryMark) {
  const RangeResult range =
      RunRange(StorageSimulation(), 0, kFixedSeeds, [](const std::string& violation) {
        ADD_FAILURE() << violation;
        return true;
      });
  EXPECT_EQ(range.seeds, kFixedSeeds);
  EXPECT_GT(range.figure("refusals"), 0u);
  EXPECT_GT(range.figure("failed logs"), 0u);
  EXPECT_GT(range.figure("full disks"), 0u);
  EXPECT_GT(range.figure("reads back"), kFixedSeeds);
  EXPECT_FALSE(Marks(StorageSimulation(), true).empty());
  for (const std::string& mark : Marks(StorageSimulation(), false))
    ADD_FAILURE() << "not hit: " << mark;
  std::printf("%s\n", range.Describe().c_str());
}

TEST(StorageSimTest, ASeedIsAHistory) {
  EXPECT_EQ(RunSeed(StorageSimulation(), 7).trace, RunSeed(StorageSimulation(), 7).trace);
  EXPECT_NE(RunSeed(StorageSimulation(), 7).trace, RunSeed(StorageSimulation(), 8).trace);
}

}  // namespace
}  // namespace ursula::storage::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ursula::sim::InstallCrashHandler();
  return RUN_ALL_TESTS();
}
