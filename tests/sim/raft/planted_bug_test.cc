// Linked with a core that has one bug planted in it (tests/golden/raft/planted/*.patch): the
// checkers must catch it. A test of the simulation, not of the core.

#include <cstdio>
#include <cstdlib>

#include "gtest/gtest.h"
#include "tests/sim/raft/runner.h"

namespace ursula::raft::sim {
namespace {

constexpr uint64_t kSeedsMax = 12'000;  // Figure 8 of the paper takes some thousand.

TEST(PlantedBugTest, IsCaught) {
  const ursula::sim::Catch found = ursula::sim::CatchBug(RaftSimulation(), kSeedsMax);
  const char* name = std::getenv("PLANTED_BUG");
  ASSERT_TRUE(found.caught) << "not within " << kSeedsMax << " seeds";
  std::printf("%s: caught at seed %llu after %llu seeds: %s\n", name != nullptr ? name : "",
              static_cast<unsigned long long>(found.seeds - 1),
              static_cast<unsigned long long>(found.seeds), found.violation.c_str());
}

}  // namespace
}  // namespace ursula::raft::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
