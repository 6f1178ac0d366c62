// What depends on which core is quick and which is slow: an engine on loops that the test moves.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/random.h"
#include "lib/engine/engine.h"
#include "lib/engine/placement.h"
#include "lib/stream/command.h"
#include "tests/support/manual_loop.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class HandMovedEngine {
 public:
  // In memory, or on a disk that takes its time.
  HandMovedEngine(uint16_t cores, uint32_t groups, uint64_t seed = 1, bool durable = false)
      : groups_(groups), disk_(seed), runtime_(cores, &disk_, seed) {
    EngineOptions options;
    options.runtime = &runtime_;
    options.group_count = groups;
    if (durable) {
      disk_.faults().latency_min_ns = disk_.faults().latency_max_ns = 100'000;
      options.data_dir = "/data";
      options.wal_bytes_max = cores * (uint64_t{8} << 20);
      options.message_bytes_max = 64 << 10;
    }
    auto opened = StreamEngine::Open(std::move(options));
    if (opened.ok()) engine_ = std::move(*opened);
  }

  bool open() const { return engine_ != nullptr; }
  StreamEngine& operator*() { return *engine_; }
  StreamEngine* operator->() { return engine_.get(); }
  testing::ManualRuntime& runtime() { return runtime_; }
  testing::ManualLoop& loop(uint16_t core) { return runtime_.manual_loop(CoreId{core}); }
  group::Replica& replica(uint32_t group) {
    return static_cast<Engine&>(*engine_)
        .shard(CoreOf(GroupId{group}, runtime_.core_count()))
        .replica(GroupId{group});
  }

  // Of a stream of this bucket in this group.
  StreamId IdIn(uint32_t group, const std::string& bucket) const {
    StreamId id{.bucket = bucket, .name = "s0"};
    for (int i = 1; GroupOf(id, groups_) != GroupId{group}; ++i) id.name = "s" + std::to_string(i);
    return id;
  }

  // Starts a call and runs all cores until it has answered.
  template <class Reply, class Start>
  Outcome Finish(Start start) {
    std::optional<Result<Reply>> result;
    start(Done<Reply>([&](Result<Reply> reply) { result.emplace(std::move(reply)); }));
    EXPECT_TRUE(runtime_.RunUntil([&] { return result.has_value(); }));
    EXPECT_TRUE(result->ok()) << result->status().ToString();
    return (*result)->outcome;
  }
  Outcome Create(CreateRequest request) {
    return Finish<CreateReply>(
        [&](auto done) { engine_->Create(std::move(request), std::move(done)); });
  }
  Outcome CreateBucket(const std::string& bucket) {
    return Finish<BucketReply>([&](auto done) { engine_->CreateBucket(bucket, std::move(done)); });
  }

  void BeginStop() {
    engine_->Stop([this](Result<Stopped> result) { stopped_ = result.ok(); });
  }
  bool stopped() const { return stopped_; }

  // The other cores stand still.
  void RunAlone(uint16_t core, uint64_t ns = kSecond) {
    (void)loop(core).RunUntil([] { return false; }, ns);
  }

 private:
  const uint32_t groups_;
  testing::FaultDisk disk_;
  testing::ManualRuntime runtime_;
  bool stopped_ = false;
  std::unique_ptr<StreamEngine> engine_;
};

// A deletion of "team", by a leader that does nothing more about it; whether that is applied.
std::shared_ptr<bool> BeginDeletion(HandMovedEngine& engine) {
  auto begun = std::make_shared<bool>(false);
  engine.loop(0).Post([&engine, begun] {
    using Step = stream::DeleteBucket::Step;
    engine.replica(0).Propose(stream::DeleteBucket{"team", Step::kBegin, {}},
                              [begun](Result<stream::Reply> reply) { *begun = reply.ok(); });
  });
  return begun;
}

// A deletion that was left half-way goes on by itself. It finds a stream, on core 1, and takes its
// fences back: the question goes there after that core has nothing else to do any more.
TEST(HandMovedStopTest, AChoreEndsBeforeTheGroupsItGoesTo) {
  HandMovedEngine engine(2, 2);
  ASSERT_TRUE(engine.open());
  ASSERT_EQ(engine.CreateBucket("team"), Outcome::kOk);
  ASSERT_EQ(engine.Create({.stream = engine.IdIn(1, "team")}), Outcome::kOk);
  const std::shared_ptr<bool> begun = BeginDeletion(engine);
  ASSERT_TRUE(engine.runtime().RunUntil([&] { return *begun; }));
  ASSERT_EQ(engine.loop(1).posted(), 0u);
  // The chore has asked core 1 to fence its group.
  ASSERT_TRUE(engine.loop(0).RunUntil([&] { return engine.loop(1).posted() > 0; }));
  engine.BeginStop();
  engine.RunAlone(0);
  engine.RunAlone(1);
  EXPECT_FALSE(engine.stopped());
  engine.RunAlone(0);
  EXPECT_TRUE(engine.runtime().RunUntil([&] { return engine.stopped(); }));
}

