#include "lib/storage/wal.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "lib/storage/memory_wal.h"
#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

TEST(WalTest, WhatWasReportedDurableSurvivesACrash) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.AppendState(0, "vote");
  world.AppendEntry(0, 1, "one");
  uint64_t lsn = world.AppendEntry(1, 1, "two");
  ASSERT_TRUE(world.RunUntilDurable(lsn));
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.Texts(),
            (std::vector<std::string>{"state 0 0 1 vote", "entry 0 1 1 one", "entry 1 1 1 two"}));
  world.Stop();
}

TEST(WalTest, APayloadOfTwoPartsIsTheirConcatenation) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  uint64_t lsn =
      world.wal().Append({.group = GroupId{1}, .index = Index{1}, .parts = {"ab", "cd"}});
  ASSERT_TRUE(world.RunUntilDurable(lsn));
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.Texts(), (std::vector<std::string>{"entry 1 1 0 abcd"}));
  world.Stop();
}

TEST(WalTest, RecordsOfOneTurnAreOneBatch) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  for (uint64_t i = 1; i <= 100; ++i) world.AppendEntry(0, i, "x");
  ASSERT_TRUE(world.RunUntilDurable(100));
  EXPECT_EQ(world.wal().stats().batches, 1u);
  EXPECT_EQ(world.wal().stats().record_bytes, 100u * 33);
  EXPECT_EQ(world.wal().stats().written_bytes, 4096u);
  world.Stop();
}

TEST(WalTest, WhatArrivesDuringAWriteIsTheNextBatch) {
  WalWorld world(1, {.latency_min_ns = 100'000, .latency_max_ns = 100'000});
  ASSERT_TRUE(world.Open().ok());
  world.AppendEntry(0, 1, "first");
  world.runtime->RunUntilIdle();
  for (uint64_t i = 2; i <= 50; ++i) {
    world.AppendEntry(0, i, "later");
    world.runtime->RunUntilIdle();
  }
  EXPECT_EQ(world.probe().durable, 0u);
  ASSERT_TRUE(world.RunUntilDurable(50));
  EXPECT_EQ(world.wal().stats().batches, 2u);
  world.Stop();
}

TEST(WalTest, ABatchHasALimitAndABigRecordIsABatchAlone) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  std::string big(40'000, 'b');
  std::string small(7'000, 's');
  world.AppendEntry(0, 1, small);
  world.AppendEntry(0, 2, small);
  world.AppendEntry(0, 3, small);
  world.AppendEntry(0, 4, big);
  world.AppendEntry(0, 5, small);
  ASSERT_TRUE(world.RunUntilDurable(5));
  EXPECT_EQ(world.wal().stats().batches, 4u);
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  ASSERT_EQ(world.recorder.records.size(), 5u);
  EXPECT_EQ(world.recorder.records[3].payload.view(), big);
  world.Stop();
}

TEST(WalTest, ShortWritesGoOnWhereTheyStopped) {
  WalWorld world(3, {.short_write = 0.7});
  ASSERT_TRUE(world.Open().ok());
  for (uint64_t i = 1; i <= 40; ++i) {
    ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(0, i, std::string(i * 300, 'x'))));
  }
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.records.size(), 40u);
  world.Stop();
}

TEST(WalTest, WithoutDirectIoItWritesAndSyncsAndSaysSoOnce) {
  WalWorld world(1, {.direct = false});
  ASSERT_TRUE(world.Open().ok());
  for (uint64_t i = 1; i <= 40; ++i) {
    ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(0, i, std::string(5000, 'x'))));
  }
  ASSERT_EQ(world.log.size(), 1u);
  EXPECT_NE(world.log[0].find("no direct I/O"), std::string::npos);
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.records.size(), 40u);
  world.Stop();
}

