#include "server/ctl/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

class RunTest : public ::testing::Test {
 protected:
  Printed Do(Command command, bool json = false) {
    Arguments arguments;
    arguments.command = command;
    arguments.admin = admin_;
    arguments.json = json;
    arguments.to = 2;
    arguments.node = 2;
    arguments.replicas = 3;
    arguments.wait_ms = wait_ms_;
    AdminClient client = nodes_.Client();
    return ctl::Run(arguments, &client, [this](const std::string& line) { told_.push_back(line); });
  }
  void SayLeader(uint64_t leader) {
    nodes_.Say("10.0.0.1:4438", ClusterJson(1, {{0, leader, 1, 1}}, {2}));
    nodes_.Say("10.0.0.2:4438", ClusterJson(2, {{0, leader, 1, 1}}, {1}));
  }

  // Two members, of which node 1 leads groups 0 to 2 but for those that node 2 leads.
  void SayMembers(uint32_t led_by_2, const std::vector<MemberWords>& members) {
    std::vector<Words> groups;
    for (uint32_t group = 0; group < 3; ++group) {
      groups.push_back({group, group + led_by_2 > 2 ? 2u : 1u, 1, 1});
    }
    for (uint64_t node : {1, 2}) {
      nodes_.Say("10.0.0." + std::to_string(node) + ":4438",
                 With(ClusterJson(node, groups, {3 - node, 3}), MembersJson(members)));
    }
    nodes_.Say("10.0.0.3:4438", With(ClusterJson(3, {}, {}, ""), "\"opening\":\"founding\""));
  }
  bool Asked(const std::string& what) const {
    return !nodes_.asked.empty() && nodes_.asked.back().find(what) != std::string::npos;
  }

  FakeNodes nodes_;
  std::vector<server::HostPort> admin_ = {{"10.0.0.1", 4438}};
  std::vector<std::string> told_;  // Progress.
  uint64_t wait_ms_ = 150;
};

TEST_F(RunTest, AMomentWithoutALeaderIsWaitedOut) {
  SayLeader(0);
  nodes_.on_asked = [this] {
    if (nodes_.asked.size() == 3) SayLeader(2);
  };
  const Printed healthy = Do(Command::kHealth);
  EXPECT_EQ(healthy.exit_status, kExitDone);
  EXPECT_EQ(healthy.out, "healthy\n");
  EXPECT_EQ(nodes_.asked.size(), 4u);
}

TEST_F(RunTest, WhatLastsIsTold) {
  SayLeader(0);
  const Printed health = Do(Command::kHealth, true);
  EXPECT_EQ(health.exit_status, kExitNo);
  EXPECT_NE(health.out.find("\"group_without_leader\""), std::string::npos);
  EXPECT_EQ(Do(Command::kStatus).exit_status, kExitDone) << "it was asked what is, not whether";
}

TEST_F(RunTest, WhereNobodyAnswersNothingIsSaidOfGroups) {
  for (Command command :
       {Command::kStatus, Command::kHealth, Command::kGroups, Command::kLag, Command::kLeaders,
        Command::kTransfer, Command::kClockStep, Command::kNodeAdd, Command::kReplicas}) {
    EXPECT_EQ(Do(command).exit_status, kExitAway);
  }
  const Printed groups = Do(Command::kGroups, true);
  EXPECT_TRUE(groups.out.starts_with("{\"error\":{\"code\":\"UNREACHABLE\""));
  EXPECT_TRUE(groups.error.starts_with("ursulactl: can't reach 10.0.0.1:4438"));
}

TEST_F(RunTest, ATransferThatDoesNotComeAboutIsLate) {
  SayLeader(1);
  nodes_.Say("10.0.0.1:4438", "POST /cluster/transfer?group=0&to=2", 200,
             "{\"outcome\":\"begun\"}");
  const Printed late = Do(Command::kTransfer);
  EXPECT_EQ(late.exit_status, kExitNo);
  EXPECT_NE(late.out.find("not handed over: node 2 was asked"), std::string::npos) << late.out;
  nodes_.on_asked = [this] {
    if (nodes_.asked.back().find("POST") != std::string::npos) SayLeader(2);
  };
  const Printed done = Do(Command::kTransfer);
  EXPECT_EQ(done.exit_status, kExitDone);
  EXPECT_EQ(done.out, "group 0: led by node 2 now, before by node 1\n");
}

