// Linked with a lib/group that has one bug planted in it (tests/golden/group/planted/*.patch): the
// simulation or the tests of replicas must catch it. A test of the tests.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/golden/linked_tests.h"
#include "tests/sim/cluster/runner.h"

namespace ursula::group::sim {
namespace {

constexpr uint64_t kSeedsMax = 300;

std::string failing_test;  // Empty: none.

TEST(PlantedBugTest, IsCaught) {
  const ursula::sim::Catch found = ursula::sim::CatchBug(ClusterSimulation(), kSeedsMax);
  const char* name = std::getenv("PLANTED_BUG");
  const std::string seeds = std::to_string(found.seeds) + " seeds";
  std::printf("%s: tests %s, simulation %s\n", name != nullptr ? name : "",
              failing_test.empty() ? "none" : failing_test.c_str(),
              found.caught ? ("after " + seeds + ": " + found.violation).c_str()
                           : ("not within " + seeds).c_str());
  EXPECT_TRUE(found.caught || !failing_test.empty());
}

}  // namespace
}  // namespace ursula::group::sim

int main(int argc, char** argv) {
  ursula::group::sim::failing_test =
      ursula::golden::FailingTest(argc, argv,
                                  "InstallTest.*:FetchTest.*:ReplicationTest.*:BarrierTest.*:"
                                  "GroupRecoveryTest.*:MembersTest.*");
  testing::InitGoogleTest(&argc, argv);
  testing::GTEST_FLAG(filter) = "PlantedBugTest.*";
  return RUN_ALL_TESTS();
}
