// Which nodes a cluster has: an operator adds, removes and cordons them while it serves.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/random.h"
#include "lib/base/sometimes.h"
#include "lib/engine/engine.h"
#include "tests/support/test_cluster.h"
#include "tests/unit/engine/written.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;
using Kind = MemberChange::Kind;
using Stage = MemberStatus::Stage;

StreamId Id(std::string name) { return {.bucket = kUpstreamBucket, .name = std::move(name)}; }

class Nodes {
 public:
  explicit Nodes(testing::TestClusterOptions options) : cluster_(std::move(options)) {}
  TestCluster& operator*() { return cluster_; }
  TestCluster* operator->() { return &cluster_; }

  void Ask(uint64_t at, Kind kind, uint64_t node, std::optional<Result<MemberReply>>* answer) {
    cluster_.node(at).ChangeMember(
        {.kind = kind, .node = NodeId{node}},
        [answer](Result<MemberReply> reply) { answer->emplace(std::move(reply)); });
  }
  Result<MemberReply> Ask(uint64_t at, Kind kind, uint64_t node) {
    return cluster_.Await<MemberReply>([&](auto done) {
      cluster_.node(at).ChangeMember({.kind = kind, .node = NodeId{node}}, std::move(done));
    });
  }
  // REQUIRES: it is answered.
  MemberOutcome Change(uint64_t at, Kind kind, uint64_t node) {
    Result<MemberReply> reply = Ask(at, kind, node);
    EXPECT_TRUE(reply.ok()) << reply.status().ToString();
    return reply.ok() ? reply->outcome : MemberOutcome::kOtherChange;
  }

  Status Create(uint64_t at, const std::string& name) {
    CreateRequest request;
    request.stream = Id(name);
    auto reply = cluster_.Await<CreateReply>(
        [&](auto done) { cluster_.node(at).Create(std::move(request), std::move(done)); });
    return reply.ok() ? Status() : reply.status();
  }
  Status Append(uint64_t at, const std::string& name, const std::string& text) {
    AppendRequest request;
    request.stream = Id(name);
    request.messages.push_back(Bytes::Copy(text));
    auto reply = cluster_.Await<AppendReply>(
        [&](auto done) { cluster_.node(at).Append(std::move(request), std::move(done)); });
    if (!reply.ok()) return reply.status();
    EXPECT_EQ(reply->outcome, Outcome::kOk);
    return {};
  }
  std::string Read(uint64_t at, const std::string& name) {
    ReadRequest request;
    request.stream = Id(name);
    auto reply = cluster_.Await<ReadReply>(
        [&](auto done) { cluster_.node(at).Read(std::move(request), std::move(done)); });
    if (!reply.ok()) return reply.status().ToString();
    std::string text;
    for (const Bytes& part : reply->parts) text += part.view();
    return text;
  }

  std::optional<MemberStatus> Member(uint64_t at, uint64_t node) {
    const std::vector<MemberStatus> members = cluster_.node(at).Cluster().members;
    auto found = std::ranges::find(members, NodeId{node}, &MemberStatus::node);
    if (found == members.end()) return std::nullopt;
    return *found;
  }
  // These are members, for good, and no others are anything.
  bool Are(uint64_t at, const std::vector<uint64_t>& nodes) {
    const std::vector<MemberStatus> members = cluster_.node(at).Cluster().members;
    if (members.size() != nodes.size()) return false;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (members[i].node != NodeId{nodes[i]} || members[i].stage != Stage::kMember) return false;
    }
    return true;
  }
  bool AwaitMembers(uint64_t at, const std::vector<uint64_t>& nodes) {
    return cluster_.RunUntil([&] { return Are(at, nodes); });
  }
  std::size_t Led(uint64_t node) {
    std::size_t led = 0;
    for (uint32_t group = 0; group < GroupCount(node); ++group) {
      led += cluster_.LeaderOf(GroupId{group}) == node ? 1 : 0;
    }
    return led;
  }
  // Of all groups, as this node has applied them.
  std::size_t Learners(uint64_t at) {
    std::size_t learners = 0;
    Engine& engine = static_cast<Engine&>(cluster_.node(at));
    for (group::Replica* replica : engine.shard(CoreId{0}).Replicas()) {
      learners += replica->members().learners.size();
    }
    return learners;
  }
  std::size_t GroupCount(uint64_t at) { return cluster_.node(at).Cluster().groups.size(); }

 private:
  TestCluster cluster_;
};

