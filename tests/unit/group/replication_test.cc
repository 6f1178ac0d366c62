// Two and three replicas of a group: they elect, replicate, crash, restart and stop.

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/unit/group/cluster_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t Other(ClusterWorld& cluster, uint64_t than) { return than % cluster.size() + 1; }

// Three with a stream that all of them have.
struct ThreeWithStream : ClusterWorld {
  ThreeWithStream() : ClusterWorld(3) {
    OpenAll();
    EXPECT_TRUE(CreateNow("s"));
    EXPECT_TRUE(AwaitEqual());
  }
};

// Waits at its tail for ten minutes.
ReadRequest AtTail() {
  ReadRequest request;
  request.stream = NameOf("s");
  request.from_tail = true;
  request.wait_ms = 600'000;
  return request;
}

TEST(ReplicationTest, ThreeElectOneAndApplyTheSame) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  std::string all;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(cluster.AppendNow("s", std::to_string(i) + ","));
    all += std::to_string(i) + ",";
  }
  ASSERT_TRUE(cluster.AwaitEqual());
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(cluster.Content(id, "s"), all) << id;
    EXPECT_EQ(cluster.replica(id).machine().StateHash(), cluster.replica(1).machine().StateHash());
  }
}

TEST(ReplicationTest, AFollowersReadSeesWhatWasAcknowledgedBeforeIt) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  std::string all;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(cluster.AppendNow("s", "x"));
    all += "x";
    EXPECT_EQ(cluster.Content(Other(cluster, *cluster.Leader()), "s"), all);
  }
}

TEST(ReplicationTest, AMajorityGoesOnWhenTheLeaderCrashes) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  std::string all;
  for (int round = 0; round < 6; ++round) {
    ASSERT_TRUE(cluster.AppendNow("s", "abc"));
    all += "abc";
    const uint64_t leader = *cluster.Leader();
    if (round % 2 == 0) {
      cluster.Crash(leader);
    } else {
      cluster.Kill(leader);
    }
    ASSERT_TRUE(cluster.AppendNow("s", "d"));
    all += "d";
    ASSERT_TRUE(cluster.Open(leader).ok());
  }
  ASSERT_TRUE(cluster.AwaitEqual());
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(cluster.Content(id, "s"), all) << id;
}

TEST(ReplicationTest, AKilledLeaderIsReplacedWithoutWaitingForItsTimeout) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  cluster.Kill(*cluster.Leader());
  const uint64_t before_ns = cluster.now_ns();
  ASSERT_TRUE(cluster.AwaitLeader());
  EXPECT_LT(cluster.now_ns() - before_ns, 2 * kSecond);
}

TEST(ReplicationTest, AllCrashAtOnceAndNothingAcknowledgedIsLost) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  std::string all;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(cluster.AppendNow("s", "abc"));
      all += "abc";
    }
    for (uint64_t id = 1; id <= 3; ++id) cluster.Crash(id);
    cluster.OpenAll();
  }
  ASSERT_TRUE(cluster.AwaitLeader());
  ASSERT_TRUE(cluster.AwaitEqual());
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(cluster.Content(id, "s"), all) << id;
}

TEST(ReplicationTest, WithoutAMajorityNothingIsAcknowledgedAndWhatWaitsEnds) {
  ClusterWorld cluster(2);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t leader = *cluster.Leader();
  cluster.network().Isolate(NodeId{leader});
  const Asked append = cluster.node(leader).Append("s", "abc");
  ReadRequest request;
  request.stream = NameOf("s");
  const AskedRead read = cluster.node(leader).Read(request);
  const uint64_t before_ns = cluster.now_ns();
  ASSERT_TRUE(cluster.RunUntil([&] { return append->reply && read->reply; }));
  EXPECT_EQ(append->code(), StatusCode::kOutcomeUnknown);
  EXPECT_FALSE((*read->reply).ok());
  EXPECT_EQ((*read->reply).status().code(), StatusCode::kUnavailable);
  EXPECT_LE(cluster.now_ns() - before_ns, 11 * kSecond);
  EXPECT_EQ(cluster.node(leader).budget().inflight_bytes, 0u);
  // The leader that hears nobody has stepped down: what comes now is refused for certain.
  const Asked refused = cluster.node(leader).Append("s", "def");
  EXPECT_FALSE(cluster.Finish(refused));
  EXPECT_EQ(refused->code(), StatusCode::kUnavailable);
  cluster.network().Heal();
  ASSERT_TRUE(cluster.AppendNow("s", "g"));
  // It was unknown: either is right, and the same on both.
  const std::string content = cluster.Content(1, "s");
  EXPECT_TRUE(content == "abcg" || content == "g") << content;
  EXPECT_EQ(cluster.Content(2, "s"), content);
}

