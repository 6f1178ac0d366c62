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
            "NODE  ADMIN          CLIENTS  STATE        MEMBER  LEADS  BEHIND  VERSION\n"
            "1     10.0.0.1:4438  -        ready        -       1      0       1.0\n"
            "2     10.0.0.2:4438  -        ready        -       0      5       1.0\n"
            "3     -              -        unreachable  -       -      -       -\n"
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
      "\"http_address\":\"\",\"version\":\"1.0\",\"cluster_id\":\"ab\",\"ready\":true,\"reasons\":["
      "],\"warnings\":[],"
      "\"groups_led\":1,\"groups_behind\":0,\"lag_entries\":0,\"worst_lag\":0,"
      "\"worst_group\":null,\"feature_level\":0,\"feature_level_max\":0},"
      "{\"node\":2,\"admin\":\"10.0.0.2:4438\",\"answers\":true,\"problem\":\"\","
      "\"http_address\":\"\",\"version\":\"1.0\",\"cluster_id\":\"ab\",\"ready\":true,\"reasons\":["
      "],\"warnings\":[],"
      "\"groups_led\":0,\"groups_behind\":1,\"lag_entries\":5,\"worst_lag\":5,\"worst_group\":0,"
      "\"feature_level\":0,\"feature_level_max\":0},"
      "{\"node\":3,\"admin\":\"\",\"answers\":false,\"problem\":\"gone\",\"http_address\":\"\"}],"
      "\"members\":[],"
      "\"feature_level\":0,\"feature_level_waits_for\":\"\"}\n");
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
  EXPECT_EQ(HealthJson(Overview{}),
            "{\"healthy\":true,\"reasons\":[],\"members\":[],\"feature_level\":0,"
            "\"feature_level_waits_for\":\"\"}\n");
  EXPECT_EQ(ClockJson({"h", 1}, -5), "{\"admin\":\"h:1\",\"moved_ms\":-5}\n");
  EXPECT_EQ(FailureJson("A", "b \"c\""),
            "{\"error\":{\"code\":\"A\",\"message\":\"b \\\"c\\\"\"}}\n");
}

TEST_F(ReportTest, MembersAreToldWithTheirStages) {
  using Stage = MemberSeen::Stage;
  overview_.reasons.clear();
  overview_.members.all = {{1, Stage::kMember},
                           {2, Stage::kJoining, true},
                           {4, Stage::kInvited},
                           {5, Stage::kLeaving},
                           {6, Stage::kOther}};
  overview_.http_addresses = {{1, "10.0.0.1:4437"}, {2, ""}, {3, "3.example:80"}};
  EXPECT_EQ(StatusText(survey_, overview_),
            "cluster ab, 2 groups; 2 of 3 nodes answer; healthy\n"
            "NODE  ADMIN          CLIENTS        STATE        MEMBER             LEADS  BEHIND  "
            "VERSION\n"
            "1     10.0.0.1:4438  10.0.0.1:4437  ready        member             1      0       "
            "1.0\n"
            "2     10.0.0.2:4438  -              ready        joining, cordoned  0      5       "
            "1.0\n"
            "3     -              3.example:80   unreachable  no                 -      -       "
            "-\n"
            "4     -              -              -            invited            -      -       "
            "-\n"
            "5     -              -              -            leaving            -      -       "
            "-\n"
            "6     -              -              -            unknown            -      -       "
            "-\n");
  EXPECT_EQ(HealthText(overview_),
            "healthy\n"
            "node 2: joining, cordoned\n"
            "node 4: invited\n"
            "node 5: leaving\n"
            "node 6: unknown\n");
  const std::string members =
      "\"members\":[{\"node\":1,\"stage\":\"member\",\"cordoned\":false},"
      "{\"node\":2,\"stage\":\"joining\",\"cordoned\":true},"
      "{\"node\":4,\"stage\":\"invited\",\"cordoned\":false},"
      "{\"node\":5,\"stage\":\"leaving\",\"cordoned\":false},"
      "{\"node\":6,\"stage\":\"unknown\",\"cordoned\":false}],\"feature_level\":0,"
      "\"feature_level_waits_for\":\"\"}\n";
  EXPECT_EQ(HealthJson(overview_), "{\"healthy\":true,\"reasons\":[]," + members);
  EXPECT_TRUE(StatusJson(survey_, overview_).ends_with("}]," + members));
}

