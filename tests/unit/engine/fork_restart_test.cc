// Forks across groups that a crash cuts off, at each turn.

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/engine/manual_engine.h"

namespace ursula {
namespace {

using testing_support::ManualEngine;

TEST(ForkRestartTest, ANameThatALostForkHeldIsFreeOrTheForksAfterARestart) {
  ManualEngine engine(16);
  ASSERT_EQ(engine.Create(engine.Id(kUpstreamBucket, "source"))->outcome, Outcome::kOk);
  for (int turns = 0; turns < 80; ++turns) {
    const StreamId id = engine.Id(kUpstreamBucket, "f" + std::to_string(turns));
    CreateRequest fork;
    fork.stream = id;
    fork.fork.emplace();
    fork.fork->source = engine.Id(kUpstreamBucket, "source");
    (void)engine.BeginCreate(fork);
    engine.Turns(turns);
    engine.Reopen();
    auto made = engine.Create(id);
    ASSERT_TRUE(made.ok()) << turns << " " << made.status().ToString();
    // The fork is another stream than the one that is asked for.
    EXPECT_TRUE(made->outcome == Outcome::kOk || made->outcome == Outcome::kConflict) << turns;
    EXPECT_EQ(engine.Head(id)->outcome, Outcome::kOk) << turns;
  }
}

}  // namespace
}  // namespace ursula