// Its question is answered at once, and it stands still before it hears that: as of the answer
// others have acknowledged more, and nothing of that reaches it.
TEST(ReplicationTest, AFollowerIsFreshAsOfWhenItAskedAndNotOfWhenItHeard) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.AppendNow("s", "old"));
  ASSERT_TRUE(cluster.AwaitEqual());
  const uint64_t leader = *cluster.Leader();
  const uint64_t follower = Other(cluster, leader);
  ReadRequest request;
  request.stream = NameOf("s");
  request.consistency = Consistency::kLocal;
  const uint64_t asked_ns = cluster.now_ns();
  const AskedRead first = cluster.node(follower).Read(request);
  const uint64_t frames = cluster.network().frames();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.network().frames() > frames; }));
  ASSERT_FALSE(first->reply);  // It has asked, and isn't answered yet.
  cluster.Pause(follower, 3 * kSecond);
  const uint64_t wakes_ns = cluster.now_ns() + 3 * kSecond;
  cluster.RunFor(kSecond / 100);
  cluster.network().Cut(NodeId{leader}, NodeId{follower});
  ASSERT_TRUE(cluster.AppendNow("s", "new"));
  cluster.RunFor(wakes_ns - cluster.now_ns() - 1000);
  cluster.network().Heal();  // Else the answer, which is under way, would be lost too.
  ASSERT_TRUE(cluster.RunUntil([&] { return first->reply.has_value(); }));
  cluster.network().Cut(NodeId{leader}, NodeId{follower});
  ASSERT_EQ(first->text(), "old");  // Of when it was asked; and it says so.
  EXPECT_LE((*first->reply)->fresh_ns, asked_ns + kSecond / 1000);
  request.staleness_ms_max = 2000;
  const AskedRead second = cluster.node(follower).Read(request);
  cluster.RunFor(kSecond);
  EXPECT_FALSE(second->reply) << second->text();
  cluster.network().Heal();
  ASSERT_TRUE(cluster.RunUntil([&] { return second->reply.has_value(); }));
  EXPECT_EQ(second->text(), "oldnew");
}

// It is told the index that it has to reach, and its disk keeps it from that.
TEST(ReplicationTest, AFollowerIsFreshOnceItHasAppliedWhatItWasToldOf) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.AppendNow("s", "old"));
  ASSERT_TRUE(cluster.AwaitEqual());
  const uint64_t follower = Other(cluster, *cluster.Leader());
  cluster.node(follower).disk.faults().latency_min_ns = 4 * kSecond;
  cluster.node(follower).disk.faults().latency_max_ns = 4 * kSecond;
  ASSERT_TRUE(cluster.AppendNow("s", "new"));
  ReadRequest request;
  request.stream = NameOf("s");
  request.consistency = Consistency::kLocal;
  const AskedRead first = cluster.node(follower).Read(request);
  cluster.RunFor(kSecond);
  EXPECT_FALSE(first->reply) << first->text();
  const AskedRead second = cluster.node(follower).Read(request);
  cluster.RunFor(kSecond);
  EXPECT_FALSE(second->reply) << second->text();
  ASSERT_TRUE(cluster.RunUntil([&] { return first->reply && second->reply; }));
  EXPECT_EQ(first->text(), "oldnew");
  EXPECT_EQ(second->text(), "oldnew");
}

