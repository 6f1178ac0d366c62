// How a DiskWal uses, keeps, recycles and leaves its segments.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

// Appends `count` entries of 3000 bytes, each durable before the next.
void Fill(WalWorld* world, uint32_t group, uint64_t* index, uint64_t count, std::size_t core = 0) {
  for (uint64_t i = 0; i < count; ++i) {
    ASSERT_TRUE(world->RunUntilDurable(
        world->AppendEntry(group, ++*index, std::string(3000, 'x'), core), core));
  }
}

std::vector<uint64_t> EntryIndexes(const Recorder& recorder, uint32_t group) {
  std::vector<uint64_t> indexes;
  for (const RecoveredRecord& record : recorder.records) {
    if (record.kind == RecordKind::kEntry && Raw(record.group) == group) {
      indexes.push_back(Raw(record.index));
    }
  }
  return indexes;
}

uint64_t BytesOf(WalWorld* world) {
  uint64_t bytes = 0;
  for (const std::string& name : world->Segments()) {
    bytes += world->disk.Content("/data/wal/" + name).size();
  }
  return bytes;
}

TEST(WalSegmentsTest, NothingLargeIsPreparedBeforeSomethingIsAppended) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  ASSERT_TRUE(world.Open().ok());
  world.runtime->RunUntilIdle();
  EXPECT_EQ(BytesOf(&world), uint64_t{1} << 20);
  uint64_t index = 0;
  Fill(&world, 1, &index, 30);
  world.runtime->RunUntilIdle();
  EXPECT_EQ(BytesOf(&world), uint64_t{9} << 20);
  Fill(&world, 1, &index, 300);
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(EntryIndexes(world.recorder, 1).size(), 330u);
  world.Stop();
}

TEST(WalSegmentsTest, ALargeFirstAppendIsTakenBeforeItsSegmentIsThere) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  ASSERT_TRUE(world.Open().ok());
  EXPECT_TRUE(world.wal().ReadyFor({.bytes = 5 << 20}).ok());
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 1, std::string(5 << 20, 'x'))));
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(EntryIndexes(world.recorder, 1), std::vector<uint64_t>{1});
  world.Stop();
}

// The log doesn't seem to end before it.
TEST(WalSegmentsTest, AFirstBatchThatIsLargerThanItsSegmentIsFoundAgain) {
  WalWorld world;
  world.options.first_segment_bytes = 8 << 10;
  for (uint64_t opening = 1; opening <= 3; ++opening) {
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(EntryIndexes(world.recorder, 1).size(), opening - 1);
    ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, opening, std::string(30 << 10, 'x'))));
    opening % 2 == 0 ? world.Crash() : world.Kill();
  }
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(EntryIndexes(world.recorder, 1), (std::vector<uint64_t>{1, 2, 3}));
  world.Stop();
}

// Whoever took the first of them, and crashed, would leave a hole.
TEST(WalSegmentsTest, OfSeveralSparesOneIsKept) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 1, "one")));
  world.Stop();
  ASSERT_TRUE(world.OpenDirectory(2).ok());
  for (const char* number : {"1", "2", "3"}) {
    const std::string path = std::string("/data/wal/0000000000010000-0000000") + number + ".wal";
    ASSERT_TRUE(
        world.runtime->loop(CoreId{0}).disk().Open(path, {.create = true, .write = true}).ok());
  }
  world.directory.reset();
  ASSERT_TRUE(world.Open(2).ok());
  EXPECT_FALSE(world.disk.Exists("/data/wal/0000000000010000-00000002.wal"));
  EXPECT_FALSE(world.disk.Exists("/data/wal/0000000000010000-00000003.wal"));
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(EntryIndexes(world.recorder, 1), std::vector<uint64_t>{1});
  world.Stop();
}

// What is free doesn't hold another segment: then it is prepared, or missing, from the first.
TEST(WalSegmentsTest, ASmallDiskIsReservedBeforeAnythingIsTaken) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  world.disk.faults().capacity_bytes = 12 << 20;
  ASSERT_TRUE(world.Open().ok());
  world.runtime->RunUntilIdle();
  EXPECT_EQ(BytesOf(&world), uint64_t{8} << 20);
  EXPECT_FALSE(world.wal().ReadyFor({.bytes = 8 << 20}).ok());
  world.Stop();
}

