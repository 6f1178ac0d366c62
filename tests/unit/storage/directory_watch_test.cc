// A log whose directory goes away under it.

#include "lib/storage/directory_watch.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

constexpr uint64_t kTwoSecondsNs = 2'000'000'000;

// What the log says two seconds after `change`, or "".
std::string SaysAfter(Function<void(WalWorld*)> change) {
  WalWorld world;
  EXPECT_TRUE(world.Open(2).ok());
  EXPECT_TRUE(world.RunUntilDurable(world.AppendEntry(0, 1, "one")));
  world.runtime->AdvanceBy(3 * kTwoSecondsNs);
  EXPECT_TRUE(world.wal().accepting());
  change(&world);
  world.runtime->AdvanceBy(kTwoSecondsNs);
  const std::string said = world.wal().Ready().ToString();
  const bool ok = world.wal().Ready().ok();
  EXPECT_EQ(world.probe().failures, ok ? 0 : 1);
  // Nothing is acknowledged any more.
  const uint64_t lsn = world.AppendEntry(0, 2, "two");
  world.runtime->AdvanceBy(kTwoSecondsNs);
  EXPECT_EQ(world.probe().durable >= lsn, ok);
  world.Stop();
  return ok ? "" : said;
}

io::Disk& DiskOf(WalWorld* world) { return world->runtime->loop(CoreId{0}).disk(); }

TEST(DirectoryWatchTest, NothingIsWrongWhereNothingChanged) {
  EXPECT_EQ(SaysAfter([](WalWorld*) {}), "");
}

TEST(DirectoryWatchTest, ARemovedFileOfTheDirectoryEndsTheLog) {
  const std::string said =
      SaysAfter([](WalWorld* world) { ASSERT_TRUE(DiskOf(world).RemoveNow("/data/META").ok()); });
  EXPECT_NE(said.find("/data/META was removed"), std::string::npos) << said;
}

TEST(DirectoryWatchTest, AReplacedOneDoesToo) {
  const std::string said = SaysAfter([](WalWorld* world) {
    ASSERT_TRUE(DiskOf(world).Open("/other", {.create = true, .write = true}).ok());
    ASSERT_TRUE(DiskOf(world).RenameNow("/other", "/data/META").ok());
  });
  EXPECT_NE(said.find("/data/META was replaced"), std::string::npos) << said;
}

// META is this process's own, whichever of the two it is.
TEST(DirectoryWatchTest, OneWhoseReplacementFailedAtTheEndDoesNot) {
  const auto fail = [](WalWorld* world, int error) {
    world->disk.faults().sync_now_error = error;
    EXPECT_EQ(world->directory->MustRejoin(DiskOf(world)).ok(), error == 0);
  };
  const auto replace = [](WalWorld* world) {
    ASSERT_TRUE(DiskOf(world).Open("/other", {.create = true, .write = true}).ok());
    ASSERT_TRUE(DiskOf(world).RenameNow("/other", "/data/META").ok());
  };
  EXPECT_EQ(SaysAfter([&](WalWorld* world) {
              fail(world, EIO);
              fail(world, EIO);
            }),
            "");
  // All else is watched still, and META is again from the next one on.
  std::string said = SaysAfter([&](WalWorld* world) {
    fail(world, EIO);
    ASSERT_TRUE(DiskOf(world).RemoveNow("/data/wal/0000000000010000-00000000.wal").ok());
  });
  EXPECT_NE(said.find("0000000000010000-00000000.wal was removed"), std::string::npos) << said;
  said = SaysAfter([&](WalWorld* world) {
    fail(world, EIO);
    fail(world, 0);
    replace(world);
  });
  EXPECT_NE(said.find("/data/META was replaced"), std::string::npos) << said;
}

TEST(DirectoryWatchTest, SoDoesTheSegmentThatIsWritten) {
  const std::string said = SaysAfter([](WalWorld* world) {
    const std::string name = "/data/wal/0000000000010000-00000000.wal";
    ASSERT_TRUE(world->disk.Exists(name));
    ASSERT_TRUE(DiskOf(world).RemoveNow(name).ok());
  });
  EXPECT_NE(said.find("0000000000010000-00000000.wal was removed"), std::string::npos) << said;
}

// It isn't the server's, which serves without it.
TEST(DirectoryWatchTest, WhatWasPutAsideMayGo) {
  WalWorld world;
  ASSERT_TRUE(world.Open(2).ok());
  EXPECT_EQ(world.directory->aside_path(), "");
  world.Stop();
  ASSERT_TRUE(world.OpenDirectory().ok());
  ASSERT_TRUE(DiskOf(&world).Open("/data/aside", {.create = true, .write = true}).ok());
  world.directory.reset();
  ASSERT_TRUE(world.Open(2).ok());
  EXPECT_EQ(world.directory->aside_path(), "/data/aside");
  world.runtime->AdvanceBy(kTwoSecondsNs);
  EXPECT_FALSE(world.directory->aside_gone());
  ASSERT_TRUE(DiskOf(&world).RemoveNow("/data/aside").ok());
  world.runtime->AdvanceBy(kTwoSecondsNs);
  EXPECT_TRUE(world.directory->aside_gone());
  EXPECT_TRUE(world.wal().accepting());
  world.Stop();
}

}  // namespace
}  // namespace ursula::storage
