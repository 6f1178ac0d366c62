// Payload that rots on one replica's disk comes back from another one's.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/ids.h"
#include "lib/storage/payload_store.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kReplicas = 3;

// Three replicas that have all payload on disk and none in memory.
class PayloadRepairTest : public ::testing::Test {
 protected:
  PayloadRepairTest() : cluster_(kReplicas) {
    cluster_.OpenAll();
    EXPECT_TRUE(cluster_.CreateNow("s"));
    for (int i = 0; i < 12; ++i) {
      all_ += std::string(5'000, static_cast<char>('a' + i));
      EXPECT_TRUE(cluster_.AppendNow("s", std::string(5'000, static_cast<char>('a' + i))));
      if (i % 3 == 2) WriteOut();  // Blocks of three appends each.
    }
    leader_ = *cluster_.Leader();
    follower_ = leader_ % kReplicas + 1;
  }

  void WriteOut() {
    EXPECT_TRUE(cluster_.AwaitEqual());
    for (uint64_t id = 1; id <= kReplicas; ++id) {
      cluster_.replica(id).Flush();
      EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.replica(id).unflushed_bytes() == 0; }));
      EXPECT_EQ(cluster_.replica(id).EvictTo(0), 0u);
    }
  }

  // In the stream's bytes at `offset`, wherever they lie: files hold nothing else like them.
  void Rot(uint64_t id, uint64_t offset) {
    testing::FaultDisk& disk = cluster_.node(id).disk;
    for (const std::string& path : disk.Files()) {
      if (!path.ends_with(".pay")) continue;
      const std::size_t run = disk.Content(path).find(all_.substr(offset, 100));
      if (run == std::string::npos) continue;
      disk.FlipBit(path, (run + 50) * 8);
      last_rot_ = {id, path, (run + 50) * 8};
      return;
    }
    FAIL() << "nothing is at " << offset;
  }
  // The last one.
  void UndoRot() { cluster_.node(last_rot_.id).disk.FlipBit(last_rot_.path, last_rot_.bit); }

  const EngineStats& stats(uint64_t id) { return cluster_.node(id).budget().stats; }
  bool Repaired(uint64_t id, uint64_t bytes) {
    return cluster_.RunUntil(
        [&] { return cluster_.replica(id).whole() && stats(id).payload_repaired_bytes == bytes; });
  }
  // From its own disk: nobody else is there.
  void ExpectSoundAlone(uint64_t id) {
    ASSERT_TRUE(cluster_.node(id).open());
    for (uint64_t other = 1; other <= kReplicas; ++other) {
      if (other != id) cluster_.Crash(other);
    }
    storage::PayloadStore& store = cluster_.node(id).payload();
    const storage::PayloadKey key{GroupId{0}, 2};
    std::string text;
    while (text.size() < all_.size()) {
      std::optional<Result<storage::PayloadSlice>> slice;
      store.Read(key, text.size(), UINT64_MAX, [&](auto read) { slice.emplace(std::move(read)); });
      ASSERT_TRUE(cluster_.RunUntil([&] { return slice.has_value(); }));
      ASSERT_TRUE(slice->ok()) << slice->status().ToString();
      for (const Bytes& part : (*slice)->parts) text.append(part.view());
    }
    EXPECT_EQ(text, all_);
  }

  struct Bit {
    uint64_t id = 0;
    std::string path = {};
    uint64_t bit = 0;
  };
  Bit last_rot_;
  ClusterWorld cluster_;
  std::string all_;
  uint64_t leader_ = 0;
  uint64_t follower_ = 0;
};

TEST_F(PayloadRepairTest, AReadThatMeetsRotIsAnsweredAndTheBlockWrittenAnew) {
  for (uint64_t id : {leader_, follower_}) {
    Rot(id, 20'000);  // In the second block, which is from 15 000 to 30 000.
    EXPECT_EQ(cluster_.Content(id, "s"), all_);
    EXPECT_EQ(stats(id).payload_damaged_bytes, 15'000u);
    EXPECT_TRUE(Repaired(id, 15'000));
    EXPECT_EQ(stats(id).payload_lost_bytes, 0u);
    EXPECT_TRUE(cluster_.node(id).Logged(".pay: damaged at offset "));
    EXPECT_TRUE(cluster_.node(id).Logged("15000 bytes from offset 15000 on are no more on this"));
  }
  ExpectSoundAlone(follower_);
}

TEST_F(PayloadRepairTest, WhatWasRepairedHoldsAfterARestart) {
  Rot(follower_, 20'000);
  EXPECT_EQ(cluster_.Content(follower_, "s"), all_);
  EXPECT_TRUE(Repaired(follower_, 15'000));
  for (int openings = 0; openings < 2; ++openings) {
    if (openings == 0) {
      cluster_.Crash(follower_);
    } else {
      ASSERT_TRUE(cluster_.StopNode(follower_));
    }
    ASSERT_TRUE(cluster_.Open(follower_).ok());
    ASSERT_TRUE(cluster_.AwaitEqual());
    ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.replica(follower_).whole(); }));
  }
  ExpectSoundAlone(follower_);
}

// The peer that is asked first has the same rot.
TEST_F(PayloadRepairTest, APeersRottenBytesAreNotTakenAndBothAreRepaired) {
  Rot(leader_, 40'000);
  Rot(follower_, 40'000);
  EXPECT_EQ(cluster_.Content(follower_, "s"), all_);
  EXPECT_TRUE(Repaired(follower_, 15'000));
  EXPECT_TRUE(Repaired(leader_, 15'000));
  EXPECT_EQ(stats(leader_).payload_damaged_bytes, 15'000u);
  EXPECT_EQ(cluster_.Content(leader_, "s"), all_);
  ExpectSoundAlone(follower_);
}

TEST_F(PayloadRepairTest, WhatHasRottenEverywhereIsDataLossAndNothingElseIs) {
  for (uint64_t id = 1; id <= kReplicas; ++id) Rot(id, 40'000);
  EXPECT_NE(cluster_.Content(follower_, "s").find("DATA_LOSS"), std::string::npos);
  ReadRequest request;
  request.stream = NameOf("s");
  request.bytes_max = 30'000;
  AskedRead before = cluster_.node(follower_).Read(request);
  request.from.bytes = 45'000;
  AskedRead behind = cluster_.node(follower_).Read(request);
  ASSERT_TRUE(cluster_.RunUntil([&] { return before->reply && behind->reply; }));
  EXPECT_EQ(before->text(), all_.substr(0, 30'000));
  EXPECT_EQ(behind->text(), all_.substr(45'000));
  EXPECT_EQ(stats(follower_).payload_lost_bytes, 15'000u);
  EXPECT_EQ(stats(follower_).payload_repaired_bytes, 0u);
  EXPECT_FALSE(cluster_.replica(follower_).whole());
  EXPECT_TRUE(cluster_.node(follower_).Logged("15000 bytes from offset 30000 on are lost"));
}

// Of two that the leader asks first one is away: it may have what the other has lost.
TEST_F(PayloadRepairTest, WhileOneIsAwayThatMayHaveItAReadIsToldToTryAgain) {
  const uint64_t other = 6 - leader_ - follower_;
  Rot(leader_, 40'000);
  Rot(follower_, 40'000);
  cluster_.network().Isolate(NodeId{other});
  EXPECT_NE(cluster_.Content(follower_, "s").find("UNAVAILABLE"), std::string::npos)
      << cluster_.Content(follower_, "s");
  EXPECT_EQ(stats(follower_).payload_lost_bytes, 0u);
  cluster_.network().Heal();
  EXPECT_TRUE(Repaired(follower_, 15'000));
  EXPECT_EQ(cluster_.Content(follower_, "s"), all_);
}

// It may have been the way from the disk that erred. Three who refuse lose it for good.
TEST_F(PayloadRepairTest, WhoLacksSomeLooksAtItsDiskBeforeItRefuses) {
  const uint64_t other = 6 - leader_ - follower_;
  Rot(leader_, 40'000);
  Rot(follower_, 40'000);
  cluster_.network().Isolate(NodeId{other});
  EXPECT_NE(cluster_.Content(leader_, "s").find("UNAVAILABLE"), std::string::npos);
  ASSERT_FALSE(cluster_.replica(leader_).whole() || cluster_.replica(follower_).whole());
  UndoRot();
  EXPECT_TRUE(Repaired(follower_, 15'000));
  EXPECT_TRUE(Repaired(leader_, 15'000));
  EXPECT_EQ(cluster_.Content(follower_, "s"), all_);
  ExpectSoundAlone(follower_);
}

TEST_F(PayloadRepairTest, AReadThatWaitsEndsWhenItsReplicaTakesPartNoMore) {
  const uint64_t other = 6 - leader_ - follower_;
  Rot(leader_, 40'000);
  Rot(follower_, 40'000);
  cluster_.network().Isolate(NodeId{other});
  ReadRequest request;
  request.stream = NameOf("s");
  request.from.bytes = 30'000;
  AskedRead read = cluster_.node(follower_).Read(request);
  cluster_.RunFor(kSecond);
  ASSERT_FALSE(read->reply.has_value()) << read->text();
  cluster_.replica(follower_).Refuse("it was replaced");
  EXPECT_TRUE(read->reply.has_value());
}

TEST_F(PayloadRepairTest, WhoLacksSomeOrIsAwayIsTroubleUntilItIsWell) {
  using Kind = ReplicaTrouble::Kind;
  const uint64_t other = 6 - leader_ - follower_;
  cluster_.RunFor(20 * kSecond);
  EXPECT_TRUE(cluster_.replica(leader_).Troubles().empty());
  Rot(leader_, 40'000);
  Rot(follower_, 40'000);
  cluster_.network().Isolate(NodeId{other});
  EXPECT_NE(cluster_.Content(leader_, "s").find("UNAVAILABLE"), std::string::npos);
  EXPECT_NE(cluster_.Content(follower_, "s").find("UNAVAILABLE"), std::string::npos);
  cluster_.RunFor(5 * kSecond);
  std::vector<ReplicaTrouble> expected = {{NodeId{leader_}, Kind::kNotWhole},
                                          {NodeId{follower_}, Kind::kNotWhole},
                                          {NodeId{other}, Kind::kAway}};
  std::ranges::sort(expected, {}, [](const ReplicaTrouble& one) { return Raw(one.node); });
  EXPECT_EQ(cluster_.replica(leader_).Troubles(), expected);
  EXPECT_TRUE(cluster_.replica(follower_).Troubles().empty()) << "it doesn't lead";
  cluster_.network().Heal();
  EXPECT_TRUE(Repaired(follower_, 15'000));
  EXPECT_TRUE(Repaired(leader_, 15'000));
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.replica(leader_).Troubles().empty(); },
                                11 * kSecond));
}

// The leader counts on what voters said of themselves when one of them is to go.
TEST_F(PayloadRepairTest, AVoterThatLacksSomeAgainSaysSo) {
  const uint64_t other = 6 - leader_ - follower_;
  cluster_.RunFor(kSecond);  // They have said that they are whole.
  Rot(leader_, 40'000);
  Rot(follower_, 40'000);
  cluster_.network().Cut(NodeId{follower_}, NodeId{other});
  cluster_.network().Cut(NodeId{leader_}, NodeId{other});
  cluster_.Content(follower_, "s");
  cluster_.RunFor(2 * kSecond);
  ASSERT_FALSE(cluster_.replica(follower_).whole() || cluster_.replica(leader_).whole());
  cluster_.network().Heal();
  // Only this one has it all: it may not go before one of the others has.
  const std::vector<ReplicaId> wanted = {ReplicaId{leader_}};
  bool done = false;
  for (int steps = 0; !done && steps < 2'000; ++steps) {
    Replica& leads = cluster_.replica(leader_);
    leads.Reconcile(wanted, [&](Result<MembersProgress> progress) {
      done = progress.ok() && progress->done();
    });
    cluster_.RunFor(kSecond / 100);
    if (leads.members().voters.size() < kReplicas) {
      EXPECT_TRUE(leads.whole());
      break;
    }
  }
  EXPECT_LT(cluster_.replica(leader_).members().voters.size(), kReplicas);
}

TEST(PayloadAloneTest, RotOfASingleNodeIsDataLossAndTold) {
  GroupWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.CreateNow("s") && world.AppendNow("s", std::string(300, 'x')));
  ASSERT_TRUE(world.FlushNow());
  world.replica().EvictTo(0);
  for (const std::string& path : world.disk.Files()) {
    if (path.ends_with(".pay")) world.disk.FlipBit(path, 200 * 8);
  }
  for (int reads = 0; reads < 2; ++reads) {
    EXPECT_NE(world.Content("s").find("DATA_LOSS"), std::string::npos);
    EXPECT_EQ(world.budget().stats.payload_damaged_bytes, 300u);
    EXPECT_EQ(world.budget().stats.payload_lost_bytes, 300u);
  }
  EXPECT_TRUE(world.Logged("300 bytes from offset 0 on are lost: /data/payload/"));
  EXPECT_TRUE(world.Logged(".pay: damaged at offset 0"));
}

}  // namespace
}  // namespace ursula::group
