#include "server/ctl/transfers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

using State = Transfer::State;

class TransfersTest : public ::testing::Test {
 protected:
  // Every node says this of the groups.
  void Say(const std::vector<Words>& groups) {
    for (uint64_t node : {1, 2, 3}) {
      std::vector<uint64_t> peers = {1, 2, 3};
      std::erase(peers, node);
      nodes_.Say("10.0.0." + std::to_string(node) + ":4438", ClusterJson(node, groups, peers));
    }
  }
  void AnswerTransfer(uint64_t node, uint32_t group, uint64_t to, int status,
                      const std::string& body) {
    nodes_.Say(
        "10.0.0." + std::to_string(node) + ":4438",
        "POST /cluster/transfer?group=" + std::to_string(group) + "&to=" + std::to_string(to),
        status, body);
  }
  Survey Look() { return LookAtAll(&client_, {{"10.0.0.1", 4438}}); }
  Transfers New(uint32_t group, uint64_t to) {
    Transfer wanted;
    wanted.group = group;
    wanted.to = to;
    return Transfers(&client_, Look(), {wanted});
  }
  std::size_t Asked(const std::string& what) const {
    std::size_t count = 0;
    for (const std::string& one : nodes_.asked) count += one.find(what) != std::string::npos;
    return count;
  }

  FakeNodes nodes_;
  AdminClient client_ = nodes_.Client();
  const std::string begun_ = "{\"outcome\":\"begun\"}";
};

TEST_F(TransfersTest, TheLeaderIsAskedAndTheEndAwaited) {
  Say({{0, 1, 1, 1}, {1, 2, 1, 1}});
  AnswerTransfer(2, 1, 3, 200, begun_);
  Transfers transfers = New(1, 3);
  EXPECT_TRUE(transfers.Round());
  EXPECT_TRUE(transfers.Round());
  EXPECT_EQ(Asked("POST"), 1u) << "it has some time to come about";
  Say({{0, 1, 1, 1}, {1, 3, 2, 1}});
  EXPECT_FALSE(transfers.Round());
  EXPECT_EQ(transfers.transfers()[0].state, State::kDone);
  EXPECT_EQ(transfers.transfers()[0].from, 2u);
}

TEST_F(TransfersTest, WhatDoesNotComeAboutIsAskedForAgainAndThenLate) {
  Say({{0, 1, 1, 1}});
  AnswerTransfer(1, 0, 3, 200, begun_);
  Transfers transfers = New(0, 3);
  for (int i = 0; i < 11; ++i) EXPECT_TRUE(transfers.Round());
  EXPECT_EQ(Asked("POST"), 2u);
  transfers.GiveUp();
  EXPECT_EQ(transfers.transfers()[0].state, State::kLate);
  EXPECT_EQ(transfers.transfers()[0].code, "LATE");
  EXPECT_FALSE(transfers.transfers()[0].text.empty());
}

TEST_F(TransfersTest, ARefusalThatPassesIsWaitedOutAndOneForGoodIsNot) {
  Say({{0, 1, 1, 1}});
  AnswerTransfer(1, 0, 3, 409, "{\"error\":{\"code\":\"BEHIND\",\"message\":\"it lacks\"}}");
  Transfers transfers = New(0, 3);
  EXPECT_TRUE(transfers.Round());
  EXPECT_TRUE(transfers.Round());
  EXPECT_EQ(Asked("POST"), 2u);
  EXPECT_EQ(transfers.transfers()[0].text, "it lacks");
  AnswerTransfer(1, 0, 3, 409, "{\"error\":{\"code\":\"NO_VOTER\",\"message\":\"no vote\"}}");
  EXPECT_FALSE(transfers.Round());
  EXPECT_EQ(transfers.transfers()[0].state, State::kRefused);
  EXPECT_EQ(transfers.transfers()[0].code, "NO_VOTER");
}

