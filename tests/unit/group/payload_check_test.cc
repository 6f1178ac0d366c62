// What a start finds out by comparing streams with the payload that is there.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/group/replica.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMs = 1'000'000;

std::vector<std::string> FilesOf(const GroupWorld& world, const std::string& ending) {
  std::vector<std::string> files = world.disk.Files();
  std::erase_if(files, [&ending](const std::string& path) { return !path.ends_with(ending); });
  return files;
}

void Remove(GroupWorld* world, const std::string& path) {
  testing::ManualLoop loop;
  ASSERT_TRUE(world->disk.OnLoop(&loop)->RemoveNow(path).ok());
  ASSERT_TRUE(world->disk.OnLoop(&loop)->SyncDirectoryNow("/data").ok());
}

bool Lost(const std::string& content) { return content.find("DATA_LOSS") != std::string::npos; }

// Opens and ends again, so that the log of the opening before is gone.
void MoveOn(GroupWorld* world) {
  ASSERT_TRUE(world->Open().ok());
  ASSERT_TRUE(world->CreateNow("more"));
  ASSERT_TRUE(world->CheckpointNow());
  world->runtime().AdvanceBy(200 * kMs);
  ASSERT_TRUE(world->Stop());
}

TEST(PayloadCheckTest, ARemovedPayloadFileIsMissedAndOnlyItsRangesAreLost) {
  GroupWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "first file,"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.Stop());
  const std::string removed = FilesOf(world, ".pay").at(0);
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("t") && world.AppendNow("t", "whole"));
  ASSERT_TRUE(world.AppendNow("s", "second file,"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.AppendNow("s", "log"));
  world.Crash();
  Remove(&world, removed);
  for (int opening = 0; opening < 2; ++opening) {
    ASSERT_TRUE(world.Open().ok());
    EXPECT_TRUE(world.Logged("(incarnation 2): 11 bytes from offset 0 on are lost"))
        << ::testing::PrintToString(world.log());
    EXPECT_EQ(world.budget().stats.payload_lost_bytes, 11u);
    EXPECT_TRUE(Lost(world.Content("s"))) << world.Content("s");
    EXPECT_EQ(world.Content("t"), "whole");
    ReadRequest request;
    request.stream = NameOf("s");
    request.from.bytes = 11;
    EXPECT_EQ(world.FinishRead(world.Read(request)), "second file,log");
    ASSERT_TRUE(world.Stop());
  }
}

TEST(PayloadCheckTest, ARottenBlockThatNothingAttestsIsMissedAndNamed) {
  GroupWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "only block"));
  ASSERT_TRUE(world.CheckpointNow());
  world.Crash();
  const std::string path = FilesOf(world, ".pay").at(0);
  world.disk.FlipBit(path, 8 * 20);
  for (int opening = 0; opening < 2; ++opening) {
    ASSERT_TRUE(world.Open().ok());
    EXPECT_TRUE(
        world.Logged("10 bytes from offset 0 on are lost: in no payload file; perhaps it "
                     "was in " +
                     path + ": damaged at offset 0"))
        << ::testing::PrintToString(world.log());
    EXPECT_TRUE(Lost(world.Content("s"))) << world.Content("s");
    EXPECT_TRUE(world.AppendNow("s", "and on"));
    ASSERT_TRUE(world.Stop());
    EXPECT_TRUE(world.disk.Exists(path));
  }
}

TEST(PayloadCheckTest, AStateThatIsOlderThanItsPayloadIsRefusedByName) {
  GroupWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "one,"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.Stop());
  MoveOn(&world);
  const testing::FaultDisk& disk = world.disk;
  std::unique_ptr<testing::FaultDisk> old = disk.Clone(7);
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.AppendNow("s", "two,"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.Stop());
  const std::string newest = FilesOf(world, ".pay").back();
  // Everything but the payload is put back.
  for (const std::string& path : world.disk.Files()) {
    if (!path.ends_with(".pay")) Remove(&world, path);
  }
  for (const std::string& path : old->Files()) {
    if (path.ends_with(".pay")) continue;
    testing::ManualLoop loop;
    std::unique_ptr<io::Disk> on = world.disk.OnLoop(&loop);
    auto file = on->Open(path, {.create = true, .write = true});
    ASSERT_TRUE(file.ok());
    ASSERT_EQ((*file)->WriteSyncedNow(0, old->Content(path)), 0);
  }
  const uint64_t payload_bytes = world.disk.Content(newest).size();
  Status status = world.Open();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
  for (const std::string& part : {std::string("group 0"), std::string("(incarnation 2)"), newest,
                                  std::string("ends at offset 4, but its payload goes on to 8")}) {
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  }
  // And nothing of it was written over.
  world.replica().Flush();
  world.replica().Checkpoint();
  world.runtime().AdvanceBy(2000 * kMs);
  EXPECT_EQ(FilesOf(world, ".pay").back(), newest);
  EXPECT_EQ(world.disk.Content(newest).size(), payload_bytes);
}

// With and without payload in what the snapshot held.
TEST(PayloadCheckTest, ALostNewestSnapshotIsMissedOnceTheLogHasMovedOn) {
  for (bool payload : {true, false}) {
    SCOPED_TRACE(payload);
    GroupWorld world;
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", "one,"));
    ASSERT_TRUE(world.CheckpointNow());
    ASSERT_TRUE(payload ? world.AppendNow("s", "two,") : world.CreateNow("t"));
    ASSERT_TRUE(world.CheckpointNow());
    ASSERT_TRUE(world.Stop());
    MoveOn(&world);
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.Stop());
    EXPECT_EQ(FilesOf(world, ".snap").size(), 3u);
    Remove(&world, FilesOf(world, ".snap").back());
    Status status = world.Open();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
    EXPECT_NE(status.message().find("group 0"), std::string::npos) << status.message();
  }
}

// In one opening: the segments that had the idle group's entries hold another group's now.
TEST(PayloadCheckTest, ALostNewestSnapshotIsMissedWhereOthersHaveTakenTheLog) {
  GroupWorld world;
  world.options.groups = 2;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.CreateNow("t"));
  ASSERT_TRUE(world.CheckpointNow());
  ASSERT_TRUE(world.Finish(world.Create("busy", {}, 1)));
  const std::string part(8 << 10, 'x');
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(world.Finish(world.Append("busy", part, 1)));
    if (i % 5 < 4) continue;
    ASSERT_TRUE(world.CheckpointNow(1));
  }
  world.Crash();
  std::vector<std::string> snapshots = FilesOf(world, ".snap");
  std::erase_if(snapshots, [](const std::string& path) {
    return path.find("/00000000-") == std::string::npos;
  });
  ASSERT_EQ(snapshots.size(), 2u);
  Remove(&world, snapshots.back());
  Status status = world.Open();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
  EXPECT_NE(status.message().find("group 0: entry 3 was durable"), std::string::npos)
      << status.message();
}

}  // namespace
}  // namespace ursula::group