TEST_F(RunTest, ProgressIsToldWhereItIsAnother) {
  SayMembers(2, {{1}, {2}});
  nodes_.Say("10.0.0.1:4438", "POST /cluster/node?node=2&change=cordon", 200,
             "{\"outcome\":\"accepted\"}");
  std::size_t looks = 0;
  nodes_.on_asked = [&] {
    if (!Asked("10.0.0.1:4438 GET")) return;
    // The survey, two rounds that see the same, one that sees less, and the last.
    const uint32_t led[] = {2, 2, 2, 1, 0};
    SayMembers(led[std::min<std::size_t>(looks++, 4)], {{1}, {2, "member", true}});
    nodes_.Say("10.0.0.1:4438", "POST /cluster/node?node=2&change=cordon", 200,
               "{\"outcome\":\"accepted\"}");
  };
  wait_ms_ = 60'000;
  const Printed done = Do(Command::kNodeDrain);
  EXPECT_EQ(done.exit_status, kExitDone);
  EXPECT_EQ(done.out, "node 2: it leads nothing, until it is uncordoned\n");
  EXPECT_EQ(done.error, "");
  EXPECT_EQ(told_, (std::vector<std::string>{"node 2 leads 2 of 3 groups\n",
                                             "node 2 leads 1 of 3 groups\n"}));
}

TEST_F(RunTest, WhatDoesNotComeAboutIsLate) {
  SayMembers(1, {{1}, {2}});
  nodes_.Say("10.0.0.1:4438", "POST /cluster/node?node=2&change=cordon", 200,
             "{\"outcome\":\"accepted\"}");
  const Printed late = Do(Command::kNodeDrain, true);
  EXPECT_EQ(late.exit_status, kExitNo);
  EXPECT_EQ(late.out,
            "{\"changes\":[{\"node\":2,\"change\":\"drain\",\"outcome\":\"late\",\"code\":\"LATE\","
            "\"text\":\"node 2 leads 1 of 3 groups; it goes on: see ursulactl status, or ask "
            "again\"}],\"done\":0,\"failed\":1}\n");
}

TEST_F(RunTest, EachChangeIsAskedForByItsName) {
  SayMembers(0, {{1}, {2}});
  for (const auto& [command, name] :
       std::vector<std::pair<Command, std::string>>{{Command::kNodeAdd, "add"},
                                                    {Command::kNodeRemove, "remove"},
                                                    {Command::kNodeCordon, "cordon"},
                                                    {Command::kNodeUncordon, "uncordon"},
                                                    {Command::kNodeDrain, "cordon"}}) {
    nodes_.Say("10.0.0.1:4438", "POST /cluster/node?node=2&change=" + name, 409,
               "{\"error\":{\"code\":\"LAST_NODE\",\"message\":\"so\"}}");
    const Printed refused = Do(command);
    EXPECT_EQ(refused.exit_status, kExitNo);
    EXPECT_NE(refused.out.find(": so\n"), std::string::npos) << refused.out;
    EXPECT_TRUE(Asked("10.0.0.1:4438 POST /cluster/node?node=2&change=" + name));
  }
}

TEST_F(RunTest, ReplicasAreThoseThatWaitAndTheOperatorsChoice) {
  SayMembers(0, {{1}, {2}});
  nodes_.Say("10.0.0.1:4438", "POST /cluster/node?node=3&change=add", 409,
             "{\"error\":{\"code\":\"IS_MEMBER\",\"message\":\"so\"}}");
  nodes_.on_asked = [this] {
    if (Asked("POST")) SayMembers(0, {{1}, {2}, {3}});
  };
  EXPECT_EQ(Do(Command::kReplicas).out, "node 3: already: it is a member\n");
  EXPECT_EQ(Do(Command::kReplicas).out, "nothing to do: the cluster has as many nodes\n");
  SayMembers(0, {{1}, {2}, {3}, {4}, {5}});
  const Printed fewer = Do(Command::kReplicas, true);
  EXPECT_EQ(fewer.exit_status, kExitNo);
  EXPECT_TRUE(fewer.out.starts_with("{\"error\":{\"code\":\"WHICH_NODE\"")) << fewer.out;
  EXPECT_NE(fewer.error.find("ursulactl node remove N"), std::string::npos);
}

