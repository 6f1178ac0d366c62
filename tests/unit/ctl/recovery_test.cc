#include "server/ctl/recovery.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

constexpr const char* kPlan =
    "number=1&before=ab&cluster=0000000000000005&history=0000000000000007&term=1009&"
    "survivors=1-d1-1,2-d2-1&lost=3,4,5";

struct Said {
  std::string cluster_id = "ab";
  std::string plan = {};
  bool stored = false;
  std::string members = "1,2,3,4,5";
  std::string voters = "1,2,3,4,5";
  uint64_t term = 9;
  uint64_t last_term = 8;
};

class RecoveryTest : public ::testing::Test {
 protected:
  static std::string Address(uint64_t node) { return "127.0.0.1:" + std::to_string(node); }

  void Say(uint64_t node, const Said& said = {}) {
    const std::string number = std::to_string(node);
    nodes_.Say(Address(node), ClusterJson(node, {{0, 0, 9, 5}}, {}, said.cluster_id));
    nodes_.Say(
        Address(node), "GET /cluster/recovery", 200,
        "{\"node\":" + number + ",\"cluster_id\":\"" + said.cluster_id + "\",\"directory\":\"d" +
            number + "\",\"lives_before\":0,\"number\":0,\"stored\":" +
            (said.stored ? "true" : "false") + ",\"plan\":\"" + said.plan + "\",\"members\":[" +
            said.members + "],\"groups\":[{\"group\":0,\"term\":" + std::to_string(said.term) +
            ",\"last_term\":" + std::to_string(said.last_term) +
            ",\"last_index\":70,\"commit\":60,\"lacking_bytes\":3,"
            "\"voters\":[" +
            said.voters + "],\"voters_outgoing\":[]}]}");
    nodes_.Say(Address(node), std::string("POST /cluster/recover?") + kPlan, 200,
               "{\"node\":" + number + ",\"outcome\":\"stored\"}");
  }
  // What stands in its way; empty: nothing.
  std::string Look(std::vector<uint64_t> lost = {3, 4, 5}) {
    AdminClient client = nodes_.Client();
    draws_ = 3;
    recovery_.emplace(&client_.emplace(nodes_.Client()), std::move(lost),
                      [this] { return "000000000000000" + std::to_string(draws_ += 2); });
    const Survey survey = LookAtAll(
        &client,
        {{"127.0.0.1", 1}, {"127.0.0.1", 2}, {"127.0.0.1", 3}, {"127.0.0.1", 4}, {"127.0.0.1", 5}});
    return recovery_->Look(survey) ? "" : recovery_->problem().code;
  }
  uint64_t Posts() const {
    uint64_t posts = 0;
    for (const std::string& one : nodes_.asked) posts += one.find("POST") != std::string::npos;
    return posts;
  }

  FakeNodes nodes_;
  std::optional<AdminClient> client_;
  std::optional<Recovery> recovery_;
  uint64_t draws_ = 0;
};

TEST_F(RecoveryTest, LookingChangesNothingAndCarryingGivesAllThePlan) {
  Say(1);
  Say(2);
  EXPECT_EQ(Look(), "");
  EXPECT_EQ(Posts(), 0u);
  EXPECT_NE(RecoveryText(*recovery_, false).find("0      1     8          70          60"),
            std::string::npos)
      << RecoveryText(*recovery_, false);
  EXPECT_TRUE(recovery_->Carry()) << recovery_->problem().message;
  EXPECT_EQ(Posts(), 2u);
  EXPECT_NE(RecoveryText(*recovery_, true).find("Restart nodes 1, 2 now"), std::string::npos);
  EXPECT_NE(RecoveryReportJson(*recovery_, true).find("\"cluster_id\":\"0000000000000005\""),
            std::string::npos);
}

