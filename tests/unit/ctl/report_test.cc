#include "server/ctl/report.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() {
    NodeSeen& one = survey_.emplace_back();
    one.node = 1;
    one.admin = {"10.0.0.1", 4438};
    one.view = ParseNodeView(ClusterJson(1, {{0, 1, 2, 30}, {1, 0, 3, 4}}));
    NodeSeen& two = survey_.emplace_back();
    two.node = 2;
    two.admin = {"10.0.0.2", 4438};
    two.view = ParseNodeView(ClusterJson(2, {{0, 1, 2, 25}, {1, 0, 3, 4}}));
    NodeSeen& three = survey_.emplace_back();
    three.node = 3;
    three.problem = "gone";
    three.code = StatusCode::kUnavailable;
    overview_ = Summarize(survey_);
  }

  Survey survey_;
  Overview overview_;
};

TEST_F(ReportTest, PeopleGetTables) {
  EXPECT_EQ(StatusText(survey_, overview_),
            "cluster ab, 2 groups; 2 of 3 nodes answer; not healthy\n"
            "NODE  ADMIN          STATE        LEADS  BEHIND  VERSION\n"
            "1     10.0.0.1:4438  ready        1      0       1.0\n"
            "2     10.0.0.2:4438  ready        0      5       1.0\n"
            "3     -              unreachable  -      -       -\n"
            "unreachable: gone\n"
            "group_without_leader: 1 of 2 groups have no leader: 1: a majority of the nodes must "
            "run and reach each other\n");
  EXPECT_EQ(GroupsText(overview_),
            "GROUP  LEADER  TERM  NODE 1  NODE 2\n"
            "0      1       2     30      25 (-5)\n"
            "1      -       3     4       4\n");
  EXPECT_EQ(LeadersText(overview_),
            "NODE  LEADS  GROUPS\n"
            "none  1      1\n"
            "1     1      0\n"
            "2     0\n");
  EXPECT_EQ(LagText(survey_, overview_),
            "NODE  GROUPS BEHIND  ENTRIES  MOST IN GROUP  BY\n"
            "1     0              0        -              -\n"
            "2     1              5        0              5\n"
            "3     ?              ?        -              -\n");
  EXPECT_EQ(HealthText(Overview{}), "healthy\n");
}

// Stable: members are only added.
TEST_F(ReportTest, ProgramsGetJson) {
  EXPECT_EQ(
      StatusJson(survey_, overview_),
      "{\"cluster_id\":\"ab\",\"healthy\":false,\"reasons\":["
      "{\"code\":\"unreachable\",\"node\":3,\"text\":\"gone\"},"
      "{\"code\":\"group_without_leader\",\"node\":null,\"text\":\"1 of 2 groups have no leader: "
      "1: a majority of the nodes must run and reach each other\"}],"
      "\"groups\":2,\"groups_without_leader\":1,\"nodes\":["
      "{\"node\":1,\"admin\":\"10.0.0.1:4438\",\"answers\":true,\"problem\":\"\","
      "\"version\":\"1.0\",\"cluster_id\":\"ab\",\"ready\":true,\"reasons\":[],\"warnings\":[],"
      "\"groups_led\":1,\"groups_behind\":0,\"lag_entries\":0,\"worst_lag\":0,"
      "\"worst_group\":null},"
      "{\"node\":2,\"admin\":\"10.0.0.2:4438\",\"answers\":true,\"problem\":\"\","
      "\"version\":\"1.0\",\"cluster_id\":\"ab\",\"ready\":true,\"reasons\":[],\"warnings\":[],"
      "\"groups_led\":0,\"groups_behind\":1,\"lag_entries\":5,\"worst_lag\":5,\"worst_group\":0},"
      "{\"node\":3,\"admin\":\"\",\"answers\":false,\"problem\":\"gone\"}]}\n");
  EXPECT_EQ(GroupsJson(overview_),
            "{\"groups\":[{\"group\":0,\"leader\":1,\"term\":2,\"replicas\":["
            "{\"node\":1,\"applied\":30,\"lag\":0},{\"node\":2,\"applied\":25,\"lag\":5}]},"
            "{\"group\":1,\"leader\":null,\"term\":3,\"replicas\":["
            "{\"node\":1,\"applied\":4,\"lag\":0},{\"node\":2,\"applied\":4,\"lag\":0}]}]}\n");
  EXPECT_EQ(LeadersJson(overview_),
            "{\"leaders\":[{\"node\":1,\"groups\":[0]}],\"without_leader\":[1]}\n");
  EXPECT_EQ(LagJson({survey_[1]}, overview_),
            "{\"nodes\":[{\"node\":2,\"admin\":\"10.0.0.2:4438\",\"answers\":true,"
            "\"problem\":\"\",\"groups_behind\":1,\"lag_entries\":5,\"worst_lag\":5,"
            "\"worst_group\":0}]}\n");
  EXPECT_EQ(HealthJson(Overview{}), "{\"healthy\":true,\"reasons\":[]}\n");
  EXPECT_EQ(ClockJson({"h", 1}, -5), "{\"admin\":\"h:1\",\"moved_ms\":-5}\n");
  EXPECT_EQ(FailureJson("A", "b \"c\""),
            "{\"error\":{\"code\":\"A\",\"message\":\"b \\\"c\\\"\"}}\n");
}

TEST(TransferReportTest, EachEndIsTold) {
  const std::vector<Transfer> transfers = {
      {.group = 0, .from = 1, .to = 2, .state = Transfer::State::kDone, .code = "BEHIND"},
      {.group = 1, .from = 2, .to = 2, .state = Transfer::State::kLeads},
      {.group = 2,
       .from = 0,
       .to = 2,
       .state = Transfer::State::kRefused,
       .code = "NO_VOTER",
       .text = "no"},
      {.group = 3, .from = 1, .to = 2, .state = Transfer::State::kLate, .code = "L", .text = "la"}};
  EXPECT_EQ(TransfersText(transfers),
            "group 0: led by node 2 now, before by node 1\n"
            "group 1: node 2 leads it already\n"
            "group 2: not handed over: no\n"
            "group 3: not handed over: la\n");
  EXPECT_EQ(TransfersJson(transfers),
            "{\"transfers\":["
            "{\"group\":0,\"from\":1,\"to\":2,\"outcome\":\"done\",\"code\":\"\",\"text\":\"\"},"
            "{\"group\":1,\"from\":2,\"to\":2,\"outcome\":\"led_already\",\"code\":\"\","
            "\"text\":\"\"},"
            "{\"group\":2,\"from\":null,\"to\":2,\"outcome\":\"refused\",\"code\":\"NO_VOTER\","
            "\"text\":\"no\"},"
            "{\"group\":3,\"from\":1,\"to\":2,\"outcome\":\"late\",\"code\":\"L\","
            "\"text\":\"la\"}],\"done\":2,\"failed\":2}\n");
  EXPECT_EQ(TransfersText({}), "nothing to hand over: the node leads no group\n");
}

}  // namespace
}  // namespace ursula::ctl
