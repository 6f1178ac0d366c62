// A replica of several that applies what its log has over many turns: what the others make of it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "lib/base/byte_parts.h"
#include "lib/base/ids.h"
#include "lib/group/letter_format.h"
#include "lib/raft/core.h"
#include "lib/raft/membership.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kAppends = 300;
constexpr uint64_t kStillNs = 20'000'000;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr int64_t kYearMs = 31'536'000'000;
constexpr uint64_t kMuch = 20;

struct How {
  uint64_t seed = 1;
  uint64_t unapplied_max = kMuch;
  // It lacks what came while it was cut off, after its restart; else all that is in its log.
  bool cut_off = false;
  bool changes = false;  // Its log is of changes of members.
};

// Three with a long log, of which one comes back: it applies an entry, stands still for a moment,
// and so on, while time goes on for the others.
struct Lagging {
  explicit Lagging(const How& how = {}) : cluster(3, how.seed, Slowly(how.unapplied_max)) {
    cluster.OpenAll();
    EXPECT_TRUE(cluster.CreateNow("s"));
    leader = *cluster.Leader();
    away = leader == 1 ? 2 : 1;  // Of two that are alike the first is made leader.
    third = 6 - leader - away;
    if (how.cut_off) {
      Restart();
      EXPECT_TRUE(cluster.RunUntil([&] { return cluster.node(away).started(); }));
    }
    if (how.cut_off) cluster.network().Isolate(NodeId{away});
    for (uint64_t i = 0; i < kAppends; ++i) {
      how.changes ? Change(i) : Append(std::to_string(i) + std::string(100, 'x'));
    }
    how.cut_off ? cluster.network().Heal() : Restart();
    // Until it has heard how much is committed, and the leader of it.
    while (Raw(cluster.replica(away).commit()) < kAppends) EXPECT_TRUE(Go() || how.cut_off);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(Go());
    EXPECT_LT(applied(), kAppends / 2);
  }

  static WorldOptions Slowly(uint64_t unapplied_max) {
    WorldOptions options;
    options.apply_page_bytes = 1;  // An entry.
    options.apply_turn_cost = 1;   // A page.
    options.kept_log_bytes_max = 0;
    options.unapplied_max = unapplied_max;
    return options;
  }
  void Restart() {
    EXPECT_TRUE(cluster.AwaitEqual());
    cluster.Crash(away);
    cluster.node(away).set_now_ns(cluster.now_ns());
    EXPECT_TRUE(cluster.node(away).Begin().ok());
    EXPECT_TRUE(
        cluster.RunUntil([&] { return cluster.node(away).budget().stats.entries_applied > 0; }));
  }
  void Append(const std::string& bytes) {
    EXPECT_TRUE(cluster.AppendNow("s", bytes));
    all += bytes;
  }
  // A learner that is nowhere comes and goes.
  void Change(uint64_t number) {
    raft::ConfChange change;
    change.steps.push_back(
        {number % 2 == 0 ? raft::ConfChangeOp::kAddLearner : raft::ConfChangeOp::kRemove,
         ReplicaId{4}});
    EXPECT_TRUE(cluster.ChangeMembers(change).ok());
  }
  uint64_t applied() { return Raw(cluster.replica(away).applied()); }
  // An entry, and a moment of standing still. False: nothing was left, or nothing has come.
  bool Go() {
    const uint64_t before = applied();
    const bool went = cluster.RunUntil([&] { return applied() > before; }, 2 * kStillNs);
    longest = std::max(longest, applied() - before);
    cluster.Pause(away, kStillNs);
    return went;
  }
  void GoOn() { cluster.Pause(away, 0); }
  bool EndStop() {
    GroupWorld& stopping = cluster.node(leader);
    return cluster.RunUntil([&] { return stopping.replicas_stopped(); }) && stopping.StopStores();
  }
  // It has acknowledged all that there is, and has much of it to apply.
  bool Lags() {
    for (const raft::PeerStatus& peer : cluster.replica(leader).Peers()) {
      if (NodeOf(peer.id) != NodeId{away}) continue;
      return peer.state == raft::ProgressState::kReplicate &&
             peer.match == cluster.replica(leader).last() && applied() + kMuch < Raw(peer.match);
    }
    return false;
  }
  bool HandsOver() { return cluster.replica(leader).HandOverTo(NodeId{away}); }
  // As a leader of a release that doesn't know how far others have applied.
  void AskToLead() {
    raft::Message message;
    message.kind = raft::MessageKind::kTimeoutNow;
    message.from = ReplicaId{leader};
    message.to = ReplicaId{away};
    message.term = cluster.replica(leader).term();
    ByteParts parts;
    EncodeLetter({message.from, message.to, message}, &parts);
    cluster.replica(away).OnPeerLetter(NodeId{leader}, parts.TakeJoined());
  }
  bool IsElected() { return cluster.replica(away).leader() == NodeId{away}; }
  bool InTime(uint64_t from_ns, uint64_t ns) { return cluster.now_ns() - from_ns < ns; }
  void ExpectAlike() {
    GoOn();
    EXPECT_TRUE(cluster.AwaitLeader());
    EXPECT_TRUE(cluster.AwaitEqual());
    const std::optional<uint64_t> leads = cluster.Leader();
    for (uint64_t id = 1; id <= 3; ++id) {
      if (!cluster.node(id).open()) continue;
      EXPECT_EQ(cluster.Content(id, "s"), all) << id;
      EXPECT_EQ(cluster.replica(id).members(), cluster.replica(*leads).members()) << id;
    }
  }

