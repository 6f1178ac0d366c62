// What is seen of a bucket beside its deletion, cut at each turn.

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/engine/manual_engine.h"

namespace ursula {
namespace {

using testing_support::ManualEngine;

constexpr int kTurnsMax = 120;  // More than a deletion takes.

CreateRequest Fork(StreamId id, StreamId source) {
  CreateRequest request;
  request.stream = std::move(id);
  request.fork.emplace();
  request.fork->source = std::move(source);
  return request;
}

TEST(BucketTest, OnceAListingMissesABucketItIsGone) {
  ManualEngine engine(4);
  for (int turns = 0; turns < kTurnsMax; ++turns) {
    ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
    auto deletion = engine.BeginDeleteBucket("team");
    engine.Turns(turns);
    const Outcome listed = engine.List("team")->outcome;
    const Outcome found = engine.GetBucket("team")->outcome;
    if (listed == Outcome::kBucketNotFound) {
      EXPECT_EQ(found, Outcome::kBucketNotFound) << turns;
    }
    ASSERT_EQ(engine.Await(deletion)->outcome, Outcome::kOk);
    EXPECT_EQ(engine.List("team")->outcome, Outcome::kBucketNotFound);
  }
}

// Two that delete one bucket: one has done it, and for the other there was none.
TEST(BucketTest, OfTwoDeletionsAtOnceOneDoesIt) {
  ManualEngine engine(4);
  for (int turns = 0; turns < kTurnsMax; ++turns) {
    ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
    auto first = engine.BeginDeleteBucket("team");
    engine.Turns(turns);
    auto second = engine.BeginDeleteBucket("team");
    auto third = engine.BeginDeleteBucket("team");
    EXPECT_EQ(engine.Await(first)->outcome, Outcome::kOk);
    for (auto& other : {second, third}) {
      auto end = engine.Await(other);
      ASSERT_TRUE(end.ok()) << end.status().ToString();
      EXPECT_EQ(end->outcome, Outcome::kBucketNotFound) << turns;
    }
  }
  ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Create(engine.Id("team", "x"))->outcome, Outcome::kOk);
  auto first = engine.BeginDeleteBucket("team");
  auto second = engine.BeginDeleteBucket("team");
  EXPECT_EQ(engine.Await(first)->outcome, Outcome::kBucketNotEmpty);
  EXPECT_EQ(engine.Await(second)->outcome, Outcome::kBucketNotEmpty);
}

TEST(BucketTest, OfAStreamInABucketThatIsMissingThatIsSaid) {
  ManualEngine engine(4);
  auto check = [&](Outcome expected) {
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      const StreamId id = engine.Id("team", name);
      EXPECT_EQ(engine.Head(id)->outcome, expected);
      EXPECT_EQ(engine.Read(id)->outcome, expected);
      EXPECT_EQ(engine.Read(id, 1'000)->outcome, expected);
      EXPECT_EQ(engine.Delete(id)->outcome, expected);
      EXPECT_EQ(engine.Append(id, "x")->outcome, expected);
      EXPECT_EQ(engine.Head(engine.Id(kUpstreamBucket, name))->outcome, Outcome::kNotFound);
    }
  };
  check(Outcome::kBucketNotFound);
  ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
  check(Outcome::kNotFound);
  ASSERT_EQ(engine.Create(engine.Id("team", "x"))->outcome, Outcome::kOk);
  check(Outcome::kNotFound);
  ASSERT_EQ(engine.Delete(engine.Id("team", "x"))->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Await(engine.BeginDeleteBucket("team"))->outcome, Outcome::kOk);
  check(Outcome::kBucketNotFound);
}

TEST(BucketTest, ACreateBesideADeletionThatIsRefusedIsMade) {
  ManualEngine engine(4);
  ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
  ASSERT_EQ(engine.Create(engine.Id("team", "x"))->outcome, Outcome::kOk);
  for (int turns = 0; turns < kTurnsMax; ++turns) {
    auto deletion = engine.BeginDeleteBucket("team");
    engine.Turns(turns);
    auto made = engine.Create(engine.Id("team", "y" + std::to_string(turns)));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    EXPECT_EQ(made->outcome, Outcome::kOk) << turns;
    EXPECT_EQ(engine.Await(deletion)->outcome, Outcome::kBucketNotEmpty) << turns;
  }
}

TEST(BucketTest, ACreateBesideADeletionIsMadeOrRefusedAsTheBucketIs) {
  ManualEngine engine(4);
  for (int turns = 0; turns < kTurnsMax; ++turns) {
    (void)engine.CreateBucket("team");
    auto deletion = engine.BeginDeleteBucket("team");
    engine.Turns(turns);
    auto made = engine.Create(engine.Id("team", "y"));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    const bool deleted = engine.Await(deletion)->outcome == Outcome::kOk;
    EXPECT_EQ(made->outcome, deleted ? Outcome::kBucketNotFound : Outcome::kOk) << turns;
    if (!deleted) {
      EXPECT_EQ(engine.Delete(engine.Id("team", "y"))->outcome, Outcome::kOk);
    }
  }
}

// Other buckets' deletions make what a core remembers of its bucket old; what the create waits for
// uses up no look at it.
TEST(BucketTest, ACreateThatWaitsForAForkFindsItsBucketBesideOtherDeletions) {
  ManualEngine engine(16);
  ASSERT_EQ(engine.Create(engine.Id(kUpstreamBucket, "source"))->outcome, Outcome::kOk);
  ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
  for (int turns = 0; turns < kTurnsMax; ++turns) {
    ASSERT_EQ(engine.CreateBucket("other")->outcome, Outcome::kOk);
    const StreamId id = engine.Id("team", "f" + std::to_string(turns));
    auto fork = engine.BeginCreate(Fork(id, engine.Id(kUpstreamBucket, "source")));
    engine.Turns(turns % 40);
    CreateRequest request;
    request.stream = id;
    auto create = engine.BeginCreate(request);
    engine.Turns(turns / 4);
    auto deletion = engine.BeginDeleteBucket("other");
    EXPECT_NE(engine.Await(create)->outcome, Outcome::kBucketNotFound) << turns;
    EXPECT_NE(engine.Await(fork)->outcome, Outcome::kBucketNotFound) << turns;
    EXPECT_EQ(engine.Await(deletion)->outcome, Outcome::kOk);
  }
}

// With many groups most forks are in another than their name's.
TEST(BucketTest, NamesOfForksThatAreGoneKeepNoBucket) {
  ManualEngine engine(16);
  ASSERT_EQ(engine.Create(engine.Id(kUpstreamBucket, "source"))->outcome, Outcome::kOk);
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
    const StreamId fork = engine.Id("team", "f" + std::to_string(i));
    const StreamId forks_fork = engine.Id("team", "g" + std::to_string(i));
    ASSERT_EQ(engine.Create(Fork(fork, engine.Id(kUpstreamBucket, "source")))->outcome,
              Outcome::kOk);
    ASSERT_EQ(engine.Create(Fork(forks_fork, fork))->outcome, Outcome::kOk);
    // Soft-deleted, and gone with what reads from it.
    ASSERT_EQ(engine.Delete(fork)->outcome, Outcome::kOk);
    EXPECT_EQ(engine.Await(engine.BeginDeleteBucket("team"))->outcome, Outcome::kBucketNotEmpty);
    ASSERT_EQ(engine.Delete(forks_fork)->outcome, Outcome::kOk);
    EXPECT_EQ(engine.Await(engine.BeginDeleteBucket("team"))->outcome, Outcome::kOk) << i;
  }
}

TEST(BucketTest, NamesOfForksThatHaveExpiredKeepNoBucket) {
  ManualEngine engine(16);
  ASSERT_EQ(engine.Create(engine.Id(kUpstreamBucket, "source"))->outcome, Outcome::kOk);
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
    const StreamId id = engine.Id("team", "f" + std::to_string(i));
    CreateRequest fork = Fork(id, engine.Id(kUpstreamBucket, "source"));
    fork.lifetime.ttl_seconds = 1;
    ASSERT_EQ(engine.Create(fork)->outcome, Outcome::kOk);
    engine.AdvanceMs(990);
    while (engine.Head(id)->outcome == Outcome::kOk) engine.AdvanceMs(1);
    EXPECT_EQ(engine.Await(engine.BeginDeleteBucket("team"))->outcome, Outcome::kOk) << i;
  }
}

TEST(BucketTest, ADeletionBesideAForkEndsAsTheForkDoes) {
  ManualEngine engine(16);
  ASSERT_EQ(engine.Create(engine.Id(kUpstreamBucket, "source"))->outcome, Outcome::kOk);
  for (int turns = 0; turns < kTurnsMax; ++turns) {
    for (const char* source : {"source", "none"}) {
      (void)engine.CreateBucket("team");
      const StreamId id = engine.Id("team", "f" + std::to_string(turns % 7));
      auto fork = engine.BeginCreate(Fork(id, engine.Id(kUpstreamBucket, source)));
      engine.Turns(turns);
      auto deletion = engine.Await(engine.BeginDeleteBucket("team"));
      ASSERT_TRUE(deletion.ok()) << deletion.status().ToString();
      auto made = engine.Await(fork);
      ASSERT_TRUE(made.ok()) << made.status().ToString();
      const bool there = made->outcome == Outcome::kOk;
      EXPECT_EQ(deletion->outcome, there ? Outcome::kBucketNotEmpty : Outcome::kOk) << turns;
      if (there) {
        EXPECT_EQ(engine.Delete(id)->outcome, Outcome::kOk);
      }
    }
  }
}

}  // namespace
}  // namespace ursula