TEST(ReplicationTest, AnIsolatedLeaderServesNoStaleRead) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t old = *cluster.Leader();
  cluster.network().Isolate(NodeId{old});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader() && *cluster.Leader() != old; }));
  ASSERT_TRUE(cluster.AppendNow("s", "new"));
  ReadRequest request;
  request.stream = NameOf("s");
  const AskedRead read = cluster.node(old).Read(request);
  ASSERT_TRUE(cluster.RunUntil([&] { return read->reply.has_value(); }));
  EXPECT_FALSE((*read->reply).ok()) << read->text();
  cluster.network().Heal();
  EXPECT_EQ(cluster.Content(old, "s"), "new");
}

// It has asked before it raised a term, and nobody has answered.
TEST(ReplicationTest, OneThatWasCutOffDeposesNobody) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t leader = *cluster.Leader();
  const Term term = cluster.replica(leader).term();
  cluster.network().Isolate(NodeId{Other(cluster, leader)});
  cluster.RunFor(10 * kSecond);
  cluster.network().Heal();
  cluster.RunFor(5 * kSecond);
  EXPECT_EQ(cluster.Leader(), leader);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(cluster.replica(id).term(), term) << id;
}

TEST(ReplicationTest, AReadOutlivesTheLeaderItWasAskedOf) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.AppendNow("s", "abc"));
  const uint64_t leader = *cluster.Leader();
  const uint64_t reader = Other(cluster, leader);
  cluster.network().Cut(NodeId{leader}, NodeId{reader});
  ReadRequest request;
  request.stream = NameOf("s");
  const AskedRead read = cluster.node(reader).Read(request);
  cluster.RunFor(kSecond / 1000);
  EXPECT_FALSE(read->reply);
  cluster.Crash(leader);
  cluster.network().Heal();
  ASSERT_TRUE(cluster.RunUntil([&] { return read->reply.has_value(); }));
  EXPECT_EQ(read->text(), "abc");
}

TEST(ReplicationTest, AStoppedLeaderHandsOver) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t leader = *cluster.Leader();
  const Asked append = cluster.node(leader).Append("s", "abc");
  cluster.RunFor(0);
  const uint64_t before_ns = cluster.now_ns();
  ASSERT_TRUE(cluster.StopNode(leader));
  EXPECT_TRUE(append->ok()) << static_cast<int>(append->code());
  ASSERT_TRUE(cluster.AwaitLeader());
  EXPECT_LT(cluster.now_ns() - before_ns, kSecond / 2);
  EXPECT_EQ(cluster.Content(*cluster.Leader(), "s"), "abc");
}

TEST(ReplicationTest, AStopWithoutAMajorityEnds) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t leader = *cluster.Leader();
  cluster.network().Isolate(NodeId{leader});
  const Asked append = cluster.node(leader).Append("s", "abc");
  cluster.RunFor(0);
  const uint64_t before_ns = cluster.now_ns();
  ASSERT_TRUE(cluster.StopNode(leader));
  EXPECT_EQ(append->code(), StatusCode::kOutcomeUnknown);
  EXPECT_LE(cluster.now_ns() - before_ns, 3 * kSecond);
}

TEST(ReplicationTest, ALeaderWhoseLogFailsIsReplaced) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.AppendNow("s", "a"));
  const uint64_t old = *cluster.Leader();
  cluster.node(old).disk.FailWrite(1, EIO);
  const Asked append = cluster.node(old).Append("s", "b");
  EXPECT_FALSE(cluster.Finish(append));
  EXPECT_EQ(append->code(), StatusCode::kOutcomeUnknown);
  ReadRequest request;
  request.stream = NameOf("s");
  const AskedRead read = cluster.node(old).Read(request);  // Asks nobody to keep it leader.
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader() && *cluster.Leader() != old; }));
  ASSERT_TRUE(cluster.AppendNow("s", "c"));
  ASSERT_TRUE(cluster.RunUntil([&] { return read->reply.has_value(); }));
  EXPECT_FALSE((*read->reply).ok());
}

