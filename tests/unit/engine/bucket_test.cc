// What is seen of a bucket beside its deletion, cut at each turn.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

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

// Clients that ask for a bucket's deletion again and again, all at once. Each asks anew once time
// has passed, for else it never would.
class Deleters {
 public:
  Deleters(ManualEngine* engine, std::size_t count) : engine_(*engine), clients_(count) {}

  void Turn() {
    for (Client& client : clients_) {
      if (client.answer == nullptr) client.answer = engine_.BeginDeleteBucket("team");
      if (!client.answer->has_value()) continue;
      if (client.answered_ns == 0) {
        client.answered_ns = engine_.now_ns();
        EXPECT_TRUE((*client.answer)->ok()) << (*client.answer)->status().ToString();
        if ((*client.answer)->ok()) ++ended_[static_cast<int>((**client.answer)->outcome)];
      }
      if (engine_.now_ns() > client.answered_ns) client = {};
    }
    engine_.Turns(1);
  }
  // Runs until it has its answer; how long that took.
  uint64_t Await(const ManualEngine::Answer<CreateReply>& create) {
    const uint64_t from_ns = engine_.now_ns();
    while (!create->has_value() && engine_.now_ns() < from_ns + 10'000'000'000) {
      Turn();
      if (engine_.IsBeingDeleted("team")) beside_attempt_ = true;
    }
    EXPECT_TRUE(create->has_value());
    creates_beside_ += beside_attempt_ ? 1 : 0;
    beside_attempt_ = false;
    return engine_.now_ns() - from_ns;
  }

  int ended(Outcome outcome) { return ended_[static_cast<int>(outcome)]; }
  int creates_beside() const { return creates_beside_; }  // An attempt.

 private:
  struct Client {
    ManualEngine::Answer<BucketReply> answer = {};
    uint64_t answered_ns = 0;
  };

  ManualEngine& engine_;
  std::vector<Client> clients_;
  std::map<int, int> ended_;
  bool beside_attempt_ = false;
  int creates_beside_ = 0;
};

CreateRequest InTeam(std::string name) {
  CreateRequest request;
  request.stream = ManualEngine::Id("team", std::move(name));
  return request;
}

// A create takes as long as it does where nobody deletes anything, but for a write of the log that
// may be under way, and nothing is begun.
TEST(BucketTest, NobodyNoticesDeletionsThatAreRefused) {
  ManualEngine engine(4);
  ASSERT_EQ(engine.CreateBucket("team")->outcome, Outcome::kOk);
  Deleters nobody(&engine, 0);
  uint64_t alone_ns = 0;
  for (int i = 0; i < 20; ++i) {
    alone_ns =
        std::max(alone_ns, nobody.Await(engine.BeginCreate(InTeam("a" + std::to_string(i)))));
  }
  Deleters three(&engine, 3);
  for (int i = 0; i < kTurnsMax; ++i) {
    for (int turn = 0; turn < i % 7; ++turn) three.Turn();
    auto create = engine.BeginCreate(InTeam("b" + std::to_string(i)));
    EXPECT_LE(three.Await(create), 2 * alone_ns) << i;
    ASSERT_TRUE((*create)->ok()) << (*create)->status().ToString();
    EXPECT_EQ((**create)->outcome, Outcome::kOk) << i;
  }
  EXPECT_GE(three.ended(Outcome::kBucketNotEmpty), kTurnsMax);
  EXPECT_EQ(three.creates_beside(), 0);
}

// In a bucket that is empty now and then deletions are begun one after the other, and some of them
// meet a stream that has just been made. Another create waits for one of them, and is made before
// the next one can come: without a pause, and without having been asked for again.
TEST(BucketTest, ACreateWaitsForOneAttemptHoweverManyThereAre) {
  ManualEngine engine(4);
  uint64_t longest_ns = 0;
  Deleters three(&engine, 3);
  int made = 0;
  for (int i = 0; i < 4 * kTurnsMax; ++i) {
    ASSERT_TRUE(engine.CreateBucket("team").ok());
    for (int turn = 0; turn < i % 11; ++turn) three.Turn();
    auto first = engine.BeginCreate(InTeam("a" + std::to_string(i)));
    for (int turn = 0; turn < i % 13; ++turn) three.Turn();
    auto second = engine.BeginCreate(InTeam("b" + std::to_string(i)));
    for (auto& create : {first, second}) {
      longest_ns = std::max(longest_ns, three.Await(create));
      ASSERT_TRUE((*create)->ok()) << (*create)->status().ToString();
      if ((**create)->outcome == Outcome::kOk) {
        ++made;
      } else {
        EXPECT_EQ((**create)->outcome, Outcome::kBucketNotFound);
        EXPECT_EQ(engine.GetBucket("team")->outcome, Outcome::kBucketNotFound) << i;
      }
    }
    (void)engine.Delete(engine.Id("team", "a" + std::to_string(i)));
    (void)engine.Delete(engine.Id("team", "b" + std::to_string(i)));
  }
  EXPECT_LT(longest_ns, 10'000'000u);
  EXPECT_GE(three.creates_beside(), 100);
  EXPECT_GE(three.ended(Outcome::kOk), 20);
  EXPECT_GE(three.ended(Outcome::kBucketNotEmpty), 20);
  EXPECT_GE(made, 100);
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
