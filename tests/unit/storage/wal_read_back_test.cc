// What a DiskWal keeps for peers that were away, and reads back for them.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

constexpr Index kNone{UINT64_MAX};
using Read = Result<std::vector<WalEntry>>;

std::string Payload(uint32_t group, uint64_t index) {
  return std::string(3000, static_cast<char>('a' + (group + index) % 26));
}

void Fill(WalWorld* world, uint32_t group, uint64_t from, uint64_t to) {
  for (uint64_t index = from; index <= to; ++index) {
    ASSERT_TRUE(world->RunUntilDurable(world->AppendEntry(group, index, Payload(group, index))));
  }
}

Read ReadNow(WalWorld* world, uint32_t group, uint64_t from) {
  std::optional<Read> read;
  bool inside = true;
  world->wal().ReadEntries(GroupId{group}, Index{from}, [&](Read got) {
    EXPECT_FALSE(inside);
    read = std::move(got);
  });
  inside = false;
  EXPECT_TRUE(world->runtime->RunUntil([&] { return read.has_value(); }));
  return std::move(*read);
}

// Reads on from `from` to `to`, answer by answer, and looks at all of it.
void ExpectReadable(WalWorld* world, uint32_t group, uint64_t from, uint64_t to) {
  uint64_t next = from;
  while (next <= to) {
    const Read read = ReadNow(world, group, next);
    ASSERT_TRUE(read.ok()) << read.status().ToString() << " at " << next;
    const uint64_t before = next;
    for (const WalEntry& entry : *read) {
      if (Raw(entry.index) != next) continue;
      EXPECT_EQ(entry.payload.view(), Payload(group, next));
      ++next;
    }
    ASSERT_GT(next, before);
  }
}

TEST(WalReadBackTest, WhatIsReleasedAndWantedStaysAndCanBeRead) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.wal().ReadableFrom(GroupId{1}), kNone);
  world.wal().Keep(GroupId{1}, Index{5});
  Fill(&world, 1, 1, 200);
  Fill(&world, 2, 1, 5);
  world.wal().Release(GroupId{1}, Index{200});
  world.wal().Release(GroupId{2}, Index{5});
  Fill(&world, 1, 201, 300);
  world.wal().Release(GroupId{1}, Index{300});
  world.runtime->RunUntilIdle();
  EXPECT_LE(world.wal().ReadableFrom(GroupId{1}), Index{5});
  EXPECT_GT(world.wal().stats().segments_kept, 10u);
  ExpectReadable(&world, 1, 5, 300);
  EXPECT_EQ(ReadNow(&world, 1, 301)->size(), 0u);  // Nothing of it there, and nothing lower is.
  EXPECT_EQ(ReadNow(&world, 3, 1).status().code(), StatusCode::kFailedPrecondition);
  // Nobody wants it any more.
  world.wal().Keep(GroupId{1}, kNone);
  world.runtime->RunUntilIdle();
  EXPECT_EQ(world.wal().stats().segments_kept, 0u);
  EXPECT_LE(world.Segments().size(), 5u);
  EXPECT_GT(world.wal().ReadableFrom(GroupId{1}), Index{200});
  EXPECT_EQ(ReadNow(&world, 1, 5).status().code(), StatusCode::kFailedPrecondition);
  world.Stop();
}

TEST(WalReadBackTest, OnlyWhatIsWantedHoldsASegment) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{150});
  Fill(&world, 1, 1, 300);
  world.wal().Release(GroupId{1}, Index{300});
  world.runtime->RunUntilIdle();
  EXPECT_GT(world.wal().ReadableFrom(GroupId{1}), Index{100});
  ExpectReadable(&world, 1, 150, 300);
  world.Stop();
}

TEST(WalReadBackTest, WhatIsKeptTakesItsShareOfTheLogAtMostAndGoesFromItsBegin) {
  WalWorld world;
  world.options.log_bytes_max = 2 << 20;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{1});
  for (uint64_t begin = 1; begin <= 1000; begin += 50) {
    Fill(&world, 1, begin, begin + 49);
    world.wal().Release(GroupId{1}, Index{begin + 49});
    EXPECT_LE(world.wal().stats().disk_bytes, uint64_t{3} << 19);
    EXPECT_TRUE(world.wal().accepting());
  }
  EXPECT_TRUE(world.probe().pinned.empty());
  const uint64_t first = Raw(world.wal().ReadableFrom(GroupId{1}));
  EXPECT_GT(first, 400u);
  EXPECT_LT(first, 700u);
  ExpectReadable(&world, 1, first, 1000);
  EXPECT_EQ(ReadNow(&world, 1, first - 1).status().code(), StatusCode::kFailedPrecondition);
  world.Stop();
}