TEST_F(RecoveryTest, WhoIsThereIsNotLostAndWhoIsNotNamedMustBeThere) {
  Say(1);
  Say(2);
  Say(3);
  EXPECT_EQ(Look(), "NODE_IS_THERE");
  nodes_.answers.erase(Address(3));
  EXPECT_EQ(Look({4, 5}), "UNREACHABLE");
  EXPECT_EQ(Look({3, 4}), "UNREACHABLE");
  nodes_.answers.erase(Address(2));
  EXPECT_EQ(Look(), "UNREACHABLE");
  EXPECT_EQ(Look({2, 3, 4, 5}), "");
  Say(2, {.members = "2"});
  Say(1, {.members = "1,3"});
  EXPECT_EQ(Look({3, 4, 5}), "");
  Say(1, {.members = "1,3"});
  Say(2, {.members = "1,3"});
  EXPECT_EQ(Look(), "NO_MEMBER");
  EXPECT_EQ(Posts(), 0u);
}

TEST_F(RecoveryTest, WhereAMajorityIsLeftNothingIsNeeded) {
  Say(1, {.members = "1,2,3", .voters = "1,2,3"});
  Say(2, {.members = "1,2,3", .voters = "1,2,3"});
  EXPECT_EQ(Look({3}), "NOT_NEEDED");
  Say(1, {.cluster_id = "cd"});
  Say(2);
  EXPECT_EQ(Look(), "OTHER_CLUSTER");
}

TEST_F(RecoveryTest, OfFiveSurvivorsOneIsLeftOut) {
  for (uint64_t node = 1; node <= 5; ++node) {
    Say(node, {.members = "1,2,3,4,5,6,7,8,9,10", .voters = "1,2,3,4,5,6,7,8,9,10"});
  }
  EXPECT_EQ(Look({6, 7, 8, 9, 10}), "TOO_MANY");
  nodes_.answers.erase(Address(5));
  EXPECT_EQ(Look({5, 6, 7, 8, 9, 10}), "");
}

// Another survivor has gone since.
TEST_F(RecoveryTest, WhatIsOnlyStoredIsLeftForAnotherPlan) {
  Say(1, {.plan = kPlan, .stored = true});
  EXPECT_EQ(Look(), "UNREACHABLE");
  EXPECT_EQ(Look({2, 3, 4, 5}), "");
  nodes_.Say(Address(1),
             "POST /cluster/recover?number=1&before=ab&cluster=0000000000000005&"
             "history=0000000000000007&term=1009&survivors=1-d1-1&lost=2,3,4,5",
             200, "{\"node\":1,\"outcome\":\"stored\"}");
  EXPECT_TRUE(recovery_->Carry()) << recovery_->problem().message;
  EXPECT_EQ(Posts(), 1u);
  EXPECT_FALSE(recovery_->again());
}

// A node that was called lost is there again. Who holds the plan doesn't count any more.
TEST_F(RecoveryTest, OfThoseWhoHoldNoPlanAMajorityGoesOnAndFewerAreRecovered) {
  for (uint64_t node : {2, 3}) Say(node);
  Say(1, {.plan = kPlan, .stored = true});
  EXPECT_EQ(Look({4, 5}), "");
  for (uint64_t node : {2, 3}) Say(node, {.members = "1,2,3", .voters = "1,2,3"});
  Say(1, {.plan = kPlan, .stored = true, .members = "1,2,3", .voters = "1,2,3"});
  EXPECT_EQ(Look({4, 5}), "NOT_NEEDED");
  EXPECT_NE(recovery_->problem().message.find("node 1 holds a plan"), std::string::npos);
}

