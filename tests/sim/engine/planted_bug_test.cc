// Linked with an engine that has one bug planted in it (tests/golden/engine/planted/*.patch): the
// simulation must catch it, that of a cluster where URSULA_NODES says 3. A test of the tests.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "gtest/gtest.h"
#include "tests/sim/engine/runner.h"

namespace ursula::engine::sim {
namespace {

constexpr uint64_t kSeedsMax = 1000;

TEST(PlantedBugTest, IsCaught) {
  const char* nodes = std::getenv("URSULA_NODES");
  const bool several = nodes != nullptr && std::string_view(nodes) == "3";
  const ursula::sim::Catch found =
      ursula::sim::CatchBug(several ? EnginesSimulation() : EngineSimulation(), kSeedsMax);
  const char* name = std::getenv("PLANTED_BUG");
  std::printf("%s: %s %llu seeds: %s\n", name != nullptr ? name : "",
              found.caught ? "caught after" : "not within",
              static_cast<unsigned long long>(found.seeds), found.violation.c_str());
  EXPECT_TRUE(found.caught);
}

}  // namespace
}  // namespace ursula::engine::sim
