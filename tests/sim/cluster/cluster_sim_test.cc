// The fixed seeds. A failure names its seed; cluster_sim replays it.

#include <cstdio>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "tests/sim/cluster/runner.h"

namespace ursula::group::sim {
namespace {

using ursula::sim::Marks;
using ursula::sim::RangeResult;
using ursula::sim::RunRange;
using ursula::sim::RunSeed;

constexpr uint64_t kFixedSeeds = 300;
// What seeds come by once in some thousand (README.md).
const std::set<std::string> kRare = {
    "group: a letter to a peer was dropped",
    "group: a newer shipment took a snapshot's place",
    "group: a part of a snapshot came at the wrong time",
    "group: a part of a snapshot was dropped on its way out",
    "group: a peer didn't answer for payload",
    "group: a peer lacks payload too",
    "group: a replica can't say how old it is",  // No read here is local.
    "group: a shipment met its deadline",
    "group: a shipment was never finished",
    "group: a shipment was refused",
    "group: a snapshot wasn't wanted after all",
    "group: entries for a peer had left the log",  // No log here rots, or is short of room.
    "group: fetched payload could not be written",
};

TEST(ClusterSimTest, FixedSeedsHoldAndComeByEveryMark) {
  const RangeResult range =
      RunRange(ClusterSimulation(), 0, kFixedSeeds, [](const std::string& violation) {
        ADD_FAILURE() << violation;
        return true;
      });
  EXPECT_EQ(range.seeds, kFixedSeeds);
  EXPECT_GE(range.figure("operations"), 300u * kFixedSeeds);
  EXPECT_GE(range.figure("troubles"), 5u * kFixedSeeds);
  EXPECT_GT(range.figure("acknowledged"), range.figure("operations") / 6);
  EXPECT_GT(range.figure("unknown"), 0u);
  EXPECT_GT(range.figure("changes of members"), kFixedSeeds);
  EXPECT_FALSE(Marks(ClusterSimulation(), true).empty());
  for (const std::string& mark : Marks(ClusterSimulation(), false))
    EXPECT_TRUE(kRare.contains(mark)) << "not hit: " << mark;
  std::printf("%s\n", range.Describe().c_str());
}

TEST(ClusterSimTest, ASeedIsAHistory) {
  EXPECT_EQ(RunSeed(ClusterSimulation(), 7).trace, RunSeed(ClusterSimulation(), 7).trace);
  EXPECT_NE(RunSeed(ClusterSimulation(), 7).trace, RunSeed(ClusterSimulation(), 8).trace);
}

}  // namespace
}  // namespace ursula::group::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ursula::sim::InstallCrashHandler();
  return RUN_ALL_TESTS();
}