TEST(ReplicationTest, ALeaderWhoseDiskHangsHandsOver) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t old = *cluster.Leader();
  cluster.node(old).disk.faults().latency_min_ns = 30 * kSecond;
  cluster.node(old).disk.faults().latency_max_ns = 30 * kSecond;
  cluster.node(old).Append("s", "abc");
  ASSERT_TRUE(
      cluster.RunUntil([&] { return cluster.Leader() && *cluster.Leader() != old; }, 5 * kSecond));
  EXPECT_TRUE(cluster.AppendNow("s", "def"));
}

// Of those that are left it would be the first to stand.
TEST(ReplicationTest, OneWhoseLogHangsDoesNotStandForItsLeader) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t old = *cluster.Leader();
  const uint64_t first = old == 1 ? 2 : 1;
  cluster.node(first).budget().log_hangs = true;
  cluster.RunFor(kSecond);
  cluster.Kill(old);
  ASSERT_TRUE(cluster.AwaitLeader());
  EXPECT_NE(*cluster.Leader(), first);
  EXPECT_NE(*cluster.Leader(), old);
}

TEST(ReplicationTest, AnEntryThatOneCannotStoreStopsNeitherItNorTheOthers) {
  ClusterWorld cluster(3);
  cluster.node(3).options.wal_segment_bytes = 16 << 10;
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader().has_value(); }));
  if (*cluster.Leader() == 3) cluster.Crash(3);
  ASSERT_TRUE(cluster.AwaitLeader());
  if (!cluster.node(3).open()) {
    ASSERT_TRUE(cluster.Open(3).ok());
  }
  EXPECT_TRUE(cluster.AppendNow("s", std::string(20'000, 'x')));
  cluster.RunFor(kSecond);
  EXPECT_TRUE(cluster.node(3).open());
  EXPECT_TRUE(cluster.node(3).Logged("larger than this node's log takes"));
  EXPECT_TRUE(cluster.AppendNow("s", "after"));
}

TEST(ReplicationTest, AFollowersClockDecidesNothing) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.AwaitLeader());
  const uint64_t leader = *cluster.Leader();
  const Asked create = cluster.node(leader).Create("s", {.ttl_seconds = 100});
  ASSERT_TRUE(cluster.Finish(create));
  const uint64_t follower = Other(cluster, leader);
  testing::ManualLoop& loop = cluster.node(follower).runtime().manual_loop(CoreId{0});
  loop.SetWallMs(loop.wall_ms() + 1'000'000'000);
  EXPECT_EQ(cluster.Content(follower, "s"), "");
  cluster.RunFor(kSecond);
  EXPECT_EQ(cluster.Content(follower, "s"), "");
  ASSERT_TRUE(cluster.AppendNow("s", "abc"));
  EXPECT_EQ(cluster.Content(follower, "s"), "abc");
}

// A read there reaches its leader's time.
TEST(ReplicationTest, AReadAtAFollowerRenewsAStream) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.AwaitLeader());
  const uint64_t leader = *cluster.Leader();
  const uint64_t follower = Other(cluster, leader);
  ASSERT_TRUE(cluster.Finish(cluster.node(leader).Create("s", {.ttl_seconds = 10})));
  ASSERT_TRUE(cluster.Finish(cluster.node(leader).Create("t", {.ttl_seconds = 10})));
  for (int i = 0; i < 6; ++i) {
    cluster.RunFor(4 * kSecond);
    EXPECT_EQ(cluster.Content(follower, "s"), "");
  }
  EXPECT_EQ(cluster.Content(follower, "t"),
            "outcome " + std::to_string(static_cast<int>(Outcome::kNotFound)));
  cluster.RunFor(12 * kSecond);
  EXPECT_EQ(cluster.Content(leader, "s"),
            "outcome " + std::to_string(static_cast<int>(Outcome::kNotFound)));
}