TEST_F(RunTest, AMomentWithoutALeaderOfGroupZeroIsWaitedOutForReplicas) {
  SayLeader(0);
  nodes_.on_asked = [this] {
    if (nodes_.asked.size() == 3) SayMembers(0, {{1}, {2}, {3}});
  };
  EXPECT_EQ(Do(Command::kReplicas).exit_status, kExitDone);
  nodes_.on_asked = nullptr;
  SayLeader(0);
  EXPECT_EQ(Do(Command::kReplicas).exit_status, kExitNo);
}

TEST_F(RunTest, NothingIsChangedWhereNodesOfTwoClustersAreNamed) {
  nodes_.Say("10.0.0.1:4438", With(ClusterJson(1, {{0, 1, 1, 1}}), MembersJson({{1}})));
  nodes_.Say("10.0.0.2:4438", With(ClusterJson(2, {{0, 2, 1, 1}}, {}, "cd"), MembersJson({{2}})));
  admin_ = {{"10.0.0.2", 4438}, {"10.0.0.1", 4438}};
  for (Command command :
       {Command::kNodeAdd, Command::kNodeRemove, Command::kNodeCordon, Command::kNodeUncordon,
        Command::kNodeDrain, Command::kReplicas, Command::kTransfer}) {
    nodes_.asked.clear();
    const Printed refused = Do(command, true);
    EXPECT_EQ(refused.exit_status, kExitNo);
    EXPECT_TRUE(refused.out.starts_with("{\"error\":{\"code\":\"OTHER_CLUSTER\"")) << refused.out;
    EXPECT_EQ(refused.error,
              "ursulactl: node 2 is of cluster cd, others of ab: name the nodes of one cluster "
              "with --admin\n");
    EXPECT_EQ(nodes_.asked.size(), 2u) << "only what they are";
  }
}

TEST_F(RunTest, AServerThatIsAloneHasNoNodes) {
  nodes_.Say("10.0.0.1:4438", ClusterJson(0, {{0, 0, 1, 1}}, {}, ""));
  for (Command command : {Command::kNodeAdd, Command::kReplicas}) {
    const Printed alone = Do(command, true);
    EXPECT_EQ(alone.exit_status, kExitNo);
    EXPECT_TRUE(alone.out.starts_with("{\"error\":{\"code\":\"ALONE\"")) << alone.out;
  }
}

TEST_F(RunTest, AClockIsSteppedAtOneNode) {
  nodes_.Say("10.0.0.1:4438", "POST /clock/step", 200, "{\"moved_ms\":-7}");
  EXPECT_EQ(Do(Command::kClockStep).out,
            "the streams' time is that of 10.0.0.1:4438; it moved by -7 ms at most\n");
  EXPECT_EQ(nodes_.asked.size(), 1u);
  nodes_.Say("10.0.0.1:4438", "POST /clock/step", 403,
             "{\"error\":{\"code\":\"FORBIDDEN\",\"message\":\"so\"}}");
  const Printed refused = Do(Command::kClockStep, true);
  EXPECT_EQ(refused.exit_status, kExitNo);
  EXPECT_EQ(refused.out, "{\"error\":{\"code\":\"FORBIDDEN\",\"message\":\"so\"}}\n");
  EXPECT_EQ(refused.error, "ursulactl: so\n");
  nodes_.Say("10.0.0.1:4438", "POST /clock/step", 500, "?");
  EXPECT_EQ(Do(Command::kClockStep).exit_status, kExitNo);
}

}  // namespace
}  // namespace ursula::ctl
