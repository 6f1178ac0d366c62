// A disk that fails: what was promised stands, what wasn't is said, reads go on, and the replica
// can be stopped.

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/group/replica.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;

testing::FaultDisk::Faults Slow(bool direct = true) {
  return {.latency_min_ns = kMs, .latency_max_ns = kMs, .direct = direct};
}

ReadRequest WaitAt(std::string_view name, uint64_t from, uint64_t wait_ms) {
  ReadRequest request;
  request.stream = NameOf(name);
  request.from.bytes = from;
  request.wait_ms = wait_ms;
  return request;
}

// Direct: the write fails. Else: the sync.
TEST(ReplicaFailureTest, AFailedLogAnswersEachAsFarAsItKnowsAndReadsGoOn) {
  for (bool direct : {true, false}) {
    GroupWorld world(1, Slow(direct));
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s"));
    ASSERT_TRUE(world.AppendNow("s", "kept,"));
    ASSERT_TRUE(world.FlushNow());
    world.replica().EvictTo(0);
    ASSERT_TRUE(world.AppendNow("s", "hot,"));
    AskedRead waiting = world.Read(WaitAt("s", 9, 500));
    direct ? world.disk.FailWrite(1, EIO) : world.disk.FailSync(1, EIO);
    Asked under_way = world.Append("s", "lost,");
    world.runtime().RunUntilIdle();
    Asked next_batch = world.Append("s", "never,");
    EXPECT_FALSE(under_way->reply);
    world.RunUntil([&] { return !world.wal_failure().ok(); });
    EXPECT_EQ(under_way->code(), StatusCode::kOutcomeUnknown);
    EXPECT_EQ(next_batch->code(), StatusCode::kOutcomeUnknown);
    Asked later = world.Append("s", "refused,");
    EXPECT_FALSE(later->reply);
    world.runtime().RunUntilIdle();
    EXPECT_EQ(later->code(), StatusCode::kUnavailable);
    EXPECT_EQ(world.replica().Ready().code(), StatusCode::kUnavailable);
    EXPECT_EQ(world.budget().inflight_bytes, 0u);
    EXPECT_EQ(world.Content("s"), "kept,hot,");
    EXPECT_FALSE(waiting->reply);
    EXPECT_EQ(world.FinishRead(waiting), "");  // Its time is over.
    AskedRead until_stop = world.Read(WaitAt("s", 9, 50'000));
    world.runtime().RunUntilIdle();
    EXPECT_TRUE(world.Stop());
    EXPECT_TRUE(until_stop->reply && !until_stop->reply->ok());
    ASSERT_TRUE(world.Open().ok());
    std::string content = world.Content("s");
    EXPECT_TRUE(content == "kept,hot," || content == "kept,hot,lost,") << content;
    EXPECT_TRUE(world.Stop());
  }
}

TEST(ReplicaFailureTest, ALogThatFailsWhileStoppingEndsTheStop) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  world.disk.FailWrite(1, EIO);
  Asked under_way = world.Append("s", "a");
  world.runtime().RunUntilIdle();
  Asked staged = world.Append("s", "b");
  EXPECT_TRUE(world.Stop());
  EXPECT_EQ(under_way->code(), StatusCode::kOutcomeUnknown);
  EXPECT_FALSE(staged->ok());
}

// The replicas are done by then; the log's seal is what fails.
TEST(ReplicaFailureTest, ALogThatFailsAfterTheReplicasStoppedIsNoAbort) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  ASSERT_TRUE(world.AppendNow("s", "a"));
  ASSERT_TRUE(world.StopReplicas());
  world.disk.FailWrite(1, EIO);
  EXPECT_TRUE(world.StopStores());
  EXPECT_FALSE(world.wal_failure().ok());
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Content("s"), "a");
  EXPECT_TRUE(world.Stop());
}