TEST(ReplicationTest, AReaderWhoWaitsAtAFollowerKeepsAStream) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.AwaitLeader());
  const uint64_t leader = *cluster.Leader();
  const uint64_t follower = Other(cluster, leader);
  ASSERT_TRUE(cluster.Finish(cluster.node(leader).Create("s", {.ttl_seconds = 2})));
  ReadRequest request;
  request.stream = NameOf("s");
  request.wait_ms = 60'000;
  const AskedRead read = cluster.node(follower).Read(request);
  cluster.RunFor(20 * kSecond);
  EXPECT_FALSE(read->reply) << read->text();
  ASSERT_TRUE(cluster.AppendNow("s", "abc"));
  ASSERT_TRUE(cluster.RunUntil([&] { return read->reply.has_value(); }));
  EXPECT_EQ(read->text(), "abc");
  cluster.RunFor(5 * kSecond);
  EXPECT_EQ(cluster.Content(follower, "s"),
            "outcome " + std::to_string(static_cast<int>(Outcome::kNotFound)));
}

TEST(ReplicationTest, AReplicaThatHearsOfNobodyEndsItsTails) {
  ThreeWithStream cluster;
  const uint64_t leader = *cluster.Leader();
  for (const uint64_t cut : {Other(cluster, leader), leader}) {
    ReadRequest local = AtTail();
    local.consistency = Consistency::kLocal;
    local.staleness_ms_max = 600'000;
    const AskedRead tail = cluster.node(cut).Read(AtTail());
    const AskedRead old = cluster.node(cut).Read(local);
    const uint64_t rounds = cluster.replica(cut).read_rounds();
    cluster.RunFor(30 * kSecond);
    ASSERT_FALSE(tail->reply.has_value()) << tail->text();
    EXPECT_GE(cluster.replica(cut).read_rounds() - rounds, 5u);
    EXPECT_LE(cluster.replica(cut).read_rounds() - rounds, 32u);
    cluster.network().Isolate(NodeId{cut});
    cluster.RunFor(3 * kSecond);  // An election elsewhere disturbs nobody.
    EXPECT_FALSE(tail->reply.has_value()) << tail->text();
    cluster.RunFor(2 * kSecond);
    ASSERT_TRUE(tail->reply.has_value());
    EXPECT_EQ(tail->reply->status().code(), StatusCode::kUnavailable);
    cluster.RunFor(10 * kSecond);
    EXPECT_FALSE(old->reply.has_value()) << old->text();
    cluster.network().Heal();
    ASSERT_TRUE(cluster.AwaitLeader());
    ASSERT_TRUE(cluster.AppendNow("s", "x"));
    ASSERT_TRUE(cluster.RunUntil([&] { return old->reply.has_value(); }));
    ASSERT_TRUE(cluster.AwaitEqual());
  }
}

// Whose frame had just come when the node was cut off asks for the next one behind a round.
TEST(ReplicationTest, ATailThatIsAskedForWhereNobodyIsHeardEndsAsSoon) {
  ThreeWithStream cluster;
  const uint64_t leader = *cluster.Leader();
  for (const uint64_t cut : {Other(cluster, leader), leader}) {
    cluster.network().Isolate(NodeId{cut});
    const AskedRead tail = cluster.node(cut).Read(AtTail());
    cluster.RunFor(4 * kSecond);
    EXPECT_FALSE(tail->reply.has_value()) << tail->text();
    cluster.RunFor(950'000'000);
    ASSERT_TRUE(tail->reply.has_value());
    EXPECT_EQ(tail->reply->status().code(), StatusCode::kUnavailable);
    cluster.network().Heal();
    ASSERT_TRUE(cluster.AwaitLeader());
  }
}

// A moment later it may know again.
TEST(ReplicationTest, WhoStoodStillAsksBeforeItEndsItsTails) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.AwaitEqual());
  const uint64_t follower = Other(cluster, *cluster.Leader());
  ReadRequest request;
  request.stream = NameOf("s");
  request.wait_ms = 600'000;
  const AskedRead tail = cluster.node(follower).Read(request);
  cluster.RunFor(2 * kSecond);
  cluster.Pause(follower, 20 * kSecond);
  cluster.RunFor(30 * kSecond);
  EXPECT_FALSE(tail->reply.has_value()) << tail->text();
  // Nor does the loss of the leader, while a majority is there.
  cluster.Crash(*cluster.Leader());
  cluster.RunFor(20 * kSecond);
  EXPECT_FALSE(tail->reply.has_value()) << tail->text();
  ASSERT_TRUE(cluster.AppendNow("s", "x"));
  ASSERT_TRUE(cluster.RunUntil([&] { return tail->reply.has_value(); }));
  EXPECT_EQ(tail->text(), "x");
}

