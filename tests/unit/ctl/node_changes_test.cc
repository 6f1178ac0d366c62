#include "server/ctl/node_changes.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/ctl/fake_node.h"
#include "tests/unit/ctl/node_changes_rig.h"

namespace ursula::ctl {
namespace {

using Kind = NodeChange::Kind;
using State = NodeChange::State;

std::string Error(const std::string& code) {
  return "{\"error\":{\"code\":\"" + code + "\",\"message\":\"" + code + " it is\"}}";
}

// ---- replace -----------------------------------------------------------------------------------

class NodeReplaceTest : public NodeChangesTest {
 protected:
  std::vector<NodeChange> Wanted(uint64_t from, uint64_t to, std::string* code = nullptr) {
    Say();
    ErrorSeen why;
    std::vector<NodeChange> wanted =
        ChangesToReplace(from, to, Summarize(LookAtAll(&client_, {{"10.0.0.1", 4438}})), &why);
    if (code != nullptr) *code = why.code;
    EXPECT_EQ(wanted.empty(), !why.code.empty());
    return wanted;
  }
  NodeChanges Begin(uint64_t from, uint64_t to) {
    std::vector<NodeChange> wanted = Wanted(from, to);
    return NodeChanges(&client_, LookAtAll(&client_, {{"10.0.0.1", 4438}}), std::move(wanted));
  }
  std::string OldWaitsFor(NodeChanges* changes) {
    Say();
    EXPECT_TRUE(changes->Round());
    return changes->changes().at(1).text;
  }
};

// However long the new one takes to come, the old one stays till then.
TEST_F(NodeReplaceTest, TheOldOneGoesOnceTheNewOneIsThere) {
  AnswerAll("add", 4, 200, kAccepted);
  AnswerAll("remove", 3, 200, kAccepted);
  NodeChanges changes = Begin(3, 4);
  EXPECT_EQ(OldWaitsFor(&changes), "node 3 stays until node 4 is there");
  members_.push_back({4, "invited"});
  for (int look = 0; look < 7; ++look) {
    EXPECT_EQ(OldWaitsFor(&changes), "node 3 stays until node 4 is there");
  }
  EXPECT_EQ(Posts(), std::vector<std::string>{At(1) + " POST /cluster/node?node=4&change=add"});
  running_.insert(4);
  members_[3].stage = "joining";
  OldWaitsFor(&changes);
  EXPECT_EQ(Posts().back(), At(1) + " POST /cluster/node?node=3&change=remove");
  members_[2].stage = "leaving";
  settled_ = 1;
  wait_for_ = "node 4";
  EXPECT_EQ(OldWaitsFor(&changes),
            "node 3 is leaving: 1 of 4 groups are done, and it waits for node 4");
  members_ = {{1}, {2}, {4}};
  groups_[3].leader = 2;
  Say();
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(changes.changes().at(0).state, State::kDone);
  EXPECT_EQ(changes.changes().at(1).state, State::kDone);
  EXPECT_EQ(Posts().size(), 2u);
}

TEST_F(NodeReplaceTest, AskedAgainItGoesOnFromWhereItWas) {
  running_.insert(4);
  members_ = {{1}, {2}, {3, "leaving"}, {4, "joining"}};
  AnswerAll("add", 4, 409, Error("IS_MEMBER"));
  AnswerAll("remove", 3, 200, kIsSo);
  NodeChanges changes = Begin(3, 4);
  for (int look = 0; look < 2; ++look) {
    Say();
    EXPECT_TRUE(changes.Round());
  }
  members_ = {{1}, {2}, {4, "joining"}};
  std::vector<NodeChange> again = Wanted(3, 4);
  EXPECT_EQ(again.at(1).state, State::kWasSo) << "it is gone, and the other one still joins";
  EXPECT_EQ(again.at(0).state, State::kPending);
  members_ = {{1}, {2}, {4}};
  for (int look = 0; look < 3; ++look) {
    Say();
    changes.Round();
  }
  EXPECT_EQ(changes.changes().at(0).state, State::kDone);
  EXPECT_EQ(changes.changes().at(1).state, State::kDone);
}

TEST_F(NodeReplaceTest, WhenItIsTooLateTheOldOneIsToldToBeThereStill) {
  AnswerAll("add", 4, 200, kAccepted);
  NodeChanges changes = Begin(3, 4);
  OldWaitsFor(&changes);
  changes.GiveUp();
  EXPECT_EQ(changes.changes().at(1).state, State::kLate);
  EXPECT_EQ(changes.changes().at(1).code, "LATE");
  EXPECT_EQ(changes.changes().at(1).text,
            "node 3 stays until node 4 is there; nothing was asked of it yet: the same command "
            "goes on from here");
}

TEST_F(NodeReplaceTest, NobodyIsAddedForOneThatIsNoMember) {
  std::string code;
  Wanted(9, 4, &code);
  EXPECT_EQ(code, "NO_MEMBER");
  members_.push_back({5, "invited"});
  Wanted(5, 4, &code);
  EXPECT_EQ(code, "NO_MEMBER");
  groups_[0].leader = 0;
  Wanted(3, 4, &code);
  EXPECT_EQ(code, "NO_LEADER");
}

TEST_F(NodeReplaceTest, TheOldOneStaysWhereTheNewOneIsRefused) {
  AnswerAll("add", 6, 409, Error("TOO_MANY_NODES"));
  NodeChanges changes = Begin(3, 6);
  Say();
  changes.Round();
  Say();
  EXPECT_FALSE(changes.Round());
  for (const NodeChange& change : changes.changes()) {
    EXPECT_EQ(change.state, State::kRefused);
    EXPECT_EQ(change.code, "TOO_MANY_NODES");
  }
  EXPECT_EQ(changes.changes().at(1).text, "node 3 stays: TOO_MANY_NODES it is");
  EXPECT_EQ(Posts().size(), 1u);
}

// ---- add ---------------------------------------------------------------------------------------

TEST_F(NodeChangesTest, AnAddedNodeIsWaitedForUntilItIsAMember) {
  AnswerAll("add", 4, 200, kAccepted);
  NodeChanges changes = New(Kind::kAdd, 4);
  EXPECT_EQ(WaitsFor(&changes), "");
  members_.push_back({4, "invited"});
  EXPECT_EQ(WaitsForLong(&changes),
            "node 4 may join, and isn't there yet: start it with an empty directory and this "
            "cluster's --peers");
  running_.insert(4);
  waiting_.insert(4);
  EXPECT_EQ(WaitsForLong(&changes),
            "node 4 is there, and waits to be taken in: its log says for what");
  members_.push_back({5, "joining"});
  members_[3].stage = "joining";
  waiting_.clear();
  settled_ = 3;
  wait_for_ = "node 4";
  EXPECT_EQ(WaitsFor(&changes),
            "node 4 is joining: 3 of 4 groups are done, and it waits for node 4");
  members_[3].stage = "member";
  Say();
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(Of(changes).state, State::kDone);
  EXPECT_EQ(Posts(), std::vector<std::string>{At(1) + " POST /cluster/node?node=4&change=add"});
}

TEST_F(NodeChangesTest, WhyAnInvitedNodeIsNotThereIsToldAsFarAsItIsKnown) {
  AnswerAll("add", 4, 200, kAccepted);
  NodeChanges changes = New(Kind::kAdd, 4);
  members_.push_back({4, "invited"});
  WaitsFor(&changes);
  std::string json = ClusterJson(1, groups_, {2, 3, 4});
  json.replace(json.rfind("\"connected\":true"), 16,
               "\"connected\":false,\"refusal\":\"no route\"");
  nodes_.Say(At(1), With(json, MembersJson(members_)));
  for (uint64_t node : {2, 3}) nodes_.Say(At(node), ClusterJson(node, groups_, {1}));
  for (int look = 0; look < 2; ++look) EXPECT_TRUE(changes.Round());
  EXPECT_EQ(Of(changes).text,
            "node 4 may join, and isn't there yet: start it with an empty directory and this "
            "cluster's --peers (node 1: no route)");
  nodes_.Say(At(1), With(ClusterJson(1, groups_, {2, 3, 4}), MembersJson(members_)));
  for (int look = 0; look < 2; ++look) EXPECT_TRUE(changes.Round());
  EXPECT_EQ(Of(changes).text, "node 4 is there, and waits to be taken in: its log says for what")
      << "its peers are connected with it";
  nodes_.Say(At(1), With(ClusterJson(1, groups_, {2, 3}), MembersJson(members_)));
  for (int look = 0; look < 2; ++look) EXPECT_TRUE(changes.Round());
  EXPECT_EQ(
      Of(changes).text,
      "node 4 may join, and no member knows where it is: name it in their --peers, and start "
      "them again, one after the other (--peers names 1, 3 or 5 nodes, 1 to n without a gap)");
  running_.insert(4);
  EXPECT_EQ(WaitsForLong(&changes),
            "node 4 may join, and runs with a directory of before: stop it, and start it with an "
            "empty directory and this cluster's --peers");
}

TEST_F(NodeChangesTest, ALoneNodeBesideAnOddNumberIsToldToWaitForAnother) {
  AnswerAll("add", 4, 200, kAccepted);
  NodeChanges changes = New(Kind::kAdd, 4);
  WaitsFor(&changes);
  members_.push_back({4, "joining"});
  wait_for_ = "node 4";
  EXPECT_EQ(WaitsFor(&changes).find("even number"), std::string::npos) << "it isn't whole yet";
  wait_for_ = "";
  const std::string lone =
      "node 4 is joining: 0 of 4 groups are done; an even number of voters survives no more "
      "failures than the odd one below it: it holds everything and votes once there is another "
      "one; ";
  EXPECT_EQ(WaitsFor(&changes), lone + "ursulactl node add N");
  running_.insert(5);
  waiting_.insert(5);
  EXPECT_EQ(WaitsFor(&changes), lone + "ursulactl node add 5");
  members_.push_back({5, "invited"});
  EXPECT_EQ(WaitsFor(&changes), lone + "start node 5, which may join");
  members_.pop_back();
  peers_ = {1, 2, 3, 4};
  EXPECT_EQ(WaitsFor(&changes), lone + "ursulactl node add N");
  changes.GiveUp();
  EXPECT_EQ(Of(changes).state, State::kLate);
  EXPECT_EQ(Of(changes).code, "LATE");
  EXPECT_EQ(Of(changes).text,
            lone + "ursulactl node add N; it goes on: see ursulactl status, or ask again");
}

TEST_F(NodeChangesTest, WhatWasAskedForBeforeIsWaitedForAllTheSame) {
  AnswerAll("add", 4, 409, Error("IS_MEMBER"));
  members_.push_back({4, "joining"});
  NodeChanges joins = New(Kind::kAdd, 4);
  WaitsFor(&joins);
  EXPECT_NE(WaitsFor(&joins), "");
  members_[3].stage = "member";
  Say();
  EXPECT_FALSE(joins.Round());
  EXPECT_EQ(Of(joins).state, State::kDone);
  NodeChanges is_so = New(Kind::kAdd, 4);
  EXPECT_TRUE(is_so.Round());
  EXPECT_FALSE(is_so.Round());
  EXPECT_EQ(Of(is_so).state, State::kWasSo);
}

// ---- remove ------------------------------------------------------------------------------------

TEST_F(NodeChangesTest, ARemovedNodeIsWaitedForUntilTheLeaderHasItNoMore) {
  AnswerAll("remove", 3, 200, kAccepted);
  NodeChanges changes = New(Kind::kRemove, 3);
  EXPECT_EQ(WaitsFor(&changes), "");
  EXPECT_EQ(WaitsForLong(&changes), "node 3 is to leave, and hasn't begun to");
  members_[2].stage = "leaving";
  settled_ = 900;
  wait_for_ = "node 2";
  EXPECT_EQ(WaitsFor(&changes),
            "node 3 is leaving: 4 of 4 groups are done, and it waits for node 2")
      << "more groups than there are";
  // Another than the leader has it no more: that is not enough.
  Say();
  nodes_.Say(At(2), With(ClusterJson(2, groups_, {1, 3}), MembersJson({{1}, {2}})));
  EXPECT_TRUE(changes.Round());
  members_.pop_back();
  Say();
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(Of(changes).state, State::kDone);
}

TEST_F(NodeChangesTest, WhoIsNamedMayGoAwayInTheMiddle) {
  Answer(2, "remove", 1, 200, kAccepted);
  NodeChanges changes = New(Kind::kRemove, 1);
  EXPECT_EQ(WaitsFor(&changes), "");
  EXPECT_EQ(Posts().size(), 1u) << "who is to go is asked last";
  Stop(1);
  EXPECT_EQ(WaitsForLong(&changes), "node 1 is to leave, and hasn't begun to");
  groups_[0] = {0, 2, 2, 2};
  members_.erase(members_.begin());
  Say();
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(Of(changes).state, State::kDone);
}

TEST_F(NodeChangesTest, WhatGivesUpSaysWhatItWaitsFor) {
  AnswerAll("remove", 3, 200, kAccepted);
  NodeChanges changes = New(Kind::kRemove, 3);
  changes.Round();
  changes.GiveUp();
  EXPECT_EQ(Of(changes).code, "LATE");
  EXPECT_EQ(Of(changes).text,
            "the cluster has taken it, and hasn't told more yet; it goes on: see ursulactl status, "
            "or ask again");
}

// What the leader tells is of its last tick.
TEST_F(NodeChangesTest, WhatMayBeOfBeforeIsToldOnceItLasts) {
  AnswerAll("add", 4, 200, kAccepted);
  AnswerAll("remove", 3, 200, kAccepted);
  NodeChanges add = New(Kind::kAdd, 4);
  WaitsFor(&add);
  EXPECT_EQ(WaitsFor(&add), "");
  EXPECT_EQ(WaitsFor(&add), "node 4 isn't among the members: was it removed meanwhile?");
  members_.push_back({4, "joining"});
  EXPECT_NE(WaitsFor(&add).find("is joining"), std::string::npos);
  members_.pop_back();
  EXPECT_NE(WaitsFor(&add).find("is joining"), std::string::npos) << "once";
  members_.push_back({4, "invited"});
  EXPECT_NE(WaitsFor(&add).find("is joining"), std::string::npos) << "and something else once";
  EXPECT_NE(WaitsFor(&add).find("may join"), std::string::npos);
  members_.pop_back();
  NodeChanges remove = New(Kind::kRemove, 3);
  WaitsFor(&remove);
  EXPECT_EQ(WaitsFor(&remove), "");
  EXPECT_EQ(WaitsFor(&remove), "node 3 is to leave, and hasn't begun to");
}

TEST_F(NodeChangesTest, WhereTheLeaderIsNotSeenWhoTookItTellsTheEnd) {
  groups_[0].leader = 3;
  for (uint64_t node : {1, 2}) Answer(node, "add", 4, 200, kAccepted);
  NodeChanges add = New(Kind::kAdd, 4);
  Stop(3);
  WaitsFor(&add);
  members_.push_back({4, "joining"});
  settled_ = 2;
  EXPECT_EQ(WaitsFor(&add),
            "node 4 is joining: how far it is group 0's leader tells alone, which doesn't answer: "
            "name its --admin-listen address with --admin");
  members_.back().stage = "member";
  Say();
  const auto took = nodes_.answers[At(1)];
  nodes_.answers.erase(At(1));
  EXPECT_TRUE(add.Round());
  EXPECT_EQ(Of(add).text.substr(0, 42), "group 0 has no leader that answers, so nob")
      << "another may have applied less than who took it";
  nodes_.answers[At(1)] = took;
  EXPECT_FALSE(add.Round());
  EXPECT_EQ(Of(add).state, State::kDone);
  for (uint64_t node : {1, 2}) Answer(node, "remove", 4, 200, kAccepted);
  NodeChanges remove = New(Kind::kRemove, 4);
  WaitsFor(&remove);
  members_.back().stage = "leaving";
  EXPECT_EQ(WaitsFor(&remove).substr(0, 25), "node 4 is leaving: how fa");
  members_.pop_back();
  Say();
  EXPECT_FALSE(remove.Round());
  EXPECT_EQ(Of(remove).state, State::kDone);
}

// ---- who is asked, and what it answers ---------------------------------------------------------

TEST_F(NodeChangesTest, TheNextIsAskedWhereOneCannot) {
  Answer(1, "cordon", 3, 503, Error("UNAVAILABLE"));
  nodes_.on_asked = [this] {  // Away since it was looked at.
    if (!Posts().empty()) nodes_.answers.erase(At(2));
  };
  Answer(3, "cordon", 3, 200, kAccepted);
  NodeChanges changes = New(Kind::kCordon, 3);
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(Of(changes).state, State::kDone);
  EXPECT_EQ(Posts().size(), 3u);
}

TEST_F(NodeChangesTest, WhoIsNotReadyOrNoMemberIsNotAskedFirst) {
  running_ = {1, 2, 3, 4, 5};
  waiting_ = {5};
  members_ = {{1}, {2}, {3}, {4, "invited"}};
  Say();
  const std::string body = nodes_.answers[At(1)]["GET /cluster"].body;
  std::string unready = body;
  unready.replace(unready.find("\"ready\":true"), 12, "\"ready\":false");
  nodes_.Say(At(1), unready);
  AnswerAll("cordon", 2, 503, Error("UNAVAILABLE"));
  NodeChanges changes(&client_, LookAtAll(&client_, {{"10.0.0.1", 4438}}),
                      {{.kind = Kind::kCordon, .node = 2}});
  EXPECT_TRUE(changes.Round());
  const std::string post = " POST /cluster/node?node=2&change=cordon";
  EXPECT_EQ(Posts(), (std::vector<std::string>{At(3) + post, At(1) + post, At(2) + post}));
}

TEST_F(NodeChangesTest, WhatMayPassIsAskedForAgainAndNotAtOnce) {
  for (const char* code : {"OTHER_CHANGE", "OUTCOME_UNKNOWN", "UNAVAILABLE"}) {
    nodes_.asked.clear();
    const int status = std::string(code) == "UNAVAILABLE" ? 503 : 504;
    for (uint64_t node : {1, 2, 3}) Answer(node, "add", 4, status, Error(code));
    NodeChanges changes = New(Kind::kAdd, 4);
    EXPECT_EQ(WaitsFor(&changes), std::string(code) + " it is");
    const std::size_t once = Posts().size();
    EXPECT_EQ(once, status == 503 ? 3u : 1u);
    for (int i = 0; i < 4; ++i) WaitsFor(&changes);
    EXPECT_EQ(Posts().size(), once);
    WaitsFor(&changes);
    EXPECT_EQ(Posts().size(), 2 * once);
    changes.GiveUp();
    EXPECT_EQ(Of(changes).state, State::kLate);
    EXPECT_EQ(Of(changes).code, code);
    EXPECT_EQ(Of(changes).text, std::string(code) + " it is");
  }
}

TEST_F(NodeChangesTest, ARefusalForGoodEndsIt) {
  for (const char* code : {"NO_MEMBER", "TOO_MANY_NODES", "LAST_NODE", "NO_CLUSTER", "FORBIDDEN",
                           "INVALID_REQUEST", "METHOD_NOT_ALLOWED", "NOT_FOUND", "IS_MEMBER"}) {
    AnswerAll("remove", 4, 409, Error(code));
    NodeChanges changes = New(Kind::kRemove, 4);
    EXPECT_FALSE(changes.Round()) << code;
    EXPECT_EQ(Of(changes).state, State::kRefused);
    EXPECT_EQ(Of(changes).code, code);
    EXPECT_EQ(Of(changes).text, std::string(code) + " it is");
  }
  for (const char* odd : {"", "?", "[]", "{\"outcome\":7}", "{\"error\":{}}"}) {
    for (int status : {200, 500}) {
      AnswerAll("remove", 4, status, odd);
      NodeChanges changes = New(Kind::kRemove, 4);
      EXPECT_FALSE(changes.Round()) << odd;
      EXPECT_EQ(Of(changes).code, "ODD_ANSWER");
    }
  }
}

// Asked again, the node is gone: it was the first one that did it.
TEST_F(NodeChangesTest, ARemovalWhoseOutcomeWasUnknownMayHaveComeAbout) {
  AnswerAll("remove", 3, 504, Error("OUTCOME_UNKNOWN"));
  NodeChanges changes = New(Kind::kRemove, 3);
  WaitsFor(&changes);
  members_.pop_back();
  AnswerAll("remove", 3, 404, Error("NO_MEMBER"));
  for (int i = 0; i < 5; ++i) WaitsFor(&changes);
  Say();
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(Of(changes).state, State::kDone);
}

TEST_F(NodeChangesTest, NobodyToAskIsTold) {
  NodeChanges changes = New(Kind::kCordon, 3);
  for (uint64_t node : {1, 2, 3}) Stop(node);
  EXPECT_TRUE(changes.Round());
  EXPECT_EQ(Of(changes).code, "UNREACHABLE");
  EXPECT_NE(Of(changes).text.find("Connection refused"), std::string::npos);
  for (int i = 0; i < 5; ++i) WaitsFor(&changes);
  EXPECT_EQ(Of(changes).text,
            "no member of the cluster answers: ursulactl status shows which there are");
}

TEST_F(NodeChangesTest, WhereANodeOfAnotherClusterTurnsUpNothingMoreIsAsked) {
  Say();
  nodes_.answers.erase(At(1));
  AnswerAll("add", 4, 200, kAccepted);
  NodeChanges changes(&client_, LookAtAll(&client_, {{"10.0.0.1", 4438}, {"10.0.0.2", 4438}}),
                      {{.kind = Kind::kAdd, .node = 4}});
  nodes_.answers.erase(At(1));
  for (uint64_t node : {2, 3}) Answer(node, "add", 4, 503, Error("UNAVAILABLE"));
  EXPECT_TRUE(changes.Round());
  const std::size_t posts = Posts().size();
  nodes_.Say(At(1), With(ClusterJson(1, {{0, 1, 9, 9}}, {}, "cd"), MembersJson({{1}})));
  Answer(1, "add", 4, 200, kAccepted);
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(Of(changes).state, State::kRefused);
  EXPECT_EQ(Of(changes).code, "OTHER_CLUSTER");
  EXPECT_EQ(Posts().size(), posts);
}

// One of an older release doesn't know the request.
TEST_F(NodeChangesTest, WhatOneDoesNotKnowTheNextMay) {
  Answer(1, "cordon", 3, 404, Error("NOT_FOUND"));
  Answer(2, "cordon", 3, 405, "?");
  Answer(3, "cordon", 3, 200, kAccepted);
  NodeChanges changes = New(Kind::kCordon, 3);
  EXPECT_FALSE(changes.Round());
  EXPECT_EQ(Of(changes).state, State::kDone);
  Answer(3, "cordon", 3, 503, Error("UNAVAILABLE"));
  NodeChanges pending = New(Kind::kCordon, 3);
  EXPECT_TRUE(pending.Round()) << "one of them may take it yet";
  Answer(3, "cordon", 3, 405, Error("METHOD_NOT_ALLOWED"));
  NodeChanges refused = New(Kind::kCordon, 3);
  EXPECT_FALSE(refused.Round());
  EXPECT_EQ(Of(refused).state, State::kRefused);
  EXPECT_EQ(Of(refused).code, "METHOD_NOT_ALLOWED");
}

TEST_F(NodeChangesTest, OnlyWhatIsKnownToBeTakenIs) {
  AnswerAll("cordon", 3, 200, "{\"outcome\":\"queued\"}");
  NodeChanges odd = New(Kind::kCordon, 3);
  EXPECT_FALSE(odd.Round());
  EXPECT_EQ(Of(odd).state, State::kRefused);
  EXPECT_EQ(Of(odd).code, "ODD_ANSWER");
  Answer(3, "cordon", 3, 200, kIsSo);
  NodeChanges unsure = New(Kind::kCordon, 3);
  EXPECT_FALSE(unsure.Round());
  EXPECT_EQ(Of(unsure).state, State::kDone) << "who answered oddly may have done it";
}

TEST_F(NodeChangesTest, AfterItsTimeNoQuestionBegins) {
  Say();
  for (uint64_t node : {3, 4}) AnswerAll("cordon", node, 503, Error("UNAVAILABLE"));
  NodeChanges changes(&client_, LookAtAll(&client_, {{"10.0.0.1", 4438}}),
                      {{.kind = Kind::kCordon, .node = 3}, {.kind = Kind::kCordon, .node = 4}});
  const Deadline end(1);
  end.Await();
  EXPECT_TRUE(changes.Round(&end));
  EXPECT_EQ(Posts().size(), 1u) << "what was wanted is asked for once";
  const std::size_t asked = nodes_.asked.size();
  for (int round = 0; round < 6; ++round) EXPECT_TRUE(changes.Round(&end));
  EXPECT_EQ(nodes_.asked.size(), asked);
  changes.GiveUp();
  EXPECT_EQ(Of(changes).code, "UNAVAILABLE");
  EXPECT_EQ(changes.changes().at(1).code, "LATE");
  EXPECT_EQ(changes.changes().at(1).text,
            "there was no time to ask for it: give it more with --wait-ms");
}

// ---- replicas ----------------------------------------------------------------------------------

class ReplicasTest : public NodeChangesTest {
 protected:
  // "add 4, add 5", or "CODE: why".
  std::string Plan(uint64_t count) {
    Say();
    const Survey survey = LookAtAll(&client_, {{"10.0.0.1", 4438}});
    ErrorSeen why;
    std::string text;
    for (const NodeChange& change : ChangesTo(count, Summarize(survey), survey, &why)) {
      text += (text.empty() ? "" : ", ") + std::string(NameOf(change.kind)) + " " +
              std::to_string(change.node);
    }
    return why.code.empty() ? text : why.code + ": " + why.message;
  }
};

TEST_F(ReplicasTest, ThoseThatWaitAreAddedIfTheyAreJustAsMany) {
  running_ = {1, 2, 3, 4, 5};
  waiting_ = {4, 5};
  peers_ = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(Plan(5), "add 4, add 5") << "whoever else is named";
  openings_[5] = "reading the log: 1 of 2 MiB";
  EXPECT_EQ(Plan(5).substr(0, 12), "WHICH_NODE: ") << "it recovers, and is of some cluster";
  openings_.clear();
  Stop(4);
  EXPECT_EQ(Plan(5),
            "WHICH_NODE: the cluster has 3 nodes, so 2 more are to be added, and those that wait "
            "are: 5; say which: ursulactl node add N, one after the other");
  Stop(5);
  EXPECT_EQ(Plan(5),
            "WHICH_NODE: the cluster has 3 nodes, so 2 more are to be added, and none waits that a "
            "member names as its peer; say which: ursulactl node add N, one after the other");
  peers_ = {1, 2, 3, 4, 5};
  EXPECT_EQ(Plan(5).substr(0, 12), "WHICH_NODE: ") << "named, and maybe just removed";
}

TEST_F(ReplicasTest, WhoWaitsAndIsNamedByNoMemberIsNotAdded) {
  running_ = {1, 2, 3, 4, 5};
  waiting_ = {4, 5};
  Say();
  for (uint64_t node : {1, 2, 3}) {
    nodes_.Say(At(node), With(ClusterJson(node, groups_, {1, 2, 3, 4}), MembersJson(members_)));
  }
  const Survey survey = LookAtAll(&client_, {{"10.0.0.1", 4438}, {"10.0.0.5", 4438}});
  ErrorSeen why;
  EXPECT_TRUE(ChangesTo(5, Summarize(survey), survey, &why).empty());
  EXPECT_EQ(why.code, "WHICH_NODE");
}

TEST_F(ReplicasTest, ThoseThatAreOnTheirWayCountAndAreWaitedFor) {
  EXPECT_EQ(Plan(3), "");
  members_ = {{1}, {2}, {3}, {4, "invited"}};
  running_.insert(5);
  waiting_.insert(5);
  EXPECT_EQ(Plan(5), "add 4, add 5");
  members_ = {{1}, {2}, {3}, {4, "joining"}, {5, "invited"}};
  EXPECT_EQ(Plan(5), "add 4, add 5");
  members_ = {{1}, {2}, {3}, {4}, {5, "leaving"}};
  EXPECT_EQ(Plan(5),
            "WHICH_NODE: the cluster has 4 nodes, so 1 more is to be added, and none waits that "
            "a member names as its peer; say which: ursulactl node add N, one after the other");
}

TEST_F(ReplicasTest, WhichToLoseIsTheOperatorsToSay) {
  EXPECT_EQ(Plan(1),
            "WHICH_NODE: the cluster has 3 nodes, and which of them to lose is yours to say: "
            "ursulactl node remove N, one after the other");
}

TEST_F(ReplicasTest, WithoutALeaderNobodyKnowsHowManyThereAre) {
  groups_[0].leader = 0;
  EXPECT_EQ(Plan(5).substr(0, 11), "NO_LEADER: ");
  groups_[0].leader = 1;
  members_.clear();
  EXPECT_EQ(Plan(5).substr(0, 11), "NO_LEADER: ");
}

}  // namespace
}  // namespace ursula::ctl
