#include "server/ctl/survey.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

class SurveyTest : public ::testing::Test {
 protected:
  Survey Look(const std::vector<server::HostPort>& addresses) {
    AdminClient client = nodes_.Client();
    return LookAtAll(&client, addresses);
  }
  // "1 10.0.0.1:4438 yes, 3 - no".
  static std::string Told(const Survey& survey) {
    std::string text;
    for (const NodeSeen& seen : survey) {
      text += (text.empty() ? "" : ", ") + std::to_string(seen.node) + " " +
              (seen.admin.port == 0 ? "-" : server::FormatHostPort(seen.admin)) +
              (seen.view ? " yes" : " no");
    }
    return text;
  }

  FakeNodes nodes_;
};

TEST_F(SurveyTest, OthersAreFoundAtTheSameDistanceFromTheirPeersPort) {
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {}, {2, 3}));
  nodes_.Say("10.0.0.2:4438", ClusterJson(2, {}, {1, 3}));
  nodes_.Say("10.0.0.3:4438", ClusterJson(3, {}, {1, 2}));
  EXPECT_EQ(Told(Look({{"10.0.0.2", 4438}})),
            "1 10.0.0.1:4438 yes, 2 10.0.0.2:4438 yes, 3 10.0.0.3:4438 yes");
  EXPECT_EQ(Told(Look({{"10.0.0.2", 4438}, {"10.0.0.2", 4438}})),
            "1 10.0.0.1:4438 yes, 2 10.0.0.2:4438 yes, 3 10.0.0.3:4438 yes");
}

TEST_F(SurveyTest, WhatIsFoundMustBeThatNodeOfThatCluster) {
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {}, {2, 3}));
  nodes_.Say("10.0.0.2:4438", ClusterJson(3, {}, {1, 2}));
  nodes_.Say("10.0.0.3:4438", ClusterJson(3, {}, {1, 2}, "cd"));
  const Survey survey = Look({{"10.0.0.1", 4438}});
  EXPECT_EQ(Told(survey), "1 10.0.0.1:4438 yes, 2 - no, 3 - no");
  EXPECT_EQ(survey[1].problem,
            "node 2 (peers reach it at 10.0.0.2:4439) doesn't answer at 10.0.0.2:4438: start it, "
            "or name its --admin-listen address too, with --admin");
}

TEST_F(SurveyTest, AnAddressThatWasNamedAndDoesNotAnswerIsTheNodeThatIsMissing) {
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {}, {2, 3}));
  nodes_.Say("10.0.0.3:4438", ClusterJson(3, {}, {1, 2}));
  const char* expected = "1 10.0.0.1:4438 yes, 2 10.0.0.2:4438 no, 3 10.0.0.3:4438 yes";
  // Where it is looked for, or wherever.
  EXPECT_EQ(Told(Look({{"10.0.0.1", 4438}, {"10.0.0.2", 4438}, {"10.0.0.3", 4438}})), expected);
  EXPECT_EQ(Told(Look({{"10.0.0.1", 4438}, {"10.0.0.9", 9}, {"10.0.0.3", 4438}})),
            "1 10.0.0.1:4438 yes, 2 10.0.0.9:9 no, 3 10.0.0.3:4438 yes");
  // Two of them: which is which can't be known, and both are named already.
  nodes_.answers.erase("10.0.0.3:4438");
  EXPECT_EQ(Told(Look({{"10.0.0.1", 4438}, {"10.0.0.8", 8}, {"10.0.0.9", 9}})),
            "1 10.0.0.1:4438 yes, 0 10.0.0.8:8 no, 0 10.0.0.9:9 no");
}

TEST_F(SurveyTest, OddAnswersAreAProblemOfThatNode) {
  nodes_.Say("10.0.0.1:4438", "GET /cluster", 404, "not here");
  const Survey survey = Look({{"10.0.0.1", 4438}});
  EXPECT_EQ(Told(survey), "0 10.0.0.1:4438 no");
  EXPECT_NE(survey[0].problem.find("isn't an ursulad's admin listener"), std::string::npos);
}

