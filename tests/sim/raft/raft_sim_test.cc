// The fixed seeds. A failure names its seed; raft_sim replays it.

#include <string>

#include "gtest/gtest.h"
#include "tests/sim/raft/runner.h"

namespace ursula::raft::sim {
namespace {

constexpr uint64_t kFixedSeeds = 2000;

TEST(RaftSimTest, FixedSeedsHoldAndComeByEveryMark) {
  const RangeResult range = RunRange(0, kFixedSeeds, [](const std::string& violation) {
    ADD_FAILURE() << violation;
    return true;
  });
  EXPECT_EQ(range.seeds, kFixedSeeds);
  EXPECT_FALSE(Marks(true).empty());
  for (const std::string& mark : Marks(false)) ADD_FAILURE() << "not hit: " << mark;
  std::printf("%llu events, slowest healing %llu ticks, digest %016llx\n",
              static_cast<unsigned long long>(range.events),
              static_cast<unsigned long long>(range.healing_ticks_max),
              static_cast<unsigned long long>(range.digest));
}

TEST(RaftSimTest, ASeedIsAHistory) {
  EXPECT_EQ(RunSeed(7).trace, RunSeed(7).trace);
  EXPECT_NE(RunSeed(7).trace, RunSeed(8).trace);
}

}  // namespace
}  // namespace ursula::raft::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ursula::raft::sim::InstallCrashHandler();
  return RUN_ALL_TESTS();
}
