#include "server/ctl/overview.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

NodeSeen Seen(const std::string& json) {
  NodeSeen seen;
  seen.view = ParseNodeView(json);
  EXPECT_TRUE(seen.view.has_value());
  seen.node = seen.view->node;
  seen.admin = {"10.0.0.1", 4438};
  return seen;
}

std::vector<std::string> CodesOf(const Overview& overview) {
  std::vector<std::string> codes;
  for (const Reason& reason : overview.reasons) {
    codes.push_back(reason.code + " " + std::to_string(reason.node));
  }
  return codes;
}

TEST(OverviewTest, TheNewestTermSaysWhoLeads) {
  const Overview overview =
      Summarize({Seen(ClusterJson(1, {{0, 1, 5, 10}, {1, 1, 3, 7}, {2, 2, 4, 1}})),
                 Seen(ClusterJson(2, {{0, 2, 6, 9}, {1, 0, 4, 7}, {2, 0, 4, 1}}))});
  ASSERT_EQ(overview.groups.size(), 3u);
  EXPECT_EQ(overview.groups[0].leader, 2u);
  EXPECT_EQ(overview.groups[0].term, 6u);
  EXPECT_EQ(overview.groups[1].leader, 0u) << "an election is under way";
  EXPECT_EQ(overview.groups[2].leader, 2u) << "one of them knows";
  EXPECT_EQ(CodesOf(overview), std::vector<std::string>{"group_without_leader 0"});
}

TEST(OverviewTest, LagIsToTheOneThatIsFurthest) {
  const Overview overview = Summarize({Seen(ClusterJson(1, {{0, 1, 1, 100}, {1, 1, 1, 50}})),
                                       Seen(ClusterJson(2, {{0, 1, 1, 90}, {1, 1, 1, 20'000}}))});
  EXPECT_EQ(overview.groups[0].applied_max, 100u);
  EXPECT_EQ(overview.nodes.at(1).lag_entries, 19'950u);
  EXPECT_EQ(overview.nodes.at(1).groups_behind, 1u);
  EXPECT_EQ(overview.nodes.at(1).worst_group, 1u);
  EXPECT_EQ(overview.nodes.at(1).groups_led, 2u);
  EXPECT_EQ(overview.nodes.at(2).lag_entries, 10u);
  EXPECT_EQ(CodesOf(overview), std::vector<std::string>{"behind 1"});
}

TEST(OverviewTest, WhatIsWrongIsAReason) {
  NodeSeen away;
  away.node = 3;
  away.problem = "can't reach it";
  away.code = StatusCode::kUnavailable;
  NodeSeen secret = away;
  secret.node = 0;
  secret.code = StatusCode::kFailedPrecondition;
  std::string recovering = ClusterJson(2, {});
  recovering.replace(recovering.find("\"ready\":true"), 12,
                     "\"ready\":false,\"reasons\":[\"reading the log\"],\"warnings\":[\"late\"]");
  const Overview overview = Summarize({Seen(ClusterJson(1, {{0, 1, 1, 1}})), Seen(recovering), away,
                                       secret, Seen(ClusterJson(4, {{0, 4, 9, 1}}, {}, "cd"))});
  EXPECT_EQ(CodesOf(overview),
            (std::vector<std::string>{"not_ready 2", "warning 2", "unreachable 3", "secret 0",
                                      "other_cluster 4"}));
  EXPECT_EQ(overview.reasons[0].text, "node 2 isn't ready: reading the log");
  EXPECT_EQ(overview.groups[0].leader, 1u) << "what is of another cluster says nothing here";
  EXPECT_EQ(overview.answered, 3u);
}

// Only its leader's word on a group's replicas counts, and only of the newest term.
TEST(OverviewTest, ReplicasThatAGroupCanNotCountOnAreReasons) {
  std::string leads = ClusterJson(1, {{0, 1, 5, 10}, {1, 1, 3, 7}, {2, 2, 4, 1}});
  auto say = [](std::string* json, const std::string& group, const std::string& what) {
    const std::size_t at = json->find("\"applied\"", json->find("{\"group\":" + group));
    json->insert(at, what);
  };
  say(&leads, "0", "\"voters_missing\":1,");
  say(&leads, "1",
      "\"troubles\":[{\"node\":3,\"reason\":\"away\"},{\"node\":2,\"reason\":\"odd\"}],");
  std::string led = ClusterJson(2, {{0, 1, 5, 10}, {1, 2, 2, 7}, {2, 2, 4, 1}});
  say(&led, "1", "\"troubles\":[{\"node\":1,\"reason\":\"away\"}],");
  say(&led, "2", "\"troubles\":[{\"node\":3,\"reason\":\"away\"}],");
  for (const Survey& survey : {Survey{Seen(leads), Seen(led)}, Survey{Seen(led), Seen(leads)}}) {
    const Overview overview = Summarize(survey);
    EXPECT_EQ(CodesOf(overview),
              (std::vector<std::string>{"under_replicated 0", "under_replicated 2",
                                        "under_replicated 3"}));
    EXPECT_EQ(overview.reasons[0].text.substr(0, 33), "1 of 3 groups have fewer voters t");
    EXPECT_EQ(overview.reasons[1].text.substr(0, 47),
              "node 2's replica in 1 of 3 groups isn't well: i");
    EXPECT_EQ(overview.reasons[2].text.substr(0, 47),
              "node 3's replica in 2 of 3 groups doesn't answe");
  }
}

// Its own word, else what others were told; what is of another cluster says nothing.
TEST(OverviewTest, WhereClientsReachANodeIsKnownOfThoseThatAreAwayToo) {
  auto with = [](std::string json, const std::string& own, const std::string& peers) {
    json.insert(1, "\"http_address\":\"" + own + "\",");
    for (std::size_t at = json.find("\"address\""); at != std::string::npos;
         at = json.find("\"address\"", at + 60)) {
      json.insert(at, "\"http_address\":\"" + peers + "\",");
    }
    return json;
  };
  const Overview overview =
      Summarize({Seen(with(ClusterJson(1, {{0, 1, 1, 1}}, {2, 3}), "one:1", "told:1")),
                 Seen(with(ClusterJson(2, {{0, 1, 1, 1}}, {1}), "", "")),
                 Seen(with(ClusterJson(4, {{0, 4, 1, 1}}, {1, 3}, "cd"), "four:1", "other:1"))});
  EXPECT_EQ(overview.http_addresses.at(1), "one:1");
  EXPECT_EQ(overview.http_addresses.at(2), "");
  EXPECT_EQ(overview.http_addresses.at(3), "told:1");
}

TEST(OverviewTest, AServerThatIsAloneLeadsAll) {
  const Overview overview = Summarize({Seen(ClusterJson(0, {{0, 1, 1, 1}, {1, 1, 1, 1}}))});
  EXPECT_EQ(overview.nodes.at(0).groups_led, 2u);
  EXPECT_TRUE(overview.reasons.empty());
}

TEST(OverviewTest, NothingIsHealthyWhereNobodyAnswers) {
  NodeSeen away;
  away.problem = "can't reach it";
  away.code = StatusCode::kUnavailable;
  EXPECT_EQ(CodesOf(Summarize({away})), std::vector<std::string>{"unreachable 0"});
}

}  // namespace
}  // namespace ursula::ctl
