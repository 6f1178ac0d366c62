#include "lib/raft/membership.h"

#include <set>

#include "gtest/gtest.h"
#include "lib/base/random.h"

namespace ursula::raft {
namespace {

const JoinAt kJoin{Index{10}, 4, 100};

Membership Make(const ConfState& conf) {
  Result<Membership> membership = Membership::FromConfState(conf, kJoin);
  EXPECT_TRUE(membership.ok());
  return *membership;
}

NodeSet Nodes(std::initializer_list<uint64_t> ids) {
  NodeSet set;
  for (uint64_t id : ids) set.push_back(ReplicaId{id});
  return set;
}

TEST(MembershipTest, ContradictoryConfigurationsAreRefused) {
  auto refused = [](const ConfState& conf) { return !Membership::FromConfState(conf, kJoin).ok(); };
  EXPECT_TRUE(refused({Nodes({1, 1}), {}, {}, {}, false}));
  EXPECT_TRUE(refused({Nodes({0}), {}, {}, {}, false}));
  EXPECT_TRUE(refused({Nodes({1}), Nodes({1}), {}, {}, false}));
  EXPECT_TRUE(refused({Nodes({1}), Nodes({2}), Nodes({2}), {}, false}));
  EXPECT_TRUE(refused({Nodes({1}), {}, {}, Nodes({2}), false}));
  EXPECT_TRUE(refused({Nodes({1}), {}, Nodes({1, 2}), Nodes({1}), false}));
  EXPECT_TRUE(refused({Nodes({1}), {}, {}, {}, true}));
  EXPECT_TRUE(refused({{}, {}, Nodes({1}), {}, false}));
  EXPECT_FALSE(refused({Nodes({2, 1}), Nodes({3}), Nodes({1, 4}), Nodes({4}), true}));
}

TEST(MembershipTest, AConfStateComesBackAsItWent) {
  const ConfState conf{Nodes({1, 2}), Nodes({3}), Nodes({1, 4}), Nodes({4}), true};
  EXPECT_EQ(Make(conf).ToConfState(), conf);
}

TEST(MembershipTest, OneVoterAtATimeOutsideAJointConfiguration) {
  const Membership three = Make({Nodes({1, 2, 3}), {}, {}, {}, false});
  EXPECT_TRUE(
      three.Simple(std::vector<ConfChangeStep>{{ConfChangeOp::kAddVoter, ReplicaId{4}}}, kJoin)
          .ok());
  EXPECT_FALSE(three
                   .Simple(std::vector<ConfChangeStep>{{ConfChangeOp::kAddVoter, ReplicaId{4}},
                                                       {ConfChangeOp::kRemove, ReplicaId{1}}},
                           kJoin)
                   .ok());
}

TEST(MembershipTest, ADemotedVoterVotesUntilTheJointConfigurationIsLeft) {
  const Membership two = Make({Nodes({1, 2}), {}, {}, {}, false});
  Result<Membership> joint =
      two.EnterJoint(true,
                     std::vector<ConfChangeStep>{{ConfChangeOp::kAddLearner, ReplicaId{2}},
                                                 {ConfChangeOp::kAddVoter, ReplicaId{3}}},
                     kJoin);
  ASSERT_TRUE(joint.ok());
  EXPECT_TRUE(joint->IsVoter(ReplicaId{2}));
  EXPECT_FALSE(joint->Find(ReplicaId{2})->learner);
  EXPECT_EQ(joint->learners_next(), Nodes({2}));
  Result<Membership> left = joint->LeaveJoint();
  ASSERT_TRUE(left.ok());
  EXPECT_FALSE(left->IsVoter(ReplicaId{2}));
  EXPECT_TRUE(left->Find(ReplicaId{2})->learner);
}

TEST(MembershipTest, WhatIsKnownOfAMemberSurvivesChangesOfOthersAndOfItsRole) {
  Membership membership = Make({Nodes({1, 2, 3}), {}, {}, {}, false});
  membership.Find(ReplicaId{2})->match = Index{7};
  Result<Membership> after = membership.Simple(
      std::vector<ConfChangeStep>{{ConfChangeOp::kAddLearner, ReplicaId{2}}}, kJoin);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->Find(ReplicaId{2})->match, Index{7});
}

void CheckInvariant(const Membership& membership, uint64_t seed) {
  std::set<ReplicaId> expected;
  for (const NodeSet* set : {&membership.incoming(), &membership.outgoing(), &membership.learners(),
                             &membership.learners_next()}) {
    expected.insert(set->begin(), set->end());
  }
  std::set<ReplicaId> members;
  for (const auto& [node, progress] : membership.members()) {
    members.insert(node);
    ASSERT_EQ(progress.learner, Contains(membership.learners(), node)) << "seed " << seed;
    ASSERT_LT(progress.match, progress.next);
  }
  ASSERT_EQ(members, expected) << "seed " << seed;
  // A configuration that can be built from its own description is free of contradictions.
  Result<Membership> again = Membership::FromConfState(membership.ToConfState(), kJoin);
  ASSERT_TRUE(again.ok()) << "seed " << seed << ": " << again.status().message();
  ASSERT_EQ(again->ToConfState(), membership.ToConfState());
}

TEST(MembershipTest, TheInvariantHoldsOverRandomChanges) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    Membership membership = Make({Nodes({1, 2, 3}), {}, {}, {}, false});
    for (int step = 0; step < 60; ++step) {
      ConfChange change;
      change.transition = static_cast<Transition>(random.Below(3));
      for (uint64_t i = random.Below(4); i > 0; --i) {
        change.steps.push_back(
            {static_cast<ConfChangeOp>(random.Below(4)), ReplicaId{random.Below(7)}});
      }
      Result<Membership> next = membership.Apply(change, kJoin);
      if (!next.ok()) continue;
      // Old and new majorities overlap: the halves differ by one voter, or one half stays.
      if (!membership.joint() && next->joint()) {
        ASSERT_EQ(next->outgoing(), membership.incoming());
      }
      if (membership.joint() && !next->joint()) {
        ASSERT_EQ(next->incoming(), membership.incoming());
      }
      membership = std::move(*next);
      CheckInvariant(membership, seed);
    }
  }
}

}  // namespace
}  // namespace ursula::raft
