// How fast one is brought up that was away, and who isn't held up.

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/group/behind_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kRate = 1'000'000;
constexpr int kAppends = 100;
constexpr int kBytes = 50'000;
constexpr uint64_t kAllBytes = uint64_t{kAppends} * kBytes;  // Five messages, or asks.
constexpr uint64_t kKeepsAll = 16 << 20;

WorldOptions Paced(uint64_t kept_log_bytes_max, uint64_t rate = kRate) {
  WorldOptions options;
  options.kept_log_bytes_max = kept_log_bytes_max;
  options.rejoin_bytes_per_second = rate;
  return options;
}

// Appends that one has missed: five seconds' worth.
struct Missed : Behind {
  explicit Missed(uint64_t kept_log_bytes_max = kKeepsAll, uint64_t rate = kRate)
      : Behind(1, Paced(kept_log_bytes_max, rate)) {
    CutOff();
    GoOn(kAppends, kBytes);
  }
  double SecondsToRejoin() {
    const uint64_t begun_ns = cluster.now_ns();
    Check(Rejoin());
    return static_cast<double>(cluster.now_ns() - begun_ns) / 1e9;
  }
  uint64_t Taken(uint64_t id) { return cluster.node(id).pace().stats().bytes; }
};

TEST(RejoinPaceTest, EntriesThatOneHasMissedGoAtThePaceAndAppendsDont) {
  Missed missed;
  missed.cluster.network().Heal();
  const uint64_t begun_ns = missed.cluster.now_ns();
  missed.Append("meanwhile ");
  EXPECT_LT(missed.cluster.now_ns() - begun_ns, kSecond / 2);
  EXPECT_LT(missed.cluster.replica(missed.away).applied(),
            missed.cluster.replica(missed.leader).applied());
  missed.Check(missed.CaughtUp());
  const double took = static_cast<double>(missed.cluster.now_ns() - begun_ns) / 1e9;
  EXPECT_GT(took, 3.5);
  EXPECT_LT(took, 8.0);
  EXPECT_GE(missed.Taken(missed.leader), kAllBytes);
  EXPECT_GT(missed.cluster.node(missed.leader).pace().stats().waited_ns, 3 * kSecond);
  missed.ExpectAlike();
}

TEST(RejoinPaceTest, WithoutARateItComesBackAtOnce) {
  Missed missed(kKeepsAll, 0);
  EXPECT_LT(missed.SecondsToRejoin(), 1.5);
  missed.ExpectAlike();
}

// The snapshot is small here: what takes the time is the payload, which it fetches itself.
TEST(RejoinPaceTest, PayloadBehindASnapshotIsFetchedAtThePace) {
  Missed missed(0);
  EXPECT_GT(missed.SecondsToRejoin(), 3.5);
  EXPECT_GE(missed.Taken(missed.away), kAllBytes);
  EXPECT_GT(missed.Taken(missed.leader), 0u);
  missed.ExpectAlike();
}

// Without the third nothing is acknowledged but by the one that was away.
TEST(RejoinPaceTest, OneWithoutWhichNothingIsAcknowledgedIsntHeldUp) {
  Missed missed;
  const uint64_t third = 6 - missed.leader - missed.away;
  missed.cluster.network().Heal();
  missed.cluster.RunFor(kSecond / 2);
  EXPECT_LT(missed.cluster.replica(missed.away).applied(),
            missed.cluster.replica(missed.leader).applied());
  missed.cluster.Kill(third);
  const uint64_t begun_ns = missed.cluster.now_ns();
  missed.Append("with it ");
  EXPECT_LT(missed.cluster.now_ns() - begun_ns, 3 * kSecond / 2);
  EXPECT_EQ(missed.cluster.Leader(), missed.leader);
}

TEST(RejoinPaceTest, AHandOversTargetIsntHeldUp) {
  Missed missed;
  missed.cluster.network().Heal();
  missed.cluster.RunFor(kSecond / 2);
  Replica& leader = missed.cluster.replica(missed.leader);
  ASSERT_LT(missed.cluster.replica(missed.away).applied(), leader.applied());
  ASSERT_TRUE(missed.cluster.RunUntil([&] { return leader.HandOverTo(NodeId{missed.away}, 1000); },
                                      kSecond / 2));
  EXPECT_TRUE(missed.cluster.RunUntil([&] { return missed.cluster.replica(missed.away).leads(); },
                                      kSecond));
}

