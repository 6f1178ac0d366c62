#include "lib/meta/founding.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ursula::meta {
namespace {

const std::vector<NodeId> kThree = {NodeId{1}, NodeId{2}, NodeId{3}};

FoundingNode Self(uint64_t node) { return {NodeId{node}, 100 + node, 200 + node}; }

FoundingPlan Plan(uint64_t cluster = 7) {
  return {.cluster_id = cluster,
          .history_id = 8,
          .group_count = 4,
          .founders = {{NodeId{1}, 101}, {NodeId{2}, 102}, {NodeId{3}, 103}}};
}

FoundingPlan PlanOfOne(uint64_t node, uint64_t cluster) {
  return {.cluster_id = cluster,
          .history_id = 8,
          .group_count = 4,
          .founders = {{NodeId{node}, 100 + node}}};
}

FoundingOptions Options(uint64_t node, FoundingRecord record = {}) {
  return {.self = Self(node),
          .record = std::move(record),
          .wish = {.founders = kThree},
          .group_count_if_new = 8,
          .seed = 40 + node};
}

// What `from` answers to the newest hello of `to`, having met everybody.
FoundingHello HelloOf(const FoundingNode& from, const FoundingRecord& record, Founding* to,
                      uint64_t self, uint64_t number = 1) {
  FoundingHello hello{.from = from, .number = number, .record = record};
  hello.wish.founders = kThree;
  for (uint64_t node = 1; node <= 3; ++node) {
    if (NodeId{node} == from.node) continue;
    hello.heard.push_back(
        {.from = Self(node), .number = node == self ? to->Hello().number : 1, .answered = true});
  }
  return hello;
}

// Until nothing is to be done any more: everything arrives, at once.
void Converge(std::vector<Founding*> nodes) {
  for (int round = 0; round < 20; ++round) {
    for (Founding* node : nodes) {
      while (node->ToPersist() != nullptr) node->OnPersisted();
      if (!node->TakeChanged()) continue;
      const FoundingHello hello = node->Hello();
      for (Founding* peer : nodes) {
        if (peer != node && peer->ToPersist() == nullptr) peer->OnHello(hello);
      }
    }
    for (Founding* node : nodes) {
      if (node->ToPersist() == nullptr && !node->ended()) node->OnTick();
    }
  }
}

std::string RefusalOf(const FoundingOptions& options) { return Founding(options).refusal(); }

TEST(FoundingTest, ThreeEmptyDirectoriesBecomeMembersOfThePlanOfTheLowest) {
  Founding one(Options(1)), two(Options(2)), three(Options(3));
  Converge({&three, &two, &one});
  ASSERT_TRUE(one.member() && two.member() && three.member());
  const FoundingPlan& plan = one.record().plan;
  EXPECT_EQ(two.record().plan, plan);
  EXPECT_EQ(three.record().plan, plan);
  EXPECT_EQ(plan.founders, Plan().founders);
  EXPECT_EQ(plan.group_count, 8u);
  EXPECT_NE(plan.cluster_id, 0u);
  EXPECT_NE(plan.history_id, plan.cluster_id);
  EXPECT_EQ(one.agreed(), 3u);
}

TEST(FoundingTest, ItIsFoundedAtTheLowestFeatureLevelOfAll) {
  for (uint32_t lowest : {1u, 2u, 3u}) {
    FoundingOptions options[3] = {Options(1), Options(2), Options(3)};
    for (FoundingOptions& one : options) one.feature_level_max = 3;
    options[lowest % 3].feature_level_max = lowest;
    Founding one(options[0]), two(options[1]), three(options[2]);
    Converge({&three, &two, &one});
    ASSERT_TRUE(one.member() && two.member() && three.member());
    EXPECT_EQ(one.record().plan.feature_level, lowest);
    EXPECT_EQ(three.record().plan, one.record().plan);
  }
}

TEST(FoundingTest, WhoCannotWhatThePlanOrTheClusterIsAtIsRefused) {
  FoundingPlan plan = Plan();
  plan.feature_level = 2;
  Founding founder(Options(2));
  founder.OnHello(HelloOf(Self(1), {FoundingState::kFounding, plan}, &founder, 2));
  EXPECT_EQ(founder.refusal(),
            "the plan of the founding is at feature level 2, and node 2 can 1: start it with a "
            "release that can more, and without a lower --feature-level-max; or empty its "
            "directory, and a plan of a lower level is made");
  // The founding is long ago.
  Founding joiner(Options(3));
  FoundingPlan begun = PlanOfOne(1, 7);
  FoundingHello member = HelloOf(Self(1), {FoundingState::kMember, begun}, &joiner, 3);
  member.feature_level = 2;
  joiner.OnHello(member);
  EXPECT_EQ(joiner.refusal(),
            "cluster 0000000000000007 is at feature level 2, and node 3 can 1: start it with a "
            "release that can "
            "more, and without a lower --feature-level-max");
}

TEST(FoundingTest, OneAloneFoundsAtOnce) {
  FoundingOptions options = Options(4);
  options.wish.founders = {NodeId{4}};
  Founding founding(options);
  ASSERT_NE(founding.ToPersist(), nullptr);
  EXPECT_EQ(founding.ToPersist()->state, FoundingState::kFounding);
  founding.OnPersisted();
  ASSERT_NE(founding.ToPersist(), nullptr);
  EXPECT_EQ(founding.ToPersist()->state, FoundingState::kMember);
  EXPECT_FALSE(founding.member());
  founding.OnPersisted();
  EXPECT_TRUE(founding.member());
}

TEST(FoundingTest, AMemberOfSeveralAsksNobody) {
  EXPECT_TRUE(Founding(Options(2, {FoundingState::kMember, Plan()})).member());
}

TEST(FoundingTest, NothingIsSaidOfWhatIsNotDurable) {
  Founding one(Options(1));
  one.OnHello(HelloOf(Self(2), {}, &one, 1));
  one.OnHello(HelloOf(Self(3), {}, &one, 1));
  ASSERT_NE(one.ToPersist(), nullptr);
  EXPECT_EQ(one.Hello().record.state, FoundingState::kEmpty);
  one.OnPersisted();
  EXPECT_EQ(one.Hello().record.state, FoundingState::kFounding);
}

TEST(FoundingTest, TheLowestIsAMemberOnlyWhenAllHoldThePlan) {
  Founding one(Options(1, {FoundingState::kFounding, Plan()}));
  one.OnHello(HelloOf(Self(2), {FoundingState::kFounding, Plan()}, &one, 1));
  one.OnHello(HelloOf(Self(3), {FoundingState::kFounding, Plan(9)}, &one, 1));
  ASSERT_EQ(one.ToPersist(), nullptr);
  EXPECT_EQ(one.agreed(), 2u);
  EXPECT_EQ(one.Waiting(), "waiting for one plan with nodes 3");
  one.OnHello(HelloOf(Self(3), {FoundingState::kFounding, Plan()}, &one, 1, 2));
  ASSERT_NE(one.ToPersist(), nullptr);
  EXPECT_EQ(one.ToPersist()->state, FoundingState::kMember);
}

TEST(FoundingTest, ADirectoryThatThePlanDoesNotNameHoldsItInVain) {
  Founding one(Options(1, {FoundingState::kFounding, Plan()}));
  one.OnHello(HelloOf(Self(2), {FoundingState::kFounding, Plan()}, &one, 1));
  FoundingNode other = Self(3);
  other.directory = 999;
  FoundingHello hello = HelloOf(other, {FoundingState::kFounding, Plan()}, &one, 1);
  hello.heard.pop_back();  // It hasn't met node 2.
  one.OnHello(hello);
  ASSERT_EQ(one.ToPersist(), nullptr);
  EXPECT_EQ(one.agreed(), 2u);
}

TEST(FoundingTest, WhatAnswersAnotherProcessIsNotTaken) {
  Founding one(Options(1, {FoundingState::kFounding, Plan()}));
  FoundingHello hello = HelloOf(Self(2), {FoundingState::kMember, Plan()}, &one, 1);
  for (FoundingHeard& heard : hello.heard) heard.from.opening += 1;
  one.OnHello(hello);
  ASSERT_EQ(one.ToPersist(), nullptr);
  one.OnHello(HelloOf(Self(2), {FoundingState::kMember, Plan()}, &one, 1, 2));
  EXPECT_NE(one.ToPersist(), nullptr);
}

TEST(FoundingTest, APlanIsDroppedOnlyOnceAllHaveMet) {
  const FoundingRecord newer{FoundingState::kFounding, Plan(9)};
  Founding two(Options(2, {FoundingState::kFounding, Plan()}));
  two.OnHello(HelloOf(Self(1), newer, &two, 2));
  ASSERT_EQ(two.ToPersist(), nullptr) << "node 3 hasn't answered";
  two.OnHello(HelloOf(Self(3), newer, &two, 2));
  ASSERT_NE(two.ToPersist(), nullptr);
  EXPECT_EQ(*two.ToPersist(), newer);
}

// A member's word from before its disk was lost may still be on its way to node 2.
TEST(FoundingTest, NoPlanIsDrawnWhileADirectoryThatIsGoneIsKnownToSomeone) {
  Founding one(Options(1));
  FoundingNode other = Self(3);
  other.directory = 999;
  one.OnHello(HelloOf(other, {}, &one, 1));
  one.OnHello(HelloOf(Self(2), {}, &one, 1));  // It has met the former directory of node 3.
  ASSERT_EQ(one.ToPersist(), nullptr);
  FoundingHello hello = HelloOf(Self(2), {}, &one, 1, 2);
  hello.heard.back().from = other;
  one.OnHello(hello);
  EXPECT_NE(one.ToPersist(), nullptr);
}

TEST(FoundingTest, APeerThatIsLostHasToAnswerAnew) {
  Founding one(Options(1));
  one.OnHello(HelloOf(Self(2), {}, &one, 1));
  one.OnLost(NodeId{2});
  one.OnHello(HelloOf(Self(3), {}, &one, 1));
  ASSERT_EQ(one.ToPersist(), nullptr);
  EXPECT_EQ(one.Waiting(), "waiting to hear from nodes 2");
  one.OnHello(HelloOf(Self(2), {}, &one, 1, 2));
  EXPECT_NE(one.ToPersist(), nullptr);
}

TEST(FoundingTest, AnEmptyDirectoryOfAClusterThatHasBegunWaitsToBeAdmitted) {
  for (FoundingState state : {FoundingState::kEmpty, FoundingState::kFounding}) {
    FoundingOptions options =
        Options(2, {state, state == FoundingState::kEmpty ? FoundingPlan() : Plan(5)});
    Founding two(options);
    FoundingPlan theirs = Plan(7);
    theirs.founders[1].directory = 555;  // The one that was lost.
    FoundingHello hello = HelloOf(Self(1), {FoundingState::kMember, theirs}, &two, 2);
    two.OnHello(hello);
    EXPECT_TRUE(two.joins());
    EXPECT_FALSE(two.ended());
    EXPECT_EQ(two.Waiting(), "cluster 0000000000000007 has begun, and this directory is empty");
    hello.number = 0;
    hello.admission = {.directory = Self(2).directory, .waits = "node 3 is being taken in"};
    two.OnHello(hello);
    EXPECT_EQ(two.Waiting(),
              "cluster 0000000000000007 has begun, and this directory is empty; node 3 is being "
              "taken in");
    hello.admission = {.directory = 555, .lives_before = 3};  // Of its life before.
    two.OnHello(hello);
    ASSERT_EQ(two.ToPersist(), nullptr);
    hello.admission = {.directory = Self(2).directory, .lives_before = 4};
    two.OnHello(hello);
    ASSERT_NE(two.ToPersist(), nullptr);
    EXPECT_EQ(*two.ToPersist(), (FoundingRecord{FoundingState::kMember, theirs, 4}));
    two.OnPersisted();
    EXPECT_TRUE(two.member());
  }
}

TEST(FoundingTest, WhoMayJoinIsOfTheSameClusterAndOptions) {
  FoundingPlan theirs = Plan(7);
  theirs.founders[1].directory = 555;
  FoundingOptions options = Options(2);
  options.cluster_id = 9;
  Founding other(options);
  other.OnHello(HelloOf(Self(1), {FoundingState::kMember, theirs}, &other, 2));
  EXPECT_NE(
      other.refusal().find(
          "node 1 is a member of cluster 0000000000000007, and node 2 belongs to 0000000000000009"),
      std::string::npos)
      << other.refusal();
  options.cluster_id = 7;
  options.wish.group_count = theirs.group_count + 1;
  Founding groups(options);
  groups.OnHello(HelloOf(Self(1), {FoundingState::kMember, theirs}, &groups, 2));
  EXPECT_NE(groups.refusal().find("raft-group-count of node 2"), std::string::npos)
      << groups.refusal();
}

// The member's disk is lost before anybody heard of it but one: that one founds anew.
TEST(FoundingTest, OneThatWaitsForAMemberThatIsGoneFoundsAfterAll) {
  Founding two(Options(2));
  FoundingPlan theirs = Plan(7);
  theirs.founders[1].directory = 555;
  two.OnHello(HelloOf(Self(1), {FoundingState::kMember, theirs}, &two, 2));
  ASSERT_TRUE(two.joins());
  two.OnLost(NodeId{1});
  FoundingNode again = Self(1);
  again.directory = 777;
  two.OnHello(HelloOf(again, {}, &two, 2));
  EXPECT_FALSE(two.joins());
}

TEST(FoundingTest, AClusterOfOneGrowsToThoseThatItsOptionsName) {
  Founding one(Options(1, {FoundingState::kMember, PlanOfOne(1, 11)}));
  EXPECT_FALSE(one.ended());  // There may be others that are members of their own.
  Founding two(Options(2)), three(Options(3));
  two.OnHello(HelloOf(Self(1), {FoundingState::kMember, PlanOfOne(1, 11)}, &two, 2));
  EXPECT_TRUE(two.joins());
  one.OnHello(HelloOf(Self(2), {}, &one, 1));
  EXPECT_FALSE(one.ended());
  one.OnHello(HelloOf(Self(3), {}, &one, 1));
  EXPECT_TRUE(one.member());
}

TEST(FoundingTest, NodesThatWereFoundedApartAreRefusedByTheNamesOfTheirClusters) {
  std::vector<Founding> nodes;
  for (uint64_t node = 1; node <= 3; ++node) {
    nodes.emplace_back(Options(node, {FoundingState::kMember, PlanOfOne(node, 10 + node)}));
  }
  Converge({&nodes[0], &nodes[1], &nodes[2]});
  for (const Founding& node : nodes) {
    for (const char* cluster : {"000000000000000b", "000000000000000c", "000000000000000d"}) {
      EXPECT_NE(node.refusal().find(cluster), std::string::npos) << node.refusal();
    }
  }
  Founding alone(Options(1, {FoundingState::kMember, PlanOfOne(1, 11)}));
  EXPECT_FALSE(alone.ended());
  for (int i = 0; i < 50; ++i) alone.OnTick();
  EXPECT_TRUE(alone.member()) << "nobody else is there, and its data is";
  Founding met(Options(1, {FoundingState::kMember, PlanOfOne(1, 11)}));
  met.OnHello(HelloOf(Self(2), {FoundingState::kMember, PlanOfOne(2, 12)}, &met, 1));
  for (int i = 0; i < 50; ++i) met.OnTick();
  EXPECT_NE(met.refusal().find("node 1 is a member of cluster 000000000000000b, alone"),
            std::string::npos);
}

TEST(FoundingTest, APeerOfAnotherClusterIsRefused) {
  Founding one(Options(1));
  FoundingHello hello = HelloOf(Self(2), {FoundingState::kMember, PlanOfOne(2, 12)}, &one, 1);
  hello.wish.founders = {NodeId{2}};
  one.OnHello(hello);
  EXPECT_NE(one.refusal().find(
                "node 2 is a member of cluster 000000000000000c, which node 1 is no founder of"),
            std::string::npos)
      << one.refusal();
}

TEST(FoundingTest, OtherWishesAreRefusedByName) {
  FoundingOptions options = Options(1);
  options.wish.group_count = 8;
  options.wish.limits = {{"message_bytes_max", 10}};
  const auto refusal_of = [&](const FoundingWish& wish) {
    Founding one(options);
    FoundingHello hello = HelloOf(Self(2), {}, &one, 1);
    hello.wish = wish;
    one.OnHello(hello);
    return one.refusal();
  };
  EXPECT_EQ(refusal_of({kThree, 0, options.wish.limits}), "");
  EXPECT_EQ(refusal_of({kThree, 16, options.wish.limits}),
            "raft-group-count of node 2 is 16, that of node 1 is 8: give each node the same");
  EXPECT_EQ(refusal_of({kThree, 0, {{"message_bytes_max", 11}}}),
            "message_bytes_max of node 2 is another one than that of node 1: give each node the "
            "same limits (body-bytes-max)");
  EXPECT_EQ(refusal_of({{NodeId{1}, NodeId{2}, NodeId{4}}, 0, options.wish.limits}),
            "the founders of node 2 are nodes 1, 2, 4, those of node 1 are 1, 2, 3: give each node "
            "the same");
}

TEST(FoundingTest, OneWishForAGroupCountIsEveryones) {
  FoundingOptions options = Options(3);
  options.wish.group_count = 16;
  Founding one(Options(1)), two(Options(2)), three(options);
  Converge({&one, &two, &three});
  EXPECT_TRUE(three.member());
  EXPECT_EQ(one.record().plan.group_count, 16u);
}

TEST(FoundingTest, AClusterIdForbidsFounding) {
  FoundingOptions options = Options(1);
  options.cluster_id = 7;
  {
    Founding one(options), two(Options(2)), three(Options(3));
    Converge({&one, &two, &three});
    EXPECT_FALSE(one.ended());
    EXPECT_NE(one.Waiting().find("cluster-id is given, which forbids founding"), std::string::npos)
        << one.Waiting();
  }
  options.record = {FoundingState::kFounding, Plan(7)};
  Founding one(options);  // What has begun goes on.
  EXPECT_EQ(one.refusal(), "");
  FoundingNode other = Self(3);
  other.directory = 999;
  FoundingHello hello = HelloOf(Self(2), {FoundingState::kFounding, Plan(7)}, &one, 1);
  hello.heard.back().from = other;
  one.OnHello(hello);
  one.OnHello(HelloOf(other, {}, &one, 1));
  EXPECT_NE(one.refusal().find("can't be founded any more"), std::string::npos) << one.refusal();
  options.cluster_id = 9;
  EXPECT_NE(
      RefusalOf(options).find("began to found cluster 0000000000000007, not 0000000000000009"),
      std::string::npos);
}

TEST(FoundingTest, FoundersThatMakeNoClusterAreRefused) {
  FoundingOptions options = Options(1);
  for (const std::vector<NodeId>& wrong :
       std::vector<std::vector<NodeId>>{{},
                                        {NodeId{2}, NodeId{3}, NodeId{4}},
                                        {NodeId{1}, NodeId{1}, NodeId{2}},
                                        {NodeId{0}, NodeId{1}, NodeId{2}},
                                        {NodeId{1}, NodeId{2}}}) {
    options.wish.founders = wrong;
    EXPECT_NE(RefusalOf(options), "");
  }
  options = Options(1, {FoundingState::kFounding, Plan()});
  options.wish.founders = {NodeId{1}, NodeId{2}, NodeId{4}};
  EXPECT_NE(RefusalOf(options).find("began to found a cluster of nodes 1, 2, 3"),
            std::string::npos);
}

}  // namespace
}  // namespace ursula::meta
