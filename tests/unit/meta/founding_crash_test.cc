// Nodes that crash or lose their disks between any two steps of a founding.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/meta/founding_world.h"

namespace ursula::meta {
namespace {

using Fault = FoundingWorld::Fault;

constexpr uint64_t kStepsMax = 20000;

struct Trouble {
  uint64_t step = 0;
  NodeId node = {};
  Fault fault = Fault::kCrash;
};

std::string Describe(uint64_t nodes, uint64_t seed, const std::vector<Trouble>& troubles) {
  std::string text = std::to_string(nodes) + " nodes, seed " + std::to_string(seed);
  for (const Trouble& trouble : troubles) {
    text += ", fault " + std::to_string(static_cast<int>(trouble.fault)) + " of node " +
            std::to_string(Raw(trouble.node)) + " after step " + std::to_string(trouble.step);
  }
  return text;
}

struct Ran {
  uint64_t steps = 0;
  std::vector<uint64_t> turns = {};  // Steps after which the situation was another.
  uint64_t plans = 0;
};

// Until all have ended, and some rule is broken or none.
Ran RunWith(uint64_t nodes, uint64_t seed, const std::vector<Trouble>& troubles) {
  FoundingWorld world(nodes, seed);
  Ran ran;
  for (const Trouble& trouble : troubles) {
    for (; ran.steps < trouble.step; ++ran.steps) world.Step();
    world.Do(trouble.fault, trouble.node);
  }
  std::string situation = world.Situation();
  ran.turns.push_back(ran.steps);
  while (!world.EndedOrStarted() && ran.steps < kStepsMax) {
    world.Step();
    ++ran.steps;
    const std::string now = world.Situation();
    if (std::exchange(situation, now) != now) ran.turns.push_back(ran.steps);
  }
  if (ran.steps < kStepsMax) world.LookAtEnd();
  ran.plans = world.plans();
  if (ran.steps == kStepsMax || !world.broken().empty()) {
    ADD_FAILURE() << Describe(nodes, seed, troubles) << ": "
                  << (world.broken().empty() ? "no end" : world.broken());
  }
  return ran;
}

TEST(FoundingCrashTest, WithoutFaultsAllBecomeMembersOfOnePlan) {
  for (uint64_t nodes : {1, 3, 5}) {
    for (uint64_t seed = 1; seed <= 300; ++seed) {
      FoundingWorld world(nodes, seed);
      uint64_t steps = 0;
      for (; !world.EndedOrStarted() && steps < kStepsMax; ++steps) world.Step();
      ASSERT_LT(steps, kStepsMax) << nodes << " nodes, seed " << seed;
      ASSERT_EQ(world.broken(), "");
      ASSERT_EQ(world.members(), nodes);
      ASSERT_EQ(world.plans(), 1u);
    }
  }
}

// Every fault of every node after every step of some runs, which is before, between and after what
// each of them makes durable.
TEST(FoundingCrashTest, OneFaultAtAnyStepBreaksNothing) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const uint64_t steps = RunWith(3, seed, {}).steps;
    for (uint64_t step = 0; step <= steps + 3; ++step) {
      for (uint64_t node = 1; node <= 3; ++node) {
        for (int fault = 0; fault < FoundingWorld::kFaults; ++fault) {
          RunWith(3, seed, {{step, NodeId{node}, Fault{static_cast<uint8_t>(fault)}}});
          if (HasFailure()) return;
        }
      }
    }
  }
}

// The same, twice in a run: each where something has just become durable, or is about to.
TEST(FoundingCrashTest, TwoFaultsBreakNothing) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    for (uint64_t step : RunWith(3, seed, {}).turns) {
      for (uint64_t i = 0; i < 3 * FoundingWorld::kFaults; ++i) {
        const Trouble first{step, NodeId{1 + i % 3}, Fault{static_cast<uint8_t>(i / 3)}};
        for (uint64_t later : RunWith(3, seed, {first}).turns) {
          for (uint64_t k = 0; k < 3 * FoundingWorld::kFaults; ++k) {
            const Fault fault{static_cast<uint8_t>(k / 3)};
            RunWith(3, seed, {first, {later, NodeId{1 + k % 3}, fault}});
            if (HasFailure()) return;
          }
        }
      }
    }
  }
}

TEST(FoundingCrashTest, ManyFaultsBreakNothing) {
  uint64_t dropped = 0;
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    Random random(seed);
    const uint64_t nodes = random.OneIn(3) ? 5 : 3;
    std::vector<Trouble> troubles;
    uint64_t step = 0;
    for (uint64_t i = random.Below(12); i > 0; --i) {
      step += random.Below(random.OneIn(3) ? 60 : 8);
      troubles.push_back({step, NodeId{1 + random.Below(nodes)},
                          Fault{static_cast<uint8_t>(random.Below(FoundingWorld::kFaults))}});
    }
    const Ran ran = RunWith(nodes, seed, troubles);
    if (HasFailure()) return;
    if (ran.plans > 1) ++dropped;
  }
  EXPECT_GT(dropped, 500u);
}

}  // namespace
}  // namespace ursula::meta