  ClusterWorld cluster;
  std::string all;
  uint64_t leader = 0;
  uint64_t away = 0;
  uint64_t third = 0;
  uint64_t longest = 0;  // That was applied between two moments.
};

TEST(SlowApplyTest, OneOfSeveralAppliesOverManyTurnsAndIsNotAskedToLeadMeanwhile) {
  Lagging one;
  int refused = 0;
  while (one.applied() < kAppends) {
    (void)one.Go();
    if (!one.Lags()) continue;
    ASSERT_FALSE(one.HandsOver());
    ++refused;
  }
  EXPECT_GT(refused, 50);
  EXPECT_LE(one.longest, 2u);
  one.GoOn();
  ASSERT_TRUE(one.cluster.RunUntil([&] { return one.HandsOver(); }, kSecondNs));
  EXPECT_TRUE(one.cluster.RunUntil([&] { return one.cluster.replica(one.away).leads(); }));
  one.ExpectAlike();
}

TEST(SlowApplyTest, AStartEndsThoughMoreIsCommittedMeanwhile) {
  Lagging one;
  one.cluster.Pause(one.away, 60 * kSecondNs);
  for (int i = 0; i < 50; ++i) one.Append("more ");
  one.GoOn();
  ASSERT_FALSE(one.cluster.node(one.away).started());
  while (!one.cluster.node(one.away).started()) ASSERT_TRUE(one.Go());
  EXPECT_TRUE(one.Lags());
  one.ExpectAlike();
}

TEST(SlowApplyTest, AStopHandsOverToAnotherOne) {
  Lagging one;
  while (!one.Lags()) ASSERT_TRUE(one.Go());
  const uint64_t from_ns = one.cluster.now_ns();
  one.cluster.node(one.leader).BeginStopReplicas();
  while (one.cluster.Leader() != one.third && one.InTime(from_ns, kSecondNs)) (void)one.Go();
  EXPECT_LT(one.cluster.now_ns() - from_ns, kSecondNs / 5);
  one.GoOn();
  ASSERT_TRUE(one.EndStop());
  one.ExpectAlike();
}

TEST(SlowApplyTest, AStopWaitsForTheOnlyOneThatCanLead) {
  Lagging one;
  one.cluster.Kill(one.third);
  while (one.applied() + 50 < kAppends) ASSERT_TRUE(one.Go());
  ASSERT_TRUE(one.Lags());
  GroupWorld& stopping = one.cluster.node(one.leader);
  stopping.BeginStopReplicas();
  while (!stopping.replicas_stopped() && !one.IsElected()) (void)one.Go();
  EXPECT_TRUE(one.IsElected());
  EXPECT_FALSE(one.Lags());
  ASSERT_TRUE(one.cluster.Open(one.third).ok());
  one.GoOn();
  ASSERT_TRUE(one.EndStop());
  one.ExpectAlike();
}

TEST(SlowApplyTest, WhoHasMuchToApplyStandsForNoElection) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Lagging one({.seed = seed});
    while (!one.Lags()) ASSERT_TRUE(one.Go());
    one.cluster.Kill(one.leader);
    const uint64_t from_ns = one.cluster.now_ns();
    while (!one.cluster.Leader() && one.InTime(from_ns, 10 * kSecondNs)) {
      (void)one.Go();
      ASSERT_FALSE(one.IsElected());
    }
    EXPECT_EQ(one.cluster.Leader(), one.third);
    one.ExpectAlike();
  }
}

TEST(SlowApplyTest, WhoIsAskedToLeadDoesSo) {
  Lagging one;
  while (!one.Lags()) ASSERT_TRUE(one.Go());
  ASSERT_LT(one.applied() + 4 * kMuch, kAppends);
  one.AskToLead();
  const uint64_t from_ns = one.cluster.now_ns();
  while (!one.IsElected() && one.InTime(from_ns, kSecondNs)) (void)one.Go();
  EXPECT_TRUE(one.IsElected());
  EXPECT_FALSE(one.cluster.replica(one.away).leads());
  one.ExpectAlike();
}

