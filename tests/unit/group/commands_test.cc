// Propose, persist, apply, answer: in this order, and pipelined.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/group/replica.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;

testing::FaultDisk::Faults Slow() { return {.latency_min_ns = kMs, .latency_max_ns = kMs}; }

uint64_t TailOf(GroupWorld* world, std::string_view name) {
  return world->replica().machine().Lookup(NameOf(name), 0).tail;
}

TEST(ReplicaCommandsTest, AnAnswerComesOnlyOnceItsEntryIsDurable) {
  for (bool direct : {true, false}) {
    testing::FaultDisk::Faults faults = Slow();
    faults.direct = direct;
    GroupWorld world(1, faults);
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s"));
    Asked asked = world.Append("s", "abc");
    EXPECT_FALSE(asked->reply);
    world.runtime().RunUntilIdle();  // The write is under way, and takes a while.
    uint64_t asked_ns = world.loop().now_ns();
    EXPECT_FALSE(asked->reply);
    EXPECT_EQ(TailOf(&world, "s"), 0u);
    world.RunUntil([&] { return TailOf(&world, "s") > 0; });
    EXPECT_TRUE(asked->ok());  // Applied and answered in one turn.
    EXPECT_EQ(world.loop().now_ns() - asked_ns, direct ? kMs : 2 * kMs);
    world.Crash();  // Not a moment later.
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(world.Content("s"), "abc");
    EXPECT_TRUE(world.Stop());
  }
}

TEST(ReplicaCommandsTest, CommandsOfOneTurnShareABatchAndAreAnsweredInOrder) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  uint64_t batches = world.wal().stats().batches;
  std::vector<Asked> asked;
  for (char c = 'a'; c <= 'h'; ++c) asked.push_back(world.Append("s", std::string(3, c)));
  ASSERT_TRUE(world.Finish(asked.back()));
  EXPECT_EQ(world.wal().stats().batches, batches + 1);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    ASSERT_TRUE(asked[i]->ok());
    EXPECT_EQ((**asked[i]->reply).append.start.bytes, 3 * i);
    EXPECT_EQ(asked[i]->order, asked[0]->order + i);
  }
  EXPECT_TRUE(world.Stop());
}

TEST(ReplicaCommandsTest, WhatComesWhileABatchIsWrittenGoesIntoTheNext) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  Asked first = world.Append("s", "first,");
  world.runtime().RunUntilIdle();
  Asked second = world.Append("s", "second,");
  world.runtime().RunUntilIdle();
  Asked third = world.Append("s", "third");
  uint64_t batches = world.wal().stats().batches;
  ASSERT_TRUE(world.Finish(first));
  EXPECT_FALSE(second->reply);
  EXPECT_EQ(world.replica().proposals_pending(), 2u);
  ASSERT_TRUE(world.Finish(second));
  EXPECT_TRUE(third->ok());
  EXPECT_EQ(world.wal().stats().batches, batches + 2);
  EXPECT_EQ(world.Content("s"), "first,second,third");
  EXPECT_TRUE(world.Stop());
}

TEST(ReplicaCommandsTest, AnAnswerMayAskAgain) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  Asked second;
  AskedRead read;
  stream::Command command;
  stream::Append append;
  append.id = NameOf("s");
  append.payload = Bytes::Static("a");
  command.body = append;
  world.replica().Propose(&command, {}, [&](Result<stream::Reply> reply) {
    ASSERT_TRUE(reply.ok());
    second = world.Append("s", "b");
    ReadRequest request;
    request.stream = NameOf("s");
    read = world.Read(std::move(request));
  });
  world.RunUntil([&] { return second != nullptr; });
  EXPECT_EQ(world.FinishRead(read), "a");
  EXPECT_TRUE(world.Finish(second));
  EXPECT_EQ(world.Content("s"), "ab");
  EXPECT_TRUE(world.Stop());
}

TEST(ReplicaCommandsTest, RefusalsComeAfterTheCallAndNothingIsApplied) {
  GroupWorld world(1, Slow());
  world.options.inflight_bytes_max = 100;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  Asked large = world.Append("s", std::string(world.wal().record_bytes_max(), 'x'));
  EXPECT_FALSE(large->reply);
  world.runtime().RunUntilIdle();
  EXPECT_EQ(large->code(), StatusCode::kInvalidArgument);
  Asked first = world.Append("s", std::string(60, 'a'));
  Asked second = world.Append("s", std::string(60, 'b'));
  EXPECT_FALSE(second->reply);
  world.runtime().RunUntilIdle();
  EXPECT_EQ(second->code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(world.budget().stats.refused_inflight, 1u);
  ASSERT_TRUE(world.Finish(first));
  EXPECT_EQ(world.budget().inflight_bytes, 0u);
  EXPECT_TRUE(world.AppendNow("s", std::string(60, 'c')));
  EXPECT_EQ(world.Content("s"), std::string(60, 'a') + std::string(60, 'c'));
  EXPECT_TRUE(world.StopReplicas());
  Asked late = world.Append("s", "d");
  EXPECT_FALSE(late->reply);
  world.runtime().RunUntilIdle();
  EXPECT_EQ(late->code(), StatusCode::kUnavailable);
  EXPECT_TRUE(world.StopStores());
}

TEST(ReplicaCommandsTest, StopWaitsForWhatWasAskedBefore) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  Asked under_way = world.Append("s", "a");
  world.runtime().RunUntilIdle();
  Asked staged = world.Append("s", "b");
  EXPECT_TRUE(world.Stop());
  EXPECT_TRUE(under_way->ok());
  EXPECT_TRUE(staged->ok());
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Content("s"), "ab");
  EXPECT_TRUE(world.Stop());
}

// Kinds and terms of the records of the log, in their order.
struct Kinds final : storage::RecoverySink {
  Status OnRecord(storage::RecoveredRecord record) override {
    records.emplace_back(record.kind, record.term);
    return {};
  }
  std::vector<std::pair<storage::RecordKind, Term>> records;
};

// A batch ends anywhere, and a crash may cut the log there: an entry whose term isn't in a state
// before it would be of no term that recovery knows.
TEST(ReplicaCommandsTest, TheStateOfAnAppendIsInTheLogBeforeItsEntries) {
  GroupWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  ASSERT_TRUE(world.AppendNow("s", "a"));  // Tells of a commit index too.
  world.Crash();
  Kinds kinds;
  ASSERT_TRUE(world.Open(&kinds).ok());
  ASSERT_FALSE(kinds.records.empty());
  EXPECT_EQ(kinds.records.back().first, storage::RecordKind::kEntry);
  Term term{};
  std::size_t states = 0;
  for (const auto& [kind, of] : kinds.records) {
    if (kind == storage::RecordKind::kState) {
      term = of;
      ++states;
    } else {
      EXPECT_EQ(of, term);
    }
  }
  EXPECT_GT(states, 0u);
  EXPECT_TRUE(world.Stop());
}

}  // namespace
}  // namespace ursula::group
