#include "server/admin/recovery_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ursula::admin {
namespace {

RecoveryPlan Plan() {
  return {.number = 1,
          .cluster_before = 0x1f,
          .cluster_id = 0x2f,
          .history_id = 0x3f,
          .term = 1007,
          .survivors = {{NodeId{1}, 0x5c, 1}, {NodeId{4}, 0x6c, 2}},
          .lost = {NodeId{2}, NodeId{3}, NodeId{5}}};
}

constexpr const char* kQuery =
    "number=1&before=000000000000001f&cluster=000000000000002f&history=000000000000003f&term=1007&"
    "survivors=1-000000000000005c-1,4-000000000000006c-2&lost=2,3,5";

std::string CodeOf(const protocol::Response& response) {
  const std::string body(response.body.at(0).view());
  const std::string start = "{\"error\":{\"code\":\"";
  if (body.find(start) != 0) return std::to_string(response.status) + " " + body;
  return std::to_string(response.status) + " " +
         body.substr(start.size(), body.find('"', start.size()) - start.size());
}

TEST(RecoveryTextTest, APlanIsAQueryAndBack) {
  EXPECT_EQ(RecoveryQuery(Plan()), kQuery);
  const Result<RecoveryPlan> plan = ParseRecovery(kQuery);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(*plan, Plan());
  const std::string query = kQuery;
  for (const std::string part :
       {"number=1&", "&before=000000000000001f", "&term=1007", "-1,4", "&lost=2,3,5"}) {
    std::string without = query;
    without.erase(without.find(part), part.size());
    EXPECT_EQ(ParseRecovery(without).status().code(), StatusCode::kInvalidArgument) << without;
  }
  std::string many = query;
  for (int i = 0; i < 20; ++i) many += ",9";
  for (const std::string& bad : {query + "&lost=2", query + ",", query + "x", many,
                                 std::string("survivors=1-2"), std::string()}) {
    EXPECT_EQ(ParseRecovery(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(RecoveryTextTest, WhatANodeHasIsJson) {
  RecoveryStatus status{.node = NodeId{1},
                        .cluster_id = 0x1f,
                        .directory = 0x5c,
                        .plan = Plan(),
                        .stored = true,
                        .members = {NodeId{1}, NodeId{2}}};
  status.groups.push_back({.group = GroupId{3},
                           .term = 7,
                           .last_term = 6,
                           .last_index = 5,
                           .commit = 4,
                           .lacking_bytes = 2,
                           .voters = {NodeId{1}, NodeId{2}}});
  EXPECT_EQ(RecoveryJson(status),
            std::string("{\"node\":1,\"cluster_id\":\"000000000000001f\",\"directory\":"
                        "\"000000000000005c\",\"lives_before\":0,\"number\":0,\"stored\":true,"
                        "\"plan\":\"") +
                kQuery +
                "\",\"members\":[1,2],\"groups\":[{\"group\":3,\"has_leader\":false,\"term\":7,"
                "\"last_term\":6,\"last_index\":5,\"commit\":4,\"lacking_bytes\":2,\"voters\":[1,2]"
                ",\"voters_outgoing\":[]}]}\n");
  status.plan.reset();
  EXPECT_NE(RecoveryJson(status).find("\"plan\":\"\""), std::string::npos);
}

TEST(RecoveryTextTest, ALostNodeThatIsConnectedIsThere) {
  std::vector<PeerState> peers(2);
  peers[0].node = NodeId{2};
  peers[1].node = NodeId{4};
  peers[1].connected = true;
  EXPECT_EQ(LostButThere(Plan(), peers), NodeId{});
  peers[0].connected_from = true;
  EXPECT_EQ(LostButThere(Plan(), peers), NodeId{2});
}

TEST(RecoveryTextTest, EachEndingHasItsCode) {
  auto code = [](const Result<RecoveryReply>& reply) {
    return CodeOf(RecoveryResponse(NodeId{1}, reply));
  };
  EXPECT_EQ(code(RecoveryReply{}), "200 {\"node\":1,\"outcome\":\"stored\"}\n");
  EXPECT_EQ(code(RecoveryReply{RecoveryOutcome::kIsSo}),
            "200 {\"node\":1,\"outcome\":\"is_so\"}\n");
  EXPECT_EQ(code(RecoveryReply{RecoveryOutcome::kNotNeeded}), "409 NOT_NEEDED");
  EXPECT_EQ(code(RecoveryReply{RecoveryOutcome::kOtherPlan}), "409 OTHER_PLAN");
  EXPECT_EQ(code(RecoveryReply{RecoveryOutcome::kTerm}), "409 OTHER_TERM");
  EXPECT_EQ(code(Status(StatusCode::kInvalidArgument, "x")), "400 INVALID_REQUEST");
  EXPECT_EQ(code(Status(StatusCode::kIoError, "x")), "503 UNAVAILABLE");
  EXPECT_EQ(code(Status(StatusCode::kFailedPrecondition, "x")), "503 UNAVAILABLE");
}

}  // namespace
}  // namespace ursula::admin