TEST_F(ReportTest, TheFeatureLevelIsToldAndWhatItWaitsFor) {
  for (std::size_t i = 0; i < 2; ++i) {
    survey_[i].view->feature_level = 1;
    survey_[i].view->feature_level_max = 2 - static_cast<uint32_t>(i);
    survey_[i].view->feature_level_waits_for = i == 0 ? "level 2 waits for node 2" : "less";
  }
  overview_ = Summarize(survey_);  // Node 1 leads group 0.
  EXPECT_NE(StatusText(survey_, overview_)
                .find("-\nfeature level 1: level 2 waits for node 2\n"
                      "feature levels: node 1 can 2, node 2 can 1\nunreachable: "),
            std::string::npos)
      << StatusText(survey_, overview_);
  EXPECT_TRUE(HealthText(overview_).ends_with("feature level 1: level 2 waits for node 2\n"));
  EXPECT_TRUE(StatusJson(survey_, overview_)
                  .ends_with("\"feature_level\":1,\"feature_level_waits_for\":"
                             "\"level 2 waits for node 2\"}\n"));
  // One that knows of the raise is ahead of the others.
  survey_[1].view->feature_level = 2;
  survey_[1].view->feature_level_waits_for = "";
  overview_ = Summarize(survey_);
  EXPECT_EQ(overview_.feature_level, 2u);
  EXPECT_EQ(HealthText(overview_).find("feature level"), std::string::npos);
}

TEST(NodeChangesReportTest, EachEndIsTold) {
  using Kind = NodeChange::Kind;
  using State = NodeChange::State;
  const std::vector<NodeChange> changes = {
      {.kind = Kind::kAdd, .node = 4, .state = State::kDone, .code = "OTHER_CHANGE"},
      {.kind = Kind::kRemove, .node = 5, .state = State::kDone},
      {.kind = Kind::kCordon, .node = 1, .state = State::kDone},
      {.kind = Kind::kUncordon, .node = 1, .state = State::kWasSo},
      {.kind = Kind::kDrain, .node = 2, .state = State::kWasSo},
      {.kind = Kind::kRemove, .node = 6, .state = State::kRefused, .code = "N", .text = "no"},
      {.kind = Kind::kDrain, .node = 3, .state = State::kLate, .code = "LATE", .text = "it leads"}};
  EXPECT_EQ(NodeChangesText(changes),
            "node 4: it is a member\n"
            "node 5: it is no member any more: stop it, if it runs\n"
            "node 1: it is to lead nothing: others take over what it leads\n"
            "node 1: already: it may lead again\n"
            "node 2: already: it leads nothing, until it is uncordoned\n"
            "node 6: not done (remove): no\n"
            "node 3: not done (drain): it leads\n");
  auto one = [](int node, const char* change, const char* outcome, const char* code = "",
                const char* text = "") {
    return "{\"node\":" + std::to_string(node) + ",\"change\":\"" + change + "\",\"outcome\":\"" +
           outcome + "\",\"code\":\"" + code + "\",\"text\":\"" + text + "\"}";
  };
  EXPECT_EQ(NodeChangesJson(changes),
            "{\"changes\":[" + one(4, "add", "done") + "," + one(5, "remove", "done") + "," +
                one(1, "cordon", "done") + "," + one(1, "uncordon", "was_so") + "," +
                one(2, "drain", "was_so") + "," + one(6, "remove", "refused", "N", "no") + "," +
                one(3, "drain", "late", "LATE", "it leads") + "],\"done\":5,\"failed\":2}\n");
  EXPECT_EQ(NodeChangesText({}), "nothing to do: the cluster has as many nodes\n");
  EXPECT_EQ(NodeChangesJson({}), "{\"changes\":[],\"done\":0,\"failed\":0}\n");
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
