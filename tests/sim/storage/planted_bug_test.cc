// Linked with a storage stack that has one bug planted in it
// (tests/golden/storage/planted/*.patch): the simulation or the exhaustive tests must catch it. A
// test of the tests.

#include <fcntl.h>
#include <sys/mman.h>
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

// What a process that runs seeds leaves behind, even if a check stops it.
struct Report {
  uint64_t seed = 0;
  char violation[256] = "a check of the stack's own stopped it";
};
bool exhaustive_caught = false;

// Runs seeds until one shows a violation. A broken stack may well break an invariant and stop: so
// in a process of its own. False: none did.
bool Caught(Report* report) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    for (report->seed = 0; report->seed < kSeedsMax; ++report->seed) {
      const SeedResult result = RunSeed(report->seed);
      if (result.violation.empty()) continue;
      std::snprintf(report->violation, sizeof(report->violation), "%s", result.violation.c_str());
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

TEST(PlantedBugTest, IsCaught) {
  void* shared =
      mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* report = new (shared) Report;
  const char* name = std::getenv("PLANTED_BUG");
  const bool caught = Caught(report);
  const std::string seeds =
      caught ? "after " + std::to_string(report->seed + 1) + " seeds: " + report->violation
             : "not within " + std::to_string(kSeedsMax) + " seeds";
  std::printf("%s: exhaustive tests %s, simulation %s\n", name != nullptr ? name : "",
              exhaustive_caught ? "yes" : "no", seeds.c_str());
  EXPECT_TRUE(caught || exhaustive_caught);
  munmap(shared, sizeof(Report));
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