TEST(WalTest, AFailedWriteEndsTheLogForGood) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(0, 1, "kept")));
  world.runtime->RunUntilIdle();
  world.disk.FailWrite(1, EIO);
  world.AppendEntry(0, 2, "lost");
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.probe().failures > 0; }));
  EXPECT_EQ(world.probe().failure.code(), StatusCode::kIoError);
  EXPECT_FALSE(world.wal().accepting());
  EXPECT_EQ(world.wal().Ready().code(), StatusCode::kUnavailable);
  uint64_t writes = world.disk.writes();
  world.AppendEntry(0, 3, "refused");
  world.runtime->AdvanceBy(10'000'000'000);
  EXPECT_EQ(world.disk.writes(), writes);
  EXPECT_EQ(world.probe().durable, 1u);
  EXPECT_EQ(world.probe().failures, 1);
  world.Stop();
}

TEST(WalTest, AFailedSyncEndsTheLogForGood) {
  WalWorld world(1, {.direct = false});
  ASSERT_TRUE(world.Open().ok());
  world.runtime->AdvanceBy(1'000'000'000);
  world.disk.FailSync(1, EIO);
  world.AppendEntry(0, 1, "lost");
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.probe().failures > 0; }));
  uint64_t syncs = world.disk.syncs();
  world.AppendEntry(0, 2, "refused");
  world.runtime->AdvanceBy(10'000'000'000);
  EXPECT_EQ(world.disk.syncs(), syncs);
  EXPECT_EQ(world.probe().durable, 0u);
  world.Stop();
}

TEST(WalTest, AnIdleLogIsSealedOnceWithinFiftyMilliseconds) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(0, 1, "x")));
  EXPECT_EQ(world.wal().stats().batches, 1u);
  world.runtime->AdvanceBy(50'000'000);
  EXPECT_EQ(world.wal().stats().batches, 2u);
  world.runtime->AdvanceBy(10'000'000'000);
  EXPECT_EQ(world.wal().stats().batches, 2u);
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(0, 2, "y")));
  world.runtime->AdvanceBy(50'000'000);
  EXPECT_EQ(world.wal().stats().batches, 4u);
  world.Stop();
}

TEST(WalTest, StopMakesWhatWasAppendedDurable) {
  WalWorld world(1, {.latency_min_ns = 1000, .latency_max_ns = 900'000});
  ASSERT_TRUE(world.Open().ok());
  for (uint64_t i = 1; i <= 20; ++i) world.AppendEntry(0, i, std::string(9000, 'x'));
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.records.size(), 20u);
  world.Stop();
}

TEST(WalTest, AFullDiskIsMetBeforeAcceptingAndLeftWhenThereIsSpace) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.runtime->AdvanceBy(1'000'000'000);  // The second segment is ready.
  EXPECT_TRUE(world.wal().accepting());
  world.disk.faults().capacity_bytes = 0;  // Nothing grows any more.
  uint64_t index = 0;
  uint64_t accepted = 0;
  while (world.wal().accepting()) {
    ASSERT_LT(index, 1000u);
    accepted = world.AppendEntry(0, ++index, std::string(3000, 'x'));
    world.runtime->RunUntilIdle();
  }
  EXPECT_EQ(world.wal().Ready().code(), StatusCode::kStorageFull);
  // All that was accepted has become durable: nothing was caught half-way.
  EXPECT_EQ(world.probe().durable, accepted);
  // What makes room may use what was kept back, up to an end.
  uint64_t freeing = 0;
  while (world.wal().ReadyFor({.frees_space = true}).ok()) {
    ASSERT_LT(++freeing, 100u);
    accepted = world.AppendEntry(0, ++index, "x");
    world.runtime->RunUntilIdle();
  }
  EXPECT_GE(freeing, 4u);
  EXPECT_EQ(world.probe().durable, accepted);
  // Nothing is left of the segment that could not be had.
  EXPECT_EQ(world.Segments().size(), 2u);
  EXPECT_EQ(world.probe().failures, 0);

  world.disk.faults().capacity_bytes = uint64_t{1} << 40;
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.wal().accepting(); }, 2'000'000'000));
  EXPECT_TRUE(world.RunUntilDurable(world.AppendEntry(0, ++index, std::string(3000, 'x'))));
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.records.size(), index);
  world.Stop();
}

