#include "server/ctl/run.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/ctl/fake_node.h"

namespace ursula::ctl {
namespace {

class RunTest : public ::testing::Test {
 protected:
  Printed Do(Command command, bool json = false) {
    Arguments arguments;
    arguments.command = command;
    arguments.admin = {{"10.0.0.1", 4438}};
    arguments.json = json;
    arguments.to = 2;
    arguments.wait_ms = 150;
    AdminClient client = nodes_.Client();
    return ctl::Run(arguments, &client);
  }
  void SayLeader(uint64_t leader) {
    nodes_.Say("10.0.0.1:4438", ClusterJson(1, {{0, leader, 1, 1}}, {2}));
    nodes_.Say("10.0.0.2:4438", ClusterJson(2, {{0, leader, 1, 1}}, {1}));
  }

  FakeNodes nodes_;
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
  for (Command command : {Command::kStatus, Command::kHealth, Command::kGroups, Command::kLag,
                          Command::kLeaders, Command::kTransfer, Command::kClockStep}) {
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
