#include "lib/storage/wal_recovery.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

TEST(WalRecoveryTest, GenerationsComeInOrder) {
  WalWorld world;
  for (uint64_t generation = 1; generation <= 4; ++generation) {
    ASSERT_TRUE(world.Open(static_cast<uint16_t>(1 + generation % 3)).ok());
    std::size_t core = WalWorld::CoreOf(GroupId{1}, static_cast<uint32_t>(1 + generation % 3));
    world.AppendEntry(1, generation, "g" + std::to_string(generation), core);
    world.Stop();
  }
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.Texts(), (std::vector<std::string>{"entry 1 1 1 g1", "entry 1 2 1 g2",
                                                              "entry 1 3 1 g3", "entry 1 4 1 g4"}));
  world.Stop();
}

TEST(WalRecoveryTest, AMissingMiddleSegmentIsRot) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  for (uint64_t i = 1; i <= 60; ++i) {
    ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, i, std::string(3000, 'x'))));
  }
  world.Stop();
  std::vector<std::string> names = world.Segments();
  ASSERT_GE(names.size(), 3u);
  ASSERT_TRUE(world.runtime->loop(CoreId{0}).disk().RemoveNow("/data/wal/" + names[1]).ok());
  Status status = world.Open();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find(names[1]), std::string::npos) << status.message();
}

TEST(WalRecoveryTest, ATornBatchIsCutWithItsByteCountAndNotMetAgain) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 1, "first")));
  world.disk.faults().latency_min_ns = world.disk.faults().latency_max_ns = 1'000'000;
  world.AppendEntry(1, 2, std::string(9000, 'y'));
  world.runtime->RunUntilIdle();
  std::string name = "/data/wal/" + world.Segments().front();
  world.Crash();
  // Whatever part of the batch the crash let through: now it is exactly the header's block.
  WalWorld whole;
  ASSERT_TRUE(whole.Open().ok());
  ASSERT_TRUE(whole.RunUntilDurable(whole.AppendEntry(1, 1, "first")));
  ASSERT_TRUE(whole.RunUntilDurable(whole.AppendEntry(1, 2, std::string(9000, 'y'))));
  std::string full = whole.disk.Content("/data/wal/" + whole.Segments().front());
  whole.Stop();
  world.disk.Overwrite(name, 4096, full.substr(4096, 4096));
  world.disk.Overwrite(name, 8192, std::string(8192, '\0'));

  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.Texts(), (std::vector<std::string>{"entry 1 1 1 first"}));
  EXPECT_EQ(world.cut_bytes, 12288u);
  ASSERT_FALSE(world.log.empty());
  EXPECT_NE(world.log[0].find("cut 12288 bytes"), std::string::npos) << world.log[0];
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.cut_bytes, 0u);
  EXPECT_EQ(world.recorder.Texts(), (std::vector<std::string>{"entry 1 1 1 first"}));
  world.Stop();
}

TEST(WalRecoveryTest, ATornBatchAfterASealIsCutAndNotMetAgain) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 1, "first")));
  const std::string name = "/data/wal/" + world.Segments().front();
  // An idle log seals itself and goes on after the seal.
  ASSERT_TRUE(world.runtime->RunUntil(
      [&] { return world.disk.Content(name).substr(4096, 4) == std::string("UWB1"); }));
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 2, std::string(9000, 'y'))));
  world.Crash();
  world.disk.Overwrite(name, 12288, std::string(8192, '\0'));

  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.Texts(), (std::vector<std::string>{"entry 1 1 1 first"}));
  EXPECT_EQ(world.cut_bytes, 12288u);
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.cut_bytes, 0u);
  EXPECT_EQ(world.recorder.Texts(), (std::vector<std::string>{"entry 1 1 1 first"}));
  world.Stop();
}

// After the cut the log is sealed there: what rots below is then rot.
TEST(WalRecoveryTest, WhatARecoveryHasReadIsAttestedFromThenOn) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 1, "acknowledged")));
  std::string name = "/data/wal/" + world.Segments().front();
  world.Crash();  // No seal: nothing attests the one batch.
  ASSERT_TRUE(world.Open().ok());
  world.Stop();
  world.disk.FlipBit(name, 8 * 100);
  EXPECT_EQ(world.Open().code(), StatusCode::kDataLoss);
}

TEST(WalRecoveryTest, ASegmentFullToItsLastBlockIsSealedInTheNext) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  for (uint64_t i = 1; i <= 16; ++i) {  // One block each.
    ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, i, std::string(3000, 'x'))));
  }
  std::string name = "/data/wal/" + world.Segments().front();
  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.records.size(), 16u);
  world.Stop();
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.recorder.records.size(), 16u);
  world.Stop();
  world.disk.FlipBit(name, 8 * (65536 - 4096 + 100));
  EXPECT_EQ(world.Open().code(), StatusCode::kDataLoss);
}

TEST(WalRecoveryTest, AForeignFileIsLeftAloneAndNamed) {
  WalWorld world;
  ASSERT_TRUE(world.OpenDirectory().ok());
  io::Disk& disk = world.runtime->loop(CoreId{0}).disk();
  ASSERT_TRUE(disk.Open("/data/wal/notes.txt", {.create = true}).ok());
  world.directory.reset();
  ASSERT_TRUE(world.Open().ok());
  ASSERT_EQ(world.log.size(), 1u);
  EXPECT_NE(world.log[0].find("notes.txt"), std::string::npos);
  EXPECT_TRUE(world.disk.Exists("/data/wal/notes.txt"));
  world.Stop();
}

TEST(WalRecoveryTest, TheSinksErrorEndsTheRecovery) {
  struct Refusing : RecoverySink {
    Status OnRecord(RecoveredRecord) override {
      return Status(StatusCode::kDataLoss, "no such group");
    }
  } sink;
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.AppendEntry(1, 1, "x");
  world.Stop();
  ASSERT_TRUE(world.OpenDirectory().ok());
  Result<RecoveredLogs> recovered =
      RecoverLogs(world.runtime->loop(CoreId{0}).disk(), *world.directory, &sink, {});
  EXPECT_EQ(recovered.status().message(), "no such group");
}

}  // namespace
}  // namespace ursula::storage