TEST(WalSegmentsTest, ACrashLoopStaysWithinTheLimit) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  world.options.log_bytes_max = 64 << 20;
  for (uint64_t opening = 1; opening <= 30; ++opening) {
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.RunUntilDurable(world.AppendState(0, "a term and a vote")));
    ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(0, opening, "of a new leader")));
    world.Kill();
    ASSERT_LE(BytesOf(&world), world.options.log_bytes_max) << opening;
  }
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(EntryIndexes(world.recorder, 0).size(), 30u);
  world.Stop();
}

// Each life needs its second segment too: the one that a kill left unused is not begun with.
TEST(WalSegmentsTest, SoDoesOneThatAppendsALittle) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  world.options.log_bytes_max = 64 << 20;
  uint64_t index = 0;
  for (uint64_t opening = 1; opening <= 30; ++opening) {
    ASSERT_TRUE(world.Open().ok());
    Fill(&world, 0, &index, 40);
    world.runtime->RunUntilIdle();
    world.Kill();
    ASSERT_LE(BytesOf(&world), world.options.log_bytes_max) << opening;
  }
  EXPECT_EQ(world.Segments().size(), 31u);  // Thirty small ones, and the spare.
}

// However many logs there are already, another opening adds a small one.
TEST(WalSegmentsTest, AtItsLimitAnOpeningBeginsWithASmallSegment) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  world.options.batch_bytes_max = 4 << 20;
  world.options.log_bytes_max = 32 << 20;
  uint64_t index = 0;
  ASSERT_TRUE(world.Open().ok());
  while (BytesOf(&world) + (8 << 20) <= world.options.log_bytes_max) Fill(&world, 0, &index, 100);
  while (world.wal().accepting()) Fill(&world, 0, &index, 1);
  world.Kill();
  const uint64_t before = BytesOf(&world);
  ASSERT_TRUE(world.Open().ok());
  world.runtime->RunUntilIdle();
  EXPECT_LE(BytesOf(&world), before + (1 << 20));
  EXPECT_TRUE(world.wal().ReadyFor({.bytes = 1000}).ok());
  EXPECT_FALSE(world.wal().ReadyFor({.bytes = 2 << 20}).ok());
  world.wal().Release(GroupId{0}, Index{index});
  world.runtime->AdvanceBy(2'000'000'000);
  EXPECT_TRUE(world.wal().ReadyFor({.bytes = 2 << 20}).ok());
  Fill(&world, 0, &index, 500);
  world.Stop();
}

// What the log itself takes may be all there is: it opens, and lets go.
TEST(WalSegmentsTest, ItStartsWhereThereIsNoRoomForASegment) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  ASSERT_TRUE(world.Open().ok());
  uint64_t index = 0;
  Fill(&world, 0, &index, 1000);
  world.Kill();
  ASSERT_TRUE(world.OpenDirectory().ok());
  const std::string spare = "/data/wal/" + world.Segments().back();
  ASSERT_TRUE(world.runtime->loop(CoreId{0}).disk().RemoveNow(spare).ok());
  world.directory.reset();
  world.disk.faults().capacity_bytes = BytesOf(&world) + (3 << 20);
  ASSERT_TRUE(world.Open().ok());
  world.runtime->AdvanceBy(10'000'000);
  EXPECT_EQ(world.wal().ReadyFor({.bytes = 2 << 20}).code(), StatusCode::kStorageFull);
  world.wal().Release(GroupId{0}, Index{index});
  world.runtime->AdvanceBy(2'000'000'000);
  EXPECT_TRUE(world.wal().ReadyFor({.bytes = 2 << 20}).ok());
  Fill(&world, 0, &index, 500);
  world.Stop();
}

// Nor is anything refused while the next segment is being prepared.
TEST(WalSegmentsTest, ADiskWithRoomRefusesNothingThatItCanTake) {
  for (const bool allocates : {true, false}) {
    testing::FaultDisk::Faults faults;
    faults.latency_min_ns = 1'000'000;
    faults.latency_max_ns = 3'000'000;
    faults.allocates = allocates;
    WalWorld world(1, faults);
    world.options.segment_bytes = 32 << 10;
    world.options.batch_bytes_max = 8 << 10;
    ASSERT_TRUE(world.Open().ok());
    for (uint64_t index = 1; index <= 400; ++index) {
      ASSERT_TRUE(world.wal().ReadyFor({.bytes = 3000}).ok()) << index;
      const uint64_t lsn = world.AppendEntry(1, index, std::string(3000, 'x'));
      if (index > 3) {
        ASSERT_TRUE(world.runtime->RunUntil([&] { return world.probe().durable + 3 >= lsn; }));
      }
    }
    world.Stop();
  }
}