TEST(ReplicaFailureTest, NothingIsTakenOnBetweenStopAndItsEnd) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  world.disk.FailWrite(1, EIO);
  Asked under_way = world.Append("s", "a");
  world.runtime().RunUntilIdle();
  bool stopped = false;
  world.replica().Stop([&] { stopped = true; });
  AskedRead read;
  world.RunUntil([&] {  // In the turn in which the log has failed, and the stop can end.
    if (read == nullptr && !world.wal_failure().ok()) read = world.Read(WaitAt("s", 0, 100'000));
    return stopped;
  });
  EXPECT_TRUE(stopped);
  world.runtime().RunUntilIdle();
  ASSERT_TRUE(read != nullptr);
  EXPECT_TRUE(read->reply && !read->reply->ok());
  EXPECT_TRUE(world.StopStores());
}

// The n-th write of a start, for each n: starting ends, and so do reads and the stop.
TEST(ReplicaFailureTest, ALogThatFailsWhileStartingFailsTheStart) {
  bool failed_in_replica = false;
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE("write " + std::to_string(nth));
    GroupWorld world(1, Slow());
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s"));
    ASSERT_TRUE(world.AppendNow("s", "a"));
    world.Crash();
    uint64_t before = world.disk.writes();
    world.disk.FailWrite(nth, EIO);
    ASSERT_TRUE(world.Begin().ok());
    ASSERT_TRUE(world.RunUntil([&] { return world.started(); }));
    if (world.start_status().ok()) {
      EXPECT_EQ(world.Content("s"), "a");
      if (world.disk.writes() - before < nth) break;  // None was left to fail.
      world.Crash();
      continue;
    }
    EXPECT_NE(world.start_status().code(), StatusCode::kDataLoss);
    if (!world.wal_failure().ok()) {
      failed_in_replica = true;
      AskedRead read = world.Read(WaitAt("s", 0, 0));
      AskedRead gone = world.Read(WaitAt("t", 0, 0));
      EXPECT_TRUE(world.RunUntil([&] { return read->reply && gone->reply; }));
      EXPECT_FALSE(read->reply && read->reply->ok());  // Not known to be all there is.
      Asked append = world.Append("s", "b");
      EXPECT_FALSE(world.Finish(append));
      EXPECT_TRUE(world.Stop());
    } else {
      world.Crash();
    }
  }
  EXPECT_TRUE(failed_in_replica);
}

// A record that storage vouches for and no command can be made of.
TEST(ReplicaFailureTest, AnEntryThatCannotBeReadFailsTheGroupAndNobodyWaitsForIt) {
  for (char kind : {'\0', '\1', '\2'}) {
    SCOPED_TRACE(static_cast<int>(kind));
    GroupWorld world;
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s"));
    ASSERT_TRUE(world.AppendNow("s", "a"));
    Index last = world.replica().applied();
    storage::WalRecord record;
    record.index = last + 1;
    record.term = Term{1};
    record.parts = {std::string_view(&kind, 1), "\x02\x01 no command"};
    world.wal().Append(record);
    world.runtime().AdvanceBy(10 * kMs);
    world.Crash();
    EXPECT_EQ(world.Open().code(), StatusCode::kDataLoss);
    EXPECT_EQ(world.replica().applied(), last);
    AskedRead read = world.Read(WaitAt("s", 0, 0));
    bool looked_up = false;
    world.replica().Lookup(NameOf("s"), [&](Result<stream::LookupResult> found) {
      EXPECT_FALSE(found.ok());
      looked_up = true;
    });
    Asked append = world.Append("s", "b");
    EXPECT_TRUE(world.RunUntil([&] { return read->reply && append->reply && looked_up; }));
    EXPECT_FALSE(read->reply && read->reply->ok());
    EXPECT_FALSE(append->ok());
    world.replica().Checkpoint();  // Of what is before it.
    EXPECT_TRUE(world.Stop());
    // A snapshot doesn't make it go away.
    EXPECT_EQ(world.Open().code(), StatusCode::kDataLoss);
    EXPECT_TRUE(world.Stop());
  }
}

}  // namespace
}  // namespace ursula::group
