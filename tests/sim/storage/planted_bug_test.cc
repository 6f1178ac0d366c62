// Linked with a storage stack that has one bug planted in it
// (tests/golden/storage/planted/*.patch): the simulation or the exhaustive tests must catch it. A
// test of the tests.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/golden/linked_tests.h"
#include "tests/sim/storage/runner.h"

namespace ursula::storage::sim {
namespace {

constexpr uint64_t kSeedsMax = 300;

std::string failing_test;  // Of the exhaustive ones; empty: none.

TEST(PlantedBugTest, IsCaught) {
  const ursula::sim::Catch found = ursula::sim::CatchBug(StorageSimulation(), kSeedsMax);
  const char* name = std::getenv("PLANTED_BUG");
  const std::string seeds = std::to_string(found.seeds) + " seeds";
  std::printf("%s: exhaustive tests %s, simulation %s\n", name != nullptr ? name : "",
              failing_test.empty() ? "none" : failing_test.c_str(),
              found.caught ? ("after " + seeds + ": " + found.violation).c_str()
                           : ("not within " + seeds).c_str());
  EXPECT_TRUE(found.caught || !failing_test.empty());
}

}  // namespace
}  // namespace ursula::storage::sim

int main(int argc, char** argv) {
  ursula::storage::sim::failing_test =
      ursula::golden::FailingTest(argc, argv, "ExhaustiveTest.*:LastBatchTest.*");
  testing::InitGoogleTest(&argc, argv);
  testing::GTEST_FLAG(filter) = "PlantedBugTest.*";
  return RUN_ALL_TESTS();
}
