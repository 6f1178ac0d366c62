#include "lib/storage/payload_store.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "lib/storage/payload_format.h"
#include "lib/storage/payload_writer.h"
#include "tests/unit/storage/payload_world.h"

namespace ursula::storage {
namespace {

constexpr PayloadKey kOne{GroupId{1}, 10};
constexpr PayloadKey kTwo{GroupId{2}, 10};

TEST(PayloadStoreTest, AReadGivesTheBytesAndTheMessageEnds) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 100, {"hello ", "", "world"}).ok());
  Result<PayloadSlice> slice = world.Read(kOne, 100);
  ASSERT_TRUE(slice.ok()) << slice.status().ToString();
  EXPECT_EQ(PayloadWorld::Text(*slice), "hello world");
  EXPECT_EQ(slice->message_ends, (std::vector<uint64_t>{106, 111}));
  slice = world.Read(kOne, 103, 5);
  EXPECT_EQ(PayloadWorld::Text(*slice), "lo wo");
  EXPECT_EQ(slice->message_ends, (std::vector<uint64_t>{106}));
  EXPECT_EQ(slice->next, 108u);
  world.Stop();
}

TEST(PayloadStoreTest, WhatIsNotStoredIsLost) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {"x"}).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(world.Read(kOne, 1).status().code(), StatusCode::kDataLoss);
    EXPECT_EQ(world.Read(kTwo, 0).status().code(), StatusCode::kDataLoss);
  }
  EXPECT_EQ(world.log.size(), 2u);  // Said once each.
  EXPECT_NE(world.log[0].find("group 1, stream incarnation 10, from offset 1"), std::string::npos)
      << world.log[0];
  world.Stop();
}

TEST(PayloadStoreTest, AFileThatIsThereIsNotTakenForANewOne) {
  PayloadWorld world;
  world.Open();
  const std::string path = "/data/payload/000000000001-0000-00000000.pay";
  ASSERT_FALSE(world.disk.Exists(path));
  ASSERT_TRUE(
      world.runtime->loop(CoreId{0}).disk().Open(path, {.create = true, .write = true}).ok());
  world.disk.Overwrite(path, 0, "somebody's");
  EXPECT_FALSE(world.Write(kOne, 0, {"x"}).ok());
  EXPECT_EQ(world.disk.Content(path), "somebody's");
  world.Stop();
}

TEST(PayloadStoreTest, AReadGoesOnOverExtents) {
  PayloadWorld world;
  world.Open();
  std::string expected;
  for (int i = 0; i < 30; ++i) {
    std::string message(100, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(world.Write(kOne, expected.size(), {message}).ok());
    ASSERT_TRUE(world.Write(kTwo, expected.size(), {message}).ok());
    expected += message;
  }
  Result<PayloadSlice> slice = world.Read(kOne, 50, 2000);
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(PayloadWorld::Text(*slice), expected.substr(50, 2000));
  EXPECT_EQ(slice->message_ends.size(), 20u);
  EXPECT_EQ(world.ReadAll(kTwo, 0), expected);
  world.Stop();
}

TEST(PayloadStoreTest, WhoReadsPageByPageIsReadAheadFor) {
  PayloadWorld world(1, {.read_ahead = true});
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {std::string(1000, 'a')}).ok());
  ASSERT_TRUE(world.Write(kOne, 1000, {std::string(1000, 'b')}).ok());
  ASSERT_TRUE(world.Write(kOne, 2000, {std::string(1000, 'c')}).ok());
  ASSERT_TRUE(world.Read(kOne, 0, 1000).ok());
  EXPECT_EQ(world.disk.ReadAheadBytes(), 0u);
  ASSERT_TRUE(world.Read(kOne, 1000, 1000).ok());
  uint64_t page = world.disk.ReadAheadBytes();
  EXPECT_GE(page, 1000u);
  EXPECT_LT(page, 2000u);
  ASSERT_TRUE(world.Read(kOne, 1999, 1001).ok());  // As of JSON. Nothing is stored after it.
  EXPECT_EQ(world.disk.ReadAheadBytes(), page);
  ASSERT_TRUE(world.Read(kOne, 500, 100).ok());  // Goes on nowhere.
  EXPECT_EQ(world.disk.ReadAheadBytes(), page);

  // Stopping waits for the advice under way; the read itself has not begun.
  world.disk.faults().latency_min_ns = world.disk.faults().latency_max_ns = 10'000'000;
  Status read;
  world.store(kOne).Read(kOne, 600, 900,
                         [&](Result<PayloadSlice> slice) { read = slice.status(); });
  EXPECT_GT(world.disk.ReadAheadBytes(), page);
  world.disk.faults().latency_min_ns = world.disk.faults().latency_max_ns = 0;
  world.Stop();
  EXPECT_EQ(read.code(), StatusCode::kCancelled);
}