TEST_F(SurveyTest, LookingAgainAsksWhoIsKnown) {
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {{0, 1, 1, 1}}, {2}));
  AdminClient client = nodes_.Client();
  Survey survey = LookAtAll(&client, {{"10.0.0.1", 4438}});
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {{0, 2, 2, 2}}, {2}));
  nodes_.asked.clear();
  LookAgain(&client, &survey);
  EXPECT_EQ(survey[0].view->groups[0].leader, 2u);
  EXPECT_EQ(nodes_.asked, std::vector<std::string>{"10.0.0.1:4438 GET /cluster"});
  nodes_.answers.clear();
  LookAgain(&client, &survey);
  EXPECT_EQ(Told(survey), "1 10.0.0.1:4438 no, 2 - no");
}

// Before it is a member, a node says of no cluster that it is its own.
TEST_F(SurveyTest, ANodeThatWaitsToBeTakenInIsFound) {
  const std::string opening = "\"opening\":\"founding\"";
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {}, {4, 5}));
  nodes_.Say("10.0.0.4:4438", With(ClusterJson(4, {}, {1}, ""), opening));
  nodes_.Say("10.0.0.5:4438", ClusterJson(5, {}, {1}, ""));
  EXPECT_EQ(Told(Look({{"10.0.0.1", 4438}})), "1 10.0.0.1:4438 yes, 4 10.0.0.4:4438 yes, 5 - no");
  EXPECT_EQ(Told(Look({{"10.0.0.4", 4438}})), "1 10.0.0.1:4438 yes, 4 10.0.0.4:4438 yes");
}

TEST_F(SurveyTest, WhoWaitsNamesNobodyOfAnotherCluster) {
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {}, {2, 4}));
  nodes_.Say("10.0.0.4:4438", With(ClusterJson(4, {}, {1, 2}, ""), "\"opening\":\"founding\""));
  nodes_.Say("10.0.0.2:4438", ClusterJson(2, {}, {}, "cd"));
  EXPECT_EQ(Told(Look({{"10.0.0.1", 4438}, {"10.0.0.4", 4438}})),
            "1 10.0.0.1:4438 yes, 2 - no, 4 10.0.0.4:4438 yes");
}

TEST_F(SurveyTest, LookingAroundFindsWhoHasComeAndKeepsWhoIsKnown) {
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {}, {2, 3}));
  nodes_.Say("10.0.0.2:4438", ClusterJson(2, {}, {1, 3}));
  AdminClient client = nodes_.Client();
  Survey survey = LookAtAll(&client, {{"10.0.0.1", 4438}});
  EXPECT_EQ(Told(survey), "1 10.0.0.1:4438 yes, 2 10.0.0.2:4438 yes, 3 - no");
  nodes_.Say("10.0.0.3:4438", ClusterJson(3, {}, {1, 2}));
  LookAround(&client, &survey);
  EXPECT_EQ(Told(survey), "1 10.0.0.1:4438 yes, 2 10.0.0.2:4438 yes, 3 10.0.0.3:4438 yes");
  nodes_.answers.erase("10.0.0.1:4438");
  LookAround(&client, &survey);
  EXPECT_EQ(Told(survey), "1 10.0.0.1:4438 no, 2 10.0.0.2:4438 yes, 3 10.0.0.3:4438 yes")
      << "the one that was named is gone, and the others are known still";
}