TEST(ReplicationTest, AReplicaWhoseLogFailsEndsItsTails) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.AwaitEqual());
  const uint64_t follower = Other(cluster, *cluster.Leader());
  ReadRequest request;
  request.stream = NameOf("s");
  request.wait_ms = 600'000;
  const AskedRead tail = cluster.node(follower).Read(request);
  cluster.RunFor(2 * kSecond);
  cluster.node(follower).disk.FailWrite(1, EIO);
  ASSERT_TRUE(cluster.CreateNow("t"));
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.replica(follower).failed(); }));
  cluster.RunFor(6 * kSecond);
  ASSERT_TRUE(tail->reply.has_value());
  EXPECT_EQ(tail->reply->status().code(), StatusCode::kUnavailable);
}

// Its leader's sweep and the news of a follower meet.
TEST(ReplicationTest, WhatIsPastItsDeadlineIsGoneAtAFollowerOnceItsLeaderSaysSo) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.AwaitLeader());
  const uint64_t leader = *cluster.Leader();
  const uint64_t follower = Other(cluster, leader);
  for (int i = 0; i < 20; ++i) {
    const std::string name = "s" + std::to_string(i);
    ASSERT_TRUE(cluster.Finish(cluster.node(leader).Create(name, {.ttl_seconds = 1})));
    cluster.RunFor(kSecond - 10'000'000);
    ASSERT_TRUE(cluster.Finish(cluster.node(leader).Create("other" + name)));
    cluster.RunFor(static_cast<uint64_t>(i) * 3'000'000);
    const std::string content = cluster.Content(follower, name);
    EXPECT_TRUE(content.empty() || content.starts_with("outcome")) << content;
  }
}

// What was committed while it was away was stamped long ago, whoever it hears from first.
TEST(ReplicationTest, AFallenLeadersWordDoesNotMakeOldStampsNew) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t fallen = *cluster.Leader();
  cluster.Crash(fallen);
  ASSERT_TRUE(cluster.AwaitLeader());
  const uint64_t leader = *cluster.Leader();
  const uint64_t away = 6 - fallen - leader;
  ASSERT_TRUE(cluster.Open(fallen).ok());
  ASSERT_TRUE(cluster.AwaitEqual());
  cluster.Crash(away);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.AppendNow("s", "x"));
  cluster.RunFor(60 * kSecond);
  cluster.network().Isolate(NodeId{away});
  ASSERT_TRUE(cluster.Open(away).ok());
  const Term term = cluster.replica(leader).term();
  const raft::Message stale = {.kind = raft::MessageKind::kAppend,
                               .from = ReplicaId{fallen},
                               .to = ReplicaId{away},
                               .term = Term{Raw(term) - 1}};
  ByteParts letter;
  EncodeLetter({.from = stale.from, .to = stale.to, .letter = stale}, &letter);
  cluster.replica(away).OnPeerLetter(NodeId{fallen}, letter.TakeJoined());
  cluster.network().Heal();
  ASSERT_TRUE(cluster.AwaitEqual());
  EXPECT_FALSE(cluster.replica(away).knows_time());
  ASSERT_TRUE(cluster.AppendNow("s", "y"));
  ASSERT_TRUE(cluster.AwaitEqual());
  EXPECT_TRUE(cluster.replica(away).knows_time());
}

TEST(ReplicationTest, AFollowerThatWasAwayCatchesUpFromTheLog) {
  ClusterWorld cluster(3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t away = Other(cluster, *cluster.Leader());
  cluster.network().Isolate(NodeId{away});
  std::string all;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(cluster.AppendNow("s", std::string(1000, 'x')));
    all += std::string(1000, 'x');
  }
  cluster.network().Heal();
  ASSERT_TRUE(cluster.AwaitEqual());
  EXPECT_EQ(cluster.Content(away, "s"), all);
}

}  // namespace
}  // namespace ursula::group
