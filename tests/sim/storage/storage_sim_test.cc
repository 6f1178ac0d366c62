// The fixed seeds. A failure names its seed; storage_sim replays it.

#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "tests/sim/storage/runner.h"

namespace ursula::storage::sim {
namespace {

constexpr uint64_t kFixedSeeds = 300;

TEST(StorageSimTest, FixedSeedsHoldAndComeByEveryMark) {
  const RangeResult range = RunRange(0, kFixedSeeds, [](const std::string& violation) {
    ADD_FAILURE() << violation;
    return true;
  });
  EXPECT_EQ(range.seeds, kFixedSeeds);
  EXPECT_GT(range.counts.refusals, 0u);
  EXPECT_GT(range.counts.failures, 0u);
  EXPECT_GT(range.counts.full, 0u);
  EXPECT_FALSE(Marks(true).empty());
  for (const std::string& mark : Marks(false)) ADD_FAILURE() << "not hit: " << mark;
  std::printf("%s, digest %016llx\n", Describe(range.counts).c_str(),
              static_cast<unsigned long long>(range.digest));
}

TEST(StorageSimTest, ASeedIsAHistory) {
  EXPECT_EQ(RunSeed(7).trace, RunSeed(7).trace);
  EXPECT_NE(RunSeed(7).trace, RunSeed(8).trace);
}

}  // namespace
}  // namespace ursula::storage::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ursula::storage::sim::InstallCrashHandler();
  return RUN_ALL_TESTS();
}
