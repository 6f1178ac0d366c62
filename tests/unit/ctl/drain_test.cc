#include <gtest/gtest.h>

#include "server/ctl/node_changes.h"
#include "tests/unit/ctl/node_changes_rig.h"

namespace ursula::ctl {
namespace {

using Kind = NodeChange::Kind;
using State = NodeChange::State;

TEST_F(NodeChangesTest, ACordonIsDoneOnceItIsTaken) {
  AnswerAll("cordon", 3, 200, kAccepted);
  AnswerAll("uncordon", 3, 200, kIsSo);
  NodeChanges cordon = New(Kind::kCordon, 3);
  EXPECT_FALSE(cordon.Round());
  EXPECT_EQ(Of(cordon).state, State::kDone);
  NodeChanges uncordon = New(Kind::kUncordon, 3);
  EXPECT_FALSE(uncordon.Round());
  EXPECT_EQ(Of(uncordon).state, State::kWasSo);
}

TEST_F(NodeChangesTest, ADrainEndsWhenTheNodeLeadsNothing) {
  AnswerAll("cordon", 1, 200, kIsSo);
  NodeChanges changes = New(Kind::kDrain, 1);
  EXPECT_EQ(WaitsFor(&changes), "");
  EXPECT_EQ(WaitsFor(&changes), "node 1 leads 2 of 4 groups");
  groups_[0].leader = 2;
  EXPECT_EQ(WaitsFor(&changes), "node 1 leads 1 of 4 groups");
  groups_[1].leader = 0;
  EXPECT_EQ(WaitsFor(&changes), "node 1 leads none, and 1 of 4 groups have no leader at all")
      << "it may be its again";
  groups_[1].leader = 3;
  Say();
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(Of(changes).state, State::kDone) << "it was cordoned, and led all the same";
  NodeChanges again = New(Kind::kDrain, 1);
  EXPECT_TRUE(again.Round());
  EXPECT_FALSE(again.Round());
  EXPECT_EQ(Of(again).state, State::kWasSo);
}

TEST_F(NodeChangesTest, ADrainThatCannotGoOnSaysWhy) {
  AnswerAll("cordon", 1, 200, kAccepted);
  members_ = {{1, "member", true}, {2, "member", true}, {3, "member", true}};
  NodeChanges changes = New(Kind::kDrain, 1);
  WaitsFor(&changes);
  EXPECT_EQ(WaitsFor(&changes),
            "node 1 leads 2 of 4 groups; nobody can take over: node 2 is cordoned, node 3 is "
            "cordoned (ursulactl node uncordon N lets one lead)");
  members_ = {{1, "member", true}, {2, "joining"}, {3}};
  EXPECT_EQ(WaitsFor(&changes), "node 1 leads 2 of 4 groups") << "node 3 may yet";
  Stop(3);
  EXPECT_EQ(WaitsFor(&changes),
            "node 1 leads 2 of 4 groups; nobody can take over: node 2 is joining, node 3 doesn't "
            "answer");
  members_ = {{1, "member", true}};
  EXPECT_EQ(WaitsFor(&changes), "node 1 leads 2 of 4 groups; there is no other node to lead them");
}

TEST_F(NodeChangesTest, WhereNobodyAnswersNothingIsDrained) {
  AnswerAll("cordon", 1, 200, kAccepted);
  NodeChanges changes = New(Kind::kDrain, 1);
  changes.Round();
  for (uint64_t node : {1, 2, 3}) Stop(node);
  EXPECT_EQ(WaitsFor(&changes), "no node that answers tells who leads");
}

}  // namespace
}  // namespace ursula::ctl