TEST(PayloadStoreTest, AMessageLongerThanABlockKeepsItsOneEnd) {
  PayloadWorld world;
  world.Open();
  std::string big(700'000, 'b');
  ASSERT_TRUE(world.Write(kOne, 0, {"a", big, "c"}).ok());
  EXPECT_EQ(world.ReadAll(kOne, 0), "a" + big + "c");
  Result<PayloadSlice> slice = world.Read(kOne, 0);
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(slice->message_ends, (std::vector<uint64_t>{1, 700'001, 700'002}));
  slice = world.Read(kOne, 300'000, 1000);
  EXPECT_TRUE(slice->message_ends.empty());
  world.Stop();
}

TEST(PayloadStoreTest, ContentSurvivesStopAndCrashAndAnotherCoreCount) {
  PayloadWorld world;
  std::string one;
  std::string two;
  for (uint16_t opening = 0; opening < 6; ++opening) {
    world.Open(static_cast<uint16_t>(1 + opening % 3));
    EXPECT_EQ(world.ReadAll(kOne, 0), one);
    EXPECT_EQ(world.ReadAll(kTwo, 0), two);
    std::string message(50'000, static_cast<char>('a' + opening));
    ASSERT_TRUE(world.Write(kOne, one.size(), {message}).ok());
    ASSERT_TRUE(world.Write(kTwo, two.size(), {message, message}).ok());
    one += message;
    two += message + message;
    opening % 2 == 0 ? world.Stop() : world.Crash();
  }
}

// Padding for direct writes is dead from the start.
TEST(PayloadStoreTest, ASmallFileIsNotRewrittenForItsPadding) {
  PayloadWorld world;
  world.options.compact_dead_bytes_min = 64 << 10;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {"two "}).ok());
  ASSERT_TRUE(world.Write(kOne, 4, {"blocks"}).ok());
  const std::vector<std::string> files = world.Files();
  world.Stop();
  world.Open();
  world.runtime->RunUntilIdle();
  EXPECT_EQ(world.Files(), files);
  EXPECT_EQ(world.store(kOne).stats().compacted_bytes, 0u);
  EXPECT_EQ(world.ReadAll(kOne, 0), "two blocks");
  world.Stop();
}

TEST(PayloadStoreTest, AFileGoesOnceAllCoresHaveFreedIt) {
  PayloadWorld world;
  world.Open();
  for (uint64_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(world.Write(kOne, i * 1000, {std::string(1000, 'x')}).ok());
    ASSERT_TRUE(world.Write(kTwo, i * 1000, {std::string(1000, 'x')}).ok());
  }
  world.Stop();
  world.options.compact_live_percent = 0;
  world.Open(2);
  ASSERT_EQ(world.Files().size(), 1u);
  world.store(kOne).Free(kOne);
  world.runtime->RunUntilIdle();
  EXPECT_EQ(world.Files().size(), 1u);
  EXPECT_EQ(world.store(kTwo).Find(kTwo, 0), 4000u);
  world.store(kTwo).Free(kTwo);
  world.runtime->RunUntilIdle();
  EXPECT_TRUE(world.Files().empty());
  world.Stop();
}

TEST(PayloadStoreTest, KeepDropsOrphansAfterRecovery) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write({GroupId{1}, 1}, 0, {"old"}).ok());
  ASSERT_TRUE(world.Write({GroupId{1}, 2}, 0, {"new"}).ok());
  world.Stop();
  world.Open();
  world.store(kOne).Keep(GroupId{1}, [](uint64_t incarnation) { return incarnation == 2; });
  EXPECT_EQ(world.store(kOne).Find({GroupId{1}, 1}, 0), 0u);
  EXPECT_EQ(world.ReadAll({GroupId{1}, 2}, 0), "new");
  world.Stop();
}