// Streams or not, what was begun has to end: else all that is created in the bucket would wait.
TEST(HandMovedBucketTest, ADeletionThatNobodyEndsIsEndedThoughStreamsAreSeen) {
  HandMovedEngine engine(1, 2);
  ASSERT_TRUE(engine.open());
  ASSERT_EQ(engine.CreateBucket("team"), Outcome::kOk);
  ASSERT_EQ(engine.Create({.stream = engine.IdIn(1, "team")}), Outcome::kOk);
  const std::shared_ptr<bool> begun = BeginDeletion(engine);
  ASSERT_TRUE(engine.runtime().RunUntil([&] { return *begun; }));
  const stream::Machine& meta = engine.replica(0).machine();
  ASSERT_FALSE(meta.DeletingBuckets().empty());
  EXPECT_TRUE(engine.runtime().RunUntil([&] { return meta.DeletingBuckets().empty(); }));
  EXPECT_TRUE(meta.BucketFind("team").has_value());
}

// A fence whose attempt came to nothing, and the deletion that takes it back.
TEST(HandMovedBucketTest, WhatWaitsForAFenceGoesOnInTheTurnThatTakesItBack) {
  HandMovedEngine engine(1, 2);
  ASSERT_TRUE(engine.open());
  ASSERT_EQ(engine.CreateBucket("team"), Outcome::kOk);
  StreamId there = engine.IdIn(0, "team");
  ASSERT_EQ(engine.Create({.stream = there}), Outcome::kOk);
  bool fenced = false;
  engine.loop(0).Post([&] {
    using Step = stream::DeleteBucket::Step;
    engine.replica(0).Propose(
        stream::DeleteBucket{"team", Step::kBegin, {}}, [&](Result<stream::Reply> begun) {
          engine.replica(1).Propose(
              stream::FenceBucket{"team", begun->incarnation, begun->attempt},
              [&](Result<stream::Reply> reply) { fenced = reply->outcome == Outcome::kOk; });
        });
  });
  ASSERT_TRUE(engine.runtime().RunUntil([&] { return fenced; }));
  const uint64_t from_ns = engine.loop(0).now_ns();
  int made = 0;
  int found = 0;
  uint64_t last_ns = 0;
  const StreamId waits = engine.IdIn(1, "team");
  for (int i = 0; i < 3; ++i) {
    engine->Create({.stream = waits}, [&](Result<CreateReply> reply) {
      EXPECT_TRUE(reply.ok()) << reply.status().ToString();
      made += reply.ok() && reply->outcome == Outcome::kOk ? 1 : 0;
      found += reply.ok() && reply->outcome == Outcome::kExisted ? 1 : 0;
      last_ns = engine.loop(0).now_ns();
    });
  }
  const stream::Machine& meta = engine.replica(0).machine();
  ASSERT_TRUE(engine.runtime().RunUntil([&] { return meta.DeletingBuckets().empty(); }));
  EXPECT_GT(engine.loop(0).now_ns(), from_ns);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(found, 2);
  EXPECT_EQ(last_ns, engine.loop(0).now_ns());
}

// Forks and buckets are deleted and the engine stops meanwhile, while one core after the other runs
// ahead of the rest.
TEST(HandMovedStopTest, WhoeverIsSlowItStops) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    Random random(seed);
    constexpr uint16_t kCores = 3;
    constexpr uint32_t kGroups = 6;
    HandMovedEngine engine(kCores, kGroups, seed);
    ASSERT_TRUE(engine.open());
    const StreamId source = engine.IdIn(static_cast<uint32_t>(random.Below(kGroups)), "v1");
    ASSERT_EQ(engine.Create({.stream = source}), Outcome::kOk);
    for (int i = 0; i < 4; ++i) {
      CreateRequest fork;
      fork.stream = {.bucket = "v1", .name = "fork" + std::to_string(i)};
      fork.fork = ForkPoint{.source = source};
      ASSERT_EQ(engine.Create(std::move(fork)), Outcome::kOk);
    }
    ASSERT_EQ(engine.CreateBucket("team"), Outcome::kOk);
    ASSERT_EQ(engine.Create(
                  {.stream = engine.IdIn(static_cast<uint32_t>(random.Below(kGroups)), "team")}),
              Outcome::kOk);
    for (int i = 0; i < 4; ++i) {
      engine->Delete({.stream = {.bucket = "v1", .name = "fork" + std::to_string(i)}},
                     [](Result<DeleteReply>) {});
    }
    engine->DeleteBucket("team", [](Result<BucketReply>) {});
    const uint64_t stop_at = random.Below(40);
    for (uint64_t step = 0; !engine.stopped() && step < 10'000; ++step) {
      if (step == stop_at) engine.BeginStop();
      const auto core = static_cast<uint16_t>(random.Below(kCores));
      if (random.OneIn(8)) {
        engine.RunAlone(core, random.Below(kSecond));
      } else {
        engine.loop(core).RunTurn();
      }
    }
    ASSERT_TRUE(engine.stopped());
  }
}

