// Linked with an engine that has one bug planted in it (tests/golden/engine/planted/*.patch): the
// simulation must catch it. A test of the tests.

#include <cstdio>
#include <cstdlib>

#include "gtest/gtest.h"
#include "tests/sim/engine/runner.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kSeedsMax = 1000;

TEST(PlantedBugTest, IsCaught) {
  const ursula::sim::Catch found = ursula::sim::CatchBug(EngineSimulation(), kSeedsMax);
  const char* name = std::getenv("PLANTED_BUG");
  std::printf("%s: %s %llu seeds: %s\n", name != nullptr ? name : "",
              found.caught ? "caught after" : "not within",
              static_cast<unsigned long long>(found.seeds), found.violation.c_str());
  EXPECT_TRUE(found.caught);
}

}  // namespace
}  // namespace ursula::engine::sim