TEST(PayloadStoreTest, WhatIsFreedDuringItsWriteStaysFree) {
  PayloadWorld world(1, {.latency_min_ns = 1000, .latency_max_ns = 1000});
  world.Open();
  std::vector<PayloadRun> runs(1);
  runs[0] = {kOne, 0, {Bytes::Static("gone")}};
  bool done = false;
  world.store(kOne).Write(std::move(runs), [&](Status status) { done = status.ok(); });
  world.runtime->RunTurn();
  world.store(kOne).Free(kOne);
  ASSERT_TRUE(world.runtime->RunUntil([&] { return done; }));
  EXPECT_EQ(world.store(kOne).Find(kOne, 0), 0u);
  world.Stop();
}

TEST(PayloadStoreTest, ARangeWrittenAgainIsServedOnce) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {"aa", "bb"}).ok());
  ASSERT_TRUE(world.Write(kOne, 0, {"aa"}).ok());
  ASSERT_TRUE(world.Write(kOne, 2, {"bb", "cc"}).ok());
  EXPECT_EQ(world.ReadAll(kOne, 0), "aabbcc");
  Result<PayloadSlice> slice = world.Read(kOne, 0);
  EXPECT_EQ(slice->message_ends, (std::vector<uint64_t>{2, 4, 6}));
  world.Stop();
}

TEST(PayloadStoreTest, DamagedBytesAreNeverServed) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {std::string(300, 'p')}).ok());
  world.Stop();
  const std::string path = "/data/payload/" + world.Files().front();
  const std::string pristine = world.disk.Content(path);
  int refused = 0;
  for (uint64_t bit = 0; bit < pristine.size() * 8; bit += 7) {
    world.disk.FlipBit(path, bit);
    world.Open();
    Result<PayloadSlice> slice = world.Read(kOne, 0);
    if (slice.ok()) {
      ASSERT_EQ(PayloadWorld::Text(*slice), std::string(300, 'p')) << "bit " << bit;
    } else {
      ASSERT_EQ(slice.status().code(), StatusCode::kDataLoss);
      ASSERT_NE(slice.status().message().find(path), std::string::npos);
      ASSERT_NE(slice.status().message().find("offset 0"), std::string::npos);
      ASSERT_EQ(world.log.back(), slice.status().message());
      ++refused;
    }
    world.Stop();
    world.disk.Truncate(path, pristine.size());
    world.disk.Overwrite(path, 0, pristine);
  }
  EXPECT_GT(refused, 300);
}

TEST(PayloadStoreTest, DamageLeavesWhatIsBeforeIt) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {std::string(1000, 'a')}).ok());
  ASSERT_TRUE(world.Write(kOne, 1000, {std::string(1000, 'b')}).ok());
  const std::string path = "/data/payload/" + world.Files().front();
  world.disk.FlipBit(path, 8 * (4096 + 500));
  Result<PayloadSlice> slice = world.Read(kOne, 0);
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(slice->next, 1000u);
  EXPECT_EQ(world.Read(kOne, 1000).status().code(), StatusCode::kDataLoss);
  world.Stop();
}

TEST(PayloadStoreTest, AFullDiskRefusesTheWriteAndTheNextOneSucceeds) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {"first"}).ok());
  world.disk.faults().capacity_bytes = 1000;
  EXPECT_EQ(world.Write(kOne, 5, {std::string(5000, 'x')}).code(), StatusCode::kStorageFull);
  world.disk.faults().capacity_bytes = uint64_t{1} << 40;
  ASSERT_TRUE(world.Write(kOne, 5, {"second"}).ok());
  EXPECT_EQ(world.ReadAll(kOne, 0), "firstsecond");
  world.Crash();
  world.Open();
  EXPECT_EQ(world.ReadAll(kOne, 0), "firstsecond");
  world.Stop();
}

