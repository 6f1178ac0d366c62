#include "server/admin/node_text.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace ursula::admin {
namespace {

using Kind = MemberChange::Kind;

constexpr MemberChange kChange = {Kind::kAdd, NodeId{4}};

std::string BodyOf(const protocol::Response& response) {
  return std::string(response.body.at(0).view());
}

// "409 IS_MEMBER: the sentence".
std::string Told(const Result<MemberReply>& reply, NodeId asked = NodeId{1}) {
  const protocol::Response response = NodeResponse(kChange, asked, reply);
  const std::string body = BodyOf(response);
  const std::string start = "{\"error\":{\"code\":\"", middle = "\",\"message\":\"";
  const std::size_t at = body.find(middle);
  EXPECT_EQ(body.find(start), 0u) << body;
  EXPECT_NE(at, std::string::npos) << body;
  return std::to_string(response.status) + " " + body.substr(start.size(), at - start.size()) +
         ": " + body.substr(at + middle.size(), body.size() - at - middle.size() - 3);
}

TEST(NodeTextTest, ANodeAndAChangeAreAskedFor) {
  const std::vector<std::pair<std::string, Kind>> changes = {{"add", Kind::kAdd},
                                                             {"remove", Kind::kRemove},
                                                             {"cordon", Kind::kCordon},
                                                             {"uncordon", Kind::kUncordon}};
  for (const auto& [name, kind] : changes) {
    const auto change = ParseNodeChange("node=4&change=" + name);
    ASSERT_TRUE(change.ok()) << name;
    EXPECT_EQ(change->kind, kind);
    EXPECT_EQ(change->node, NodeId{4});
  }
  for (const char* query :
       {"", "node=4", "change=add", "node=0&change=add", "node=-1&change=add", "node=x&change=add",
        "node=04&change=add", "node=18446744073709551616&change=add",
        "node=4&change=", "node=4&change=drain", "node=4&change=Add", "node=4&node=4&change=add",
        "node=4&change=add&change=remove", "node=4&change=%zz"}) {
    EXPECT_EQ(ParseNodeChange(query).status().code(), StatusCode::kInvalidArgument) << query;
  }
}

TEST(NodeTextTest, WhatTheClusterRemembersIsJson) {
  const auto accepted = NodeResponse(kChange, NodeId{1}, MemberReply{});
  EXPECT_EQ(accepted.status, 200);
  EXPECT_EQ(accepted.headers.Find("Content-Type"), "application/json");
  EXPECT_EQ(BodyOf(accepted), "{\"node\":4,\"change\":\"add\",\"outcome\":\"accepted\"}\n");
  EXPECT_EQ(BodyOf(NodeResponse({Kind::kUncordon, NodeId{65535}}, NodeId{1},
                                MemberReply{MemberOutcome::kIsSo})),
            "{\"node\":65535,\"change\":\"uncordon\",\"outcome\":\"is_so\"}\n");
}

TEST(NodeTextTest, EachRefusalHasItsCodeAndSaysWhatToDo) {
  EXPECT_EQ(Told(MemberReply{MemberOutcome::kIsMember}),
            "409 IS_MEMBER: node 4 is a member, or on its way to be one: see members of /cluster");
  EXPECT_EQ(Told(MemberReply{MemberOutcome::kIsNoMember}),
            "404 NO_MEMBER: node 4 is no member: see members of /cluster for those that there are");
  EXPECT_EQ(Told(MemberReply{MemberOutcome::kTooMany}),
            "409 TOO_MANY_NODES: a cluster has at most 5 nodes, those that may join included: "
            "remove another one first");
  EXPECT_EQ(Told(MemberReply{MemberOutcome::kLast}),
            "409 LAST_NODE: no other node is a member for good, and none would be left: add one, "
            "and ask again once it is a member");
  EXPECT_EQ(Told(MemberReply{MemberOutcome::kOtherChange}),
            "409 OTHER_CHANGE: node 4 is leaving, or another change came in between: see members "
            "of /cluster, and ask again");
}

TEST(NodeTextTest, WhatCouldNotBeDecidedIsNoRefusal) {
  EXPECT_EQ(Told(Status(StatusCode::kInvalidArgument, "1 to 65535")),
            "400 INVALID_REQUEST: 1 to 65535");
  EXPECT_EQ(Told(Status(StatusCode::kFailedPrecondition, "it is alone"), NodeId{0}),
            "409 NO_CLUSTER: it is alone: start it with --node-id and --peers to make it one of "
            "several");
  EXPECT_EQ(Told(Status(StatusCode::kFailedPrecondition, "it stops")), "503 UNAVAILABLE: it stops");
  EXPECT_EQ(Told(Status(StatusCode::kUnavailable, "no leader")), "503 UNAVAILABLE: no leader");
  EXPECT_EQ(Told(Status(StatusCode::kOutcomeUnknown, "who knows")),
            "504 OUTCOME_UNKNOWN: who knows: the same may be asked again");
}

}  // namespace
}  // namespace ursula::admin