TEST(NodesTest, ThreeNodesBecomeFiveAndThreeAgainWhileTheyServe) {
  Nodes nodes({.nodes = 5, .groups = 20, .founders = 3, .cores = {1, 2, 1, 2, 1}});
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes.Create(1, "s").ok());
  ASSERT_TRUE(nodes.Append(1, "s", "three").ok());

  EXPECT_EQ(nodes.Change(2, Kind::kAdd, 4), MemberOutcome::kAccepted);
  EXPECT_EQ(nodes.Change(3, Kind::kAdd, 4), MemberOutcome::kIsSo);
  ASSERT_TRUE(nodes->RunUntil([&] { return nodes.Member(1, 4).has_value(); }));
  EXPECT_EQ(nodes.Member(1, 4)->stage, Stage::kInvited);
  ASSERT_TRUE(nodes->Open(4).ok());
  nodes->Advance(20'000);
  // Four voters survive the loss of one, as three do: it waits for another.
  EXPECT_EQ(nodes.Member(1, 4)->stage, Stage::kJoining);
  EXPECT_EQ(nodes.Read(4, "s"), "three");
  EXPECT_EQ(nodes.Change(4, Kind::kAdd, 5), MemberOutcome::kAccepted);
  ASSERT_TRUE(nodes->Open(5).ok());
  ASSERT_TRUE(nodes.AwaitMembers(5, {1, 2, 3, 4, 5}));
  nodes->Crash(1);
  nodes->Crash(2);
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes.Append(5, "s", "+five").ok());
  EXPECT_EQ(nodes.Read(4, "s"), "three+five");
  ASSERT_TRUE(nodes->Open(1).ok());
  ASSERT_TRUE(nodes->Open(2).ok());
  ASSERT_TRUE(nodes->AwaitLeaders());

  EXPECT_EQ(nodes.Change(4, Kind::kRemove, 4), MemberOutcome::kAccepted);
  EXPECT_EQ(nodes.Change(1, Kind::kRemove, 5), MemberOutcome::kAccepted);
  ASSERT_TRUE(nodes.AwaitMembers(1, {1, 2, 3}));
  for (uint64_t node : {4, 5}) {
    ASSERT_TRUE(nodes->RunUntil(
        [&] { return nodes->node(node).Ready().code() == StatusCode::kFailedPrecondition; }));
    EXPECT_NE(nodes->node(node).Ready().message().find("removed from the cluster"),
              std::string::npos);
    nodes->Crash(node);
  }
  nodes->Crash(1);
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes.Append(2, "s", "+three").ok());
  EXPECT_EQ(nodes.Read(3, "s"), "three+five+three");
  Status again = nodes->Open(4);
  EXPECT_EQ(again.code(), StatusCode::kFailedPrecondition) << again.ToString();
}

TEST(NodesTest, ANodeThatIsRemovedAndAddedAgainIsAnotherLife) {
  Nodes nodes({.groups = 12});
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes.Create(1, "s").ok());
  ASSERT_TRUE(nodes.Append(1, "s", "before").ok());
  ASSERT_TRUE(nodes->Stop(3).ok());
  EXPECT_EQ(nodes.Change(1, Kind::kRemove, 3), MemberOutcome::kAccepted);
  ASSERT_TRUE(nodes.AwaitMembers(2, {1, 2}));
  EXPECT_EQ(nodes.Change(2, Kind::kAdd, 3), MemberOutcome::kAccepted);
  // What it had is none of the cluster's, though the node is welcome.
  ASSERT_TRUE(nodes->Open(3).ok());
  ASSERT_TRUE(nodes->RunUntil([&] {
    return nodes->node(3).Ready().message().find("removed from the cluster") != std::string::npos;
  }));
  nodes->Crash(3);
  nodes->Wipe(3);
  ASSERT_TRUE(nodes->Open(3).ok());
  ASSERT_TRUE(nodes.AwaitMembers(1, {1, 2, 3}));
  EXPECT_EQ(nodes.Member(1, 3)->lives_before, 1u);
  nodes->Crash(1);
  ASSERT_TRUE(nodes->AwaitLeaders());
  EXPECT_EQ(nodes.Read(3, "s"), "before");
}

