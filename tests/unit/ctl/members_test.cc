#include "server/ctl/members.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/ctl/overview.h"
#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

using Nodes = std::vector<uint64_t>;
using Stage = MemberSeen::Stage;

NodeSeen Seen(const std::string& json) {
  NodeSeen seen;
  seen.view = ParseNodeView(json);
  EXPECT_TRUE(seen.view.has_value()) << json;
  seen.node = seen.view->node;
  return seen;
}

std::string Progress(uint64_t settled, const std::string& wait_for) {
  return ",\"groups_settled\":" + std::to_string(settled) + ",\"members_wait_for\":\"" + wait_for +
         "\"";
}

TEST(MembersTest, TheLeaderOfGroupZeroSaysWhoTheyAre) {
  const std::vector<Words> groups = {{0, 2, 3, 5}};
  const Survey survey = {
      Seen(With(ClusterJson(1, {{0, 2, 3, 9}}), MembersJson({{1}, {2}}) + Progress(8, "x"))),
      Seen(With(ClusterJson(2, groups),
                MembersJson({{1}, {2}, {3, "joining"}}) + Progress(7, "node 3")))};
  const Members members = MembersOf(survey, "ab", 2);
  EXPECT_TRUE(members.by_leader);
  EXPECT_EQ(members.all.size(), 3u);
  EXPECT_EQ(members.groups_settled, 7u);
  EXPECT_EQ(members.wait_for, "node 3");
}

TEST(MembersTest, WithoutThatWhoeverHasAppliedMostDoesAndNoProgressIsBelieved) {
  const std::string behind =
      With(ClusterJson(1, {{0, 0, 3, 5}}), MembersJson({{1}}) + Progress(8, "x"));
  const std::string ahead =
      With(ClusterJson(2, {{0, 0, 3, 6}}), MembersJson({{1}, {2}}) + Progress(8, "x"));
  for (const Survey& survey :
       {Survey{Seen(behind), Seen(ahead)}, Survey{Seen(ahead), Seen(behind)}}) {
    const Members members = MembersOf(survey, "ab", 0);
    EXPECT_FALSE(members.by_leader);
    EXPECT_EQ(members.all.size(), 2u);
    EXPECT_EQ(members.groups_settled, 0u);
    EXPECT_EQ(members.wait_for, "");
    EXPECT_FALSE(MembersOf(survey, "ab", 2).by_leader) << "it doesn't know that it leads";
    EXPECT_TRUE(MembersOf(survey, "cd", 0).all.empty()) << "of another cluster";
  }
}

TEST(MembersTest, WhoDoesNotSayIsNotAsked) {
  NodeSeen away;
  away.node = 3;
  EXPECT_TRUE(MembersOf({away, Seen(ClusterJson(1, {{0, 1, 1, 1}}))}, "ab", 1).all.empty());
  EXPECT_TRUE(MembersOf({Seen(With(ClusterJson(1, {{1, 1, 1, 1}}), MembersJson({{1}})))}, "ab", 1)
                  .all.empty());
}

TEST(MembersTest, OutsideIsWhoIsKnownToBeNoMember) {
  Members members;
  EXPECT_FALSE(members.IsOutside(7)) << "nobody says";
  members.all = {{1, Stage::kMember},
                 {2, Stage::kJoining},
                 {3, Stage::kLeaving},
                 {4, Stage::kInvited},
                 {5, Stage::kOther}};
  EXPECT_FALSE(members.IsOutside(0));
  for (uint64_t node : {1, 2, 3, 5}) EXPECT_FALSE(members.IsOutside(node)) << node;
  EXPECT_TRUE(members.IsOutside(4));
  EXPECT_TRUE(members.IsOutside(6));
  EXPECT_EQ(members.CountToBe(), 3u);
}

