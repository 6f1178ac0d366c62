// Linked with a core that has one bug planted in it (tests/golden/raft/planted/*.patch): the
// checkers must catch it. A test of the simulation, not of the core.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "tests/sim/raft/runner.h"

namespace ursula::raft::sim {
namespace {

constexpr uint64_t kSeedsMax = 4000;

// What a process that runs seeds leaves behind, even if a check stops it.
struct Report {
  uint64_t seed = 0;
  char violation[256] = "a check of the core's own stopped it";
};

// Runs seeds until one shows a violation. A broken core may well break an invariant and stop: so in
// a process of its own. False: none did.
bool Caught(uint64_t first, uint64_t count, Report* report) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    for (report->seed = first; report->seed < first + count; ++report->seed) {
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
  ASSERT_TRUE(Caught(0, kSeedsMax, report)) << "not within " << kSeedsMax << " seeds";
  std::printf("%s: caught at seed %llu after %llu seeds: %s\n", name != nullptr ? name : "",
              static_cast<unsigned long long>(report->seed),
              static_cast<unsigned long long>(report->seed + 1), report->violation);
  munmap(shared, sizeof(Report));
}

}  // namespace
}  // namespace ursula::raft::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