TEST(NodesTest, WhoIsAwayIsRemovedAndTheLastOneStays) {
  Nodes nodes({.groups = 12});
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes.Create(1, "s").ok());
  nodes->Crash(3);
  ASSERT_TRUE(nodes->AwaitLeaders());
  EXPECT_EQ(nodes.Change(1, Kind::kRemove, 3), MemberOutcome::kAccepted);
  ASSERT_TRUE(nodes.AwaitMembers(1, {1, 2}));
  ASSERT_TRUE(nodes.AwaitMembers(2, {1, 2}));
  // Both at once, each at the other: one of them stays.
  std::optional<Result<MemberReply>> first;
  std::optional<Result<MemberReply>> second;
  nodes.Ask(1, Kind::kRemove, 2, &first);
  nodes.Ask(2, Kind::kRemove, 1, &second);
  ASSERT_TRUE(nodes->RunUntil([&] { return first && second; }));
  ASSERT_TRUE(first->ok() && second->ok());
  EXPECT_NE((*first)->outcome == MemberOutcome::kAccepted,
            (*second)->outcome == MemberOutcome::kAccepted);
  const uint64_t left = (*first)->outcome == MemberOutcome::kAccepted ? 1 : 2;
  ASSERT_TRUE(nodes.AwaitMembers(left, {left}));
  nodes->Crash(3 - left);
  ASSERT_TRUE(nodes.Append(left, "s", "alone").ok());
  EXPECT_EQ(nodes.Change(left, Kind::kRemove, left), MemberOutcome::kLast);
}

