// Peers that were away come back to what the log has kept for them: no snapshot, and no memory.

#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <string>

#include "lib/base/ids.h"
#include "tests/unit/group/behind_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kMinute = 60 * kSecond;

WorldOptions Keeps(uint64_t wal_bytes_max = 16 << 20) {
  WorldOptions options = KeepsNothing();
  options.log_kept_ns = kMinute;
  options.wal_bytes_max = wal_bytes_max;
  return options;
}

struct Away : Behind {
  explicit Away(const WorldOptions& options = Keeps(), bool cut = true) : Behind(1, options) {
    if (cut) CutOff();
  }
  uint64_t third() const { return 6 - leader - away; }
  uint64_t ReadBack(uint64_t id) { return cluster.node(id).budget().log_entries_read; }
  // As Behind's, and it says whether a snapshot was taken over meanwhile.
  bool Rejoin() {
    cluster.network().Heal();
    return Watched();
  }
  bool Watched() {
    const bool level = cluster.RunUntil([&] {
      Replica& one = cluster.replica(away);
      installed = installed || one.installing();
      const std::optional<uint64_t> leads = cluster.Leader();
      return leads && *leads != away && Whole(away) &&
             one.applied() == cluster.replica(*leads).applied();
    });
    return level && CaughtUp();
  }

  bool installed = false;
  storage::WalStats Wal(uint64_t id) { return cluster.node(id).wal().stats(); }
};

TEST(LogWindowTest, OneThatWasAwayComesBackWithoutASnapshot) {
  Away world;
  for (int i = 0; i < 5; ++i) world.GoOn(20, 9000);
  EXPECT_LT(world.cluster.replica(world.leader).log_bytes(), 1000u);
  EXPECT_GT(world.Wal(world.leader).segments_kept, 5u);
  // The disk answers later than the peer.
  testing::FaultDisk& disk = world.cluster.node(world.leader).disk;
  disk.faults().latency_min_ns = disk.faults().latency_max_ns = kSecond / 50;
  const uint64_t begun_ns = world.cluster.now_ns();
  ASSERT_TRUE(world.Rejoin());
  EXPECT_FALSE(world.installed);
  EXPECT_GE(world.ReadBack(world.leader), 100u);
  // One chunk after the other, and not one a beat: there are more than ten.
  EXPECT_LT(world.cluster.now_ns() - begun_ns, 2 * kSecond);
  world.ExpectAlike();
  // It has all there is: nothing is kept for anybody.
  EXPECT_TRUE(
      world.cluster.RunUntil([&] { return world.Wal(world.leader).segments_kept == 0; }, kSecond));
  world.Append("after");
  ASSERT_TRUE(world.cluster.AwaitEqual());
  world.ExpectAlike();
}

TEST(LogWindowTest, AppendsGoOnMeanwhileAndSoDoCheckpoints) {
  Away world;
  world.GoOn(60, 9000);
  world.cluster.network().Heal();
  for (int i = 0; i < 30; ++i) {
    world.Append(std::string(5000, 'm'));
    if (i % 10 == 9) world.Checkpoint();
  }
  ASSERT_TRUE(world.CaughtUp());
  EXPECT_FALSE(world.installed);
  world.ExpectAlike();
}

TEST(LogWindowTest, ARestartedFollowerComesBackWithoutASnapshot) {
  Away world(Keeps(), false);
  world.cluster.Crash(world.away);
  world.GoOn(60, 9000);
  ASSERT_TRUE(world.cluster.Open(world.away).ok());
  ASSERT_TRUE(world.Watched());
  EXPECT_FALSE(world.installed);
  EXPECT_GT(world.cluster.node(world.leader).budget().log_entries_read, 0u);
  world.ExpectAlike();
}

// Three quarters of its limit is what the log may take; then a snapshot is what there is.
TEST(LogWindowTest, WhatIsTooOldForTheLogComesAsASnapshot) {
  Away world(Keeps(512 << 10));
  for (int i = 0; i < 12; ++i) world.GoOn(10, 9000);
  EXPECT_LE(world.Wal(world.leader).disk_bytes, uint64_t{384} << 10);
  ASSERT_TRUE(world.Rejoin());
  EXPECT_TRUE(world.installed);
  world.ExpectAlike();
}

TEST(LogWindowTest, WhoIsAwayForLongIsNotWaitedFor) {
  Away world;
  world.GoOn(60, 9000);
  EXPECT_GT(world.Wal(world.leader).segments_kept, 5u);
  world.cluster.RunFor(kMinute + kSecond);
  EXPECT_EQ(world.Wal(world.leader).segments_kept, 0u);
  ASSERT_TRUE(world.Rejoin());
  EXPECT_TRUE(world.installed);
  EXPECT_EQ(world.ReadBack(world.leader), 0u);
  world.ExpectAlike();
}

TEST(LogWindowTest, WhatHasRottedInTheLogComesAsASnapshot) {
  Away world;
  world.GoOn(60, 9000);
  const std::string path = "/data/wal/";
  testing::FaultDisk& disk = world.cluster.node(world.leader).disk;
  int damaged = 0;
  for (const std::string& file : disk.Files()) {
    if (!file.ends_with(".wal") || file.ends_with("00000000.wal") || ++damaged > 1) continue;
    disk.FlipBit(file, 8 * 200);
  }
  ASSERT_TRUE(world.Rejoin());
  EXPECT_TRUE(world.installed);
  EXPECT_GT(world.ReadBack(world.leader), 0u);
  world.ExpectAlike();
}