TEST(MembersTest, NodesToAddWaitAndAreNamedByAMember) {
  const std::string waits = "\"opening\":\"founding\"";
  const Survey survey = {Seen(ClusterJson(1, {}, {2, 4, 6})),
                         Seen(ClusterJson(2, {}, {1, 5})),
                         Seen(With(ClusterJson(4, {}, {9}, ""), waits)),
                         Seen(With(ClusterJson(5, {}, {9}, ""), "\"opening\":\"reading the log\"")),
                         Seen(With(ClusterJson(6, {}, {}, ""), waits)),
                         Seen(With(ClusterJson(8, {}, {}, ""), waits)),
                         Seen(With(ClusterJson(9, {}, {}, ""), waits)),
                         Seen(ClusterJson(7, {}, {8}))};
  Members members;
  members.all = {{1, Stage::kMember}, {2, Stage::kMember}, {6, Stage::kLeaving}};
  EXPECT_EQ(NodesToAdd(survey, "ab", members), Nodes{4})
      << "5 recovers, 6 is one, and 8 and 9 no member names";
}

// ---- what follows for health -------------------------------------------------------------------

TEST(MembersTest, ANodeThatIsNoMemberIsNoHarm) {
  const std::vector<Words> groups = {{0, 1, 1, 50'000}};
  NodeSeen away;
  away.node = 5;
  away.problem = "it isn't there";
  away.code = StatusCode::kUnavailable;
  const std::string removed = "\"warnings\":[\"so\"],\"reasons\":[\"it was removed\"]";
  std::string four = ClusterJson(4, {{0, 0, 1, 1}}, {1});
  four.replace(four.find("\"ready\":true"), 12, "\"ready\":false");
  auto health = [&](const std::vector<MemberWords>& members) {
    std::string codes;
    for (const Reason& reason :
         Summarize({Seen(With(ClusterJson(1, groups, {4, 5}), MembersJson(members))),
                    Seen(With(four, removed)), away})
             .reasons) {
      codes += reason.code + " " + std::to_string(reason.node) + ";";
    }
    return codes;
  };
  EXPECT_EQ(health({{1}, {2}}), "");
  EXPECT_EQ(health({{1}, {4, "invited"}, {5, "invited"}}), "");
  EXPECT_EQ(health({{1}, {4, "leaving"}, {5, "joining"}}),
            "not_ready 4;warning 4;unreachable 5;behind 4;node_leaving 4;node_joining 5;");
  EXPECT_EQ(health({{1, "member", true}, {4}, {5}}),
            "not_ready 4;warning 4;unreachable 5;behind 4;")
      << "and that one is cordoned is no reason";
}

TEST(MembersTest, WhileOneJoinsOrLeavesNoOtherIsToBeStopped) {
  auto health = [](const std::vector<MemberWords>& members) {
    std::string codes;
    for (const Reason& reason :
         Summarize({Seen(With(ClusterJson(1, {{0, 1, 1, 1}}), MembersJson(members)))}).reasons) {
      codes += reason.code + " " + std::to_string(reason.node) + ";";
    }
    return codes;
  };
  EXPECT_EQ(health({{1}, {2}, {3, "joining"}}), "node_joining 3;") << "in a lost directory's place";
  EXPECT_EQ(health({{1}, {2}, {3, "leaving"}}), "node_leaving 3;");
  EXPECT_EQ(health({{1}, {2}, {3}, {4, "leaving"}, {5, "joining"}}),
            "node_leaving 4;node_joining 5;");
  EXPECT_EQ(health({{1}, {2}, {3}, {4, "joining"}, {5, "joining"}}),
            "node_joining 4;node_joining 5;");
  EXPECT_EQ(health({{1}, {2}, {3, "joining"}, {4, "joining"}}), "node_joining 3;node_joining 4;")
      << "an even number, and one of them isn't the one that waits";
  EXPECT_EQ(health({{1}, {2}, {3}, {4, "joining"}}), "") << "it waits for a fifth";
  EXPECT_EQ(health({{1}, {2}, {3}, {4, "joining"}, {5, "invited"}}), "");
  EXPECT_EQ(health({{1}, {2}, {3}, {4, "invited"}}), "");
}

TEST(MembersTest, ANodeOfAnotherClusterIsToldOfWhateverItsNumber) {
  const Overview overview =
      Summarize({Seen(With(ClusterJson(1, {{0, 1, 1, 1}}), MembersJson({{1}}))),
                 Seen(ClusterJson(7, {}, {}, "cd"))});
  ASSERT_EQ(overview.reasons.size(), 1u);
  EXPECT_EQ(overview.reasons[0].code, "other_cluster");
}

}  // namespace
}  // namespace ursula::ctl
