// Linked with a storage stack that has one bug planted in it
// (tests/golden/storage/planted/*.patch): the simulation or the exhaustive tests must catch it. A
// test of the tests.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/sim/storage/runner.h"

namespace ursula::storage::sim {
namespace {

constexpr uint64_t kSeedsMax = 300;

bool exhaustive_caught = false;

TEST(PlantedBugTest, IsCaught) {
  const ursula::sim::Catch found = ursula::sim::CatchBug(StorageSimulation(), kSeedsMax);
  const char* name = std::getenv("PLANTED_BUG");
  const std::string seeds = std::to_string(found.seeds) + " seeds";
  std::printf("%s: exhaustive tests %s, simulation %s\n", name != nullptr ? name : "",
              exhaustive_caught ? "yes" : "no",
              found.caught ? ("after " + seeds + ": " + found.violation).c_str()
                           : ("not within " + seeds).c_str());
  EXPECT_TRUE(found.caught || exhaustive_caught);
}

// Whether the exhaustive tests, which are linked in too, fail.
bool RunExhaustive(int argc, char** argv) {
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("XML_OUTPUT_FILE");
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    ::testing::InitGoogleTest(&argc, argv);
    ::testing::GTEST_FLAG(filter) = "ExhaustiveTest.*:LastBatchTest.*";
    _exit(RUN_ALL_TESTS());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

}  // namespace
}  // namespace ursula::storage::sim

int main(int argc, char** argv) {
  ursula::storage::sim::exhaustive_caught = ursula::storage::sim::RunExhaustive(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  testing::GTEST_FLAG(filter) = "PlantedBugTest.*";
  return RUN_ALL_TESTS();
}
