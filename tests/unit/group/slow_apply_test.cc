// A replica of several that applies what its log has over many turns: what the others make of it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "lib/base/ids.h"
#include "lib/raft/core.h"
#include "lib/raft/membership.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group {
namespace {

constexpr uint64_t kAppends = 300;
constexpr uint64_t kStillNs = 20'000'000;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kMuch = 20;

struct How {
  uint64_t seed = 1;
  uint64_t unapplied_max = kMuch;
  bool restarts = true;  // It lacks what is behind its log's snapshot, and was stopped.
  bool cut_off = false;  // It lacks what came while it was cut off; after a restart, if that too.
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
    if (how.cut_off && how.restarts) {
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

TEST(SlowApplyTest, AStopHandsOverToAnotherOne) {
  Lagging one;
  while (!one.Lags()) ASSERT_TRUE(one.Go());
  const uint64_t from_ns = one.cluster.now_ns();
  one.cluster.node(one.leader).BeginStopReplicas();
  while (one.cluster.Leader() != one.third) (void)one.Go();
  EXPECT_LT(one.cluster.now_ns() - from_ns, kSecondNs / 5);
  one.GoOn();
  GroupWorld& stopping = one.cluster.node(one.leader);
  ASSERT_TRUE(one.cluster.RunUntil([&] { return stopping.replicas_stopped(); }));
  ASSERT_TRUE(stopping.StopStores());
  one.ExpectAlike();
}

TEST(SlowApplyTest, WhoHasMuchToApplyStandsForNoElection) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Lagging one({.seed = seed});
    while (!one.Lags()) ASSERT_TRUE(one.Go());
    one.cluster.Kill(one.leader);
    while (!one.cluster.Leader()) {
      (void)one.Go();
      ASSERT_NE(one.cluster.replica(one.away).leader(), NodeId{one.away});
    }
    EXPECT_EQ(one.cluster.Leader(), one.third);
    one.ExpectAlike();
  }
}

// What is left of it is of other members; the entry that waits adds one, or removes one.
TEST(SlowApplyTest, ASnapshotTakesThePlaceOfWhatIsYetToBeApplied) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Lagging one({.seed = (seed + 1) / 2, .changes = true});
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
    const uint64_t applied = one.applied();
    const uint64_t more = 1 + seed % 2;
    ASSERT_TRUE(one.cluster.RunUntil([&] { return one.applied() == applied + more; }));
    one.longest = 0;
    while (one.longest < 20) ASSERT_TRUE(one.Go() || one.Lags());
    one.ExpectAlike();
  }
}

// It goes on from what was stamped while it was here, though its own clock is a year ahead.
TEST(SlowApplyTest, ANewLeaderKeepsNoTimeBeforeItHasAppliedWhatOthersHaveStamped) {
  for (const How& how : {How{}, How{.restarts = false, .cut_off = true}, How{.cut_off = true}}) {
    Lagging one({1, 1000, how.restarts, how.cut_off});
    Replica& away = one.cluster.replica(one.away);
    while (!one.Lags()) ASSERT_TRUE(one.Go());
    one.cluster.Pause(one.away, kSecondNs / 3);
    for (int i = 0; i < 3; ++i) one.Append("while it is here");
    const int64_t right = one.cluster.replica(one.leader).NowMs();
    one.cluster.node(one.away).runtime().manual_loop(CoreId{0}).SetWallMs(right + 31'536'000'000);
    one.GoOn();
    while (!one.Lags()) ASSERT_TRUE(one.Go());
    ASSERT_TRUE(one.HandsOver());
    int unready = 0;
    while (!away.leads()) {
      (void)one.Go();
      if (away.leader() == NodeId{one.away}) ++unready;
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

}  // namespace
}  // namespace ursula::group
