#include "server/ctl/node_view.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

TEST(NodeViewTest, WhatANodeSaysIsRead) {
  auto view = ParseNodeView(
      "{\"node\":2,\"cluster_id\":\"00ab\",\"version\":\"1.0\",\"peer_address\":\"h:1\","
      "\"ready\":false,\"reasons\":[\"so\"],\"warnings\":[\"and\",\"so\"],\"opening\":\"log\","
      "\"groups\":[{\"group\":1,\"leader\":3,\"term\":4,\"applied\":18446744073709551615},"
      "{\"group\":0,\"leader\":0,\"term\":0,\"applied\":0,\"more\":[1]}],"
      "\"peers\":[{\"node\":1,\"address\":\"h:2\",\"connected\":true,\"connected_from\":false,"
      "\"refusal\":\"no\"}],\"more\":{}}");
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->node, 2u);
  EXPECT_EQ(view->cluster_id, "00ab");
  EXPECT_EQ(view->peer_address, "h:1");
  EXPECT_FALSE(view->ready);
  EXPECT_EQ(view->reasons, std::vector<std::string>{"so"});
  EXPECT_EQ(view->warnings.size(), 2u);
  EXPECT_EQ(view->opening, "log");
  ASSERT_EQ(view->groups.size(), 2u);
  EXPECT_EQ(view->groups[0].group, 0u) << "by number";
  EXPECT_EQ(view->groups[1].applied, UINT64_MAX);
  ASSERT_EQ(view->peers.size(), 1u);
  EXPECT_FALSE(view->peers[0].connected) << "one way only";
  EXPECT_EQ(view->peers[0].refusal, "no");
}

