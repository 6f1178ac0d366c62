// A group's members change while it serves.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/group/recovery.h"
#include "lib/storage/wal_recovery.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group {
namespace {

raft::ConfChange Change(std::vector<raft::ConfChangeStep> steps) {
  raft::ConfChange change;
  change.steps = std::move(steps);
  return change;
}
raft::ConfChangeStep Learner(uint64_t id) {
  return {raft::ConfChangeOp::kAddLearner, ReplicaId{id}};
}
raft::ConfChangeStep Voter(uint64_t id) { return {raft::ConfChangeOp::kAddVoter, ReplicaId{id}}; }
raft::ConfChangeStep Removed(uint64_t id) { return {raft::ConfChangeOp::kRemove, ReplicaId{id}}; }

bool Whole(ClusterWorld& cluster, uint64_t id) {
  return cluster.RunUntil([&] {
    const std::optional<uint64_t> leader = cluster.Leader();
    return leader && cluster.replica(id).applied() == cluster.replica(*leader).applied() &&
           cluster.replica(id).lacking_bytes() == 0;
  });
}

TEST(MembersTest, OneGrowsToThreeAndServesOn) {
  ClusterWorld cluster(3, 1, {}, 1);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  std::string all;
  auto append = [&] {
    ASSERT_TRUE(cluster.AppendNow("s", "abc"));
    all += "abc";
  };
  append();
  ASSERT_TRUE(cluster.ChangeMembers(Change({Learner(2), Learner(3)})).ok());
  append();
  ASSERT_TRUE(Whole(cluster, 2) && Whole(cluster, 3));
  ASSERT_TRUE(cluster.ChangeMembers(Change({Voter(2), Voter(3)})).ok());
  append();
  ASSERT_TRUE(cluster.RunUntil(
      [&] { return cluster.replica(*cluster.Leader()).members().voters_outgoing.empty(); }));
  ASSERT_TRUE(cluster.AwaitEqual());  // Until the others know that, too, they need the first.
  cluster.Crash(1);
  append();
  EXPECT_EQ(cluster.Content(2, "s"), all);
  EXPECT_EQ(cluster.Content(3, "s"), all);
  // The first remembers that it isn't alone any more.
  cluster.Crash(2);
  cluster.Crash(3);
  ASSERT_TRUE(cluster.Open(1).ok());
  cluster.RunFor(10'000'000'000);
  EXPECT_FALSE(cluster.Leader());
  ASSERT_TRUE(cluster.Open(2).ok());
  append();
  EXPECT_EQ(cluster.Content(1, "s"), all);
}

TEST(MembersTest, OneTakesAnothersPlaceInOneChange) {
  WorldOptions options;
  options.kept_log_bytes_max = 0;
  ClusterWorld cluster(4, 1, options, 3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  std::string all;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(cluster.AppendNow("s", std::string(1000, 'x')));
    all += std::string(1000, 'x');
  }
  for (uint64_t id = 1; id <= 3; ++id) cluster.replica(id).Checkpoint();
  cluster.RunFor(1'000'000'000);
  ASSERT_TRUE(cluster.ChangeMembers(Change({Learner(4)})).ok());
  ASSERT_TRUE(Whole(cluster, 4));
  const uint64_t old = *cluster.Leader();
  ASSERT_TRUE(cluster.ChangeMembers(Change({Voter(4), Removed(old)})).ok());
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader() && *cluster.Leader() != old; }));
  cluster.Crash(old);
  // Another of the old ones dies: what is left has every byte.
  cluster.Crash(old % 3 + 1);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Content(4, "s") == all; }));
}