TEST_F(TransfersTest, WhatCannotBeIsRefusedWithoutAsking) {
  Say({{0, 1, 1, 1}, {1, 0, 2, 1}});
  Transfers no_group = New(7, 3);
  EXPECT_FALSE(no_group.Round());
  EXPECT_EQ(no_group.transfers()[0].code, "NO_SUCH_GROUP");
  Transfers leads = New(0, 1);
  EXPECT_FALSE(leads.Round());
  EXPECT_EQ(leads.transfers()[0].state, State::kLeads);
  Transfers leaderless = New(1, 3);
  EXPECT_TRUE(leaderless.Round());
  EXPECT_EQ(leaderless.transfers()[0].code, "NOT_LEADER");
  EXPECT_EQ(Asked("POST"), 0u);
}

TEST_F(TransfersTest, AfterItsTimeNoQuestionBegins) {
  Say({{0, 1, 1, 1}, {1, 1, 1, 1}});
  Transfers transfers(&client_, Look(), {{.group = 0, .to = 3}, {.group = 1, .to = 3}});
  const Deadline end(1);
  end.Await();
  EXPECT_TRUE(transfers.Round(&end));
  EXPECT_EQ(Asked("POST"), 1u) << "what was wanted is asked for once";
  const std::size_t asked = nodes_.asked.size();
  EXPECT_TRUE(transfers.Round(&end));
  EXPECT_EQ(nodes_.asked.size(), asked);
  transfers.GiveUp();
  EXPECT_EQ(transfers.transfers()[1].code, "LATE");
  EXPECT_EQ(transfers.transfers()[1].text,
            "there was no time to ask for it: give it more with --wait-ms");
}

TEST_F(TransfersTest, AllOfANodeGoToWhoLeadsLeast) {
  Say({{0, 1, 1, 1}, {1, 1, 1, 1}, {2, 1, 1, 1}, {3, 2, 1, 1}, {4, 2, 1, 1}, {5, 3, 1, 1}});
  std::string why;
  const Survey survey = Look();
  const auto transfers = TransfersFrom(Summarize(survey), survey, 1, &why);
  EXPECT_EQ(why, "");
  ASSERT_EQ(transfers.size(), 3u);
  EXPECT_EQ(transfers[0].to, 3u);
  EXPECT_EQ(transfers[1].to, 2u);
  EXPECT_EQ(transfers[2].to, 3u);
  EXPECT_TRUE(TransfersFrom(Summarize(survey), survey, 9, &why).empty());
  EXPECT_EQ(why, "there is no node 9: ursulactl status shows which there are");
}

TEST_F(TransfersTest, NothingGoesToANodeThatIsToLeadNothing) {
  const std::vector<Words> groups = {{0, 1, 1, 1}, {1, 1, 1, 1}};
  Say(groups);
  nodes_.Say("10.0.0.1:4438",
             With(ClusterJson(1, groups, {2, 3}), MembersJson({{1}, {2, "member", true}, {3}})));
  std::string why;
  Survey survey = Look();
  const auto transfers = TransfersFrom(Summarize(survey), survey, 1, &why);
  ASSERT_EQ(transfers.size(), 2u);
  EXPECT_EQ(transfers[0].to, 3u);
  EXPECT_EQ(transfers[1].to, 3u);
  nodes_.Say("10.0.0.1:4438", With(ClusterJson(1, groups, {2, 3}),
                                   MembersJson({{1}, {2, "member", true}, {3, "leaving"}})));
  survey = Look();
  EXPECT_TRUE(TransfersFrom(Summarize(survey), survey, 1, &why).empty());
}

TEST_F(TransfersTest, NothingGoesToANodeThatIsNotReady) {
  Say({{0, 1, 1, 1}});
  nodes_.answers.erase("10.0.0.2:4438");
  nodes_.answers.erase("10.0.0.3:4438");
  std::string why;
  const Survey survey = Look();
  EXPECT_TRUE(TransfersFrom(Summarize(survey), survey, 1, &why).empty());
  EXPECT_EQ(why, "no other node is ready to lead: ursulactl health says why");
}

}  // namespace
}  // namespace ursula::ctl