// The fork is made on core 0; core 1, where its name belongs, has stopped when it hears of that.
TEST(HandMovedForkTest, AForkThatWasMadeIsNotSaidToBeRefused) {
  HandMovedEngine engine(2, 2, 1, true);
  ASSERT_TRUE(engine.open());
  const StreamId source = engine.IdIn(0, "v1");
  ASSERT_EQ(engine.Create({.stream = source}), Outcome::kOk);
  CreateRequest fork;
  fork.stream = engine.IdIn(1, "v1");
  fork.fork = ForkPoint{.source = source};
  std::optional<Result<CreateReply>> reply;
  engine->Create(fork, [&](Result<CreateReply> made) { reply.emplace(std::move(made)); });
  auto proposed = [&] { return engine.replica(0).proposals_pending() > 0; };
  while (!proposed()) {
    ASSERT_TRUE(engine.loop(1).RunUntil([&] { return engine.loop(0).posted() > 0; }));
    (void)engine.loop(0).RunUntil([&] { return proposed() || engine.loop(1).posted() > 0; });
  }
  engine.BeginStop();
  engine.RunAlone(1);
  EXPECT_FALSE(reply.has_value());
  EXPECT_TRUE(engine.runtime().RunUntil([&] { return engine.stopped(); }));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status().code(), StatusCode::kOutcomeUnknown) << reply->status().ToString();
}

// Another leader may have begun one meanwhile, which may yet be refused: what this one has met is
// nobody's answer then.
TEST(HandMovedBucketTest, ADeletionWhosePlaceAnotherHasTakenTellsNoEnd) {
  HandMovedEngine engine(2, 2);
  ASSERT_TRUE(engine.open());
  ASSERT_EQ(engine.CreateBucket("team"), Outcome::kOk);
  std::optional<Result<BucketReply>> deleted;
  engine->DeleteBucket("team",
                       [&](Result<BucketReply> reply) { deleted.emplace(std::move(reply)); });
  // It has asked core 1 whether its group has streams, and then to fence it.
  ASSERT_TRUE(engine.loop(0).RunUntil([&] { return engine.loop(1).posted() > 0; }));
  engine.RunAlone(1);
  ASSERT_TRUE(engine.loop(0).RunUntil([&] { return engine.loop(1).posted() > 0; }));
  const std::shared_ptr<bool> begun = BeginDeletion(engine);
  ASSERT_TRUE(engine.loop(0).RunUntil([&] { return *begun; }));
  ASSERT_FALSE(deleted.has_value());
  ASSERT_TRUE(engine.runtime().RunUntil([&] { return deleted.has_value(); }));
  EXPECT_EQ(deleted->status().code(), StatusCode::kOutcomeUnknown) << deleted->status().ToString();
  engine.BeginStop();
  EXPECT_TRUE(engine.runtime().RunUntil([&] { return engine.stopped(); }));
}

// Each group answers with a page: what is asked at once is what is in memory at once.
TEST(HandMovedListTest, AFewGroupsAreAskedAtATime) {
  HandMovedEngine engine(2, 64);
  ASSERT_TRUE(engine.open());
  std::optional<Result<ListReply>> listed;
  engine->List({.bucket = "v1"},
               [&](Result<ListReply> reply) { listed.emplace(std::move(reply)); });
  engine.RunAlone(0);
  EXPECT_GT(engine.loop(1).posted(), 0u);
  EXPECT_LE(engine.loop(1).posted(), 16u);
  ASSERT_TRUE(engine.runtime().RunUntil([&] { return listed.has_value(); }));
  EXPECT_TRUE(listed->ok());
  engine.BeginStop();
  EXPECT_TRUE(engine.runtime().RunUntil([&] { return engine.stopped(); }));
}

}  // namespace
}  // namespace ursula::engine