TEST(PayloadStoreTest, OnAFullDiskAFileGoesOnceNobodyNeedsIt) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {std::string(5000, 'x')}).ok());
  world.disk.faults().capacity_bytes = 0;
  // Tried again and again: at most one empty file is left by that.
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(world.Write(kTwo, 0, {std::string(5000, 'y')}).code(), StatusCode::kStorageFull);
  }
  EXPECT_EQ(world.ReadAll(kOne, 0), std::string(5000, 'x'));
  EXPECT_LE(world.Files().size(), 2u);
  world.store(kOne).Free(kOne);
  world.runtime->RunUntilIdle();
  EXPECT_EQ(world.store(kOne).stats().files_removed, 1u);
  world.disk.faults().capacity_bytes = uint64_t{1} << 40;
  ASSERT_TRUE(world.Write(kTwo, 0, {"second"}).ok());
  EXPECT_EQ(world.ReadAll(kTwo, 0), "second");
  world.Crash();
  world.Open();
  EXPECT_EQ(world.ReadAll(kTwo, 0), "second");
  world.Stop();
}

TEST(PayloadStoreTest, AFailedDirectWriteEndsWritingAndReadsGoOn) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {"safe"}).ok());
  world.disk.FailWrite(1, EIO);
  EXPECT_EQ(world.Write(kOne, 4, {"lost"}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(world.Write(kOne, 4, {"lost"}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(world.ReadAll(kOne, 0), "safe");
  world.Stop();
}

TEST(PayloadStoreTest, WithoutDirectWritesAFailedSyncEndsWritingAndReadsGoOn) {
  PayloadWorld world(1, {.direct = false});
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {"safe"}).ok());
  world.disk.FailSync(1, EIO);
  EXPECT_EQ(world.Write(kOne, 4, {"lost"}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(world.Write(kOne, 4, {"lost"}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(world.ReadAll(kOne, 0), "safe");
  world.Stop();
}

TEST(PayloadStoreTest, AFailedReadSaysSoAndTheNextOneSucceeds) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {"bytes"}).ok());
  world.disk.FailRead(1, EIO);
  EXPECT_EQ(world.Read(kOne, 0).status().code(), StatusCode::kIoError);
  EXPECT_EQ(world.ReadAll(kOne, 0), "bytes");
  world.Stop();
}

TEST(PayloadStoreTest, AnOpenThatFailsIsTriedAgainByTheNextReadOrWrite) {
  PayloadWorld world(1, {.latency_min_ns = 1000, .latency_max_ns = 1000});
  world.options.compact_live_percent = 0;
  world.Open();
  world.disk.FailOpen(1, EMFILE);
  EXPECT_EQ(world.Write(kOne, 0, {"bytes"}).code(), StatusCode::kResourceExhausted);
  ASSERT_TRUE(world.Write(kOne, 0, {"bytes"}).ok());
  world.disk.FailOpen(1, EMFILE);
  int refused = 0;
  for (int i = 0; i < 3; ++i) {  // They wait for the same opening.
    world.store(kOne).Read(kOne, 0, 10, [&](Result<PayloadSlice> slice) {
      refused += slice.status().code() == StatusCode::kResourceExhausted;
    });
  }
  world.runtime->AdvanceBy(1'000'000);
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(world.ReadAll(kOne, 0), "bytes");
  world.disk.FailOpen(1, EIO);
  world.Stop();
  world.Open();
  EXPECT_EQ(world.Read(kOne, 0).status().code(), StatusCode::kIoError);
  world.disk.FailOpen(1, EIO);
  EXPECT_EQ(world.Write(kOne, 5, {"more"}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(world.ReadAll(kOne, 0), "bytes");
  world.Stop();
}

// The log shares the device: what stands before its batches is bounded.
TEST(PayloadStoreTest, ALargeBatchIsWrittenInParts) {
  PayloadWorld world;
  world.options.file_bytes = 256 << 20;
  world.Open();
  std::string large(30 << 20, 'l');
  ASSERT_TRUE(world.Write(kOne, 0, {large}).ok());
  EXPECT_GE(world.disk.writes(), 4u);
  EXPECT_TRUE(world.ReadAll(kOne, 0) == large);
  world.Crash();
  world.Open();
  EXPECT_TRUE(world.ReadAll(kOne, 0) == large);
  world.Stop();
}

// One run of several blocks; some messages go over the end of one. All of it is added to `bytes`.
constexpr int kSlices = 4;
std::vector<PayloadRun> LargeRuns(std::string* bytes) {
  PayloadRun run{kOne, 0, {}};
  for (int i = 0; bytes->size() < kSlices * PayloadWriter::kEncodedAtOnceBytes; ++i) {
    std::string message(i % 7 == 3 ? kPayloadBlockBytesMax + 5 : 50'000, static_cast<char>(i));
    *bytes += message;
    run.messages.push_back(Bytes::Take(std::move(message)));
  }
  return {run};
}

TEST(PayloadStoreTest, ALargeBatchIsEncodedASliceATurn) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kTwo, 0, {"opens the file"}).ok());
  std::string bytes;
  bool written = false;
  world.stores[0]->Write(LargeRuns(&bytes), [&](Status status) { written = status.ok(); });
  const uint64_t writes = world.disk.writes();
  int turns = 0;
  ASSERT_TRUE(world.runtime->RunUntil([&] {
    ++turns;
    return world.disk.writes() > writes;
  }));
  EXPECT_GE(turns, kSlices);
  ASSERT_TRUE(world.runtime->RunUntil([&] { return written; }));
  EXPECT_TRUE(world.ReadAll(kOne, 0) == bytes);
  world.Stop();
}

TEST(PayloadStoreTest, AStopWaitsForABatchThatIsBeingEncoded) {
  PayloadWorld world;
  world.Open();
  ASSERT_TRUE(world.Write(kTwo, 0, {"opens the file"}).ok());
  std::string bytes;
  bool written = false;
  world.stores[0]->Write(LargeRuns(&bytes), [&](Status status) { written = status.ok(); });
  ASSERT_TRUE(world.runtime->RunTurn());
  world.Stop();
  EXPECT_TRUE(written);
  world.Open();
  EXPECT_TRUE(world.ReadAll(kOne, 0) == bytes);
  world.Stop();
}

TEST(PayloadStoreTest, ReadsPastTheQueueAreRefused) {
  PayloadWorld world;
  world.options.reads_max = 1;
  world.options.read_queue_max = 3;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {"bytes"}).ok());
  int served = 0;
  int refused = 0;
  for (int i = 0; i < 5; ++i) {
    world.store(kOne).Read(kOne, 0, 10, [&](Result<PayloadSlice> slice) {
      if (slice.ok()) ++served;
      if (slice.status().code() == StatusCode::kResourceExhausted) ++refused;
    });
  }
  world.runtime->RunUntilIdle();
  EXPECT_EQ(served, 3);
  EXPECT_EQ(refused, 2);
  world.Stop();
}