TEST(LogWindowTest, ADiskThatCantBeReadIsNoReasonToWait) {
  Away world;
  world.GoOn(60, 9000);
  testing::FaultDisk& disk = world.cluster.node(world.leader).disk;
  disk.FailRead(1, EIO);
  ASSERT_TRUE(world.Rejoin());
  EXPECT_TRUE(world.installed);
  EXPECT_EQ(world.ReadBack(world.leader), 0u);
  world.ExpectAlike();
}

// Its own tail is replaced, and so are entries in the leader's log that came to nothing.
TEST(LogWindowTest, AFormerLeaderComesBackWithATailOfItsOwn) {
  Away world(Keeps(), false);
  world.CutOffLeader(40);
  world.leader = *world.cluster.Leader();
  world.GoOn(30, 9000);
  ASSERT_TRUE(world.Rejoin());
  EXPECT_FALSE(world.installed);
  world.ExpectAlike();
}

TEST(LogWindowTest, AReplicaMayStopOrCrashAmidARead) {
  for (const bool stops : {true, false}) {
    Away world;
    world.GoOn(60, 9000);
    testing::FaultDisk& disk = world.cluster.node(world.leader).disk;
    const uint64_t opens = disk.opens();
    world.cluster.network().Heal();
    ASSERT_TRUE(world.cluster.RunUntil([&] { return disk.opens() > opens; }));
    ASSERT_EQ(world.ReadBack(world.leader), 0u);
    if (stops) {
      ASSERT_TRUE(world.cluster.StopNode(world.leader));
    } else {
      world.cluster.Crash(world.leader);
    }
    ASSERT_TRUE(world.cluster.Open(world.leader).ok());
    ASSERT_TRUE(world.CaughtUp());
    world.ExpectAlike();
  }
}

// Two of five, one for longer than the other: both get what they lack, in turn.
void TwoComeBack(const WorldOptions& options) {
  ClusterWorld cluster(5, 1, options);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t leader = *cluster.Leader();
  const uint64_t first = leader % 5 + 1;
  const uint64_t second = first % 5 + 1;
  std::string all;
  auto append = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const std::string text(9000, static_cast<char>('a' + i % 26));
      ASSERT_TRUE(cluster.AppendNow("s", text));
      all += text;
    }
    const uint64_t before = cluster.node(leader).budget().stats.snapshots;
    cluster.replica(leader).Checkpoint();
    ASSERT_TRUE(
        cluster.RunUntil([&] { return cluster.node(leader).budget().stats.snapshots > before; }));
  };
  append(1);
  cluster.network().Isolate(NodeId{first});
  append(60);
  cluster.network().Isolate(NodeId{second});
  append(60);
  cluster.network().Heal();
  bool installed = false;
  ASSERT_TRUE(cluster.RunUntil([&] {
    installed =
        installed || cluster.replica(first).installing() || cluster.replica(second).installing();
    return cluster.replica(first).applied() == cluster.replica(leader).applied() &&
           cluster.replica(second).applied() == cluster.replica(leader).applied();
  }));
  EXPECT_FALSE(installed);
  EXPECT_GE(cluster.node(leader).budget().log_entries_read, 180u);
  EXPECT_EQ(cluster.Content(first, "s"), all);
  EXPECT_EQ(cluster.Content(second, "s"), all);
}

TEST(LogWindowTest, TwoThatWereAwayForDifferentTimes) {
  TwoComeBack(Keeps());
  WorldOptions paced = Keeps();
  paced.rejoin_bytes_per_second = 300'000;
  TwoComeBack(paced);
}

// With a snapshot on its way to the disk.
TEST(LogWindowTest, OneThatHasFailedKeepsNothing) {
  Away world;
  world.GoOn(60, 9000);
  ASSERT_GT(world.Wal(world.leader).segments_kept, 5u);
  world.Append("more");
  Replica& replica = world.cluster.replica(world.leader);
  const uint64_t before = world.cluster.node(world.leader).budget().stats.snapshots;
  replica.Checkpoint();
  replica.Refuse("a test");
  ASSERT_TRUE(world.cluster.RunUntil(
      [&] { return world.cluster.node(world.leader).budget().stats.snapshots > before; }));
  world.cluster.RunFor(kSecond);
  EXPECT_EQ(world.Wal(world.leader).segments_kept, 0u);
}

// What comes back waits for the pace with entries in hand.
TEST(LogWindowTest, ThePaceHolds) {
  WorldOptions options = Keeps();
  options.rejoin_bytes_per_second = 200'000;
  Away world(options);
  world.GoOn(100, 9000);
  const uint64_t begun_ns = world.cluster.now_ns();
  ASSERT_TRUE(world.Rejoin());
  EXPECT_FALSE(world.installed);
  EXPECT_GT(world.cluster.now_ns() - begun_ns, 3 * kSecond);
  world.ExpectAlike();
}

}  // namespace
}  // namespace ursula::group
