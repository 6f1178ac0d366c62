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
