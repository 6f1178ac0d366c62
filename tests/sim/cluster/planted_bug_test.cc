// Linked with a lib/group that has one bug planted in it (tests/golden/group/planted/*.patch): the
// simulation or the tests of replicas must catch it. A test of the tests.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/sim/cluster/runner.h"

namespace ursula::group::sim {
namespace {

constexpr uint64_t kSeedsMax = 300;

bool tests_caught = false;

TEST(PlantedBugTest, IsCaught) {
  const ursula::sim::Catch found = ursula::sim::CatchBug(ClusterSimulation(), kSeedsMax);
  const char* name = std::getenv("PLANTED_BUG");
  const std::string seeds = std::to_string(found.seeds) + " seeds";
  std::printf("%s: tests %s, simulation %s\n", name != nullptr ? name : "",
              tests_caught ? "yes" : "no",
              found.caught ? ("after " + seeds + ": " + found.violation).c_str()
                           : ("not within " + seeds).c_str());
  EXPECT_TRUE(found.caught || tests_caught);
}

// Whether the tests, which are linked in too, fail.
bool RunTests(int argc, char** argv) {
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("XML_OUTPUT_FILE");
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    ::testing::InitGoogleTest(&argc, argv);
    ::testing::GTEST_FLAG(filter) =
        "InstallTest.*:FetchTest.*:ReplicationTest.*:BarrierTest.*:GroupRecoveryTest.*";
    _exit(RUN_ALL_TESTS());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

}  // namespace
}  // namespace ursula::group::sim

int main(int argc, char** argv) {
  ursula::group::sim::tests_caught = ursula::group::sim::RunTests(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  testing::GTEST_FLAG(filter) = "PlantedBugTest.*";
  return RUN_ALL_TESTS();
}