TEST(PayloadStoreTest, WhatReadersHoldIsBoundedAndMoreIsRefused) {
  PayloadWorld world;
  world.options.held_bytes_max = 1 << 20;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {std::string(200 << 10, 'a')}).ok());
  EXPECT_EQ(world.store(kOne).ReadBytesAdvised(), uint64_t{64} << 10);
  std::vector<PayloadSlice> held;
  int refused = 0;
  auto read = [&] {
    world.store(kOne).Read(kOne, 0, 10, [&](Result<PayloadSlice> slice) {
      if (slice.ok()) return held.push_back(std::move(*slice));
      EXPECT_EQ(slice.status().code(), StatusCode::kResourceExhausted);
      ++refused;
    });
    world.runtime->RunUntilIdle();
  };
  for (int i = 0; i < 8; ++i) read();
  EXPECT_EQ(held.size(), 5u);  // A block each: 200 KiB and its header, in whole units.
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(world.store(kOne).stats().refused_reads, 3u);
  EXPECT_GT(world.store(kOne).stats().held_bytes, uint64_t{800} << 10);

  // A slice of what was read holds all of it.
  Bytes part = held.back().parts.front().Slice(3, 2);
  held.pop_back();
  read();
  EXPECT_EQ(refused, 4);
  part = {};
  read();
  EXPECT_EQ(held.size(), 5u);
  EXPECT_EQ(refused, 4);
  world.Stop();
  held.clear();  // Outliving the store is allowed.
}