TEST(WalReadBackTest, AFullDiskTakesWhatIsKept) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{1});
  Fill(&world, 1, 1, 200);
  world.wal().Release(GroupId{1}, Index{200});
  uint64_t used = 0;
  for (const std::string& path : world.disk.Files()) used += world.disk.Content(path).size();
  world.disk.faults().capacity_bytes = used;
  const std::size_t segments = world.Segments().size();
  for (uint64_t begin = 201; begin <= 400; begin += 10) {
    Fill(&world, 1, begin, begin + 9);
    world.wal().Release(GroupId{1}, Index{begin + 9});
    EXPECT_TRUE(world.wal().accepting());
  }
  EXPECT_EQ(world.probe().failures, 0);
  EXPECT_LE(world.Segments().size(), segments);
  EXPECT_GT(world.wal().ReadableFrom(GroupId{1}), Index{1});
  world.Stop();
}

// A chunk has about 1 MiB; several groups are in each.
TEST(WalReadBackTest, SegmentsOfManyChunksAndRecordsOfManyBytes) {
  WalWorld world;
  world.options.segment_bytes = 8 << 20;
  world.options.batch_bytes_max = 2 << 20;
  world.options.log_bytes_max = 256 << 20;
  ASSERT_TRUE(world.Open().ok());
  for (uint32_t group = 1; group <= 3; ++group) world.wal().Keep(GroupId{group}, Index{1});
  uint64_t lsn = 0;
  for (uint64_t index = 1; index <= 2000; ++index) {
    for (uint32_t group = 1; group <= 2; ++group) {
      lsn = world.AppendEntry(group, index, Payload(group, index));
    }
    if (index % 500 == 0) lsn = world.AppendEntry(3, index / 500, std::string(3 << 20, 'l'));
    if (index % 7 == 0) {
      ASSERT_TRUE(world.RunUntilDurable(lsn));
    }
  }
  ASSERT_TRUE(world.RunUntilDurable(lsn));
  for (uint32_t group = 1; group <= 2; ++group) {
    world.wal().Release(GroupId{group}, Index{2000});
    ExpectReadable(&world, group, 1, 2000);
  }
  for (uint64_t index = 1; index <= 4; ++index) {
    const Read read = ReadNow(&world, 3, index);
    ASSERT_TRUE(read.ok());
    ASSERT_FALSE(read->empty());
    EXPECT_EQ(read->front().index, Index{index});
    EXPECT_EQ(read->front().payload.size(), std::size_t{3} << 20);
  }
  world.Stop();
}

TEST(WalReadBackTest, GroupsThatAskTogetherShareWhatIsRead) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  uint64_t lsn = 0;
  for (uint64_t index = 1; index <= 5; ++index) {
    for (uint32_t group = 0; group < 4; ++group) {
      lsn = world.AppendEntry(group, index, Payload(group, index));
    }
  }
  ASSERT_TRUE(world.RunUntilDurable(lsn));
  const uint64_t reads = world.disk.reads();
  int answers = 0;
  for (uint32_t group = 0; group < 4; ++group) {
    world.wal().ReadEntries(GroupId{group}, Index{2}, [&](Read read) {
      ASSERT_TRUE(read.ok());
      EXPECT_EQ(read->size(), 4u);
      ++answers;
    });
  }
  ASSERT_TRUE(world.runtime->RunUntil([&] { return answers == 4; }));
  EXPECT_EQ(world.disk.reads(), reads + 1);
  world.Stop();
}

TEST(WalReadBackTest, WhatOthersHaveReplacedIsThereBesides) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  Fill(&world, 1, 1, 4);
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 3, "new three", 0, 2)));
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 4, "new four", 0, 2)));
  const Read read = ReadNow(&world, 1, 3);
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->size(), 4u);
  EXPECT_EQ((*read)[2].payload.view(), "new three");
  EXPECT_EQ((*read)[2].term, Term{2});
  EXPECT_EQ((*read)[3].payload.view(), "new four");
  world.Stop();
}

TEST(WalReadBackTest, NothingIsReadFromBeforeAReset) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{1});
  Fill(&world, 1, 1, 100);
  ASSERT_TRUE(world.RunUntilDurable(world.AppendReset(1, 500)));
  EXPECT_EQ(world.wal().ReadableFrom(GroupId{1}), kNone);
  Fill(&world, 1, 501, 510);
  EXPECT_EQ(world.wal().ReadableFrom(GroupId{1}), Index{501});
  EXPECT_EQ(ReadNow(&world, 1, 50).status().code(), StatusCode::kFailedPrecondition);
  ExpectReadable(&world, 1, 501, 510);
  world.Stop();
}

