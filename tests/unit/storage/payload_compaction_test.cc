// Files that are mostly dead, and streams in many small blocks, are written anew.

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>

#include "tests/unit/storage/payload_world.h"

namespace ursula::storage {
namespace {

constexpr PayloadKey kOne{GroupId{1}, 10};
constexpr PayloadKey kTwo{GroupId{2}, 10};

TEST(PayloadCompactionTest, AMostlyDeadFileIsRewrittenAndRemoved) {
  PayloadWorld world;
  world.Open();
  // One file's worth: a little of kTwo, much of kOne.
  ASSERT_TRUE(world.Write(kTwo, 0, {"keep ", "these "}).ok());
  for (uint64_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(world.Write(kOne, i * 50'000, {std::string(50'000, 'x')}).ok());
  }
  ASSERT_TRUE(world.Write(kTwo, 11, {"bytes"}).ok());  // Starts the next file.
  ASSERT_EQ(world.Files().size(), 2u);
  const std::string old = "/data/payload/" + world.Files().front();
  world.store(kOne).Free(kOne);
  world.runtime->RunUntilIdle();
  EXPECT_FALSE(world.disk.Exists(old));
  EXPECT_EQ(world.store(kTwo).stats().compacted_bytes, 11u);
  Result<PayloadSlice> slice = world.Read(kTwo, 0);
  EXPECT_EQ(PayloadWorld::Text(*slice), "keep these bytes");
  EXPECT_EQ(slice->message_ends, (std::vector<uint64_t>{5, 11, 16}));
  world.Crash();
  world.Open();
  EXPECT_EQ(world.ReadAll(kTwo, 0), "keep these bytes");
  world.Stop();
}

TEST(PayloadCompactionTest, NothingIsOpenedOrReadInALoopsTurn) {
  PayloadWorld world;
  world.Open();
  world.disk.SetWatcher([] { ADD_FAILURE() << "a call that blocks"; });
  ASSERT_TRUE(world.Write(kTwo, 0, {"keep these"}).ok());
  for (uint64_t i = 0; i < 12; ++i) {
    ASSERT_TRUE(world.Write(kOne, i * 50'000, {std::string(50'000, 'x')}).ok());
  }
  EXPECT_EQ(world.ReadAll(kOne, 0).size(), 600'000u);
  world.store(kOne).Free(kOne);
  world.runtime->RunUntilIdle();
  EXPECT_EQ(world.store(kTwo).stats().compacted_bytes, 10u);
  EXPECT_EQ(world.ReadAll(kTwo, 0), "keep these");
  world.disk.SetWatcher({});
  world.Stop();
}