TEST_F(SurveyTest, AfterItsTimeNobodyMoreIsAsked) {
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {}, {2, 3}));
  nodes_.Say("10.0.0.2:4438", ClusterJson(2, {}, {1, 3}));
  AdminClient client = nodes_.Client();
  Survey survey = LookAtAll(&client, {{"10.0.0.1", 4438}});
  nodes_.answers.clear();
  nodes_.asked.clear();
  const Deadline end(20);
  nodes_.on_asked = [&end] { end.Await(); };  // Silent.
  LookAround(&client, &survey, &end);
  EXPECT_EQ(nodes_.asked, std::vector<std::string>{"10.0.0.1:4438 GET /cluster"});
  EXPECT_EQ(Told(survey), "1 10.0.0.1:4438 no, 2 10.0.0.2:4438 yes");
  LookAgain(&client, &survey, &end);
  EXPECT_EQ(nodes_.asked.size(), 1u);
}

TEST_F(SurveyTest, WhileOneIsLookedForTheTimeMayEnd) {
  for (uint64_t node : {1, 2}) {
    std::string json = ClusterJson(node, {}, {3, 4});
    json.replace(json.rfind("\"10.0.0.3:"), 9, "\"10.0." + std::to_string(node) + ".3");
    nodes_.Say("10.0.0." + std::to_string(node) + ":4438", json);
  }
  AdminClient client = nodes_.Client();
  Survey survey = LookAtAll(&client, {{"10.0.0.1", 4438}, {"10.0.0.2", 4438}});
  EXPECT_EQ(nodes_.asked.size(), 5u) << "3 at two places";
  nodes_.asked.clear();
  const Deadline end(20);
  nodes_.on_asked = [this, &end] {
    if (nodes_.asked.size() == 3) end.Await();
  };
  LookAround(&client, &survey, &end);
  EXPECT_EQ(nodes_.asked.size(), 3u);
}

TEST_F(SurveyTest, WhatOneNamesIsBounded) {
  std::vector<uint64_t> many;
  for (uint64_t node = 2; node <= 65; ++node) many.push_back(node);
  nodes_.Say("10.0.0.1:4438", ClusterJson(1, {}, many));
  for (uint64_t node : many) {
    nodes_.Say("10.0.0." + std::to_string(node) + ":4438", ClusterJson(node, {}, many));
  }
  AdminClient client = nodes_.Client();
  Survey survey = LookAtAll(&client, {{"10.0.0.1", 4438}});
  EXPECT_EQ(survey.size(), 16u);
  EXPECT_EQ(survey[15].node, 16u) << "a cluster's numbers are the lowest";
  LookAround(&client, &survey);
  EXPECT_EQ(survey.size(), 16u);
}

TEST_F(SurveyTest, WhoNamesANodeTwiceIsTakenAtItsFirstWord) {
  std::string json = ClusterJson(1, {}, std::vector<uint64_t>(64, 2));
  for (int i = 0; i < 64; ++i) {
    const std::size_t at = json.rfind("\"10.0.0.2:4439");
    json.replace(at, 9, "\"10.0.1." + std::to_string(i));
  }
  nodes_.Say("10.0.0.1:4438", json);
  EXPECT_EQ(Told(Look({{"10.0.0.1", 4438}})), "1 10.0.0.1:4438 yes, 2 - no");
  EXPECT_EQ(nodes_.asked.size(), 2u);
}

TEST(GuessTest, PortsThatAreNoneAreNotGuessed) {
  const server::HostPort admin = {"10.0.0.1", 4438};
  EXPECT_EQ(GuessAdmin(admin, "10.0.0.1:4439", "h:5000"), (server::HostPort{"h", 4999}));
  EXPECT_EQ(GuessAdmin(admin, "10.0.0.1:4439", "h:1"), std::nullopt);
  EXPECT_EQ(GuessAdmin({"h", 65000}, "h:1000", "h:2000"), std::nullopt);
  EXPECT_EQ(GuessAdmin(admin, "", "h:1"), std::nullopt);
  EXPECT_EQ(GuessAdmin(admin, "10.0.0.1:4439", "nonsense"), std::nullopt);
}

}  // namespace
}  // namespace ursula::ctl