TEST(PayloadStoreTest, WithNothingHeldAReadOfAnySizeIsServed) {
  PayloadWorld world;
  world.options.held_bytes_max = 4096;
  world.Open();
  ASSERT_TRUE(world.Write(kOne, 0, {std::string(200 << 10, 'a')}).ok());
  EXPECT_EQ(world.ReadAll(kOne, 0), std::string(200 << 10, 'a'));
  EXPECT_EQ(world.store(kOne).stats().held_bytes, 0u);
  world.Stop();
}

TEST(PayloadStoreTest, FewFilesAreOpenAtOnce) {
  PayloadWorld world;
  world.options.file_bytes = 1000;
  world.options.open_files_max = 2;
  world.options.compact_live_percent = 0;
  world.Open();
  for (uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(world.Write(kOne, i * 1000, {std::string(1000, static_cast<char>('a' + i))}).ok());
  }
  EXPECT_EQ(world.Files().size(), 10u);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < 10; ++i) {
      Result<PayloadSlice> slice = world.Read(kOne, i * 1000, 1000);
      EXPECT_EQ(PayloadWorld::Text(*slice), std::string(1000, static_cast<char>('a' + i)));
    }
  }
  world.Stop();
}

TEST(PayloadStoreTest, AReadThatWaitsIsServedThoughItsFileIsFreedOrMovedMeanwhile) {
  PayloadWorld world(1, {.latency_min_ns = 1'000'000, .latency_max_ns = 1'000'000});
  world.options.reads_max = 1;
  world.Open();
  ASSERT_TRUE(world.Write(kTwo, 0, {"keep these"}).ok());
  ASSERT_TRUE(world.Write(kOne, 0, {std::string(300'000, 'x')}).ok());
  ASSERT_TRUE(world.Write(kOne, 300'000, {"next file"}).ok());
  ASSERT_EQ(world.Files().size(), 2u);
  int served = 0;
  for (int i = 0; i < 40; ++i) {  // One after the other: the last long after the compaction.
    world.store(kTwo).Read(kTwo, 0, 100, [&](Result<PayloadSlice> slice) {
      ASSERT_TRUE(slice.ok()) << slice.status().ToString();
      EXPECT_EQ(PayloadWorld::Text(*slice), "keep these");
      ++served;
    });
  }
  world.store(kOne).Read(kOne, 0, 100, [&](Result<PayloadSlice> slice) {
    ASSERT_TRUE(slice.ok()) << slice.status().ToString();
    ++served;
  });
  world.store(kOne).Free(kOne);
  ASSERT_TRUE(world.runtime->RunUntil([&] { return served == 41; }, 1'000'000'000));
  world.runtime->AdvanceBy(1'000'000'000);
  EXPECT_EQ(world.store(kTwo).stats().compacted_bytes, 10u);
  EXPECT_EQ(world.Files().size(), 1u);  // And the file goes with its last reader.
  world.Stop();
}

TEST(PayloadStoreTest, TheMemoryStoreDoesTheSame) {
  testing::ManualLoop loop;
  std::unique_ptr<PayloadStore> store = MakeMemoryPayloadStore(&loop);
  std::vector<PayloadRun> runs(1);
  runs[0] = {kOne, 10, {Bytes::Static("ab"), Bytes::Static("cdef")}};
  bool written = false;
  store->Write(std::move(runs), [&](Status status) { written = status.ok(); });
  loop.RunUntilIdle();
  ASSERT_TRUE(written);
  EXPECT_EQ(store->Find(kOne, 10), 16u);
  EXPECT_EQ(store->FindNext(kOne, 0), 10u);
  std::string text;
  std::vector<uint64_t> ends;
  store->Read(kOne, 11, 3, [&](Result<PayloadSlice> slice) {
    text = PayloadWorld::Text(*slice);
    ends = slice->message_ends;
  });
  loop.RunUntilIdle();
  EXPECT_EQ(text, "bcd");
  EXPECT_EQ(ends, (std::vector<uint64_t>{12}));
  store->FreeBefore(kOne, 12);
  EXPECT_EQ(store->FindNext(kOne, 0), 12u);
  store->Free(kOne);
  EXPECT_EQ(store->stats().disk_bytes, 0u);
}

}  // namespace
}  // namespace ursula::storage
