// An answer by which a stream is past its deadline holds for everything that hangs on it.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/unit/engine/manual_engine.h"

namespace ursula {
namespace {

using testing_support::ManualEngine;

// A source that is deleted and held by a fork, whose deadline comes between two ticks. Once
// `is_gone` has seen that the fork is gone, the source's name is free.
void FreesItsSource(uint32_t groups,
                    const std::function<bool(ManualEngine*, const StreamId&)>& is_gone) {
  ManualEngine engine(groups);
  for (int i = 0; i < 12; ++i) {
    const StreamId source = engine.Id(kUpstreamBucket, "s" + std::to_string(i));
    const StreamId id = engine.Id(kUpstreamBucket, "f" + std::to_string(i));
    ASSERT_EQ(engine.Create(source)->outcome, Outcome::kOk);
    CreateRequest fork;
    fork.stream = id;
    fork.fork.emplace();
    fork.fork->source = source;
    fork.lifetime.expires_at_ms = engine.wall_ms() + 510 + 7 * i;
    ASSERT_EQ(engine.Create(fork)->outcome, Outcome::kOk);
    ASSERT_EQ(engine.Delete(source)->outcome, Outcome::kOk);
    ASSERT_EQ(engine.Head(source)->outcome, Outcome::kSoftDeleted);
    engine.AdvanceMs(500);
    while (!is_gone(&engine, id)) engine.AdvanceMs(1);
    EXPECT_EQ(engine.Head(source)->outcome, Outcome::kNotFound) << i;
  }
}

TEST(ExpiryTest, AnAppendThatFindsNothingFreesItsSource) {
  for (uint32_t groups : {1, 16}) {
    FreesItsSource(groups, [](ManualEngine* engine, const StreamId& id) {
      return engine->Append(id, "x")->outcome == Outcome::kNotFound;
    });
  }
}

TEST(ExpiryTest, AListingWithoutItFreesItsSource) {
  for (uint32_t groups : {1, 16}) {
    FreesItsSource(groups, [](ManualEngine* engine, const StreamId& id) {
      auto listed = engine->List(kUpstreamBucket);
      for (const ListReply::Stream& stream : listed->streams) {
        if (stream.path == id.name) return false;
      }
      return true;
    });
  }
}

TEST(ExpiryTest, ACreateInItsPlaceFreesItsSource) {
  for (uint32_t groups : {1, 16}) {
    FreesItsSource(groups, [](ManualEngine* engine, const StreamId& id) {
      return engine->Create(id)->outcome == Outcome::kOk;
    });
  }
}

}  // namespace
}  // namespace ursula