TEST(RejoinPaceTest, TwoThatComeBackTogetherShareThePace) {
  ClusterWorld cluster(5, 1, Paced(kKeepsAll));
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t leader = *cluster.Leader();
  const uint64_t one = leader % 5 + 1;
  const uint64_t other = one % 5 + 1;
  cluster.network().Isolate(NodeId{one});
  cluster.network().Isolate(NodeId{other});
  for (int i = 0; i < kAppends; ++i) {
    ASSERT_TRUE(cluster.AppendNow("s", std::string(kBytes, 'x')));
  }
  cluster.network().Heal();
  const uint64_t begun_ns = cluster.now_ns();
  cluster.RunFor(5 * kSecond);
  const uint64_t begun = Raw(cluster.replica(leader).applied()) - kAppends;
  for (uint64_t id : {one, other}) {
    EXPECT_GT(Raw(cluster.replica(id).applied()), begun + 15)
        << id;  // Neither waits for the other.
    EXPECT_LT(Raw(cluster.replica(id).applied()), begun + 85) << id;
  }
  ASSERT_TRUE(cluster.AwaitEqual());
  EXPECT_GT(cluster.now_ns() - begun_ns, 8 * kSecond);
  EXPECT_EQ(cluster.Leader(), leader);
}

// Twice as fast as the pace: it comes nearer all the same.
TEST(RejoinPaceTest, OneCatchesUpWithMoreThanThePaceThatIsAppendedMeanwhile) {
  Missed missed(1 << 30);  // No snapshot ends it.
  missed.cluster.network().Heal();
  const uint64_t begun_ns = missed.cluster.now_ns();
  auto lacks = [&] {
    return Raw(missed.cluster.replica(missed.leader).applied()) -
           Raw(missed.cluster.replica(missed.away).applied());
  };
  missed.cluster.RunFor(kSecond / 10);
  while (lacks() > 5 && missed.cluster.now_ns() - begun_ns < 20 * kSecond) {
    missed.Append(std::string(kBytes, 'y'));
    missed.cluster.RunFor(kSecond / 40);
  }
  EXPECT_LE(lacks(), 5u);
}

TEST(RejoinPaceTest, LeadersAndReplicasEndWhileOneWaits) {
  Missed missed;
  missed.cluster.network().Heal();
  missed.cluster.RunFor(kSecond / 2);
  ASSERT_LT(missed.cluster.replica(missed.away).applied(),
            missed.cluster.replica(missed.leader).applied());
  missed.cluster.Crash(missed.away);  // Who waits,
  missed.cluster.RunFor(kSecond);
  ASSERT_TRUE(missed.cluster.Open(missed.away).ok());
  missed.cluster.RunFor(kSecond / 2);
  ASSERT_TRUE(missed.cluster.StopNode(missed.leader));  // or who has it wait.
  ASSERT_TRUE(missed.cluster.AwaitLeader());
  missed.Append("afterwards ");
  ASSERT_TRUE(missed.cluster.Open(missed.leader).ok());
  missed.Check(missed.CaughtUp());
  missed.ExpectAlike();
}

TEST(RejoinPaceTest, OneThatIsTakenOutWhileItWaitsIsForgotten) {
  Missed missed;
  missed.cluster.network().Heal();
  missed.cluster.RunFor(kSecond / 2);
  raft::ConfChange change;
  change.steps = {{raft::ConfChangeOp::kRemove, ReplicaId{missed.away}}};
  ASSERT_TRUE(missed.cluster.ChangeMembers(change).ok());
  missed.cluster.RunFor(kSecond);
  const uint64_t taken = missed.Taken(missed.leader);
  missed.cluster.RunFor(5 * kSecond);
  EXPECT_EQ(missed.Taken(missed.leader), taken);
  missed.Append("without it ");
}

