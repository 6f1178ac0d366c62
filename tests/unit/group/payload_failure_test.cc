// The payload store fails while the log is well: the log keeps what the store couldn't take, and no
// sync is trusted that said no.

#include <cerrno>
#include <cstdint>
#include <string>

#include "gtest/gtest.h"
#include "lib/group/replica.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;

testing::FaultDisk::Faults Slow() { return {.latency_min_ns = kMs, .latency_max_ns = kMs}; }

TEST(ReplicaPayloadFailureTest, AFailedSyncEndsAppendsWithAReasonAndReadsGoOn) {
  GroupWorld world(1, Slow());
  world.options.payload_direct = false;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  ASSERT_TRUE(world.AppendNow("s", "stored,"));
  ASSERT_TRUE(world.CheckpointNow());
  world.replica().EvictTo(0);
  ASSERT_TRUE(world.AppendNow("s", "in memory,"));
  world.disk.FailSync(1, EIO);
  world.replica().Checkpoint();
  world.RunUntil([&] { return world.disk.syncs() > 0 && world.disk.in_flight() == 1; });
  Asked under_way = world.Append("s", "the log is well,");
  EXPECT_TRUE(world.RunUntil([&] { return !world.replica().Ready().ok(); }));
  EXPECT_EQ(world.replica().Ready().code(), StatusCode::kUnavailable);
  EXPECT_NE(world.replica().Ready().message().find("payload"), std::string::npos);
  EXPECT_TRUE(world.Finish(under_way));
  Asked later = world.Append("s", "refused");
  EXPECT_FALSE(world.Finish(later));
  EXPECT_EQ(later->code(), StatusCode::kUnavailable);
  EXPECT_EQ(world.Content("s"), "stored,in memory,the log is well,");
  // It isn't tried again, and the log is kept.
  world.runtime().AdvanceBy(200 * kMs);
  uint64_t writes = world.disk.writes();
  EXPECT_FALSE(world.CheckpointNow());
  EXPECT_FALSE(world.FlushNow());
  EXPECT_EQ(world.disk.writes(), writes);
  EXPECT_EQ(world.snapshots().chain(GroupId{0}).files, 1u);
  EXPECT_TRUE(world.Stop());
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Content("s"), "stored,in memory,the log is well,");
  EXPECT_TRUE(world.AppendNow("s", "and on"));
  EXPECT_TRUE(world.CheckpointNow());
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Content("s"), "stored,in memory,the log is well,and on");
  EXPECT_TRUE(world.Stop());
}

// The process dies after a failed sync, and finds the bytes in the page cache at its next start;
// then the log lets go of them; then the machine goes down, and the page cache with it.
TEST(ReplicaPayloadFailureTest, WhatAFailedSyncLeftInThePageCacheIsNotTakenForStored) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    GroupWorld world(seed, Slow());
    world.options.payload_direct = false;
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s"));
    ASSERT_TRUE(world.AppendNow("s", "abc"));
    world.disk.FailSync(1, EIO);
    world.replica().Flush();
    ASSERT_TRUE(world.RunUntil([&] { return !world.replica().Ready().ok(); }));
    world.Kill();
    ASSERT_TRUE(world.Open().ok());
    EXPECT_GT(world.replica().unflushed_bytes(), 0u);
    ASSERT_TRUE(world.CheckpointNow());
    world.runtime().AdvanceBy(100 * kMs);
    world.Crash();
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(world.Content("s"), "abc");
    EXPECT_TRUE(world.Stop());
  }
}

