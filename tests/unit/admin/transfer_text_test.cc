#include "server/admin/transfer_text.h"

#include <gtest/gtest.h>

#include <string>

namespace ursula::admin {
namespace {

constexpr TransferRequest kRequest = {GroupId{3}, NodeId{2}};

std::string BodyOf(const protocol::Response& response) {
  return std::string(response.body.at(0).view());
}

TEST(TransferTextTest, AGroupAndANodeAreAskedFor) {
  auto request = ParseTransfer("group=3&to=2");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->group, GroupId{3});
  EXPECT_EQ(request->to, NodeId{2});
  for (const char* query : {"", "group=3", "to=2", "group=3&to=0", "group=-1&to=2", "group=x&to=2",
                            "group=4294967296&to=2", "group=3&to=2&to=2", "group=03&to=2"}) {
    EXPECT_EQ(ParseTransfer(query).status().code(), StatusCode::kInvalidArgument) << query;
  }
}

TEST(TransferTextTest, WhatWasBegunIsJson) {
  const auto begun =
      TransferResponse(kRequest, NodeId{1}, TransferReply{TransferOutcome::kBegun, NodeId{1}});
  EXPECT_EQ(begun.status, 200);
  EXPECT_EQ(BodyOf(begun), "{\"group\":3,\"to\":2,\"leader\":1,\"outcome\":\"begun\"}\n");
  EXPECT_EQ(BodyOf(TransferResponse(kRequest, NodeId{1},
                                    TransferReply{TransferOutcome::kLeads, NodeId{2}})),
            "{\"group\":3,\"to\":2,\"leader\":2,\"outcome\":\"leads\"}\n");
}

TEST(TransferTextTest, EachRefusalHasItsCode) {
  auto said = [](TransferOutcome outcome, uint64_t leader) {
    const auto response =
        TransferResponse(kRequest, NodeId{1}, TransferReply{outcome, NodeId{leader}});
    EXPECT_EQ(response.status, 409);
    return BodyOf(response);
  };
  auto has = [](const std::string& text, const char* code, const char* words) {
    return text.find("\"" + std::string(code) + "\"") != std::string::npos &&
           text.find(words) != std::string::npos;
  };
  EXPECT_TRUE(has(said(TransferOutcome::kNotLeader, 2), "NOT_LEADER",
                  "node 2 leads group 3, not node 1: ask it"));
  EXPECT_TRUE(has(said(TransferOutcome::kNotLeader, 1), "NOT_LEADER", "isn't ready yet"));
  EXPECT_TRUE(has(said(TransferOutcome::kNotLeader, 0), "NOT_LEADER", "has no leader now"));
  EXPECT_TRUE(has(said(TransferOutcome::kHandsOver, 1), "HANDS_OVER", "again in a second"));
  EXPECT_TRUE(has(said(TransferOutcome::kNoVoter, 1), "NO_VOTER", "has no vote"));
  EXPECT_TRUE(has(said(TransferOutcome::kNotThere, 1), "NOT_THERE", "start it"));
  EXPECT_TRUE(has(said(TransferOutcome::kBehind, 1), "BEHIND", "has caught up"));
  const auto no_group = TransferResponse(
      kRequest, NodeId{1}, Status(StatusCode::kInvalidArgument, "there is no group 3"));
  EXPECT_EQ(no_group.status, 404);
  EXPECT_TRUE(has(BodyOf(no_group), "NO_SUCH_GROUP", "there is no group 3"));
  const auto away =
      TransferResponse(kRequest, NodeId{1}, Status(StatusCode::kFailedPrecondition, "stopping"));
  EXPECT_EQ(away.status, 503);
}

}  // namespace
}  // namespace ursula::admin
