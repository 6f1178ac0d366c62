#include "server/admin/cluster_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ursula::admin {
namespace {

TEST(ClusterTextTest, JsonNamesGroupsAndPeers) {
  ClusterView view;
  view.status.node = NodeId{1};
  view.status.cluster_id = 0xab;
  view.status.groups = {{.group = GroupId{0}, .leader = NodeId{2}, .term = 3, .applied = 17}};
  view.status.members = {
      {NodeId{2}, MemberStatus::Stage::kJoining, true, 3, 4, 2, DiskState::kHangs, 141},
      {NodeId{4}, MemberStatus::Stage::kInvited}};
  view.status.groups_settled = 5;
  view.status.members_wait_for = "node 2";
  view.status.aside = "/data/aside";
  view.status.rejoins = true;
  view.status.feature_level = 1;
  view.status.feature_level_max = 2;
  view.status.feature_level_waits_for = "node 4";
  view.version = "1";
  view.http_address = "h:1";
  view.status.message_bytes_max = 77;
  view.reasons = {"so", "and \"so\""};
  view.peers.resize(1);
  view.peers[0].node = NodeId{2};
  view.peers[0].address = "10.0.0.2:1";
  view.peers[0].refusal = "it said \"no\"";
  view.peers[0].clock_offset_ms = -7;
  view.peers[0].http_address = "h:2";
  view.peers[0].append_bytes_max = 78;
  const std::string json = ClusterJson(view);
  EXPECT_EQ(
      json.find("{\"node\":1,\"cluster_id\":\"00000000000000ab\",\"version\":\"1\","
                "\"peer_address\":\"\",\"http_address\":\"h:1\",\"append_bytes_max\":77,\"ready\":"
                "false,\"reasons\":[\"so\","
                "\"and \\\"so\\\"\"],\"warnings\":[],\"opening\":\"\",\"groups\":"
                "[{\"group\":0,\"leader\":2,\"term\":3,\"applied\":17}],\"members\":["
                "{\"node\":2,\"stage\":\"joining\",\"cordoned\":true,\"lives_before\":3,"
                "\"openings\":4,\"feature_level_max\":2,\"disk\":\"hangs\",\"sync_p50_us\":141},"
                "{\"node\":4,\"stage\":\"invited\","
                "\"cordoned\":false,"
                "\"lives_before\":0,\"openings\":0,\"feature_level_max\":0,\"disk\":\"fine\","
                "\"sync_p50_us\":0}],"
                "\"groups_settled\":5,\"members_wait_for\":\"node 2\","
                "\"aside\":\"/data/aside\",\"rejoins\":true,"
                "\"feature_level\":1,\"feature_level_max\":2,"
                "\"feature_level_waits_for\":\"node 4\",\"peers\":["
                "{\"node\":2,\"address\":\"10.0.0.2:1\",\"connected\":false,"),
      0u)
      << json;
  EXPECT_NE(
      json.find("\"refusal\":\"it said \\\"no\\\"\",\"warning\":\"\",\"http_address\":\"h:2\","
                "\"append_bytes_max\":78,\"incarnation\":\"\""),
      std::string::npos);
  EXPECT_NE(json.find("\"clock_offset_ms\":-7,"), std::string::npos);
  EXPECT_EQ(json.substr(json.size() - 4), "}]}\n");
}

TEST(ClusterTextTest, AGroupsLeaderSaysWhatItsReplicasAreLike) {
  ClusterView view;
  view.status.node = NodeId{1};
  view.status.members = {{NodeId{1}}, {NodeId{2}}, {NodeId{3}}};
  view.status.groups.resize(2);
  view.status.groups[0].leader = NodeId{1};
  view.status.groups[0].voters = 2;
  view.status.groups[0].troubles = {{NodeId{2}, ReplicaTrouble::Kind::kBehind}};
  const std::string json = ClusterJson(view);
  EXPECT_NE(json.find("\"applied\":0,\"voters\":2,\"voters_missing\":1,\"troubles\":"
                      "[{\"node\":2,\"reason\":\"behind\"}]},{\"group\":0,\"leader\":0,\"term\":0,"
                      "\"applied\":0}]"),
            std::string::npos)
      << json;
}

// One that would make their number even only follows.
TEST(ClusterTextTest, VotersAreToBeAsManyAsThereAreNodesAndOdd) {
  using Stage = MemberStatus::Stage;
  ClusterStatus status;
  GroupStatus group;
  group.voters = 1;
  EXPECT_EQ(VotersMissing(group, status), 0u) << "the members aren't known";
  status.members = {{NodeId{1}}, {NodeId{2}, Stage::kJoining}, {NodeId{3}, Stage::kInvited}};
  EXPECT_EQ(VotersMissing(group, status), 0u);
  status.members[2].stage = Stage::kJoining;
  EXPECT_EQ(VotersMissing(group, status), 2u);
  group.voters = 3;
  status.members.push_back({NodeId{4}});
  EXPECT_EQ(VotersMissing(group, status), 0u);
  status.members.push_back({NodeId{5}, Stage::kLeaving});
  EXPECT_EQ(VotersMissing(group, status), 0u);
  status.members[4].stage = Stage::kMember;
  EXPECT_EQ(VotersMissing(group, status), 2u);
  group.voters = 0;
  EXPECT_EQ(VotersMissing(group, status), 0u) << "it isn't the leader that says so";
}

TEST(ClusterTextTest, GroupsWithoutLeaderAreCountedAndSomeAreNamed) {
  ClusterStatus status;
  for (uint32_t i = 0; i < 10; ++i) {
    status.groups.push_back({.group = GroupId{i}, .leader = NodeId{1}});
  }
  EXPECT_EQ(LeaderlessText(status), "");
  status.groups[3].leader = status.groups[7].leader = NodeId{0};
  EXPECT_EQ(LeaderlessText(status), "2 of 10 groups have no leader: 3, 7");
  for (GroupStatus& group : status.groups) group.leader = NodeId{0};
  EXPECT_EQ(LeaderlessText(status),
            "10 of 10 groups have no leader: 0, 1, 2, 3, 4, 5, 6, 7 and more");
}

TEST(ClusterTextTest, OnlyOfMembersAConnectionIsExpected) {
  std::vector<PeerState> peers(4);
  for (std::size_t i = 0; i < peers.size(); ++i) peers[i].node = NodeId{i + 2};
  ClusterStatus status;
  EXPECT_EQ(PeersExpected(peers, status).size(), 4u) << "it isn't known yet";
  using Stage = MemberStatus::Stage;
  status.members = {{NodeId{1}},
                    {NodeId{2}, Stage::kJoining},
                    {NodeId{3}, Stage::kLeaving},
                    {NodeId{4}, Stage::kInvited}};
  const std::vector<PeerState> expected = PeersExpected(peers, status);
  ASSERT_EQ(expected.size(), 2u);
  EXPECT_EQ(expected[0].node, NodeId{2});
  EXPECT_EQ(expected[1].node, NodeId{3});
}

TEST(ClusterTextTest, PeersThatAreNotConnectedAreNamedWithTheReason) {
  std::vector<PeerState> peers(3);
  peers[0] = {.node = NodeId{2}, .connected = true, .connected_from = true};
  peers[1] = {.node = NodeId{3}, .address = "h:1", .connected = true};
  peers[0].warning = "it is small";
  peers[2] = {.node = NodeId{4}, .refusal = "no"};
  EXPECT_EQ(PeerSentences(peers),
            (std::vector<std::string>{"it is small",
                                      "node 3 isn't connected: it hasn't answered yet at h:1",
                                      "node 4 isn't connected: no"}));
}

}  // namespace
}  // namespace ursula::admin