// Raft refuses to count votes by members that a committed change has changed.
TEST(SlowApplyTest, AChangeOfMembersThatIsYetToBeAppliedDelaysNoHandOver) {
  Lagging one({.unapplied_max = 1000, .changes = true});
  while (!one.Lags()) ASSERT_TRUE(one.Go());
  ASSERT_TRUE(one.HandsOver());
  const uint64_t from_ns = one.cluster.now_ns();
  while (!one.cluster.replica(one.away).leads() && one.InTime(from_ns, kSecondNs)) (void)one.Go();
  EXPECT_LT(one.cluster.now_ns() - from_ns, kSecondNs / 2);
  one.ExpectAlike();
}

// What was known to be committed was applied before: its payload was in the log alone.
TEST(SlowApplyTest, ASnapshotTakesThePlaceOfWhatIsYetToBeApplied) {
  for (bool changes : {false, true}) {
    Lagging one({.changes = changes});
    while (!one.Lags()) ASSERT_TRUE(one.Go());
    one.cluster.Pause(one.away, 60 * kSecondNs);
    one.cluster.network().Isolate(NodeId{one.away});
    for (int i = 0; i < 20; ++i) one.Append(std::string(100, 'y'));
    const uint64_t before = one.cluster.node(one.leader).budget().stats.snapshots;
    one.cluster.replica(one.leader).Checkpoint();
    ASSERT_TRUE(one.cluster.RunUntil(
        [&] { return one.cluster.node(one.leader).budget().stats.snapshots > before; }));
    one.cluster.network().Heal();
    one.GoOn();
    one.longest = 0;
    const uint64_t from_ns = one.cluster.now_ns();
    while (one.longest < 20 && one.InTime(from_ns, 20 * kSecondNs)) (void)one.Go();
    EXPECT_GE(one.longest, 20u);
    EXPECT_LE(one.cluster.replica(one.away).lacking_bytes(), 20u * 100);
    one.ExpectAlike();
  }
}

// It goes on from what was stamped while it was here, though its own clock is a year ahead.
TEST(SlowApplyTest, ANewLeaderKeepsNoTimeBeforeItHasAppliedWhatOthersHaveStamped) {
  for (bool cut_off : {false, true}) {
    Lagging one({.cut_off = cut_off});
    Replica& away = one.cluster.replica(one.away);
    while (!one.Lags()) ASSERT_TRUE(one.Go());
    one.cluster.Pause(one.away, kSecondNs / 3);
    for (int i = 0; i < 3; ++i) one.Append("while it is here");
    const int64_t right = one.cluster.replica(one.leader).NowMs();
    one.cluster.node(one.away).runtime().manual_loop(CoreId{0}).SetWallMs(right + kYearMs);
    one.GoOn();
    while (!one.Lags()) ASSERT_TRUE(one.Go());
    one.AskToLead();
    const uint64_t from_ns = one.cluster.now_ns();
    int unready = 0;
    while (!away.leads() && one.InTime(from_ns, 20 * kSecondNs)) {
      (void)one.Go();
      if (one.IsElected()) ++unready;
      ASSERT_LT(away.NowMs(), right + 60'000);
    }
    EXPECT_GT(unready, 20);
    EXPECT_LT(away.NowMs(), right + 60'000);
    one.GoOn();
    one.Append("and then");
    EXPECT_LT(away.machine().now_ms(), right + 60'000);
    one.ExpectAlike();
  }
}

// A follower judges by its leader's time, which is what it has applied, and that is old.
TEST(SlowApplyTest, ANewLeaderTellsNoTimeBeforeItHasAppliedWhatOthersHaveStamped) {
  Lagging one;
  while (one.applied() + 150 < kAppends) ASSERT_TRUE(one.Go());
  ASSERT_TRUE(one.Lags());
  Lifetime lifetime;
  lifetime.expires_at_ms = one.cluster.replica(one.leader).NowMs() + 500;
  one.cluster.Pause(one.away, kSecondNs / 5);
  ASSERT_TRUE(one.cluster.Finish(one.cluster.node(one.leader).Create("t", lifetime)));
  one.GoOn();
  while (!one.Lags()) ASSERT_TRUE(one.Go());
  one.AskToLead();
  uint64_t from_ns = one.cluster.now_ns();
  while (!one.IsElected() && one.InTime(from_ns, kSecondNs)) (void)one.Go();
  ASSERT_TRUE(one.IsElected());
  from_ns = one.cluster.now_ns();
  while (one.InTime(from_ns, kSecondNs)) (void)one.Go();
  ASSERT_FALSE(one.cluster.replica(one.away).leads());
  ReadRequest request;
  request.stream = NameOf("t");
  const AskedRead read = one.cluster.node(one.third).Read(request);
  while (!read->reply && one.InTime(from_ns, 20 * kSecondNs)) (void)one.Go();
  ASSERT_TRUE(read->reply && read->reply->ok());
  EXPECT_EQ((*read->reply)->reply.outcome, Outcome::kNotFound);
  one.ExpectAlike();
}

}  // namespace
}  // namespace ursula::group
