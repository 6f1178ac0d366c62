// What idle groups say to each other, all those of a core together.

#include <gtest/gtest.h>

#include "lib/base/ids.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint32_t kGroups = 32;

class BeatsTest : public ::testing::Test {
 protected:
  static WorldOptions Options() {
    WorldOptions options;
    options.groups = kGroups;
    return options;
  }
  void SetUp() override {
    cluster.OpenAll();
    for (uint32_t group = 0; group < kGroups; ++group) ASSERT_TRUE(cluster.AwaitLeader(group));
  }
  void Idle(uint64_t ns) {
    cluster.RunUntil([] { return false; }, ns);
  }
  uint64_t Follower(uint32_t group) { return *cluster.Leader(group) % cluster.size() + 1; }

  ClusterWorld cluster{3, 1, Options()};
};

TEST_F(BeatsTest, AreOneSmallFrameAPeerAndATurn) {
  Idle(3 * kSecond);
  for (uint64_t id = 1; id <= 3; ++id) {
    const peers::HubStats before = cluster.node(id).hub().stats();
    Idle(4 * kSecond);
    const peers::HubStats& after = cluster.node(id).hub().stats();
    // Five times a second beats to two peers, and answers to two.
    EXPECT_LE(after.sent_frames - before.sent_frames, 85u) << id;
    EXPECT_LE(after.sent_bytes - before.sent_bytes, 3000u) << id;
  }
}

TEST_F(BeatsTest, KeepLeadersAndFollowersAsTheyAre) {
  std::vector<Term> terms;
  for (uint32_t group = 0; group < kGroups; ++group) {
    terms.push_back(cluster.replica(1, group).term());
  }
  Idle(30 * kSecond);
  for (uint32_t group = 0; group < kGroups; ++group) {
    EXPECT_EQ(cluster.replica(1, group).term(), terms[group]) << group;
  }
}

// A directory has taken the place of one that was lost, and is called by another name.
TEST_F(BeatsTest, CountForTheReplicaThatTheyAreMeantForAlone) {
  const uint64_t leader = *cluster.Leader(0);
  const uint64_t follower = Follower(0);
  Replica& replica = cluster.replica(follower, 0);
  const uint64_t term = Raw(replica.term()) + 5;
  replica.OnPeerBeat(ReplicaId{leader}, ReplicaOf(NodeId{follower}, 1),
                     {.group = GroupId{0}, .term = term});
  EXPECT_EQ(Raw(replica.term()), term - 5);
  replica.OnPeerBeat(ReplicaId{leader}, ReplicaId{follower}, {.group = GroupId{0}, .term = term});
  EXPECT_EQ(Raw(replica.term()), term);
  // Nor does what such a one says count for the one whose name it doesn't have.
  Idle(5 * kSecond);
  const uint64_t now = *cluster.Leader(0);
  cluster.replica(now, 0).OnPeerBeat(
      ReplicaOf(NodeId{now % 3 + 1}, 1), ReplicaId{now},
      {.group = GroupId{0}, .answer = true, .term = Raw(cluster.replica(now, 0).term())});
  EXPECT_EQ(cluster.Leader(0), now);
}

TEST_F(BeatsTest, CarryReads) {
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.AppendNow("s", "abc"));
  const uint64_t before_ns = cluster.now_ns();
  EXPECT_EQ(cluster.Content(*cluster.Leader(0), "s"), "abc");
  EXPECT_EQ(cluster.Content(Follower(0), "s"), "abc");
  // At once, and not with the next heartbeat.
  EXPECT_LT(cluster.now_ns() - before_ns, 20'000'000u);
}

}  // namespace
}  // namespace ursula::group
