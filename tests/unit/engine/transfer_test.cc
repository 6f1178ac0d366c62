// Hand-overs that are asked for: each answer, and that nothing is lost by one.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "tests/support/test_cluster.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

constexpr GroupId kGroup{1};

class TransferTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(cluster_.AwaitLeaders()); }

  Result<TransferReply> Ask(uint64_t node, uint64_t to, GroupId group = kGroup) {
    return cluster_.Await<TransferReply>(
        [&](auto done) { cluster_.node(node).TransferLeader(group, NodeId{to}, std::move(done)); });
  }
  // 100 and more: the status' code.
  int OutcomeOf(uint64_t node, uint64_t to, GroupId group = kGroup) {
    auto reply = Ask(node, to, group);
    return reply.ok() ? static_cast<int>(reply->outcome)
                      : 100 + static_cast<int>(reply.status().code());
  }
  uint64_t Leader() { return cluster_.LeaderOf(kGroup).value_or(0); }
  bool CreateStream() {
    CreateRequest request;
    request.stream = stream_;
    return cluster_
        .Await<CreateReply>([&](auto done) { cluster_.node(1).Create(request, std::move(done)); })
        .ok();
  }
  AppendRequest Append() const {
    AppendRequest request;
    request.stream = stream_;
    request.messages.push_back(Bytes::Copy("x"));
    return request;
  }
  bool Acknowledged(uint64_t node) {
    return cluster_
        .Await<AppendReply>(
            [&](auto done) { cluster_.node(node).Append(Append(), std::move(done)); })
        .ok();
  }
  // The one that an append adds to.
  GroupId GroupOfStream() {
    auto applied = [&] {
      cluster_.Advance(200);  // Figures are published now and then.
      return cluster_.node(1).Cluster().groups;
    };
    const std::vector<GroupStatus> before = applied();
    EXPECT_TRUE(Acknowledged(1));
    const std::vector<GroupStatus> after = applied();
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (after[i].applied > before[i].applied) return after[i].group;
    }
    ADD_FAILURE() << "no group took the append";
    return {};
  }
  static uint64_t After(uint64_t node) { return node % 3 + 1; }

  const StreamId stream_ = {.bucket = kUpstreamBucket, .name = "s"};
  testing::TestCluster cluster_;
};

int Number(TransferOutcome outcome) { return static_cast<int>(outcome); }

TEST_F(TransferTest, ANodeThatIsAskedForLeadsSoon) {
  for (int round = 0; round < 6; ++round) {
    const uint64_t from = Leader();
    const uint64_t to = After(from);
    auto reply = Ask(from, to);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->outcome, TransferOutcome::kBegun);
    EXPECT_EQ(Raw(reply->leader), from);
    EXPECT_TRUE(cluster_.RunUntil([&] { return Leader() == to; }, 1000)) << Leader();
    ASSERT_TRUE(cluster_.AwaitLeaders());
  }
}

TEST_F(TransferTest, WhatIsAppendedMeanwhileIsAcknowledged) {
  ASSERT_TRUE(CreateStream());
  int begun = 0;
  int acknowledged = 0;
  for (int i = 0; i < 200; ++i) {
    for (uint64_t node = 1; node <= 3; ++node) {
      cluster_.node(node).Append(Append(), [&](Result<AppendReply> reply) {
        EXPECT_TRUE(reply.ok()) << reply.status().ToString();
        ++acknowledged;
      });
    }
    // Of all, for one of them has the stream, and entries of it under way.
    for (uint32_t group = 0; group < 4 && i % 50 == 25; ++group) {
      const uint64_t from = cluster_.LeaderOf(GroupId{group}).value_or(1);
      begun += OutcomeOf(from, After(from), GroupId{group}) == Number(TransferOutcome::kBegun);
    }
    cluster_.Advance(2);
  }
  EXPECT_TRUE(cluster_.RunUntil([&] { return acknowledged == 600; }));
  EXPECT_EQ(begun, 16);
}

TEST_F(TransferTest, ANodeThatLacksALittleIsWaitedForAndOneThatLacksMuchIsNot) {
  ASSERT_TRUE(CreateStream());
  // Until leaders are spread nobody else hands one over.
  cluster_.Advance(5000);
  ASSERT_TRUE(cluster_.AwaitLeaders());
  const GroupId group = GroupOfStream();
  const uint64_t leader = cluster_.LeaderOf(group).value_or(0);
  const uint64_t to = After(leader);
  cluster_.Cut(leader, to);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Acknowledged(leader));
  EXPECT_EQ(OutcomeOf(leader, to, group), Number(TransferOutcome::kBegun));
  cluster_.Heal();
  EXPECT_TRUE(cluster_.RunUntil([&] { return cluster_.LeaderOf(group) == to; }, 1000));
  ASSERT_TRUE(cluster_.AwaitLeaders());
  cluster_.Cut(to, leader);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(Acknowledged(to)) << i;
  EXPECT_EQ(OutcomeOf(to, leader, group), Number(TransferOutcome::kBehind));
}

TEST_F(TransferTest, EachRefusalSaysWhatStoodInTheWay) {
  const uint64_t leader = Leader();
  const uint64_t other = After(leader);
  const uint64_t third = After(other);
  EXPECT_EQ(OutcomeOf(leader, leader), Number(TransferOutcome::kLeads));
  auto elsewhere = Ask(other, third);
  ASSERT_TRUE(elsewhere.ok());
  EXPECT_EQ(elsewhere->outcome, TransferOutcome::kNotLeader);
  EXPECT_EQ(Raw(elsewhere->leader), leader);
  EXPECT_EQ(OutcomeOf(leader, 4), Number(TransferOutcome::kNoVoter));
  EXPECT_EQ(OutcomeOf(leader, 2, GroupId{4}), 100 + static_cast<int>(StatusCode::kInvalidArgument));
}

TEST_F(TransferTest, ANodeThatIsAwayIsNotAskedAndOneThatIsAskedTwiceIsToldSo) {
  const uint64_t leader = Leader();
  const uint64_t other = After(leader);
  cluster_.Isolate(other);
  // It was heard of a moment ago.
  EXPECT_EQ(OutcomeOf(leader, other), Number(TransferOutcome::kBegun));
  EXPECT_EQ(OutcomeOf(leader, After(other)), Number(TransferOutcome::kHandsOver));
  // Given up after an election timeout; by then it is known to be away.
  EXPECT_TRUE(cluster_.RunUntil(
      [&] {
        const uint64_t now = Leader();
        return now != 0 && OutcomeOf(now, other) == Number(TransferOutcome::kNotThere);
      },
      20'000));
}

}  // namespace
}  // namespace ursula::engine