TEST(NodeViewTest, WhatIsNotThatIsNone) {
  const std::string good = ClusterJson(1, {{0, 1, 1, 1}}, {2});
  ASSERT_TRUE(ParseNodeView(good).has_value());
  auto with = [&good](const std::string& old, const std::string& now) {
    std::string text = good;
    const std::size_t at = text.find(old);
    EXPECT_NE(at, std::string::npos) << old;
    return ParseNodeView(text.replace(at, old.size(), now)).has_value();
  };
  EXPECT_TRUE(with("\"ready\":true", "\"ready\":false"));
  EXPECT_FALSE(with("\"ready\":true", "\"ready\":1"));
  EXPECT_FALSE(with("\"node\":1", "\"node\":-1"));
  EXPECT_FALSE(with("\"node\":1", "\"nodes\":1"));
  EXPECT_FALSE(with("\"groups\":[{\"group\":0", "\"groups\":[{\"group\":65536"));
  EXPECT_FALSE(with("\"groups\":[", "\"groups\":[7,"));
  EXPECT_FALSE(with("\"peers\":[", "\"peers\":[{\"node\":0},"));
  EXPECT_FALSE(with("\"peers\":[{\"node\":2", "\"peers\":{\"node\":2"));
  EXPECT_FALSE(ParseNodeView("").has_value());
  EXPECT_FALSE(ParseNodeView(std::string_view()).has_value());
  EXPECT_FALSE(ParseNodeView("[]").has_value());
  EXPECT_FALSE(ParseNodeView("{}").has_value());
  EXPECT_FALSE(ParseNodeView(std::string(100'000, '[')).has_value());
  EXPECT_FALSE(ParseNodeView(ClusterJson(1, {{0, 1, 1, 1}, {0, 1, 1, 1}})).has_value())
      << "a group twice";
}

TEST(NodeViewTest, MembersAreReadByNumber) {
  const std::string good = ClusterJson(1, {}, {2});
  auto view = ParseNodeView(With(
      good,
      MembersJson(
          {{5, "invited"}, {2, "joining"}, {1, "member", true}, {3, "leaving"}, {4, "sleeping"}}) +
          ",\"groups_settled\":7,\"members_wait_for\":\"node\\u00072\""));
  ASSERT_TRUE(view.has_value());
  ASSERT_EQ(view->members.size(), 5u);
  using Stage = MemberSeen::Stage;
  const Stage stages[] = {Stage::kMember, Stage::kJoining, Stage::kLeaving, Stage::kOther,
                          Stage::kInvited};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(view->members[i].node, i + 1);
    EXPECT_EQ(view->members[i].stage, stages[i]);
    EXPECT_EQ(view->members[i].cordoned, i == 0);
  }
  EXPECT_EQ(view->groups_settled, 7u);
  EXPECT_EQ(view->members_wait_for, "node?2");
  view = ParseNodeView(good);
  ASSERT_TRUE(view.has_value()) << "of an older release";
  EXPECT_TRUE(view->members.empty());
  view = ParseNodeView(With(good, "\"members\":[{\"node\":1}]"));
  ASSERT_TRUE(view.has_value());
  EXPECT_FALSE(view->members[0].cordoned);
}

TEST(NodeViewTest, FeatureLevelsAreRead) {
  const std::string good = ClusterJson(1, {}, {2});
  auto view = ParseNodeView(With(good,
                                 "\"feature_level\":1,\"feature_level_max\":2,"
                                 "\"feature_level_waits_for\":\"node\\u00072\""));
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->feature_level, 1u);
  EXPECT_EQ(view->feature_level_max, 2u);
  EXPECT_EQ(view->feature_level_waits_for, "node?2");
  EXPECT_FALSE(ParseNodeView(With(good, "\"feature_level\":4294967296")).has_value());
  EXPECT_FALSE(ParseNodeView(With(good, "\"feature_level_max\":-1")).has_value());
  EXPECT_FALSE(ParseNodeView(With(good, "\"feature_level_waits_for\":1")).has_value());
}

TEST(NodeViewTest, MembersThatAreNoneAreNotBelieved) {
  const std::string good = ClusterJson(1, {}, {2});
  for (const char* members :
       {"{}", "7", "[7]", "[{}]", "[{\"node\":0}]", "[{\"node\":-1}]", "[{\"node\":\"1\"}]",
        "[{\"node\":1},{\"node\":1}]", "[{\"node\":1,\"stage\":7}]",
        "[{\"node\":1,\"cordoned\":\"true\"}]", "[{\"node\":1,\"stage\":[[[]]]}]"}) {
    EXPECT_FALSE(ParseNodeView(With(good, "\"members\":" + std::string(members))).has_value())
        << members;
  }
  EXPECT_FALSE(ParseNodeView(With(good, "\"groups_settled\":-1")).has_value());
  EXPECT_FALSE(ParseNodeView(With(good, "\"members_wait_for\":1")).has_value());
  std::vector<MemberWords> many;
  for (uint64_t node = 1; node <= 64; ++node) many.push_back({node});
  EXPECT_TRUE(ParseNodeView(With(good, MembersJson(many))).has_value());
  many.push_back({65});
  EXPECT_FALSE(ParseNodeView(With(good, MembersJson(many))).has_value());
}

TEST(NodeViewTest, ListsAreBoundedAndTextIsPlain) {
  EXPECT_TRUE(ParseNodeView(ClusterJson(1, {}, std::vector<uint64_t>(64, 2))).has_value());
  EXPECT_FALSE(ParseNodeView(ClusterJson(1, {}, std::vector<uint64_t>(65, 2))).has_value());
  auto view = ParseNodeView("{\"node\":1,\"groups\":[],\"peers\":[],\"reasons\":[\"\\u001b[31m\\n" +
                            std::string(400, 'x') + "\"]}");
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->reasons[0], "?[31m?" + std::string(294, 'x'));
}

TEST(NodeViewTest, ErrorsOutcomesAndSteps) {
  auto error = ParseError("{\"error\":{\"code\":\"NOT_LEADER\",\"message\":\"ask\"}}");
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, "NOT_LEADER");
  EXPECT_EQ(error->message, "ask");
  EXPECT_FALSE(ParseError("{\"error\":\"x\"}").has_value());
  EXPECT_FALSE(ParseError("{\"error\":{}}").has_value());
  EXPECT_EQ(ParseOutcome("{\"outcome\":\"begun\"}"), "begun");
  EXPECT_FALSE(ParseOutcome("{}").has_value());
  EXPECT_EQ(ParseMoved("{\"moved_ms\":-5}"), -5);
  EXPECT_FALSE(ParseMoved("{\"moved_ms\":\"5\"}").has_value());
}

}  // namespace
}  // namespace ursula::ctl
