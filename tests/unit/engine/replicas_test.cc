// What leaders say of their groups' replicas, and which of their terms were planned.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "lib/base/ids.h"
#include "tests/support/test_cluster.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;
using Kind = ReplicaTrouble::Kind;

// Of all groups, as the nodes say that lead them.
std::vector<ReplicaTrouble> Troubles(TestCluster& cluster) {
  std::vector<ReplicaTrouble> troubles;
  for (uint64_t node = 1; node <= cluster.size(); ++node) {
    if (!cluster.up(node)) continue;
    for (const GroupStatus& group : cluster.node(node).Cluster().groups) {
      if (group.voters == 0) continue;
      EXPECT_EQ(Raw(group.leader), node);
      troubles.insert(troubles.end(), group.troubles.begin(), group.troubles.end());
    }
  }
  return troubles;
}

uint64_t Sum(TestCluster& cluster, uint64_t EngineStats::*figure) {
  uint64_t sum = 0;
  for (uint64_t node = 1; node <= cluster.size(); ++node) {
    if (cluster.up(node)) sum += cluster.node(node).Stats().*figure;
  }
  return sum;
}

TEST(ReplicasTest, OneThatIsAwayIsTroubleInEachGroupUntilItIsBack) {
  TestCluster cluster;
  ASSERT_TRUE(cluster.AwaitLeaders());
  cluster.RunUntil([&] { return !Troubles(cluster).empty(); }, 30'000);
  EXPECT_TRUE(Troubles(cluster).empty()) << "they are well, from the first moment on";
  cluster.Crash(3);
  ASSERT_TRUE(cluster.AwaitLeaders());
  EXPECT_TRUE(cluster.RunUntil([&] { return Troubles(cluster).size() == 4; }, 10'000));
  for (const ReplicaTrouble& trouble : Troubles(cluster)) {
    EXPECT_EQ(trouble, (ReplicaTrouble{NodeId{3}, Kind::kAway}));
  }
  for (uint64_t node : {1, 2}) {
    for (const GroupStatus& group : cluster.node(node).Cluster().groups) {
      EXPECT_EQ(group.voters, Raw(group.leader) == node ? 3u : 0u);
    }
  }
  cluster.Advance(30'000);
  ASSERT_TRUE(cluster.Open(3).ok());
  EXPECT_TRUE(cluster.RunUntil([&] { return Troubles(cluster).empty(); }, 10'000));
  cluster.RunUntil([&] { return !Troubles(cluster).empty(); }, 30'000);
  EXPECT_TRUE(Troubles(cluster).empty());
}

TEST(ReplicasTest, TheOthersShareWhatThereIsToLeadWhileOneIsAway) {
  TestCluster cluster;
  ASSERT_TRUE(cluster.AwaitLeaders());
  cluster.Crash(3);
  for (uint32_t group = 0; group < 4; ++group) {
    ASSERT_TRUE(
        cluster.RunUntil([&] { return cluster.LeaderOf(GroupId{group}).has_value(); }, 10'000));
    const uint64_t leader = *cluster.LeaderOf(GroupId{group});
    if (leader == 1) continue;
    auto asked = cluster.Await<TransferReply>([&](auto done) {
      cluster.node(leader).TransferLeader(GroupId{group}, NodeId{1}, std::move(done));
    });
    EXPECT_TRUE(asked.ok() && asked->outcome == TransferOutcome::kBegun);
  }
  auto led = [&](uint64_t node) { return cluster.node(node).Stats().groups_led; };
  EXPECT_TRUE(cluster.RunUntil([&] { return led(1) >= 3; }, 2'000));
  EXPECT_TRUE(cluster.RunUntil([&] { return led(1) == 2 && led(2) == 2; }, 30'000));
}

// What spreads leaders over the nodes is planned, too.
TEST(ReplicasTest, OnlyWhoWasAskedToLeadCountsAsHandedOver) {
  TestCluster cluster;
  ASSERT_TRUE(cluster.AwaitLeaders());
  cluster.Advance(20'000);  // Leaders are spread.
  const uint64_t won = Sum(cluster, &EngineStats::elections_won);
  const uint64_t planned = Sum(cluster, &EngineStats::handed_over);
  EXPECT_LT(planned, won);
  const GroupId group{1};
  const uint64_t from = *cluster.LeaderOf(group);
  const uint64_t to = from % 3 + 1;
  auto asked = cluster.Await<TransferReply>(
      [&](auto done) { cluster.node(from).TransferLeader(group, NodeId{to}, std::move(done)); });
  ASSERT_TRUE(asked.ok() && asked->outcome == TransferOutcome::kBegun);
  auto gained = [&](uint64_t EngineStats::*figure, uint64_t before) {
    return Sum(cluster, figure) - before;
  };
  ASSERT_TRUE(
      cluster.RunUntil([&] { return gained(&EngineStats::elections_won, won) >= 1; }, 5'000));
  EXPECT_EQ(gained(&EngineStats::handed_over, planned), gained(&EngineStats::elections_won, won));

  // Nobody asks for an election.
  const uint64_t leader = *cluster.LeaderOf(group);
  uint64_t won_before = 0;
  uint64_t planned_before = 0;
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node == leader) continue;
    won_before += cluster.node(node).Stats().elections_won;
    planned_before += cluster.node(node).Stats().handed_over;
  }
  cluster.Crash(leader);
  ASSERT_TRUE(cluster.RunUntil([&] { return gained(&EngineStats::elections_won, won_before) >= 1; },
                               10'000));
  EXPECT_EQ(gained(&EngineStats::handed_over, planned_before), 0u);
}

}  // namespace
}  // namespace ursula::engine