TEST_F(RecoveryTest, WhoGoesByAPlanIsFollowedAndThenRecoveredAgain) {
  const std::string plan =
      "number=1&before=ab&cluster=0000000000000005&history=0000000000000007&term=1009&"
      "survivors=1-d1-1,2-d2-1,3-d3-1&lost=4,5";
  const Said there = {.cluster_id = "0000000000000005",
                      .plan = plan,
                      .members = "1,2,3",
                      .voters = "1,2,3",
                      .term = 1'010};
  Say(1, there);
  Say(2, {.plan = kPlan, .stored = true});
  nodes_.Say(Address(2), "POST /cluster/recover?" + plan, 200,
             "{\"node\":2,\"outcome\":\"stored\"}");
  EXPECT_EQ(Look(), "");
  EXPECT_TRUE(recovery_->again());
  EXPECT_TRUE(recovery_->Carry()) << recovery_->problem().message;
  EXPECT_EQ(Posts(), 1u);
  const std::string text = RecoveryText(*recovery_, true);
  EXPECT_NE(text.find("Restart node 2 now"), std::string::npos) << text;
  EXPECT_NE(text.find("recover again"), std::string::npos) << text;
  // All go by it, and it isn't enough: the next one.
  Said lonely = there;
  lonely.voters = "1";
  Say(1, lonely);
  nodes_.answers.erase(Address(2));
  EXPECT_EQ(Look({2, 3, 4, 5}), "NOT_NEEDED");
  Say(1, there);
  EXPECT_EQ(Look({2, 3, 4, 5}), "");
  EXPECT_EQ(recovery_->cluster_before(), "0000000000000005");
  EXPECT_FALSE(recovery_->survivors()[0].planned);
  // The same nodes may be lost twice.
  Said same = there;
  same.plan =
      "number=1&before=ab&cluster=0000000000000005&history=0000000000000007&term=1009&"
      "survivors=1-d1-1&lost=2,3";
  Say(1, same);
  EXPECT_EQ(Look({2, 3}), "");
  EXPECT_EQ(recovery_->cluster_before(), "0000000000000005");
}

TEST_F(RecoveryTest, AnOlderCopyOfWhoTookPartIsGivenNothing) {
  Said led = {.cluster_id = "0000000000000005", .plan = kPlan, .members = "1,2", .voters = "1,2"};
  led.last_term = 1'010;
  Say(1, led);
  Say(2);
  EXPECT_EQ(Look(), "PUT_BACK");
  Say(2, {.plan = kPlan, .stored = true});
  EXPECT_EQ(Look(), "PUT_BACK");
  led.last_term = 1'009;
  Say(1, led);
  EXPECT_EQ(Look(), "");
}

TEST_F(RecoveryTest, WhatWasBegunGoesOnWithItsPlan) {
  for (bool restarted : {false, true}) {
    nodes_.asked.clear();
    Say(1, {.cluster_id = restarted ? "0000000000000005" : "ab",
            .plan = kPlan,
            .stored = !restarted,
            .members = restarted ? "1,2" : "1,2,3,4,5"});
    Say(2, {.term = 5'000});
    EXPECT_EQ(Look(), "");
    EXPECT_EQ(recovery_->survivors()[0].restarted, restarted);
    EXPECT_TRUE(recovery_->Carry()) << recovery_->problem().message;
    EXPECT_EQ(Posts(), 1u);
    EXPECT_EQ(recovery_->cluster_id(), "0000000000000005");
  }
  for (uint64_t node : {1, 2}) {
    Say(node, {.cluster_id = "0000000000000005", .plan = kPlan, .members = "1,2", .voters = "1,2"});
  }
  EXPECT_EQ(Look(), "NOT_NEEDED");
}

TEST_F(RecoveryTest, ANodeThatRefusesIsToldAsItSays) {
  Say(1);
  Say(2);
  nodes_.Say(Address(2), std::string("POST /cluster/recover?") + kPlan, 409,
             "{\"error\":{\"code\":\"OTHER_TERM\",\"message\":\"ask again\"}}");
  EXPECT_EQ(Look(), "");
  EXPECT_FALSE(recovery_->Carry());
  EXPECT_EQ(recovery_->problem().code, "OTHER_TERM");
  nodes_.Say(Address(1), "GET /cluster/recovery", 503,
             "{\"error\":{\"code\":\"UNAVAILABLE\",\"message\":\"recovering\"}}");
  EXPECT_EQ(Look(), "UNAVAILABLE");
  nodes_.Say(Address(1), "GET /cluster/recovery", 200, "{\"node\":1}");
  EXPECT_EQ(Look(), "ODD_ANSWER");
}

}  // namespace
}  // namespace ursula::ctl