// Its group has a leader, whom others can name: what comes here may go on to them.
TEST(MembersTest, OneThatIsNotTakenInYetIsNotWithoutALeader) {
  ClusterWorld cluster(4, 1, WorldOptions(), 3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.AwaitLeader());
  cluster.RunFor(7'000'000'000);
  EXPECT_EQ(cluster.replica(4).leader(), kNoNode);
  EXPECT_FALSE(cluster.replica(4).leaderless());
  const uint64_t voter = *cluster.Leader() % 3 + 1;
  cluster.network().Isolate(NodeId{voter});
  cluster.RunFor(7'000'000'000);
  EXPECT_TRUE(cluster.replica(voter).leaderless());
}

// A step at a time, as the engine asks for them; true once the group has these members. `look` is
// called all the time.
template <class Look>
bool Step(ClusterWorld& cluster, const std::vector<ReplicaId>& wanted, Look look) {
  std::optional<Result<MembersProgress>> progress;
  cluster.AwaitLeader();
  cluster.replica(*cluster.Leader()).Reconcile(wanted, [&](Result<MembersProgress> result) {
    progress = std::move(result);
  });
  cluster.RunUntil([&] {
    look();
    return progress.has_value();
  });
  return progress->ok() && (*progress)->done();
}
bool Step(ClusterWorld& cluster, const std::vector<ReplicaId>& wanted) {
  return Step(cluster, wanted, [] {});
}

TEST(MembersTest, ALearnerVotesOnceItLacksNothing) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    WorldOptions options;
    options.kept_log_bytes_max = 0;
    ClusterWorld cluster(4, seed, options, 3);
    cluster.OpenAll();
    ASSERT_TRUE(cluster.CreateNow("s"));
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(cluster.AppendNow("s", std::string(30'000, 'x')));
    for (uint64_t id = 1; id <= 3; ++id) cluster.replica(id).Checkpoint();
    cluster.RunFor(1'000'000'000);
    // Slower than the steps are asked for: what is missing is so for long enough to be seen.
    cluster.network().set_faults({.delay_ns_min = 9'000'000, .delay_ns_max = 11'000'000});
    const uint64_t leader = *cluster.Leader();
    const uint64_t gone = leader % 3 + 1;
    std::vector<ReplicaId> wanted;
    for (uint64_t id = 1; id <= 4; ++id) {
      if (id != gone) wanted.push_back(ReplicaId{id});
    }
    bool lacked = false;
    bool done = false;
    auto look = [&] {
      const Replica& fourth = cluster.replica(4);
      lacked |= fourth.lacking_bytes() > 0;
      const std::vector<ReplicaId> voters = cluster.replica(leader).members().voters;
      if (std::find(voters.begin(), voters.end(), ReplicaId{4}) == voters.end()) return;
      EXPECT_TRUE(fourth.whole()) << seed;
      EXPECT_GT(Raw(fourth.applied()), 20u) << seed;
    };
    for (int steps = 0; !done && steps < 10'000; ++steps) {
      done = Step(cluster, wanted, look);
      if (::testing::Test::HasFailure()) return;
      const uint64_t until_ns = cluster.now_ns() + 1'000'000;
      cluster.RunUntil([&] {
        look();
        return cluster.now_ns() >= until_ns;
      });
    }
    EXPECT_TRUE(done);
    EXPECT_TRUE(lacked) << "nothing was shown";
    std::vector<uint64_t> members;
    for (ReplicaId one : wanted) members.push_back(Raw(one));
    EXPECT_EQ(cluster.Members(), members);
  }
}

// As it answers of what it has alone, right after it was fresh.
std::string LocalContent(ClusterWorld& cluster, uint64_t id, std::string_view name) {
  std::string content;
  ReadRequest request;
  request.stream = NameOf(name);
  request.consistency = Consistency::kLocal;
  request.staleness_ms_max = 60'000;
  for (bool more = true; more;) {
    request.from = {content.size()};
    const AskedRead page = cluster.node(id).Read(request);
    cluster.RunUntil([&] { return page->reply.has_value(); });
    content += page->text();
    more = page->reply && page->reply->ok() && !(*page->reply)->reply.up_to_date &&
           !page->text().empty();
  }
  return content;
}

TEST(MembersTest, AfterAPromotionBothOldVotersDieAtOnceAndEveryByteReads) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    WorldOptions options;
    options.kept_log_bytes_max = 0;
    ClusterWorld cluster(4, seed, options, 3);
    cluster.OpenAll();
    ASSERT_TRUE(cluster.CreateNow("s"));
    std::string all;
    for (int i = 0; i < 20; ++i) {
      const std::string text(30'000, static_cast<char>('a' + i));
      ASSERT_TRUE(cluster.AppendNow("s", text));
      all += text;
    }
    for (uint64_t id = 1; id <= 3; ++id) cluster.replica(id).Checkpoint();
    cluster.RunFor(1'000'000'000);
    const uint64_t leader = *cluster.Leader();
    const uint64_t gone = leader % 3 + 1;
    cluster.Crash(gone);
    cluster.network().set_faults({.delay_ns_min = 9'000'000, .delay_ns_max = 11'000'000});
    std::vector<ReplicaId> wanted;
    for (uint64_t id = 1; id <= 4; ++id) {
      if (id != gone) wanted.push_back(ReplicaId{id});
    }
    auto promoted = [&] {
      const raft::ConfState members = cluster.replica(leader).members();
      return members.voters_outgoing.empty() &&
             std::ranges::find(members.voters, ReplicaId{4}) != members.voters.end();
    };
    for (int steps = 0; !promoted() && steps < 10'000; ++steps) {
      Step(cluster, wanted);
      cluster.RunUntil(promoted, 1'000'000);
    }
    ASSERT_TRUE(promoted()) << seed;
    // It has asked how fresh it is, at the least.
    const AskedRead asked = cluster.node(4).Read({.stream = NameOf("s"), .bytes_max = 0});
    ASSERT_TRUE(cluster.RunUntil([&] { return asked->reply.has_value(); }));
    for (uint64_t id = 1; id <= 3; ++id) {
      if (id != gone) cluster.Crash(id);
    }
    const std::string content = LocalContent(cluster, 4, "s");
    EXPECT_TRUE(content == all) << seed << ": " << content.size() << " of " << all.size();
  }
}

// Two voters are worse than one; and with a majority of those to be away nothing is begun.
TEST(MembersTest, NoStepLeavesAGroupWorseOff) {
  ClusterWorld cluster(3, 1, {}, 1);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const std::vector<ReplicaId> two = {ReplicaId{1}, ReplicaId{2}};
  for (int steps = 0; steps < 50; ++steps) {
    EXPECT_FALSE(Step(cluster, two));
    cluster.RunFor(100'000'000);
  }
  EXPECT_EQ(cluster.replica(1).members().voters, (std::vector<ReplicaId>{ReplicaId{1}}));
  const std::vector<ReplicaId> three = {ReplicaId{1}, ReplicaId{2}, ReplicaId{3}};
  cluster.Crash(3);
  for (int steps = 0; steps < 50; ++steps) {
    EXPECT_FALSE(Step(cluster, three));
    cluster.RunFor(100'000'000);
  }
  EXPECT_EQ(cluster.replica(1).members().voters, (std::vector<ReplicaId>{ReplicaId{1}}));
  ASSERT_TRUE(cluster.AppendNow("s", "x"));
  ASSERT_TRUE(cluster.Open(3).ok());
  bool done = false;
  for (int steps = 0; !done && steps < 50; ++steps) {
    done = Step(cluster, three);
    cluster.RunFor(100'000'000);
  }
  EXPECT_TRUE(done);
}

// What it lacks it can have from those who are to go alone.
TEST(MembersTest, NobodyGoesWhileTheOneThatStaysLacksPayload) {
  WorldOptions options;
  options.kept_log_bytes_max = 0;
  ClusterWorld cluster(3, 1, options, 3);
  cluster.OpenAll();
  constexpr int kStreams = 20;  // Each is asked for by itself.
  auto name = [](int i) { return "s" + std::to_string(i % kStreams); };
  for (int i = 0; i < kStreams; ++i) ASSERT_TRUE(cluster.CreateNow(name(i)));
  const uint64_t gone = *cluster.Leader() % 3 + 1;
  cluster.Crash(gone);
  const std::string text(30'000, 'x');
  for (int i = 0; i < kStreams; ++i) ASSERT_TRUE(cluster.AppendNow(name(i), text));
  for (uint64_t id = 1; id <= 3; ++id) {
    if (id != gone) cluster.replica(id).Checkpoint();
  }
  cluster.RunFor(1'000'000'000);
  cluster.network().set_faults({.delay_ns_min = 45'000'000, .delay_ns_max = 55'000'000});
  ASSERT_TRUE(cluster.Open(gone).ok());
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.replica(gone).lacking_bytes() > 0; }));
  ASSERT_TRUE(cluster.RunUntil(
      [&] { return cluster.replica(*cluster.Leader()).HandOverTo(NodeId{gone}, 1 << 20); }));
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader() == gone; }));
  const Replica& stays = cluster.replica(gone);
  ASSERT_FALSE(stays.whole()) << "nothing is shown";
  const std::vector<ReplicaId> wanted = {ReplicaId{gone}};
  bool done = false;
  auto look = [&] { EXPECT_TRUE(stays.whole() || stays.members().voters.size() == 3); };
  for (int steps = 0; !done && steps < 10'000; ++steps) {
    done = Step(cluster, wanted, look);
    if (::testing::Test::HasFailure()) return;
    cluster.RunFor(1'000'000);
  }
  EXPECT_TRUE(done);
  for (uint64_t id = 1; id <= 3; ++id) {
    if (id != gone) cluster.Crash(id);
  }
  for (int i = 0; i < kStreams; ++i) EXPECT_EQ(cluster.Content(gone, name(i)), text);
}