TEST(WalSegmentsTest, WithoutFallocateZerosAreWritten) {
  WalWorld world;
  world.disk.faults().allocates = false;
  ASSERT_TRUE(world.Open().ok());
  uint64_t index = 0;
  Fill(&world, 1, &index, 60);
  EXPECT_GE(world.Segments().size(), 3u);
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(EntryIndexes(world.recorder, 1).size(), 60u);
  world.Stop();
}

// No file of that name can be another opening's; if one is there all the same, it isn't touched.
TEST(WalSegmentsTest, AFileThatIsThereIsNotTakenForANewSegment) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  ASSERT_TRUE(world.Open().ok());
  const std::string path = "/data/wal/0000000000010000-00000001.wal";
  ASSERT_TRUE(
      world.runtime->loop(CoreId{0}).disk().Open(path, {.create = true, .write = true}).ok());
  world.disk.Overwrite(path, 0, "somebody's");
  world.AppendEntry(1, 1, std::string(100 << 10, 'x'));
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.probe().failures == 1; }));
  EXPECT_EQ(world.disk.Content(path), "somebody's");
  world.Stop();
}

// One whose zeros a crash cut is not taken for written: its blocks would be converted batch by
// batch.
TEST(WalSegmentsTest, ASpareThatIsNotWrittenToItsEndIsZeroedAgain) {
  WalWorld world;
  ASSERT_TRUE(world.OpenDirectory().ok());
  world.directory.reset();
  const std::string spare = "/data/wal/0000000000010000-00000000.wal";
  ASSERT_TRUE(
      world.runtime->loop(CoreId{0}).disk().Open(spare, {.create = true, .write = true}).ok());
  world.disk.Truncate(spare, 4096);
  const uint64_t before = world.disk.writes();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_FALSE(world.disk.Exists(spare));
  EXPECT_GE(world.disk.writes(), before + 1);
  EXPECT_EQ(world.disk.Content("/data/wal/" + world.Segments().front()).size(), 64u << 10);
  world.Stop();
}

TEST(WalSegmentsTest, ReleasedSegmentsAreRecycledWhileRunning) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  uint64_t index = 0;
  for (int round = 0; round < 40; ++round) {
    Fill(&world, 1, &index, 10);
    world.wal().Release(GroupId{1}, Index{index - 5});
    world.runtime->RunUntilIdle();
  }
  EXPECT_GT(world.wal().stats().segments_recycled, 10u);
  EXPECT_LE(world.Segments().size(), 6u);
  EXPECT_EQ(world.wal().stats().disk_bytes, world.Segments().size() * 64 * 1024);
  world.Crash();
  // What recycled segments held before never comes back, and nothing that is needed is missing.
  ASSERT_TRUE(world.Open().ok());
  std::vector<uint64_t> indexes = EntryIndexes(world.recorder, 1);
  ASSERT_FALSE(indexes.empty());
  EXPECT_LE(indexes.front(), index - 4);
  EXPECT_EQ(indexes.back(), index);
  for (std::size_t i = 1; i < indexes.size(); ++i) EXPECT_EQ(indexes[i], indexes[i - 1] + 1);
  world.Stop();
}

TEST(WalSegmentsTest, NothingIsOpenedOrReadInALoopsTurn) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.disk.SetWatcher([] { ADD_FAILURE() << "a call that blocks"; });
  uint64_t index = 0;
  for (int round = 0; round < 20; ++round) {
    Fill(&world, 1, &index, 10);
    world.wal().Release(GroupId{1}, Index{index - 5});
    world.runtime->RunUntilIdle();
  }
  EXPECT_GT(world.wal().stats().segments_recycled, 3u);
  world.disk.SetWatcher({});
  world.Stop();
}

TEST(WalSegmentsTest, ManyReleasedSegmentsAreRemoved) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  uint64_t index = 0;
  Fill(&world, 1, &index, 200);
  EXPECT_GT(world.Segments().size(), 10u);
  world.wal().Release(GroupId{1}, Index{index});
  world.runtime->RunUntilIdle();
  EXPECT_GT(world.wal().stats().segments_removed, 5u);
  EXPECT_LE(world.Segments().size(), 4u);
  world.Stop();
}