// Longer than all that it lacks would be kept for anyone else.
TEST(RejoinPaceTest, WhatOneIsYetToGetAtThePaceStaysInTheLog) {
  Behind behind(1, Paced(0));
  behind.CutOff();
  for (int i = 0; i < kAppends; ++i) behind.Append(std::string(kBytes, 'x'));
  behind.cluster.network().Heal();
  behind.cluster.RunFor(kSecond / 2);
  ASSERT_LT(behind.cluster.replica(behind.away).applied(),
            behind.cluster.replica(behind.leader).applied());
  behind.Checkpoint();
  behind.Check(behind.CaughtUp());
  auto fetched = [&] { return behind.cluster.node(behind.away).pace().stats().bytes; };
  EXPECT_EQ(fetched(), 0u);  // As one does that was sent a snapshot.
  behind.ExpectAlike();
  // Nothing is kept for one that is level, nor for one that isn't heard of.
  behind.Append(std::string(kBytes, 'y'));
  behind.Check(behind.CaughtUp());
  behind.CutOff();
  behind.cluster.RunFor(2 * kSecond);
  behind.GoOn();
  behind.Check(behind.Rejoin());
  EXPECT_GT(fetched(), 0u);
  behind.ExpectAlike();
}

// What a command takes in the log, not what it brings: these have no payload. At the rate alone
// what it has missed would take 20 s.
TEST(RejoinPaceTest, WhatIsCreatedMeanwhileComesOnTopAsTheLogHasIt) {
  Behind behind(1, Paced(kKeepsAll, 100'000));
  behind.CutOff();
  for (int i = 0; i < 60; ++i) behind.Append(std::string(kBytes, 'x'));
  behind.cluster.network().Heal();
  const uint64_t begun_ns = behind.cluster.now_ns();
  auto lacks = [&] {
    return Raw(behind.cluster.replica(behind.leader).applied()) -
           Raw(behind.cluster.replica(behind.away).applied());
  };
  behind.cluster.RunFor(kSecond / 10);
  ASSERT_GT(lacks(), 0u);
  int created = 0;
  while (lacks() > 5 && behind.cluster.now_ns() - begun_ns < 20 * kSecond) {
    behind.Check(behind.cluster.CreateNow(std::string(900, 'n') + std::to_string(created++)));
    behind.cluster.RunFor(kSecond / 100);
  }
  EXPECT_LT(behind.cluster.now_ns() - begun_ns, 11 * kSecond);
}

// A connection that takes one letter at a time refuses most.
TEST(RejoinPaceTest, APartThatDoesntLeaveTakesNothing) {
  auto taken = [](uint64_t window_bytes_max) {
    WorldOptions options = Paced(0, 0);
    options.shipment_part_bytes = 20;
    options.peer_window_bytes_max = window_bytes_max;
    Behind behind(1, options);
    behind.CutOff();
    behind.GoOn();
    behind.Check(behind.Rejoin());
    return behind.cluster.node(behind.leader).pace().stats().bytes;
  };
  EXPECT_LT(2 * taken(1), 3 * taken(16 << 20));
}

// Of a pace that would take hours, and groups of which each waits for the others.
TEST(RejoinPaceTest, ShipmentsGoOnAtTheSlowestPace) {
  WorldOptions options = Paced(0, 1);
  options.groups = 12;
  options.shipment_part_bytes = 20;
  ClusterWorld cluster(3, 1, options);
  cluster.OpenAll();
  cluster.network().Isolate(NodeId{3});
  for (uint32_t group = 0; group < options.groups; ++group) {
    ASSERT_TRUE(cluster.AwaitLeader(group));
    GroupWorld& leader = cluster.node(*cluster.Leader(group));
    ASSERT_TRUE(cluster.Finish(leader.Create("s", {}, group)));
    ASSERT_TRUE(cluster.Finish(leader.Append("s", "abc", group)));
    for (uint64_t id : {1, 2}) cluster.replica(id, group).Checkpoint();
  }
  cluster.RunFor(kSecond);
  ASSERT_EQ(cluster.node(1).budget().stats.snapshots, options.groups);
  cluster.network().Heal();
  for (uint32_t group = 0; group < options.groups; ++group) {
    EXPECT_TRUE(cluster.RunUntil(
        [&] { return cluster.replica(3, group).machine().stream_count() == 1; }, 300 * kSecond));
  }
}

}  // namespace
}  // namespace ursula::group