TEST(WalReadBackTest, RotIsFoundAndToldAndItsSegmentLeaves) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{1});
  Fill(&world, 1, 1, 100);
  world.wal().Release(GroupId{1}, Index{100});
  world.runtime->RunUntilIdle();
  const std::string second = world.Segments().at(1);
  world.disk.FlipBit("/data/wal/" + second, 8 * (64 + 32 + 100));
  uint64_t next = 1;
  Read read = ReadNow(&world, 1, next);
  while (read.ok() && !read->empty()) {
    next = Raw(read->back().index) + 1;
    read = ReadNow(&world, 1, next);
  }
  EXPECT_EQ(read.status().code(), StatusCode::kDataLoss);
  EXPECT_NE(read.status().message().find(second), std::string::npos);
  world.runtime->RunUntilIdle();
  EXPECT_EQ(std::ranges::count(world.Segments(), second), 0);
  EXPECT_GT(world.wal().ReadableFrom(GroupId{1}), Index{next});
  ExpectReadable(&world, 1, Raw(world.wal().ReadableFrom(GroupId{1})), 100);
  world.Stop();
}

TEST(WalReadBackTest, AStopWaitsForTheReadUnderWayAndAnswersWhoWaits) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  Fill(&world, 1, 1, 3);
  world.runtime->RunUntilIdle();
  const uint64_t opens = world.disk.opens();
  std::vector<Status> answers;
  for (uint64_t from = 1; from <= 3; ++from) {
    world.wal().ReadEntries(GroupId{1}, Index{from},
                            [&](Read read) { answers.push_back(read.status()); });
  }
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.disk.opens() > opens; }));
  ASSERT_TRUE(answers.empty());
  world.Stop();
  ASSERT_EQ(answers.size(), 3u);
  for (const Status& answer : answers) {
    EXPECT_TRUE(answer.ok() || answer.code() == StatusCode::kUnavailable) << answer.ToString();
  }
}

TEST(WalReadBackTest, WhoAsksAfterTheStopIsAnswered) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  Fill(&world, 1, 1, 3);
  bool stopped = false;
  world.wal().Stop([&] { stopped = true; });
  ASSERT_TRUE(world.runtime->RunUntil([&] { return stopped; }));
  EXPECT_EQ(ReadNow(&world, 1, 1).status().code(), StatusCode::kUnavailable);
}

TEST(WalReadBackTest, ACrashAmidAReadCallsNobody) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  Fill(&world, 1, 1, 3);
  const uint64_t opens = world.disk.opens();
  world.wal().ReadEntries(GroupId{1}, Index{1}, [&](Read) { FAIL() << "the world has ended"; });
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.disk.opens() > opens; }));
  world.Crash();
}

// The file is used again while it is read, or stands open.
TEST(WalReadBackTest, ASegmentMayLeaveWhileItIsRead) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{1});
  Fill(&world, 1, 1, 200);
  world.wal().Release(GroupId{1}, Index{200});
  world.runtime->RunUntilIdle();
  const uint64_t opens = world.disk.opens();
  std::optional<Read> read;
  world.wal().ReadEntries(GroupId{1}, Index{1}, [&](Read got) { read = std::move(got); });
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.disk.opens() > opens; }));
  world.wal().Keep(GroupId{1}, Index{190});
  Fill(&world, 1, 201, 400);
  ASSERT_TRUE(world.runtime->RunUntil([&] { return read.has_value(); }));
  EXPECT_EQ(read->status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(world.probe().failures, 0);
  ExpectReadable(&world, 1, 190, 400);
  world.Stop();
}

// What is read of it is another segment's by then: that is no rot.
TEST(WalReadBackTest, ASegmentThatIsUsedAgainWhileItIsReadIsNotBlamed) {
  WalWorld world;
  world.options.log_bytes_max = 2 << 20;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{1});
  auto fill = [&](uint64_t from, uint64_t to) {
    for (uint64_t begin = from; begin <= to; begin += 20) {
      Fill(&world, 1, begin, begin + 19);
      world.wal().Release(GroupId{1}, Index{begin + 19});
    }
  };
  fill(1, 500);
  world.runtime->RunUntilIdle();
  const Index first = world.wal().ReadableFrom(GroupId{1});
  ASSERT_GT(first, Index{1});
  std::optional<Read> read;
  const uint64_t opens = world.disk.opens();
  const uint64_t reads = world.disk.reads();
  world.wal().ReadEntries(GroupId{1}, first, [&](Read got) { read = std::move(got); });
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.disk.opens() > opens; }));
  world.disk.faults().latency_min_ns = world.disk.faults().latency_max_ns = 10'000'000'000;
  ASSERT_TRUE(world.runtime->RunUntil([&] { return world.disk.reads() > reads; }));
  world.disk.faults().latency_min_ns = world.disk.faults().latency_max_ns = 0;
  fill(501, 600);
  EXPECT_FALSE(read);
  ASSERT_TRUE(world.runtime->RunUntil([&] { return read.has_value(); }));
  EXPECT_EQ(read->status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::ranges::none_of(world.log, [](const std::string& line) {
    return line.find("damaged") != std::string::npos;
  }));
  EXPECT_TRUE(world.wal().accepting());
  world.Stop();
}