TEST(WalSegmentsTest, AnIdleGroupsStateSurvivesItsSegment) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.AppendState(2, "voted-once");
  uint64_t index = 0;
  for (int round = 0; round < 20; ++round) {
    Fill(&world, 1, &index, 20);
    world.wal().Release(GroupId{1}, Index{index});
    world.runtime->RunUntilIdle();
  }
  EXPECT_LE(world.Segments().size(), 6u);
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  std::vector<std::string> texts = world.recorder.Texts();
  EXPECT_NE(std::find(texts.begin(), texts.end(), "state 2 0 1 voted-once"), texts.end());
  world.Stop();
}

TEST(WalSegmentsTest, AnIdleGroupIsToldThatItPinsTheLog) {
  WalWorld world;
  world.options.log_bytes_max = 1 << 20;
  ASSERT_TRUE(world.Open().ok());
  uint64_t idle = 0;
  Fill(&world, 3, &idle, 1);
  uint64_t index = 0;
  while (world.probe().pinned.empty()) {
    ASSERT_LT(index, 1000u);
    Fill(&world, 1, &index, 1);
    world.runtime->AdvanceBy(1'000'000);
    world.wal().Release(GroupId{1}, Index{index});
  }
  EXPECT_EQ(world.probe().pinned, (std::vector<GroupId>{GroupId{3}}));
  uint64_t before = world.wal().stats().disk_bytes;
  world.wal().Release(GroupId{3}, Index{1});
  world.runtime->RunUntilIdle();
  EXPECT_LT(world.wal().stats().disk_bytes, before / 2);
  world.Stop();
}

TEST(WalSegmentsTest, ALogNeverPassesItsLimitAndAcceptsAgainAfterARelease) {
  WalWorld world;
  world.options.log_bytes_max = 512 << 10;
  ASSERT_TRUE(world.Open().ok());
  uint64_t index = 0;
  while (world.wal().accepting()) {
    ASSERT_LT(index, 1000u);
    Fill(&world, 1, &index, 1);
  }
  EXPECT_EQ(world.wal().Ready().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(world.wal().Ready().message().find("at its limit"), std::string::npos);
  EXPECT_EQ(world.wal().stats().disk_bytes, uint64_t{512} << 10);
  EXPECT_EQ(world.Segments().size(), 8u);
  // Who holds it back is told again and again.
  world.probe().pinned.clear();
  world.runtime->AdvanceBy(2'000'000'000);
  EXPECT_EQ(world.probe().pinned, (std::vector<GroupId>{GroupId{1}}));
  // What was appended without asking still becomes durable.
  world.AppendState(1, "urgent");
  Fill(&world, 1, &index, 30);
  world.wal().Release(GroupId{1}, Index{index});
  world.runtime->RunUntilIdle();
  EXPECT_TRUE(world.wal().accepting());
  world.Stop();
}

TEST(WalSegmentsTest, OldLogsGoOnceTheirGroupsHaveReleasedThemAndNotBefore) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  uint64_t one = 0;
  uint64_t two = 0;
  Fill(&world, 1, &one, 50);
  Fill(&world, 2, &two, 50);
  world.AppendState(1, "s1");
  world.Stop();
  std::vector<std::string> old = world.Segments();

  ASSERT_TRUE(world.Open(2).ok());  // Group 1 lives on core 1 now, group 2 on core 0.
  world.runtime->RunUntilIdle();
  world.wal(1).Release(GroupId{1}, Index{one});
  world.runtime->RunUntilIdle();
  auto is_there = [&](const std::string& name) { return world.disk.Exists("/data/wal/" + name); };
  EXPECT_FALSE(is_there(old.front()));  // Group 1's alone.
  EXPECT_TRUE(std::any_of(old.begin(), old.end(), is_there));
  world.wal(0).Release(GroupId{2}, Index{two});
  world.runtime->RunUntilIdle();
  EXPECT_FALSE(std::any_of(old.begin(), old.end(), is_there));
  world.Crash();

  ASSERT_TRUE(world.Open(3).ok());
  EXPECT_EQ(world.recorder.Texts(), (std::vector<std::string>{"state 1 0 1 s1"}));
  world.Stop();
}

TEST(WalSegmentsTest, AnOpeningReusesSegmentsThatWereNeverUsed) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  uint64_t index = 0;
  Fill(&world, 1, &index, 3);
  for (int i = 0; i < 10; ++i) {
    world.wal().Release(GroupId{1}, Index{index});
    world.runtime->RunUntilIdle();
    world.Stop();
    ASSERT_TRUE(world.Open().ok());
    world.runtime->AdvanceBy(1'000'000'000);
    EXPECT_LE(world.Segments().size(), 4u);
  }
  world.Stop();
}

}  // namespace
}  // namespace ursula::storage