// Before the compactor reads it, while it does, while it writes, and afterwards.
void FreeDuringCompaction(bool keep) {
  constexpr PayloadKey kFreed{GroupId{1}, 100};
  constexpr PayloadKey kKept{GroupId{1}, 101};
  std::set<uint64_t> moved_bytes;
  for (uint64_t at = 0; at < 20; ++at) {
    SCOPED_TRACE(at);
    PayloadWorld world(1, {.latency_min_ns = 1'000'000, .latency_max_ns = 1'000'000});
    world.Open();
    ASSERT_TRUE(world.Write(kFreed, 0, {"freed"}).ok());
    ASSERT_TRUE(world.Write(kKept, 0, {"kept"}).ok());
    ASSERT_TRUE(world.Write(kTwo, 0, {std::string(300'000, 'x')}).ok());
    PayloadStore& store = world.store(kFreed);
    store.Free(kTwo);
    world.runtime->AdvanceBy(at * 500'000);
    if (keep) {
      store.Keep(kFreed.group, [&](uint64_t one) { return one == kKept.incarnation; });
    } else {
      store.Free(kFreed);
    }
    world.runtime->AdvanceBy(1'000'000'000);
    EXPECT_EQ(store.stats().keys, 1u);
    EXPECT_EQ(store.Find(kFreed, 0), 0u);
    EXPECT_EQ(world.ReadAll(kKept, 0), "kept");
    moved_bytes.insert(store.stats().compacted_bytes);
    world.Stop();
  }
  EXPECT_EQ(moved_bytes, (std::set<uint64_t>{4, 9}));
}

TEST(PayloadCompactionTest, WhatIsFreedWhileItsFileIsRewrittenStaysFree) {
  FreeDuringCompaction(false);
}
TEST(PayloadCompactionTest, WhatKeepDropsWhileItsFileIsRewrittenStaysFree) {
  FreeDuringCompaction(true);
}

// It must not get a new checksum, nor go.
TEST(PayloadCompactionTest, ADamagedBlockIsNotMovedAndItsFileStays) {
  for (uint64_t at : {uint64_t{8}, uint64_t{64 + 10}}) {  // In its header, in its payload.
    SCOPED_TRACE(at);
    PayloadWorld world;
    world.Open();
    ASSERT_TRUE(world.Write(kTwo, 0, {std::string(300, 'k')}).ok());
    ASSERT_TRUE(world.Write({kTwo.group, 11}, 0, {"good"}).ok());
    ASSERT_TRUE(world.Write(kOne, 0, {std::string(300'000, 'x')}).ok());
    const std::string path = "/data/payload/" + world.Files().front();
    world.disk.FlipBit(path, at * 8);
    world.store(kOne).Free(kOne);
    world.runtime->RunUntilIdle();
    EXPECT_EQ(world.store(kTwo).stats().compacted_bytes, 4u);
    for (int opening = 0; opening < 2; ++opening) {
      EXPECT_EQ(world.Read(kTwo, 0).status().code(), StatusCode::kDataLoss);
      EXPECT_TRUE(world.Logged(path + ": damaged at offset 0"));
      EXPECT_EQ(world.ReadAll({kTwo.group, 11}, 0), "good");
      EXPECT_TRUE(world.disk.Exists(path));
      opening == 0 ? world.Crash() : world.Stop();
      if (opening == 0) world.Open();
    }
  }
}

TEST(PayloadCompactionTest, AFileSharedByCoresIsRewrittenByEachForItself) {
  PayloadWorld world;
  world.Open();
  constexpr PayloadKey kDead{GroupId{2}, 11};
  ASSERT_TRUE(world.Write(kOne, 0, {"keep one"}).ok());
  ASSERT_TRUE(world.Write(kTwo, 0, {"keep two"}).ok());
  ASSERT_TRUE(world.Write(kDead, 0, {std::string(300'000, 'x')}).ok());
  ASSERT_EQ(world.Files().size(), 1u);
  const std::string old = "/data/payload/" + world.Files().front();
  world.Stop();
  world.Open(2);
  world.store(kDead).Free(kDead);
  world.runtime->RunUntilIdle();
  EXPECT_EQ(world.store(kTwo).stats().compacted_bytes, 8u);
  EXPECT_TRUE(world.disk.Exists(old));  // The other core hasn't looked yet.
  ASSERT_TRUE(world.Write(kOne, 8, {" and on"}).ok());
  world.runtime->RunUntilIdle();
  EXPECT_EQ(world.store(kOne).stats().compacted_bytes, 8u);
  EXPECT_FALSE(world.disk.Exists(old));
  EXPECT_EQ(world.ReadAll(kOne, 0), "keep one and on");
  EXPECT_EQ(world.ReadAll(kTwo, 0), "keep two");
  world.Crash();
  world.Open();
  EXPECT_EQ(world.ReadAll(kOne, 0), "keep one and on");
  EXPECT_EQ(world.ReadAll(kTwo, 0), "keep two");
  world.Stop();
}

// Few bytes each time, of many streams in turn: what the index costs must not grow with the number
// of writes.
TEST(PayloadCompactionTest, SmallBlocksOfAStreamBecomeOne) {
  constexpr uint64_t kStreams = 40;
  constexpr uint64_t kRounds = 60;
  PayloadWorld world;
  world.options.file_bytes = 64 << 10;
  world.options.merge_index_bytes_min = 1000;
  world.Open();
  std::string expected;
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::vector<PayloadRun> runs;
    const std::string text = "round " + std::to_string(100 + round) + ";";
    for (uint64_t i = 0; i < kStreams; ++i) {
      runs.push_back({{GroupId{1}, i}, expected.size(), {Bytes::Copy(text)}});
    }
    bool done = false;
    world.store(kOne).Write(std::move(runs), [&](Status status) { done = status.ok(); });
    ASSERT_TRUE(world.runtime->RunUntil([&] { return done; }));
    expected += text;
  }
  world.runtime->RunUntilIdle();
  PayloadStats stats = world.store(kOne).stats();
  EXPECT_LT(stats.extents, kStreams * kRounds / 3);
  EXPECT_GT(stats.compacted_bytes, 0u);
  EXPECT_LT(stats.compacted_bytes, 5 * kStreams * expected.size());
  EXPECT_GE(stats.index_bytes, stats.extents * 24);
  for (int opening = 0; opening < 2; ++opening) {
    for (uint64_t i = 0; i < kStreams; ++i) {
      const PayloadKey key{GroupId{1}, i};
      ASSERT_EQ(world.ReadAll(key, 0), expected);
      Result<PayloadSlice> slice = world.Read(key, 0);
      ASSERT_TRUE(slice.ok());
      EXPECT_EQ(slice->message_ends[0], 10u);
      EXPECT_EQ(slice->message_ends[1], 20u);
    }
    opening == 0 ? world.Crash() : world.Stop();
    if (opening == 0) world.Open();
  }
}

}  // namespace
}  // namespace ursula::storage