// Blocks begin elsewhere when the bytes are written out again: the new ones lie inside the old.
TEST(ReplicaPayloadFailureTest, BlocksOfAFailedSyncDoNotHideThoseWrittenAgain) {
  GroupWorld world(1, Slow());
  world.options.payload_direct = false;
  world.options.wal_segment_bytes = 1 << 20;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  std::string content = std::string(150 << 10, 'a');
  ASSERT_TRUE(world.AppendNow("s", content));
  ASSERT_TRUE(world.FlushNow());
  for (char c : {'b', 'c'}) {
    std::string more(100 << 10, c);
    ASSERT_TRUE(world.AppendNow("s", more));
    content += more;
  }
  world.disk.FailSync(1, EIO);
  world.replica().Flush();
  ASSERT_TRUE(world.RunUntil([&] { return !world.replica().Ready().ok(); }));
  world.Kill();
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CheckpointNow());
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_TRUE(world.Content("s") == content);
  EXPECT_TRUE(world.Stop());
}

TEST(ReplicaPayloadFailureTest, AFullDiskRefusesAFlushWhichIsTriedAgainByItself) {
  GroupWorld world(1, Slow());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.AppendNow("s", "abc"));
  world.runtime().AdvanceBy(200 * kMs);
  world.disk.FailWrite(1, ENOSPC);
  world.replica().Flush();
  world.runtime().AdvanceBy(500 * kMs);
  EXPECT_EQ(world.replica().unflushed_bytes(), 3u);
  EXPECT_TRUE(world.budget().storage_full());
  EXPECT_TRUE(world.replica().Ready().ok());
  EXPECT_TRUE(world.AppendNow("s", "def"));
  world.runtime().AdvanceBy(1000 * kMs);
  EXPECT_EQ(world.replica().unflushed_bytes(), 0u);
  EXPECT_FALSE(world.budget().storage_full());
  // Nothing was collected for a snapshot, so the next one needs no base.
  EXPECT_TRUE(world.CheckpointNow());
  EXPECT_EQ(world.snapshots().chain(GroupId{0}).files, 2u);
  EXPECT_EQ(world.replica().unflushed_bytes(), 0u);
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Content("s"), "abcdef");
  EXPECT_TRUE(world.Stop());
}

// Buffered, the log's own bytes may be in the page cache alone as well.
TEST(ReplicaPayloadFailureTest, WhatAFailedSyncLeftOfTheLogIsNotTakenForDurable) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    testing::FaultDisk::Faults faults = Slow();
    faults.direct = false;
    GroupWorld world(seed, faults);
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s"));
    ASSERT_TRUE(world.AppendNow("s", "a"));
    world.disk.FailSync(1, EIO);
    Asked unknown = world.Append("s", "b");
    EXPECT_FALSE(world.Finish(unknown));
    world.Kill();
    ASSERT_TRUE(world.Open().ok());
    std::string seen = world.Content("s");
    world.Crash();
    Status status = world.Open();
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(world.Content("s"), seen);  // Who has read it has read it.
    EXPECT_TRUE(world.Stop());
  }
}

TEST(CoreBudgetTest, PayloadThatWasRefusedForSpaceIsTakenOnceHalfOfWhatWaitedIsOut) {
  CoreBudget budget;
  budget.hot_bytes_max = 1000;
  auto refuses = [&](uint64_t unflushed_bytes, bool full) {
    budget.unflushed_bytes = unflushed_bytes;
    budget.payload_full = full;
    return budget.RefusesPayload();
  };
  EXPECT_FALSE(refuses(1000, true));
  EXPECT_TRUE(refuses(1001, true));
  // A little went out, and nothing more; then all that there was room for.
  EXPECT_TRUE(refuses(900, true));
  EXPECT_TRUE(refuses(900, false));
  EXPECT_TRUE(refuses(501, false));
  EXPECT_TRUE(refuses(500, true));
  EXPECT_FALSE(refuses(500, false));
  EXPECT_FALSE(refuses(1000, false));
  // What only comes too fast is refused for a moment.
  EXPECT_TRUE(refuses(1001, false));
  EXPECT_FALSE(refuses(1000, false));
  // What waited was deleted: nothing is left that could tell whether there is room.
  EXPECT_TRUE(refuses(1001, true));
  EXPECT_FALSE(refuses(0, true));
}

}  // namespace
}  // namespace ursula::group
