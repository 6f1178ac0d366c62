// What the core owes to storage, and storage to it: order, durability, and answers that come late.

#include "gtest/gtest.h"
#include "tests/unit/raft/replica.h"

namespace ursula::raft {
namespace {

std::unique_ptr<Replica> Follower(std::initializer_list<uint64_t> terms, uint64_t term) {
  auto replica = std::make_unique<Replica>(PlainConfig(ReplicaId{1}));
  StorageAppend append;
  append.entries = EntriesOfTerms(terms);
  append.hard_state = HardState{Term{term}, kNoReplica, Index{}};
  replica->log.Persist(append);
  replica->log.conf() = Voters(3);
  replica->Start();
  return replica;
}

Entry At(uint64_t term, uint64_t index) {
  return {Term{term}, Index{index}, EntryKind::kNormal, Bytes::Copy("x")};
}

TEST(CoreStorageTest, NothingThatPromisesLeavesBeforeTheDiskHasIt) {
  auto replica = Follower({}, 1);
  (void)replica->core().Step(MakeMessage(MessageKind::kVote, 2, 1, 2));
  Ready ready;
  replica->core().TakeReady(&ready);
  EXPECT_TRUE(ready.messages.empty());
  ASSERT_TRUE(ready.append.has_value());
  EXPECT_TRUE(ready.append->must_sync);
  EXPECT_EQ(ready.append->hard_state, (HardState{Term{2}, ReplicaId{2}, Index{}}));
  ASSERT_EQ(ready.append->responses.size(), 1u);
  EXPECT_EQ(ready.append->responses[0].kind, MessageKind::kVoteReply);

  (void)replica->core().Step(MakeAppend(2, 1, 2, 0, 0, {At(2, 1)}, 0));
  replica->core().TakeReady(&ready);
  EXPECT_TRUE(ready.messages.empty());
  ASSERT_TRUE(ready.append.has_value());
  EXPECT_EQ(ready.append->responses[0].kind, MessageKind::kAppendReply);
  EXPECT_EQ(ready.append->responses[1].kind, MessageKind::kAppended);
}

TEST(CoreStorageTest, ACandidateThatForgetsItsTermHasAskedNobodyForVotes) {
  auto replica = Follower({1}, 1);
  replica->core().Campaign();
  Ready ready;
  replica->core().TakeReady(&ready);
  EXPECT_TRUE(ready.messages.empty()) << "it could ask again after a crash, with another log";
  ASSERT_TRUE(ready.append.has_value());
  EXPECT_TRUE(ready.append->must_sync);
  std::vector<MessageKind> kinds;
  for (const Message& response : ready.append->responses) kinds.push_back(response.kind);
  EXPECT_EQ(kinds, (std::vector<MessageKind>{MessageKind::kVoteReply, MessageKind::kVote,
                                             MessageKind::kVote}));
}

TEST(CoreStorageTest, ALeadersOwnDiskCountsNoMoreThanAFollowers) {
  Group group(3);
  group.Elect(1);
  const Index before = group[1].core().commit();
  (void)group[1].Propose("x");
  Ready ready;
  group[1].core().TakeReady(&ready);  // Its write is under way and stays so.
  for (uint64_t peer : {2u}) {
    Message reply = MakeMessage(MessageKind::kAppendReply, peer, 1, 1);
    reply.index = before + 1;
    (void)group[1].core().Step(reply);
  }
  EXPECT_EQ(group[1].core().commit(), before) << "one of three has it";
  for (Message& response : ready.append->responses) {
    if (response.to == ReplicaId{1}) (void)group[1].core().Step(response);
  }
  EXPECT_EQ(group[1].core().commit(), before + 1);
}

TEST(CoreStorageTest, SoleVotersWaitForTheirDiskToo) {
  Group group(1);
  group[1].core().Campaign();
  Ready ready;
  group[1].core().TakeReady(&ready);
  EXPECT_FALSE(group[1].core().is_leader()) << "its own vote isn't durable";
  (void)group[1].core().Step(ready.append->responses[0]);
  EXPECT_TRUE(group[1].core().is_leader());
  EXPECT_EQ(group[1].core().commit(), Index{});
}

TEST(CoreStorageTest, ManyAppendsMayBeUnderWay) {
  Group group(1);
  group.Elect(1);
  std::vector<StorageAppend> appends;
  for (int i = 0; i < 5; ++i) {
    (void)group[1].Propose("x");
    Ready ready;
    group[1].core().TakeReady(&ready);
    ASSERT_EQ(ready.append->entries.size(), 1u);
    EXPECT_FALSE(ready.apply.has_value());
    appends.push_back(std::move(*ready.append));
  }
  for (StorageAppend& append : appends) {
    const Index last = append.entries.back().index;
    group[1].log.Persist(append);
    for (Message& response : append.responses) (void)group[1].core().Step(response);
    EXPECT_EQ(group[1].core().commit(), last);
  }
  group[1].Drain();
  EXPECT_EQ(group[1].core().applied(), Index{6});
}

// A slot written in term 1, overwritten in term 2, then in term 3: the answer to the first must not
// let the log be read from storage, where the second is yet to come.
TEST(CoreStorageTest, AnAnswerOfAnOlderTermDoesNotCount) {
  auto replica = Follower({}, 1);
  Ready first;
  (void)replica->core().Step(MakeAppend(2, 1, 1, 0, 0, {At(1, 1)}, 0));
  replica->core().TakeReady(&first);
  Ready second;
  (void)replica->core().Step(MakeAppend(3, 1, 2, 0, 0, {At(2, 1)}, 0));
  replica->core().TakeReady(&second);
  ASSERT_EQ(second.append->entries.size(), 1u);

  replica->log.Persist(*first.append);
  for (const Message& response : first.append->responses) {
    if (response.to == ReplicaId{1}) (void)replica->core().Step(response);
  }
  EXPECT_EQ(replica->core().TermAt(Index{1}), Term{2}) << "still that of the tail";

  replica->log.Persist(*second.append);
  for (const Message& response : second.append->responses) {
    if (response.to == ReplicaId{1}) (void)replica->core().Step(response);
  }
  EXPECT_EQ(replica->core().TermAt(Index{1}), Term{2});
}

TEST(CoreStorageTest, ANewTermAloneMakesEarlierWritesCountAgain) {
  auto replica = Follower({}, 1);
  Ready first;
  (void)replica->core().Step(MakeAppend(2, 1, 1, 0, 0, {At(1, 1)}, 0));
  replica->core().TakeReady(&first);
  Ready second;
  (void)replica->core().Step(MakeMessage(MessageKind::kHeartbeat, 2, 1, 2));
  replica->core().TakeReady(&second);
  replica->log.Persist(*first.append);
  (void)replica->core().Step(first.append->responses.back());
  Message commit = MakeMessage(MessageKind::kHeartbeat, 2, 1, 2);
  commit.commit = Index{1};
  (void)replica->core().Step(commit);
  Ready third;
  replica->core().TakeReady(&third);
  EXPECT_FALSE(third.apply.has_value()) << "not known to be durable yet";
  ASSERT_EQ(second.append->responses.back().kind, MessageKind::kAppended);
  EXPECT_EQ(second.append->responses.back().index, Index{1});
  (void)replica->core().Step(second.append->responses.back());
  replica->core().TakeReady(&third);
  EXPECT_TRUE(third.apply.has_value());
}

TEST(CoreStorageTest, NothingIsAppliedOverASnapshotThatIsNotDurable) {
  auto replica = Follower({1, 1}, 1);
  Message message = MakeMessage(MessageKind::kSnapshot, 2, 1, 2);
  message.snapshot.meta = {Index{10}, Term{2}, Voters(3)};
  (void)replica->core().Step(message);
  (void)replica->core().Step(MakeAppend(2, 1, 2, 10, 2, {At(2, 11)}, 11));
  Ready ready;
  replica->core().TakeReady(&ready);
  EXPECT_EQ(replica->core().commit(), Index{11});
  EXPECT_TRUE(ready.append->must_sync);
  EXPECT_EQ(ready.append->snapshot.meta.index, Index{10});
  EXPECT_FALSE(ready.apply.has_value());
  replica->core().Campaign();
  EXPECT_EQ(replica->core().role(), Role::kFollower);
  replica->log.Persist(*ready.append);
  for (const Message& response : ready.append->responses) {
    if (response.to == ReplicaId{1}) (void)replica->core().Step(response);
  }
  EXPECT_EQ(replica->core().applied(), Index{10});
  replica->Drain();
  EXPECT_EQ(replica->core().applied(), Index{11});
}

// It is committed: that it is durable holds in whatever term the answer arrives.
TEST(CoreStorageTest, ASnapshotIsAnsweredOnceAndInAnyTerm) {
  auto replica = Follower({1, 1}, 1);
  Message message = MakeMessage(MessageKind::kSnapshot, 2, 1, 1);
  message.snapshot.meta = {Index{10}, Term{1}, Voters(3)};
  (void)replica->core().Step(message);
  Ready writing;
  replica->core().TakeReady(&writing);
  ASSERT_EQ(writing.append->responses.back().kind, MessageKind::kAppended);
  EXPECT_EQ(writing.append->responses.back().snapshot.meta.index, Index{10});

  (void)replica->core().Step(MakeMessage(MessageKind::kVote, 3, 1, 2));
  Ready voting;
  replica->core().TakeReady(&voting);
  ASSERT_TRUE(voting.append.has_value());
  EXPECT_TRUE(voting.append->snapshot.empty());
  for (const Message& response : voting.append->responses) {
    EXPECT_NE(response.kind, MessageKind::kAppended) << "this write holds nothing of the log";
  }

  // Entries behind it are answered for by themselves, too.
  (void)replica->core().Step(MakeAppend(3, 1, 2, 10, 1, {At(2, 11)}, 10));
  Ready appending;
  replica->core().TakeReady(&appending);
  ASSERT_EQ(appending.append->responses.back().kind, MessageKind::kAppended);
  EXPECT_EQ(appending.append->responses.back().index, Index{11});
  EXPECT_TRUE(appending.append->responses.back().snapshot.empty());

  replica->log.Persist(*writing.append);
  (void)replica->core().Step(writing.append->responses.back());
  EXPECT_EQ(replica->core().applied(), Index{10});
}

TEST(CoreStorageTest, ASnapshotMayOvertakeWhatIsBeingApplied) {
  auto replica = Follower({1, 1}, 1);
  Message heartbeat = MakeMessage(MessageKind::kHeartbeat, 2, 1, 1);
  heartbeat.commit = Index{2};
  (void)replica->core().Step(heartbeat);
  Ready applying;
  replica->core().TakeReady(&applying);
  ASSERT_TRUE(applying.apply.has_value());
  Message message = MakeMessage(MessageKind::kSnapshot, 2, 1, 1);
  message.snapshot.meta = {Index{10}, Term{1}, Voters(3)};
  (void)replica->core().Step(message);
  replica->Drain();
  EXPECT_EQ(replica->core().applied(), Index{10});
  EXPECT_EQ(replica->core().Step(applying.apply->response), StepResult::kOk);
  EXPECT_EQ(replica->core().applied(), Index{10});
}

// The snapshot's configuration holds the change, and perhaps its reversal.
TEST(CoreStorageTest, AChangeThatASnapshotOvertookDoesNotTakeEffect) {
  auto replica = Follower({1, 1}, 1);
  Message message = MakeMessage(MessageKind::kSnapshot, 2, 1, 1);
  message.snapshot.meta = {Index{10}, Term{1}, Voters(3)};
  (void)replica->core().Step(message);
  const ConfChange late{.steps = {{ConfChangeOp::kRemove, ReplicaId{3}}}};
  Result<ConfState> conf = replica->core().ApplyConfChange(late);
  ASSERT_TRUE(conf.ok());
  EXPECT_EQ(*conf, Voters(3));
  EXPECT_EQ(replica->core().Configuration(), Voters(3));
}

TEST(CoreStorageTest, OnlyTheCommitIndexNeedsNoSync) {
  auto replica = Follower({1, 1}, 1);
  Message heartbeat = MakeMessage(MessageKind::kHeartbeat, 2, 1, 1);
  heartbeat.commit = Index{1};
  (void)replica->core().Step(heartbeat);
  Ready ready;
  replica->core().TakeReady(&ready);
  ASSERT_TRUE(ready.append.has_value());
  EXPECT_FALSE(ready.append->must_sync);
  EXPECT_EQ(ready.append->hard_state->commit, Index{1});
}

TEST(CoreStorageTest, ARestartedReplicaKeepsItsVoteAndAppliesFromTheCompactionPoint) {
  Group group(3);
  group.Elect(1);
  for (int i = 0; i < 3; ++i) group.Propose(1, "x");
  group[2].log.Compact(Index{2}, Voters(3));
  group[2].Start();
  EXPECT_EQ(group[2].core().vote(), ReplicaId{1});
  EXPECT_EQ(group[2].core().term(), Term{1});
  EXPECT_EQ(group[2].core().applied(), Index{2});
  EXPECT_EQ(group[2].core().commit(), Index{4});
  group[2].Drain();
  EXPECT_EQ(group[2].core().applied(), Index{4});
}

// What was applied was committed, and may be compacted away before the commit index is written.
TEST(CoreStorageTest, ACommitIndexBelowTheCompactionPointIsOnlyOld) {
  Group group(1);
  group.Elect(1);
  group[1].Propose("a");
  group[1].Drain();
  group[1].log.Compact(group[1].core().applied(), Voters(1));
  StorageAppend older;
  older.hard_state = HardState{group[1].core().term(), ReplicaId{1}, Index{1}};
  group[1].log.Persist(older);
  group[1].Start();
  EXPECT_EQ(group[1].core().commit(), Index{2});
  EXPECT_EQ(group[1].core().applied(), Index{2});
}

TEST(CoreStorageTest, DisksThatContradictThemselvesAreRefused) {
  struct Silent final : Driver {
    uint32_t Jitter(uint32_t) override { return 0; }
  } driver;
  MemoryLog log;
  StorageAppend append;
  append.entries = EntriesOfTerms({1, 1, 3});
  log.Persist(append);
  auto opens = [&log, &driver](uint64_t term, uint64_t commit, uint64_t applied) {
    InitialState state{{Term{term}, kNoReplica, Index{commit}}, Voters(3), Index{applied}};
    return Core::Create(PlainConfig(ReplicaId{1}), state, &log, &driver).ok();
  };
  EXPECT_TRUE(opens(3, 2, 1));
  EXPECT_FALSE(opens(3, 4, 0)) << "committed beyond the log";
  EXPECT_FALSE(opens(2, 2, 0)) << "an entry of a term that wasn't yet";
  EXPECT_FALSE(opens(3, 2, 3)) << "applied what isn't committed";
  EXPECT_FALSE(Core::Create(PlainConfig(kNoReplica), {}, &log, &driver).ok());
  Config config = PlainConfig(ReplicaId{1});
  config.heartbeat_ticks = config.election_ticks;
  EXPECT_FALSE(Core::Create(config, {}, &log, &driver).ok());
}

}  // namespace
}  // namespace ursula::raft