// Left by itself most often; a hand-over in that moment keeps it from that, and nothing else is
// written in a group that idles.
TEST(MembersTest, AJointConfigurationIsLeft) {
  ClusterWorld cluster(4, 1, {}, 3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.ChangeMembers(Change({Learner(4)})).ok());
  ASSERT_TRUE(Whole(cluster, 4));
  const uint64_t leader = *cluster.Leader();
  const uint64_t gone = leader % 3 + 1;
  const uint64_t heir = gone % 3 + 1 == leader ? leader % 3 + 2 : gone % 3 + 1;
  Replica& leads = cluster.replica(leader);
  leads.ChangeMembers(Change({Voter(4), Removed(gone)}), [](const Status&) {});
  // The heir never hears that it is to lead.
  cluster.network().Cut(NodeId{leader}, NodeId{heir});
  ASSERT_TRUE(leads.HandOverTo(NodeId{heir}, 1 << 20));
  cluster.RunFor(10'000'000'000);
  cluster.network().Heal();
  cluster.RunFor(10'000'000'000);
  cluster.AwaitLeader();
  ASSERT_FALSE(cluster.replica(*cluster.Leader()).members().voters_outgoing.empty())
      << "nothing is shown";
  std::vector<ReplicaId> wanted;
  for (uint64_t id = 1; id <= 4; ++id) {
    if (id != gone) wanted.push_back(ReplicaId{id});
  }
  bool done = false;
  for (int steps = 0; !done && steps < 50; ++steps) {
    done = Step(cluster, wanted);
    cluster.RunFor(100'000'000);
  }
  EXPECT_TRUE(done);
}

// As soon as the group says that a part is done the directory that it was about may be gone, and
// another one, and the power.
TEST(MembersTest, WhoSaysThatAChangeIsDoneCanDoWithoutTheFormerMembers) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    ClusterWorld cluster(4, seed, {}, 3);
    cluster.OpenAll();
    ASSERT_TRUE(cluster.CreateNow("s"));
    const uint64_t leader = *cluster.Leader();
    const uint64_t gone = leader % 3 + 1;
    const uint64_t stays = 6 - leader - gone;
    const std::vector<ReplicaId> wanted = {ReplicaId{leader}, ReplicaId{stays}, ReplicaId{4}};
    bool done = false;
    for (int steps = 0; !done && steps < 10'000; ++steps) {
      done = Step(cluster, wanted);
      if (!done) cluster.RunFor(100'000);
    }
    ASSERT_TRUE(done);
    // The leader's directory is lost: two of the new members have to go on.
    for (uint64_t id = 1; id <= 4; ++id) cluster.Crash(id);
    ASSERT_TRUE(cluster.Open(stays).ok());
    ASSERT_TRUE(cluster.Open(4).ok());
    ASSERT_TRUE(cluster.AppendNow("s", "x")) << "seed " << seed;
  }
}

TEST(MembersTest, WhatIsSaidBehindAChangeIsSaidOnce) {
  ClusterWorld cluster(4, 1, {}, 3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t leader = *cluster.Leader();
  std::vector<ReplicaId> wanted = {ReplicaId{1}, ReplicaId{2}, ReplicaId{3}, ReplicaId{4}};
  std::erase(wanted, ReplicaId{leader % 3 + 1});
  bool done = false;
  for (int steps = 0; !done && steps < 1000; ++steps) {
    done = Step(cluster, wanted);
    cluster.RunFor(1'000'000);
  }
  ASSERT_TRUE(done);
  cluster.RunFor(1'000'000'000);
  const Index applied = cluster.replica(leader).applied();
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Step(cluster, wanted));
    cluster.RunFor(100'000'000);
  }
  EXPECT_EQ(cluster.replica(leader).applied(), applied);
}

// One that follows applies a change while its log goes further, and that end is cut off. When it
// leads afterwards its log may be shorter than it was then: it says one thing behind the change,
// not so many that its log is as long again.
TEST(MembersTest, WhatWasCutOffBehindAChangeIsNotSaidAgain) {
  constexpr int kCutOff = 20;
  ClusterWorld cluster(6, 1, {}, 5);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  ASSERT_TRUE(cluster.ChangeMembers(Change({Learner(6)})).ok());
  ASSERT_TRUE(cluster.AwaitEqual());
  const uint64_t leader = *cluster.Leader();
  const uint64_t heir = leader % 5 + 1;
  cluster.network().Isolate(NodeId{heir});
  ASSERT_TRUE(cluster.ChangeMembers(Change({Removed(6)})).ok());
  const Index changed = cluster.replica(leader).applied();
  // The heir alone hears of the change, and of what is said behind it.
  cluster.network().Heal();
  for (uint64_t id = 1; id <= 6; ++id) {
    if (id == leader || id == heir) continue;
    cluster.network().Isolate(NodeId{id});
  }
  for (int i = 0; i < kCutOff; ++i) (void)cluster.node(leader).Append("s", "x");
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.replica(heir).members().learners.empty(); }));
  cluster.Crash(leader);
  cluster.network().Heal();
  cluster.network().Isolate(NodeId{heir});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader().has_value(); }));
  cluster.network().Heal();
  ASSERT_TRUE(cluster.Open(leader).ok());
  ASSERT_TRUE(Whole(cluster, heir));
  ASSERT_TRUE(cluster.RunUntil(
      [&] { return cluster.replica(*cluster.Leader()).HandOverTo(NodeId{heir}, 0); }));
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Leader() == heir; }));
  ASSERT_TRUE(Whole(cluster, heir));
  const Index before = cluster.replica(heir).applied();
  ASSERT_LT(Raw(before), Raw(changed) + kCutOff) << "nothing is shown";
  std::vector<ReplicaId> wanted;
  for (uint64_t id = 1; id <= 5; ++id) wanted.push_back(ReplicaId{id});
  bool done = false;
  for (int steps = 0; !done && steps < 3 * kCutOff; ++steps) {
    done = Step(cluster, wanted);
    cluster.RunFor(100'000'000);
  }
  EXPECT_TRUE(done);
  EXPECT_LE(Raw(cluster.replica(heir).applied()), Raw(before) + 2);
}