TEST(WalReadBackTest, WhatIsKeptBehindWhatIsNeededLeavesOnceItMay) {
  WalWorld world;
  world.options.log_bytes_max = 2 << 20;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{1});
  Fill(&world, 2, 1, 1);  // Needed for long.
  for (uint64_t begin = 1; begin <= 600; begin += 50) {
    Fill(&world, 1, begin, begin + 49);
    world.wal().Release(GroupId{1}, Index{begin + 49});
  }
  EXPECT_GT(world.wal().stats().disk_bytes, uint64_t{3} << 19);
  EXPECT_EQ(world.probe().pinned, std::vector<GroupId>{GroupId{2}});
  world.wal().Release(GroupId{2}, Index{1});
  world.runtime->RunUntilIdle();
  EXPECT_LE(world.wal().stats().disk_bytes, uint64_t{3} << 19);
  const uint64_t first = Raw(world.wal().ReadableFrom(GroupId{1}));
  EXPECT_GT(first, 1u);
  EXPECT_LT(first, 400u);
  ExpectReadable(&world, 1, first, 600);
  world.Stop();
}

TEST(WalReadBackTest, WhoPinsTheLogBehindWhatIsKeptIsTold) {
  WalWorld world;
  world.options.log_bytes_max = 2 << 20;
  ASSERT_TRUE(world.Open().ok());
  world.wal().Keep(GroupId{1}, Index{1});
  Fill(&world, 1, 1, 100);
  world.wal().Release(GroupId{1}, Index{100});
  Fill(&world, 2, 1, 1);
  Fill(&world, 1, 101, 320);
  EXPECT_TRUE(world.probe().pinned.empty());
  Fill(&world, 1, 321, 480);
  EXPECT_TRUE(world.probe().pinned == (std::vector<GroupId>{GroupId{1}, GroupId{2}}) ||
              world.probe().pinned == std::vector<GroupId>{GroupId{1}});
  EXPECT_TRUE(world.wal().accepting());
  world.Stop();
}

// No more than it takes; what isn't wanted at its front is no reason not to.
TEST(WalReadBackTest, AnIdleLogGivesUpWhatItKeepsWhereSpaceIsScarce) {
  for (const bool unwanted_first : {false, true}) {
    WalWorld world;
    ASSERT_TRUE(world.Open().ok());
    const uint64_t from = unwanted_first ? 30 : 1;
    world.wal().Keep(GroupId{1}, Index{from});
    Fill(&world, 1, 1, 300);
    world.wal().Release(GroupId{1}, Index{300});
    world.runtime->RunUntilIdle();
    const uint64_t kept = world.wal().stats().segments_kept;
    EXPECT_GT(kept, 10u);
    EXPECT_TRUE(world.wal().KeepsMore());
    uint64_t used = 0;
    for (const std::string& path : world.disk.Files()) used += world.disk.Content(path).size();
    world.disk.faults().capacity_bytes = used;
    EXPECT_TRUE(world.runtime->RunUntil([&] { return world.wal().stats().segments_kept < kept; }));
    EXPECT_FALSE(world.wal().KeepsMore());
    world.runtime->AdvanceBy(5'000'000'000);
    EXPECT_GE(world.wal().stats().segments_kept + 4, kept);
    const uint64_t first = Raw(world.wal().ReadableFrom(GroupId{1}));
    EXPECT_GT(first, from);
    ExpectReadable(&world, 1, first, 300);
    // There is room again: not before a minute has passed is anything promised.
    world.disk.faults().capacity_bytes = uint64_t{1} << 40;
    world.runtime->AdvanceBy(30'000'000'000);
    EXPECT_FALSE(world.wal().KeepsMore());
    world.runtime->AdvanceBy(31'000'000'000);
    EXPECT_TRUE(world.wal().KeepsMore());
    world.Stop();
  }
}

// A record is read while the log goes on.
TEST(WalReadBackTest, WhatIsNotDurableIsNotRead) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  Fill(&world, 1, 1, 1);
  const uint64_t lsn = world.AppendEntry(1, 2, Payload(1, 2));
  std::optional<Read> read;
  world.wal().ReadEntries(GroupId{1}, Index{2}, [&](Read got) { read = std::move(got); });
  ASSERT_TRUE(world.runtime->RunUntil([&] { return read.has_value(); }));
  ASSERT_TRUE(read->ok());
  EXPECT_EQ((*read)->size(), world.probe().durable >= lsn ? 1u : 0u);
  world.Stop();
}

}  // namespace
}  // namespace ursula::storage
