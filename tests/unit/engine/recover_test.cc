// Clusters that have lost their majority for ever: what is left becomes a cluster of its own.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/base/random.h"
#include "lib/base/sometimes.h"
#include "lib/engine/engine.h"
#include "lib/group/recovered.h"
#include "tests/support/test_cluster.h"
#include "ursula/engine.h"

namespace ursula::engine {
namespace {

using testing::TestCluster;

StreamId Id(std::string name) { return {.bucket = kUpstreamBucket, .name = std::move(name)}; }

class Disaster : public ::testing::Test {
 protected:
  void Begin(testing::TestClusterOptions options) {
    cluster_ = std::make_unique<TestCluster>(std::move(options));
    ASSERT_TRUE(cluster_->AwaitLeaders());
  }
  TestCluster& cluster() { return *cluster_; }
  StreamEngine& node(uint64_t at) { return cluster_->node(at); }

  Status Create(uint64_t at, const std::string& name) {
    CreateRequest request;
    request.stream = Id(name);
    return cluster_
        ->Await<CreateReply>(
            [&](auto done) { node(at).Create(std::move(request), std::move(done)); })
        .status();
  }
  Status Append(uint64_t at, const std::string& name, const std::string& text) {
    AppendRequest request;
    request.stream = Id(name);
    request.messages.push_back(Bytes::Copy(text));
    auto reply = cluster_->Await<AppendReply>(
        [&](auto done) { node(at).Append(std::move(request), std::move(done)); });
    return reply.ok() && reply->outcome != Outcome::kOk
               ? Status(StatusCode::kInternal,
                        "outcome " + std::to_string(static_cast<int>(reply->outcome)))
               : reply.status();
  }
  Result<ReadReply> Ask(uint64_t at, const std::string& name) {
    ReadRequest request;
    request.stream = Id(name);
    return cluster_->Await<ReadReply>(
        [&](auto done) { node(at).Read(std::move(request), std::move(done)); });
  }
  std::string Read(uint64_t at, const std::string& name) {
    Result<ReadReply> reply = Ask(at, name);
    if (!reply.ok()) return reply.status().ToString();
    std::string text;
    for (const Bytes& part : reply->parts) text += part.view();
    return text;
  }
  // Of all groups.
  void Fill(uint64_t at) {
    for (int i = 0; i < kStreams; ++i) {
      const std::string name = "s" + std::to_string(i);
      ASSERT_TRUE(Create(at, name).ok());
      ASSERT_TRUE(Append(at, name, "before").ok());
    }
    cluster_->Advance(2'000);
  }
  void ExpectAll(uint64_t at, const std::string& text) {
    for (int i = 0; i < kStreams; ++i) EXPECT_EQ(Read(at, "s" + std::to_string(i)), text);
  }

  group::Replica& Group(uint64_t at) {
    return static_cast<Engine&>(node(at)).shard(CoreId{0}).replica(GroupId{0});
  }

  RecoveryStatus Inspect(uint64_t at) {
    auto status = cluster_->Await<RecoveryStatus>(
        [&](auto done) { node(at).InspectRecovery(std::move(done)); });
    EXPECT_TRUE(status.ok()) << status.status().ToString();
    return status.ok() ? *status : RecoveryStatus();
  }
  RecoveryPlan Plan(const std::vector<uint64_t>& survivors, const std::vector<uint64_t>& lost) {
    RecoveryPlan plan{.cluster_id = 77 + plans_, .history_id = 88 + plans_};
    ++plans_;
    for (uint64_t survivor : survivors) {
      const RecoveryStatus status = Inspect(survivor);
      plan.number = std::max(plan.number, status.number + 1);
      plan.cluster_before = status.cluster_id;
      plan.survivors.push_back({NodeId{survivor}, status.directory, status.lives_before + 1});
      for (const RecoveryGroup& group : status.groups) {
        plan.term = std::max(plan.term, group.term + 1);
      }
    }
    for (uint64_t one : lost) plan.lost.push_back(NodeId{one});
    return plan;
  }
  Result<RecoveryReply> Recover(uint64_t at, const RecoveryPlan& plan) {
    return cluster_->Await<RecoveryReply>(
        [&](auto done) { node(at).RecoverCluster(plan, std::move(done)); });
  }
  RecoveryOutcome Give(uint64_t at, const RecoveryPlan& plan) {
    Result<RecoveryReply> reply = Recover(at, plan);
    EXPECT_TRUE(reply.ok()) << reply.status().ToString();
    return reply.ok() ? reply->outcome : RecoveryOutcome::kOtherPlan;
  }
  void Reopen(uint64_t at) {
    cluster_->Crash(at);
    const Status opened = cluster_->Open(at);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
  }
  bool Serve(const std::vector<uint64_t>& nodes) {
    return cluster_->RunUntil([&] {
      return std::ranges::all_of(nodes, [&](uint64_t one) { return node(one).Ready().ok(); });
    });
  }
  bool AwaitMembers(uint64_t at, const std::vector<uint64_t>& nodes) {
    return cluster_->RunUntil([&] {
      const std::vector<MemberStatus> members = node(at).Cluster().members;
      return std::ranges::equal(members, nodes, [](const MemberStatus& member, uint64_t one) {
        return member.node == NodeId{one} && member.stage == MemberStatus::Stage::kMember;
      });
    });
  }
  void Add(uint64_t at, uint64_t one) {
    auto reply = cluster_->Await<MemberReply>([&](auto done) {
      node(at).ChangeMember({.kind = MemberChange::Kind::kAdd, .node = NodeId{one}},
                            std::move(done));
    });
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    EXPECT_EQ(reply->outcome, MemberOutcome::kAccepted);
  }

  static constexpr int kStreams = 8;

 private:
  std::unique_ptr<TestCluster> cluster_;
  uint64_t plans_ = 0;
};

TEST_F(Disaster, OneOfThreeGoesOnAloneAsAnotherHistoryAndGrowsAgain) {
  Begin({.groups = 6, .cores = {2, 1, 1}});
  Fill(1);
  const uint64_t incarnation = Ask(1, "s0")->info.incarnation;
  for (uint64_t lost : {2, 3}) cluster().Crash(lost);
  const RecoveryPlan plan = Plan({1}, {2, 3});
  EXPECT_EQ(Give(1, plan), RecoveryOutcome::kStored);
  EXPECT_EQ(Give(1, plan), RecoveryOutcome::kIsSo);
  EXPECT_EQ(node(1).Ready().code(), StatusCode::kFailedPrecondition);
  EXPECT_FALSE(Append(1, "s0", "x").ok());
  Reopen(1);
  ASSERT_TRUE(Serve({1}));
  ExpectAll(1, "before");
  EXPECT_NE(Ask(1, "s0")->info.incarnation, incarnation);
  EXPECT_EQ(node(1).Cluster().cluster_id, plan.cluster_id);
  ASSERT_TRUE(AwaitMembers(1, {1}));
  ASSERT_TRUE(Append(1, "s0", "+alone").ok());
  EXPECT_EQ(Give(1, plan), RecoveryOutcome::kIsSo);
  const uint64_t recovered = Ask(1, "s0")->info.incarnation;

  for (uint64_t lost : {2, 3}) {
    cluster().Wipe(lost);
    Add(1, lost);
    ASSERT_TRUE(cluster().Open(lost).ok());
  }
  ASSERT_TRUE(AwaitMembers(1, {1, 2, 3}));
  // Nobody of before has these ids.
  for (const MemberStatus& member : node(1).Cluster().members) {
    EXPECT_EQ(member.lives_before, member.node == NodeId{1} ? 1u : 2u);
  }
  cluster().Crash(1);
  ASSERT_TRUE(cluster().AwaitLeaders());
  EXPECT_EQ(Read(2, "s0"), "before+alone");
  EXPECT_EQ(Ask(3, "s0")->info.incarnation, recovered);
  ASSERT_TRUE(Append(3, "s0", "+three").ok());
  ASSERT_TRUE(cluster().Open(1).ok());
  ASSERT_TRUE(cluster().AwaitLeaders());
  EXPECT_EQ(Read(1, "s0"), "before+alone+three");
}

TEST_F(Disaster, TwoOfFiveNeedEachOtherAndThePlan) {
  Begin({.nodes = 5, .groups = 6});
  Fill(1);
  for (uint64_t lost : {3, 4, 5}) cluster().Crash(lost);
  const RecoveryPlan plan = Plan({1, 2}, {3, 4, 5});
  EXPECT_EQ(Give(1, plan), RecoveryOutcome::kStored);
  Reopen(1);
  // One has it, the other doesn't: neither leads, whatever they say to each other.
  cluster().Advance(20'000);
  EXPECT_FALSE(node(1).Ready().ok());
  EXPECT_FALSE(node(2).Ready().ok());
  for (const RecoveryGroup& group : Inspect(2).groups) EXPECT_LT(group.term, plan.term);
  EXPECT_EQ(Give(2, plan), RecoveryOutcome::kStored);
  Reopen(2);
  ASSERT_TRUE(Serve({1, 2}));
  ASSERT_TRUE(cluster().AwaitLeaders());
  ExpectAll(1, "before");
  ExpectAll(2, "before");
  ASSERT_TRUE(Append(2, "s1", "+two").ok());
  cluster().Wipe(3);
  Add(1, 3);
  ASSERT_TRUE(cluster().Open(3).ok());
  ASSERT_TRUE(AwaitMembers(1, {1, 2, 3}));
  cluster().Crash(1);
  ASSERT_TRUE(cluster().AwaitLeaders());
  EXPECT_EQ(Read(3, "s1"), "before+two");
}

TEST_F(Disaster, APlanThatNobodyHasGoneByIsReplacedByAnother) {
  Begin({.nodes = 5, .groups = 4});
  Fill(1);
  for (uint64_t lost : {3, 4, 5}) cluster().Crash(lost);
  const RecoveryPlan plan = Plan({1, 2}, {3, 4, 5});
  EXPECT_EQ(Give(1, plan), RecoveryOutcome::kStored);
  cluster().Crash(2);
  RecoveryPlan alone = Plan({1}, {2, 3, 4, 5});
  EXPECT_EQ(alone.number, plan.number);
  const uint64_t term = std::exchange(alone.term, 1);
  EXPECT_EQ(Give(1, alone), RecoveryOutcome::kTerm);
  EXPECT_EQ(Inspect(1).plan, plan);
  alone.term = term;
  const uint64_t cluster = std::exchange(alone.cluster_id, plan.cluster_id);
  EXPECT_EQ(Give(1, alone), RecoveryOutcome::kOtherPlan);
  alone.cluster_id = cluster;
  EXPECT_EQ(Give(1, alone), RecoveryOutcome::kStored);
  EXPECT_EQ(Give(1, alone), RecoveryOutcome::kIsSo);
  Reopen(1);
  ASSERT_TRUE(Serve({1}));
  ExpectAll(1, "before");
  ASSERT_TRUE(AwaitMembers(1, {1}));
  // Gone by, it stays.
  EXPECT_EQ(Recover(1, plan).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(Disaster, EveryOpeningComesToTheSame) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Begin({.nodes = 5, .groups = 4, .seed = seed});
    Fill(2);
    for (uint64_t lost : {1, 3, 5}) cluster().Crash(lost);
    const RecoveryPlan plan = Plan({2, 4}, {1, 3, 5});
    // The power fails before, while and after they come to go by it.
    for (uint64_t one : {2, 4}) EXPECT_EQ(Give(one, plan), RecoveryOutcome::kStored);
    for (int i = 0; i < 8; ++i) {
      Reopen(2 + 2 * (i % 2));
      cluster().Advance(150 * seed + 100 * i);
    }
    ASSERT_TRUE(Serve({2, 4})) << seed;
    ASSERT_TRUE(cluster().AwaitLeaders());
    ExpectAll(2, "before");
    ExpectAll(4, "before");
    ASSERT_TRUE(Append(4, "s0", "+").ok());
    EXPECT_EQ(Inspect(2).number, 1u);
  }
}

TEST_F(Disaster, WhoWasOnlyCutOffGoesOnByItselfAndDoesNoHarm) {
  Begin({.nodes = 5, .groups = 6});
  Fill(1);
  for (uint64_t one : {1, 2}) {
    for (uint64_t other : {3, 4, 5}) {
      cluster().Cut(one, other);
      cluster().Cut(other, one);
    }
  }
  cluster().Advance(10'000);
  const RecoveryPlan plan = Plan({1, 2}, {3, 4, 5});
  for (uint64_t one : {1, 2}) EXPECT_EQ(Give(one, plan), RecoveryOutcome::kStored);
  for (uint64_t one : {1, 2}) Reopen(one);
  ASSERT_TRUE(Serve({1, 2, 3, 4, 5}));
  ASSERT_TRUE(Append(1, "s0", "+here").ok());
  ASSERT_TRUE(Append(4, "s0", "+there").ok());
  cluster().Heal();
  // Elections there, so that their terms are above those here.
  for (uint64_t one : {3, 4, 5, 3, 4, 5}) {
    cluster().Kill(one);
    cluster().Advance(5'000);
    ASSERT_TRUE(cluster().Open(one).ok());
    cluster().Advance(5'000);
  }
  ASSERT_TRUE(Append(2, "s0", "!").ok());
  EXPECT_EQ(Read(1, "s0"), "before+here!");
  EXPECT_EQ(Read(3, "s0"), "before+there");
  EXPECT_TRUE(AwaitMembers(1, {1, 2}));
  EXPECT_TRUE(node(1).Ready().ok());
  EXPECT_TRUE(node(3).Ready().ok());
  // Nor do they take a directory of the other cluster for an empty one of theirs.
  Reopen(1);
  cluster().Advance(10'000);
  EXPECT_TRUE(node(1).Ready().ok());
}

// What it took from there could be of the plan's term, or a later one, and of another history.
TEST_F(Disaster, WhoHoldsAPlanTakesNothingMoreFromBefore) {
  Begin({.groups = 4});
  Fill(1);
  for (uint64_t other : {2, 3}) {
    cluster().Cut(1, other);
    cluster().Cut(other, 1);
  }
  cluster().Advance(10'000);
  EXPECT_EQ(Give(1, Plan({1}, {2, 3})), RecoveryOutcome::kStored);
  const std::vector<RecoveryGroup> before = Inspect(1).groups;
  cluster().Heal();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Append(2, "s0", "+there").ok());
  cluster().Advance(10'000);
  const std::vector<RecoveryGroup> after = Inspect(1).groups;
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].last_index, before[i].last_index);
    EXPECT_EQ(after[i].term, before[i].term);
  }
  Reopen(1);
  ASSERT_TRUE(Serve({1}));
  EXPECT_EQ(Read(1, "s0"), "before");
}

TEST_F(Disaster, ARecoveryMayBeRecoveredFrom) {
  Begin({.nodes = 5, .groups = 4});
  Fill(1);
  for (uint64_t lost : {3, 4, 5}) cluster().Crash(lost);
  const RecoveryPlan plan = Plan({1, 2}, {3, 4, 5});
  for (uint64_t one : {1, 2}) EXPECT_EQ(Give(one, plan), RecoveryOutcome::kStored);
  RecoveryPlan later = Plan({1}, {2, 3, 4, 5});
  later.cluster_before = plan.cluster_id;
  EXPECT_EQ(Give(1, later), RecoveryOutcome::kOtherPlan);
  for (uint64_t one : {1, 2}) Reopen(one);
  ASSERT_TRUE(Serve({1, 2}));
  ASSERT_TRUE(Append(2, "s0", "+two").ok());
  cluster().Advance(1'000);
  cluster().Crash(2);
  cluster().Advance(3'000);
  const RecoveryPlan next = Plan({1}, {2});
  EXPECT_EQ(next.number, 2u);
  EXPECT_EQ(next.cluster_before, plan.cluster_id);
  EXPECT_EQ(Give(1, next), RecoveryOutcome::kStored);
  Reopen(1);
  ASSERT_TRUE(Serve({1}));
  EXPECT_EQ(Read(1, "s0"), "before+two");
  ASSERT_TRUE(Append(1, "s0", "+one").ok());
}

// Its groups' logs have members coming, joint configurations and those that were left, committed or
// not: none of that counts any more.
TEST_F(Disaster, ChangesOfMembersFromBeforeArePassedOver) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Begin({.nodes = 5, .groups = 10, .founders = 3, .seed = seed});
    Random random(seed);
    Fill(1);
    Add(1, 4);
    Add(1, 5);
    ASSERT_TRUE(cluster().Open(4).ok());
    ASSERT_TRUE(cluster().Open(5).ok());
    cluster().Advance(random.Below(3'000));
    const uint64_t survivor = 1 + random.Below(3);
    std::vector<uint64_t> lost = {1, 2, 3, 4, 5};
    std::erase(lost, survivor);
    for (uint64_t one : lost) cluster().Crash(one);
    EXPECT_EQ(Give(survivor, Plan({survivor}, lost)), RecoveryOutcome::kStored);
    for (int i = 0; i < 3; ++i) {
      Reopen(survivor);
      ASSERT_TRUE(Serve({survivor})) << seed;
      Engine& engine = static_cast<Engine&>(node(survivor));
      for (group::Replica* replica : engine.shard(CoreId{0}).Replicas()) {
        EXPECT_EQ(replica->members(), (raft::ConfState{.voters = {ReplicaOf(NodeId{survivor}, 1)}}))
            << seed;
      }
      ExpectAll(survivor, "before");
    }
    ASSERT_TRUE(Append(survivor, "s0", "+").ok());
    EXPECT_TRUE(AwaitMembers(survivor, {survivor}));
  }
}

// What it knows of the members is old, and so is what it judges the others by.
TEST_F(Disaster, WhoWasAwayWhileTheClusterGrewSurvivesAsWell) {
  for (uint64_t other : {1, 4}) {
    Begin({.nodes = 5, .groups = 4, .founders = 3});
    Fill(1);
    cluster().Crash(2);
    for (uint64_t one : {4, 5}) {
      Add(1, one);
      ASSERT_TRUE(cluster().Open(one).ok());
    }
    ASSERT_TRUE(AwaitMembers(1, {1, 2, 3, 4, 5}));
    ASSERT_TRUE(Append(1, "s0", "+grown").ok());
    cluster().Advance(2'000);
    std::vector<uint64_t> lost = {1, 3, 4, 5};
    std::erase(lost, other);
    for (uint64_t one : lost) cluster().Crash(one);
    cluster().Advance(10'000);  // Who led doesn't any more.
    ASSERT_TRUE(cluster().Open(2).ok());
    cluster().Advance(5'000);
    std::vector<uint64_t> survivors = {2, other};
    std::ranges::sort(survivors);
    EXPECT_EQ(Inspect(2).members, (std::vector<NodeId>{NodeId{1}, NodeId{2}, NodeId{3}}));
    const RecoveryPlan plan = Plan(survivors, lost);
    for (uint64_t one : survivors) EXPECT_EQ(Give(one, plan), RecoveryOutcome::kStored) << one;
    for (uint64_t one : survivors) Reopen(one);
    ASSERT_TRUE(Serve(survivors));
    ASSERT_TRUE(AwaitMembers(2, survivors));
    EXPECT_EQ(Read(2, "s0"), "before+grown");
  }
}

// What is there afterwards is a beginning of what was written, the same at all survivors; whatever
// had been read from a survivor before is in it.
TEST_F(Disaster, AtAnyTimeABeginningOfWhatWasWrittenIsLeft) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Begin({.nodes = 5, .groups = 2, .seed = seed});
    Random random(seed);
    ASSERT_TRUE(Create(1, "s").ok());
    int written = 0;
    auto write = [&](int count) {
      for (int i = 0; i < count; ++i) {
        AppendRequest request;
        request.stream = Id("s");
        request.messages.push_back(Bytes::Copy(std::to_string(written++) + ";"));
        node(1).Append(std::move(request), [](Result<AppendReply>) {});
        cluster().Advance(random.Below(3));
      }
    };
    write(20);
    const uint64_t survivor = 2 + random.Below(4);
    std::vector<uint64_t> survivors = {survivor};
    if (random.OneIn(2)) survivors.push_back(survivor == 5 ? 2 : survivor + 1);
    std::ranges::sort(survivors);
    std::vector<uint64_t> lost;
    // Some hear less than others.
    for (uint64_t one = 1; one <= 5; ++one) {
      if (std::ranges::find(survivors, one) == survivors.end()) lost.push_back(one);
      if (one != 1 && random.OneIn(3)) cluster().Cut(1, one);
    }
    const std::string seen = Read(survivor, "s");
    write(5);
    for (uint64_t one : lost) cluster().Crash(one);
    cluster().Heal();
    cluster().Advance(random.Below(4'000));
    const RecoveryPlan plan = Plan(survivors, lost);
    for (uint64_t one : survivors) {
      EXPECT_EQ(Give(one, plan), RecoveryOutcome::kStored);
      if (random.OneIn(2)) Reopen(one);
      cluster().Advance(random.Below(1'500));
    }
    for (uint64_t one : survivors) Reopen(one);
    ASSERT_TRUE(Serve(survivors)) << seed;
    const std::string left = Read(survivors.front(), "s");
    std::string all;
    for (int i = 0; i < written; ++i) all += std::to_string(i) + ";";
    EXPECT_EQ(all.compare(0, left.size(), left), 0) << seed << ": " << left;
    if (seen.find("UNAVAILABLE") == std::string::npos) {
      EXPECT_GE(left.size(), seen.size()) << seed;
    }
    EXPECT_EQ(Read(survivors.back(), "s"), left);
    ASSERT_TRUE(Append(survivors.front(), "s", "on").ok());
    EXPECT_EQ(Read(survivors.back(), "s"), left + "on");
  }
}

// It was being filled when the others were lost.
TEST_F(Disaster, BytesThatNoSurvivorHasEndTheirReads) {
  Begin({.groups = 1});
  ASSERT_TRUE(Create(1, "s").ok());
  const std::string text(32 << 10, 'x');
  auto write = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const Status written = Append(1, "s", text);
      ASSERT_TRUE(written.ok()) << i << " " << written.ToString();
      cluster().Advance(200);
    }
  };
  write(80);
  cluster().Crash(3);
  for (uint64_t one : {1, 2}) Group(one).Checkpoint();
  cluster().Advance(2'000);
  ASSERT_TRUE(cluster().AwaitLeaders());
  write(16);
  for (uint64_t one : {1, 2}) Group(one).Checkpoint();
  cluster().Advance(2'000);
  cluster().Wipe(3);
  ASSERT_TRUE(cluster().Open(3).ok());
  ASSERT_TRUE(cluster().RunUntil([&] { return Group(3).lacking_bytes() > 0; }));
  for (uint64_t lost : {1, 2}) cluster().Crash(lost);
  const uint64_t lacking = Group(3).lacking_bytes();
  ASSERT_GT(lacking, 0u);
  EXPECT_EQ(Inspect(3).groups[0].lacking_bytes, lacking);
  EXPECT_EQ(Give(3, Plan({3}, {1, 2})), RecoveryOutcome::kStored);
  Reopen(3);
  ASSERT_TRUE(Serve({3}));
  EXPECT_GT(node(3).Stats().payload_lost_bytes, 0u);
  uint64_t lost = 0;
  for (int i = 0; i < 96; ++i) {
    ReadRequest request;
    request.stream = Id("s");
    request.from = Offset{static_cast<uint64_t>(i) * text.size()};
    request.bytes_max = text.size();
    const auto reply = cluster().Await<ReadReply>(
        [&](auto done) { node(3).Read(std::move(request), std::move(done)); });
    lost += reply.status().code() == StatusCode::kDataLoss ? 1 : 0;
    if (reply.ok()) {
      EXPECT_GT(reply->parts.size(), 0u);
      for (const Bytes& part : reply->parts) {
        EXPECT_EQ(part.view().find_first_not_of('x'), std::string_view::npos);
      }
    } else {
      EXPECT_EQ(reply.status().code(), StatusCode::kDataLoss) << reply.status().ToString();
    }
  }
  EXPECT_GT(lost, 0u);
  ASSERT_TRUE(Append(3, "s", "on").ok());
}

TEST_F(Disaster, WhatIsNoPlanOfThisDirectoryIsRefusedAndChangesNothing) {
  Begin({.groups = 4});
  Fill(1);
  for (uint64_t lost : {2, 3}) cluster().Crash(lost);
  const RecoveryPlan good = Plan({1}, {2, 3});
  std::vector<RecoveryPlan> bad(11, good);
  bad[0].cluster_before ^= 1;
  bad[1].survivors[0].directory ^= 1;
  bad[2].survivors[0].lives_before = 2;
  bad[3].lost = {NodeId{2}};  // What of node 3?
  bad[4].lost = {NodeId{3}, NodeId{2}};
  bad[5].lost = {NodeId{1}, NodeId{2}, NodeId{3}};
  for (uint64_t more = 4; more < 8; ++more) bad[6].survivors.push_back({NodeId{more}, 9, 1});
  bad[7].number = 0;
  bad[8].term = 0;
  bad[9].cluster_id = bad[9].cluster_before;
  bad[10].survivors.clear();
  for (std::size_t i = 0; i < bad.size(); ++i) {
    EXPECT_EQ(Recover(1, bad[i]).status().code(), StatusCode::kInvalidArgument) << i;
  }
  ASSERT_TRUE(cluster().Open(2).ok());
  ASSERT_TRUE(cluster().AwaitLeaders());
  ASSERT_TRUE(Append(1, "s0", "+on").ok());
  EXPECT_EQ(Give(1, Plan({1, 2}, {3})), RecoveryOutcome::kNotNeeded);
  ASSERT_TRUE(Append(1, "s0", "+on").ok());
  // A term that is too low ends its part all the same: it may not rise once it has said so.
  cluster().Crash(2);
  cluster().Advance(3'000);
  RecoveryPlan low = Plan({1}, {2, 3});
  low.term = 1;
  EXPECT_EQ(Give(1, low), RecoveryOutcome::kTerm);
  EXPECT_EQ(Give(1, Plan({1}, {2, 3})), RecoveryOutcome::kStored);
  Reopen(1);
  ASSERT_TRUE(Serve({1}));
  EXPECT_EQ(Read(1, "s0"), "before+on+on");
}

TEST(SurvivorsConfTest, TheFirstLeaderNeedsAllOfThem) {
  auto conf = [](std::vector<ReplicaId> survivors) {
    return group::SurvivorsConf(std::move(survivors));
  };
  const ReplicaId a{65537}, b{65538}, c{65539}, d{65540};
  EXPECT_EQ(conf({a}), (raft::ConfState{.voters = {a}}));
  EXPECT_EQ(conf({b, a}), (raft::ConfState{.voters = {a, b}}));
  EXPECT_EQ(
      conf({a, b, c}),
      (raft::ConfState{
          .voters = {a, b}, .voters_outgoing = {c}, .learners_next = {c}, .auto_leave = true}));
  EXPECT_EQ(conf({d, a, b, c}), (raft::ConfState{.voters = {a, b},
                                                 .voters_outgoing = {c, d},
                                                 .learners_next = {c, d},
                                                 .auto_leave = true}));
}

// Last: by what the suite as a whole came by.
TEST(RecoverMarks, EveryOneWasHit) {
  int marks = 0;
  for (const SometimesMark& mark : SometimesMarks()) {
    if (!std::string_view(mark.name).starts_with("recover: ")) continue;
    ++marks;
    EXPECT_TRUE(mark.reached.load()) << mark.name;
  }
  EXPECT_EQ(marks, 3);
}

}  // namespace
}  // namespace ursula::engine
