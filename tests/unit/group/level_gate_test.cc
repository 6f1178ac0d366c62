// A replica stores nothing that sets a feature level before its directory is of that level.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "lib/base/ids.h"
#include "lib/group/letter_format.h"
#include "lib/stream/command.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kFirst = kFeatureLevelMax;  // A new directory's.
constexpr uint64_t kRaised = kFirst + 1;

struct Gate final : LevelGate {
  bool Reach(uint64_t level) override {
    wanted = std::max(wanted, level);
    return level <= stored;
  }
  uint64_t stored = kFirst;
  uint64_t wanted = kFirst;
};

// Three, of which one's directory stays at the first level.
class LevelGateTest : public ::testing::Test {
 protected:
  LevelGateTest() : cluster_(3, 1, KeepsNothing()) {
    for (uint64_t id = 1; id <= 3; ++id) cluster_.node(id).levels = &gates_[id - 1];
    cluster_.OpenAll();
    EXPECT_TRUE(cluster_.CreateNow("s"));
    EXPECT_TRUE(cluster_.AppendNow("s", "at first, "));
    EXPECT_TRUE(cluster_.AwaitEqual());
    leader_ = *cluster_.Leader();
    held_ = leader_ % 3 + 1;
    for (uint64_t id = 1; id <= 3; ++id) gate(id).stored = id == held_ ? kFirst : kRaised;
  }

  static WorldOptions KeepsNothing() {
    WorldOptions options;
    options.kept_log_bytes_max = 0;
    return options;
  }
  Gate& gate(uint64_t id) { return gates_[id - 1]; }
  void Raise() {
    const Asked asked = cluster_.node(leader_).Propose(stream::SetFeatureLevel{kRaised});
    ASSERT_TRUE(cluster_.RunUntil([&] { return asked->reply.has_value(); }));
    EXPECT_TRUE(asked->ok());
    ASSERT_TRUE(cluster_.AppendNow("s", "then raised"));
    cluster_.RunFor(3 * kSecond);
  }
  void ExpectHeld(Index last) {
    EXPECT_EQ(cluster_.replica(held_).last(), last);
    EXPECT_EQ(cluster_.replica(held_).machine().feature_level(), kFirst);
    EXPECT_EQ(cluster_.replica(leader_).machine().feature_level(), kRaised);
  }
  void ExpectAlike() {
    ASSERT_TRUE(cluster_.AwaitLeader() && cluster_.AwaitEqual());
    EXPECT_EQ(cluster_.replica(held_).machine().feature_level(), kRaised);
    EXPECT_EQ(cluster_.Content(held_, "s"), "at first, then raised");
  }

  std::array<Gate, 3> gates_;
  ClusterWorld cluster_;
  uint64_t leader_ = 0;
  uint64_t held_ = 0;
};

TEST_F(LevelGateTest, AFollowerStoresNoEntryOfALevelBeforeItsDirectoryIs) {
  const Index before = cluster_.replica(held_).last();
  Raise();
  ExpectHeld(before);
  EXPECT_EQ(gate(held_).wanted, kRaised);
  // Nor is it in what a crash leaves.
  cluster_.Crash(held_);
  ASSERT_TRUE(cluster_.Open(held_).ok());
  cluster_.RunFor(kSecond);
  ExpectHeld(before);
  gate(held_).stored = kRaised;
  ExpectAlike();
}

TEST_F(LevelGateTest, ASnapshotOfALevelWaitsToo) {
  const Index before = cluster_.replica(held_).last();
  cluster_.network().Isolate(NodeId{held_});
  Raise();
  for (uint64_t id = 1; id <= 3; ++id) {
    if (id == held_) continue;
    const uint64_t snapshots = cluster_.node(id).budget().stats.snapshots;
    cluster_.replica(id).Checkpoint();
    ASSERT_TRUE(
        cluster_.RunUntil([&] { return cluster_.node(id).budget().stats.snapshots > snapshots; }));
  }
  cluster_.network().Heal();
  cluster_.RunFor(3 * kSecond);
  ExpectHeld(before);
  EXPECT_EQ(gate(held_).wanted, kRaised);
  gate(held_).stored = kRaised;
  ExpectAlike();
}

TEST_F(LevelGateTest, ALeaderProposesNoLevelBeforeItsDirectoryIs) {
  gate(leader_).stored = kFirst;
  const Index before = cluster_.replica(leader_).last();
  const Asked asked = cluster_.node(leader_).Propose(stream::SetFeatureLevel{kRaised});
  ASSERT_TRUE(cluster_.RunUntil([&] { return asked->reply.has_value(); }));
  EXPECT_EQ(asked->code(), StatusCode::kUnavailable);
  EXPECT_EQ(cluster_.replica(leader_).last(), before);
  EXPECT_EQ(gate(leader_).wanted, kRaised);
}

// Nobody forwards a proposal; if one came, it would be beside the gate.
TEST_F(LevelGateTest, ALeaderTakesNoProposalFromAPeer) {
  gate(leader_).stored = kFirst;
  const Index before = cluster_.replica(leader_).last();
  stream::Command command;
  command.now_ms = 1'700'000'000'000;
  command.body = stream::SetFeatureLevel{kRaised};
  raft::Message message;
  message.kind = raft::MessageKind::kPropose;
  message.from = ReplicaOf(NodeId{held_}, 0);
  message.to = ReplicaOf(NodeId{leader_}, 0);
  message.entries.push_back({.kind = raft::EntryKind::kNormal, .payload = stream::Encode(command)});
  ByteParts parts;
  EncodeLetter({message.from, message.to, message}, &parts);
  cluster_.replica(leader_).OnPeerLetter(NodeId{held_}, parts.TakeJoined());
  cluster_.RunFor(kSecond);
  EXPECT_EQ(cluster_.replica(leader_).last(), before);
  EXPECT_EQ(cluster_.replica(leader_).machine().feature_level(), kFirst);
}

TEST(FeatureLevelInTest, OnlyTheCommandThatSetsOneHasOne) {
  stream::Command command;
  command.now_ms = 1'700'000'000'000;
  command.body = stream::SetFeatureLevel{300};
  EXPECT_EQ(stream::FeatureLevelIn(stream::Encode(command).view()), 300u);
  command.body = stream::SetHistory{300};
  EXPECT_EQ(stream::FeatureLevelIn(stream::Encode(command).view()), 0u);
  for (const char* text : {"", "\2", "\2\x12", "\7\x12\1\2"}) {
    EXPECT_EQ(stream::FeatureLevelIn(text), 0u) << text;
  }
}

}  // namespace
}  // namespace ursula::group