TEST(WalTest, ASmallLogAcceptsBeforeItsSecondSegmentIsReserved) {
  WalWorld world;
  world.options.batch_bytes_max = 4 << 20;         // More than a segment: cut down to fit.
  world.disk.faults().capacity_bytes = 100 << 10;  // For one segment.
  ASSERT_TRUE(world.Open().ok());
  uint64_t index = 0;
  while (world.wal().accepting()) {
    ASSERT_LT(index, 100u);
    EXPECT_TRUE(world.RunUntilDurable(world.AppendEntry(0, ++index, "x")));
  }
  EXPECT_GE(index, 6u);  // Of the 16 blocks of the first.
  world.Stop();
}

TEST(WalTest, WhatDoesNotFitInThePreparedSpaceIsRefusedBeforeItIsTakenOn) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.runtime->AdvanceBy(1'000'000'000);
  EXPECT_TRUE(world.wal().ReadyFor({.bytes = 60'000}).ok());
  world.disk.faults().capacity_bytes = 0;
  uint64_t index = 0;
  while (world.Segments().size() > 1 && world.wal().ReadyFor({.bytes = 60'000}).ok()) {
    ASSERT_LT(index, 100u);
    world.AppendEntry(0, ++index, std::string(3000, 'x'));
    world.runtime->RunUntilIdle();
  }
  // In the second segment now, and there is no third.
  EXPECT_EQ(world.wal().ReadyFor({.bytes = 60'000}).code(), StatusCode::kStorageFull);
  EXPECT_TRUE(world.wal().ReadyFor({.bytes = 1000}).ok());
  world.Stop();
}

TEST(WalTest, OnAFullDiskRecordsPastThePreparedSpaceWaitUntilARelease) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.runtime->AdvanceBy(1'000'000'000);
  world.disk.faults().capacity_bytes = 0;
  uint64_t lsn = 0;
  for (uint64_t i = 1; i <= 60; ++i) {  // Forced in: twice what is prepared.
    lsn = world.AppendEntry(0, i, std::string(3000, 'x'));
    world.runtime->RunUntilIdle();
  }
  EXPECT_LT(world.probe().durable, lsn);
  EXPECT_EQ(world.probe().failures, 0);
  world.wal().Release(GroupId{0}, Index{20});  // Its segment is recycled: no space is needed.
  world.runtime->RunUntilIdle();
  EXPECT_GT(world.wal().stats().segments_recycled, 0u);
  world.disk.faults().capacity_bytes = uint64_t{1} << 40;
  EXPECT_TRUE(world.RunUntilDurable(lsn));
  world.Stop();
}

TEST(WalTest, StartOnAFullDiskSaysSo) {
  WalWorld world;
  world.disk.faults().capacity_bytes = 4096;
  EXPECT_EQ(world.Open().code(), StatusCode::kStorageFull);
  world.Stop();
}

TEST(WalTest, TheMemoryLogAcknowledgesAtTheTurnsEnd) {
  testing::ManualLoop loop;
  Probe probe;
  MemoryWal wal(&loop, &probe);
  bool started = false;
  wal.Start([&](Status status) { started = status.ok(); });
  loop.RunUntilIdle();
  ASSERT_TRUE(started);
  EXPECT_EQ(wal.Append({.group = GroupId{1}, .parts = {"x", {}}}), 1u);
  EXPECT_EQ(wal.Append({.group = GroupId{1}, .parts = {"y", {}}}), 2u);
  EXPECT_EQ(probe.durable, 0u);
  loop.RunTurn();
  EXPECT_EQ(probe.durable, 2u);
  wal.Append({.group = GroupId{1}, .parts = {"z", {}}});
  bool stopped = false;
  wal.Stop([&] { stopped = true; });
  loop.RunUntilIdle();
  EXPECT_EQ(probe.durable, 3u);
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(wal.accepting());
}

}  // namespace
}  // namespace ursula::storage