// What a log says of a group's changes of members, in its order.
class ChangesInLog : public storage::RecoverySink {
 public:
  Status OnRecord(storage::RecoveredRecord record) override {
    if (record.kind == storage::RecordKind::kState) {
      committed_ = std::max(committed_, DecodeState(record.payload.view())->commit);
    }
    if (record.kind != storage::RecordKind::kEntry) return {};
    if (record.payload.data()[0] == static_cast<char>(raft::EntryKind::kNormal)) {
      EXPECT_LE(before_, committed_) << "what is behind it may be kept without that";
      ++entries_behind_;
      return {};
    }
    entries_behind_ = 0;
    EXPECT_LE(before_, committed_) << "the change at " << Raw(record.index) << " may be kept alone";
    before_ = record.index;
    ++changes_;
    return {};
  }
  int changes() const { return changes_; }
  int entries_behind() const { return entries_behind_; }  // The last.

 private:
  Index committed_{};
  Index before_{};
  int changes_ = 0;
  int entries_behind_ = 0;
};

// A crash keeps any prefix of what was written: whoever has a change and has forgotten that the one
// before it counts would elect a leader by members of two changes ago (cluster_sim, seed 625).
TEST(MembersTest, NoPrefixOfALogHasAChangeAndNotThatTheOneBeforeIsCommitted) {
  WorldOptions options;
  options.kept_log_bytes_max = 1 << 20;
  ClusterWorld cluster(4, 1, options, 3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  const uint64_t leader = *cluster.Leader();
  const uint64_t away = leader % 3 + 1;
  const uint64_t gone = 6 - leader - away;
  cluster.network().Isolate(NodeId{away});
  ASSERT_TRUE(cluster.ChangeMembers(Change({Learner(4)})).ok());
  ASSERT_TRUE(Whole(cluster, 4));
  ASSERT_TRUE(cluster.ChangeMembers(Change({Voter(4), Removed(gone)})).ok());
  ASSERT_TRUE(cluster.AppendNow("s", "x"));
  cluster.network().Heal();
  ASSERT_TRUE(Whole(cluster, away));  // All came at once.
  cluster.Crash(away);
  ChangesInLog changes;
  cluster.node(away).set_now_ns(cluster.now_ns());
  ASSERT_TRUE(cluster.node(away).Begin(&changes).ok());
  EXPECT_EQ(changes.changes(), 3);
  EXPECT_GT(changes.entries_behind(), 0);
}

TEST(MembersTest, WhatDoesNotFitIsRefusedAndChangesNothing) {
  ClusterWorld cluster(4, 1, {}, 3);
  cluster.OpenAll();
  ASSERT_TRUE(cluster.CreateNow("s"));
  std::optional<Status> first;
  std::optional<Status> second;
  Replica& leader = cluster.replica(*cluster.Leader());
  leader.ChangeMembers(Change({Learner(4)}), [&](Status status) { first = status; });
  leader.ChangeMembers(Change({Removed(1)}), [&](Status status) { second = status; });
  ASSERT_TRUE(cluster.RunUntil([&] { return first && second; }));
  EXPECT_TRUE(first->ok());
  EXPECT_EQ(second->code(), StatusCode::kFailedPrecondition);
  std::optional<Status> elsewhere;
  const uint64_t other = *cluster.Leader() % 3 + 1;
  cluster.replica(other).ChangeMembers(Change({Removed(1)}),
                                       [&](Status status) { elsewhere = status; });
  ASSERT_TRUE(cluster.RunUntil([&] { return elsewhere.has_value(); }));
  EXPECT_EQ(elsewhere->code(), StatusCode::kUnavailable);
  EXPECT_EQ(cluster.Members(), (std::vector<uint64_t>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace ursula::group