TEST(NodesTest, ACordonedNodeLeadsNothing) {
  Nodes nodes({.groups = 12, .cores = {2, 2, 1}});
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes->RunUntil([&] { return nodes.Led(2) > 1; }));
  EXPECT_EQ(nodes.Change(1, Kind::kCordon, 2), MemberOutcome::kAccepted);
  EXPECT_EQ(nodes.Change(3, Kind::kCordon, 2), MemberOutcome::kIsSo);
  ASSERT_TRUE(nodes->RunUntil([&] { return nodes.Led(2) == 0; }, 10'000))
      << nodes.Led(2) << " " << nodes.Member(2, 2)->cordoned;
  EXPECT_TRUE(nodes.Member(3, 2)->cordoned);
  ASSERT_TRUE(nodes->AwaitLeaders());
  nodes->Advance(10'000);
  EXPECT_EQ(nodes.Led(2), 0u);
  // It is cordoned still once it has come back with nothing.
  nodes->Crash(2);
  nodes->Wipe(2);
  ASSERT_TRUE(nodes->Open(2).ok());
  ASSERT_TRUE(nodes.AwaitMembers(2, {1, 2, 3}));
  nodes->Advance(10'000);
  EXPECT_EQ(nodes.Led(2), 0u);
  // Of two that are left it leads what it must.
  nodes->Crash(1);
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes->RunUntil([&] { return nodes.Led(3) == 12; }));
  ASSERT_TRUE(nodes->Open(1).ok());
  EXPECT_EQ(nodes.Change(2, Kind::kUncordon, 2), MemberOutcome::kAccepted);
  ASSERT_TRUE(nodes->RunUntil([&] { return nodes.Led(2) > 1; }));
}

// Neither one that can't vote before there is another, nor one that has gone again, holds a lost
// directory up: a group more than are worked on at once, and all of them wait for that one.
TEST(NodesTest, ALostDirectoryIsReplacedBesideOneThatWaits) {
  for (bool there : {true, false}) {
    Nodes nodes({.nodes = 5, .groups = 20, .founders = 3});
    ASSERT_TRUE(nodes->AwaitLeaders());
    ASSERT_TRUE(nodes.Create(1, "s").ok());
    ASSERT_TRUE(nodes.Append(1, "s", "kept").ok());
    EXPECT_EQ(nodes.Change(1, Kind::kAdd, 4), MemberOutcome::kAccepted);
    ASSERT_TRUE(nodes->Open(4).ok());
    if (!there) nodes->Crash(4);
    nodes->Crash(2);
    nodes->Wipe(2);
    ASSERT_TRUE(nodes->AwaitLeaders());
    ASSERT_TRUE(nodes->Open(2).ok());
    ASSERT_TRUE(nodes->RunUntil(
        [&] {
          const std::optional<MemberStatus> second = nodes.Member(1, 2);
          return second && second->stage == Stage::kMember && second->lives_before == 1;
        },
        15'000))
        << there;
    EXPECT_EQ(nodes.Member(1, 4)->stage, Stage::kJoining);
    if (there) nodes->Crash(4);
    nodes->Crash(1);
    ASSERT_TRUE(nodes->AwaitLeaders());
    ASSERT_TRUE(nodes.Append(3, "s", "+").ok());
    EXPECT_EQ(nodes.Read(2, "s"), "kept+");
    // It is taken out again, though it is away.
    ASSERT_TRUE(nodes->Open(1).ok());
    EXPECT_EQ(nodes.Change(2, Kind::kRemove, 4), MemberOutcome::kAccepted);
    ASSERT_TRUE(nodes.AwaitMembers(1, {1, 2, 3}));
  }
}

TEST(NodesTest, WhatDoesNotFitIsToldAndChangesNothing) {
  Nodes nodes({.nodes = 5, .groups = 2});
  ASSERT_TRUE(nodes->AwaitLeaders());
  EXPECT_EQ(nodes.Change(1, Kind::kAdd, 1), MemberOutcome::kIsMember);
  EXPECT_EQ(nodes.Change(2, Kind::kAdd, 6), MemberOutcome::kTooMany);
  EXPECT_EQ(nodes.Change(1, Kind::kRemove, 6), MemberOutcome::kIsNoMember);
  EXPECT_EQ(nodes.Change(1, Kind::kCordon, 6), MemberOutcome::kIsNoMember);
  EXPECT_EQ(nodes.Change(1, Kind::kUncordon, 6), MemberOutcome::kIsNoMember);
  EXPECT_EQ(nodes.Change(1, Kind::kUncordon, 3), MemberOutcome::kIsSo);
  EXPECT_EQ(nodes.Change(1, Kind::kRemove, 5), MemberOutcome::kAccepted);
  ASSERT_TRUE(nodes.AwaitMembers(1, {1, 2, 3, 4}));
  EXPECT_EQ(nodes.Ask(1, Kind::kAdd, 6).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(nodes.Ask(1, Kind::kAdd, 0).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(nodes.Ask(1, Kind::kAdd, 65'536).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(nodes.Are(1, {1, 2, 3, 4}));
  // Without a majority nothing is remembered.
  for (uint64_t node : {3, 4}) nodes->Crash(node);
  nodes->Advance(5000);
  EXPECT_EQ(nodes.Ask(1, Kind::kRemove, 4).status().code(), StatusCode::kUnavailable);
}

TEST(NodesTest, AnInvitationIsTakenBack) {
  Nodes nodes({.nodes = 5, .groups = 2, .founders = 3});
  ASSERT_TRUE(nodes->AwaitLeaders());
  EXPECT_EQ(nodes.Change(1, Kind::kAdd, 4), MemberOutcome::kAccepted);
  EXPECT_EQ(nodes.Change(1, Kind::kCordon, 4), MemberOutcome::kIsNoMember);
  EXPECT_EQ(nodes.Change(1, Kind::kRemove, 4), MemberOutcome::kAccepted);
  EXPECT_EQ(nodes.Change(2, Kind::kRemove, 4), MemberOutcome::kIsNoMember);
  EXPECT_FALSE(nodes.Member(1, 4).has_value());
  EXPECT_EQ(nodes.Change(2, Kind::kAdd, 4), MemberOutcome::kAccepted);
  EXPECT_TRUE(nodes->Open(4).ok());
}

// One that stood still while it led the meta group says, in the moment before it hears anything,
// what it wanted then.
TEST(NodesTest, ALateWordOfMembersIsRefused) {
  Nodes nodes({.nodes = 5, .groups = 12, .founders = 3});
  ASSERT_TRUE(nodes->AwaitLeaders());
  const uint64_t old = nodes->LeaderOf(GroupId{0}).value_or(0);
  EXPECT_EQ(nodes.Change(old, Kind::kAdd, 4), MemberOutcome::kAccepted);
  ASSERT_TRUE(nodes->Open(4).ok());
  nodes->Crash(4);
  nodes->Advance(2000);  // Its groups wait for that one.
  ASSERT_EQ(nodes->LeaderOf(GroupId{0}), old);
  nodes->Pause(old, 30'000);
  const uint64_t paused_ns = nodes->now_ns();
  for (uint64_t node = 1; node <= 3; ++node) {
    if (node != old) nodes->Cut(node, old);
  }
  const uint64_t other = old % 3 + 1;
  ASSERT_TRUE(nodes->RunUntil([&] {
    Result<MemberReply> reply = nodes.Ask(other, Kind::kRemove, 4);
    return reply.ok() && reply->outcome == MemberOutcome::kAccepted;
  }));
  ASSERT_TRUE(nodes.AwaitMembers(other, {1, 2, 3}));
  EXPECT_EQ(nodes.Learners(other), 0u);
  nodes->Advance(30'500 - (nodes->now_ns() - paused_ns) / 1'000'000);
  nodes->Heal();
  nodes->Advance(3000);
  EXPECT_EQ(nodes.Learners(other), 0u);
}

// Whoever it says stays, which is away, has no directory any more: none of those that are wanted
// votes anywhere.
TEST(NodesTest, TheOneThatStaysMayComeBackWithNothing) {
  Nodes nodes({.groups = 12});
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes.Create(2, "s").ok());
  ASSERT_TRUE(nodes.Append(2, "s", "kept").ok());
  nodes->Crash(1);
  ASSERT_TRUE(nodes->AwaitLeaders());
  EXPECT_EQ(nodes.Change(2, Kind::kRemove, 2), MemberOutcome::kAccepted);
  EXPECT_EQ(nodes.Change(3, Kind::kRemove, 3), MemberOutcome::kAccepted);
  nodes->Wipe(1);
  ASSERT_TRUE(nodes->Open(1).ok());
  ASSERT_TRUE(nodes.AwaitMembers(1, {1}));
  nodes->Crash(2);
  nodes->Crash(3);
  EXPECT_EQ(nodes.Read(1, "s"), "kept");
}

TEST(NodesTest, ARemovalIsTakenBack) {
  Nodes nodes({.groups = 12});
  ASSERT_TRUE(nodes->AwaitLeaders());
  ASSERT_TRUE(nodes.Create(1, "s").ok());
  nodes->Crash(2);
  ASSERT_TRUE(nodes->AwaitLeaders());
  // The wrong one: with the right one away it can't come about.
  EXPECT_EQ(nodes.Change(1, Kind::kRemove, 3), MemberOutcome::kAccepted);
  nodes->Advance(5000);
  EXPECT_EQ(nodes.Change(1, Kind::kAdd, 3), MemberOutcome::kAccepted);
  EXPECT_EQ(nodes.Change(1, Kind::kRemove, 2), MemberOutcome::kAccepted);
  ASSERT_TRUE(nodes.AwaitMembers(3, {1, 3}));
  EXPECT_EQ(nodes.Member(1, 3)->lives_before, 0u);
  ASSERT_TRUE(nodes.Append(3, "s", "x").ok());
}

// It leads the meta group for ever, as far as it knows.
TEST(NodesTest, OneWhoseLogHasFailedSaysNoMore) {
  Nodes nodes({.nodes = 5, .groups = 2});
  ASSERT_TRUE(nodes->AwaitLeaders());
  const uint64_t failed = nodes->LeaderOf(GroupId{0}).value_or(0);
  const uint64_t lost = failed % 5 + 1;
  const uint64_t other = lost % 5 + 1;
  nodes->Crash(lost);
  nodes->Wipe(lost);
  // It knows that one is to be taken in, and no more.
  ASSERT_TRUE(nodes->Open(lost).ok());
  ASSERT_TRUE(nodes->RunUntil([&] {
    const std::optional<MemberStatus> member = nodes.Member(failed, lost);
    return member && member->stage == Stage::kJoining;
  }));
  nodes->FailDisk(failed);
  (void)nodes.Create(failed, "s");
  ASSERT_TRUE(nodes->RunUntil([&] { return nodes.Are(other, {1, 2, 3, 4, 5}); }));
  EXPECT_FALSE(nodes.Are(failed, {1, 2, 3, 4, 5})) << "nothing is shown";
  nodes->Advance(5000);
  const auto applied = [&] { return nodes->node(other).Cluster().groups[0].applied; };
  const uint64_t before = applied();
  nodes->Advance(10'000);
  EXPECT_LE(applied(), before + 5);
}

// Operators change what they like while nodes crash and lose their directories; what was
// acknowledged stays, and those that are members in the end have it.
class ChangedAtAnyTime : public ::testing::TestWithParam<uint64_t> {
 protected:
  static constexpr std::size_t kStreams = 3;

  ChangedAtAnyTime()
      : random_(GetParam()),
        nodes_(
            {.nodes = 5, .groups = 6, .founders = 3, .cores = {1, 2, 1, 1, 2}, .seed = GetParam()}),
        written_(kStreams) {}

  uint64_t AnyUp() {
    uint64_t node = 1 + random_.Below(5);
    while (!nodes_->up(node) || !IsMember(node)) node = 1 + node % 5;
    return node;
  }
  // As the newest word says: whoever was removed and hasn't heard of it knows less.
  bool IsMember(uint64_t node) {
    return nodes_->up(node) && nodes_->node(node).Ready().code() != StatusCode::kFailedPrecondition;
  }

  void Append() {
    const std::size_t stream = random_.Below(kStreams);
    const std::string text = std::to_string(++number_) + ".";
    const Status status = nodes_.Append(AnyUp(), "s" + std::to_string(stream), text);
    if (status.ok() || status.code() == StatusCode::kOutcomeUnknown) {
      written_[stream].Add(text, status.ok());
    }
  }

  void Operate() {
    const uint64_t node = 1 + random_.Below(5);
    const uint64_t kind = random_.Below(5);
    // Three stay: with fewer, one that is away is a majority's loss.
    if (kind < 2) {
      (void)nodes_.Ask(AnyUp(), Kind::kAdd, node);
    } else if (kind == 2 && node > 3) {
      (void)nodes_.Ask(AnyUp(), Kind::kRemove, node);
    } else {
      (void)nodes_.Ask(AnyUp(), kind == 3 ? Kind::kCordon : Kind::kUncordon, node);
    }
  }

  // Beyond the founders: it comes when it may, with nothing; once it was removed it is taken away.
  void Follow(uint64_t node) {
    nodes_->Advance(500);  // What is published comes a tick after what is applied.
    const std::optional<MemberStatus> member = nodes_.Member(AnyUp(), node);
    if (nodes_->up(node) && !IsMember(node)) nodes_->Crash(node);
    if (nodes_->up(node) || !member || member->stage != Stage::kInvited) return;
    nodes_->Wipe(node);
    const Status opened = nodes_->Open(node);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
  }

  void Trouble() {
    const uint64_t node = 1 + random_.Below(3);
    if (random_.OneIn(2)) {
      nodes_->Crash(node);
    } else {
      nodes_->Kill(node);
    }
    for (uint64_t i = random_.Below(4); i > 0; --i) Append();
    if (random_.OneIn(2)) Operate();
    const Status opened = nodes_->Open(node);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    nodes_->Advance(random_.OneIn(3) ? 20 * random_.Below(100) : random_.Below(20));
  }

  void Check(uint64_t node, std::size_t stream) {
    const std::string text = nodes_.Read(node, "s" + std::to_string(stream));
    written_[stream].ExpectIn(text);
  }

  Random random_;
  Nodes nodes_;
  std::vector<Written> written_;
  uint64_t number_ = 0;
};

TEST_P(ChangedAtAnyTime, NothingAcknowledgedIsLost) {
  ASSERT_TRUE(nodes_->AwaitLeaders());
  for (std::size_t i = 0; i < kStreams; ++i) {
    ASSERT_TRUE(nodes_.Create(1, "s" + std::to_string(i)).ok());
  }
  for (int round = 0; round < 12; ++round) {
    for (uint64_t i = random_.Below(6); i > 0; --i) Append();
    Operate();
    if (random_.OneIn(3)) Trouble();
    for (uint64_t node : {4, 5}) {
      if (random_.OneIn(2)) Follow(node);
    }
    if (HasFatalFailure()) return;
  }
  for (uint64_t node : {4, 5}) (void)nodes_.Ask(1, Kind::kRemove, node);
  ASSERT_TRUE(nodes_.AwaitMembers(1, {1, 2, 3}));
  for (uint64_t node : {4, 5}) {
    if (nodes_->up(node)) nodes_->Crash(node);
  }
  nodes_->Crash(1 + GetParam() % 3);
  ASSERT_TRUE(nodes_->AwaitLeaders());
  for (uint64_t node = 1; node <= 3; ++node) {
    for (std::size_t stream = 0; nodes_->up(node) && stream < kStreams; ++stream) {
      Check(node, stream);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChangedAtAnyTime, ::testing::Range<uint64_t>(1, 41));

// Last: by what the suite as a whole came by.
TEST(NodesMarks, EveryOneWasHit) {
  int marks = 0;
  for (const SometimesMark& mark : SometimesMarks()) {
    if (!std::string_view(mark.name).starts_with("nodes: ")) continue;
    ++marks;
    EXPECT_TRUE(mark.reached.load()) << mark.name;
  }
  EXPECT_EQ(marks, 3);
}

}  // namespace
}  // namespace ursula::engine
