// Messages that no correct peer sends: refused, without effect and without a crash.

#include "gtest/gtest.h"
#include "tests/unit/raft/replica.h"

namespace ursula::raft {
namespace {

// A follower of replica 2 in term 5 with entries of terms 1 1 2, two of them committed.
std::unique_ptr<Replica> Follower() {
  auto replica = std::make_unique<Replica>(PlainConfig(ReplicaId{1}));
  StorageAppend append;
  append.entries = EntriesOfTerms({1, 1, 2});
  append.hard_state = HardState{Term{5}, ReplicaId{2}, Index{2}};
  replica->log.Persist(append);
  replica->log.conf() = Voters(3);
  replica->Start();
  replica->Drain();
  return replica;
}

void ExpectRefused(const Message& message) {
  auto replica = Follower();
  EXPECT_EQ(replica->core().Step(message), StepResult::kMalformed);
  EXPECT_EQ(replica->count(Notice::kMalformedMessage), 1);
  EXPECT_FALSE(replica->core().HasReady()) << "nothing changed";
  EXPECT_EQ(replica->core().term(), Term{5});
}

Entry At(uint64_t term, uint64_t index) {
  return {Term{term}, Index{index}, EntryKind::kNormal, {}};
}

TEST(CoreInputTest, EntriesMustFollowOnEachOther) {
  ExpectRefused(MakeAppend(2, 1, 5, 3, 2, {At(5, 5)}, 0));
  ExpectRefused(MakeAppend(2, 1, 5, 3, 2, {At(5, 4), At(5, 4)}, 0));
  ExpectRefused(MakeAppend(2, 1, 5, 3, 2, {At(4, 4), At(3, 5)}, 0));
  ExpectRefused(MakeAppend(2, 1, 5, 3, 2, {At(6, 4)}, 0));
  ExpectRefused(MakeAppend(2, 1, 5, 3, 6, {}, 0));
}

TEST(CoreInputTest, WhatIsCommittedIsNeverOverwritten) {
  ExpectRefused(MakeAppend(2, 1, 5, 2, 1, {At(0, 3)}, 0));
  auto replica = Follower();
  (void)replica->Send(MakeAppend(2, 1, 5, 2, 1, {At(2, 3)}, 3));
  ASSERT_EQ(replica->core().commit(), Index{3});
  // Index 2 is below the commit index: answered with it, not looked into.
  std::vector<Message> sent = replica->Send(MakeAppend(2, 1, 5, 2, 1, {At(4, 3)}, 3));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].index, Index{3});
  EXPECT_EQ(replica->core().TermAt(Index{3}), Term{2});
}

TEST(CoreInputTest, AHeartbeatCanNotCommitWhatIsNotThere) {
  Message message = MakeMessage(MessageKind::kHeartbeat, 2, 1, 5);
  message.commit = Index{4};
  ExpectRefused(message);
}

TEST(CoreInputTest, AddressesMustMakeSense) {
  Message message = MakeMessage(MessageKind::kHeartbeat, 2, 1, 5);
  message.to = ReplicaId{2};
  ExpectRefused(message);
  ExpectRefused(MakeMessage(MessageKind::kHeartbeat, 1, 1, 5));
  ExpectRefused(MakeMessage(MessageKind::kHeartbeat, 0, 1, 5));
  ExpectRefused(MakeMessage(MessageKind::kHeartbeat, Raw(kAppendTarget), 1, 5));
  ExpectRefused(MakeMessage(MessageKind::kAppended, 2, 1, 5));
  ExpectRefused(MakeMessage(MessageKind::kApplied, Raw(kAppendTarget), 1, 0));
}

TEST(CoreInputTest, TermlessMessagesOfTermfulKindsAreRefused) {
  for (MessageKind kind : {MessageKind::kAppend, MessageKind::kAppendReply, MessageKind::kVote,
                           MessageKind::kVoteReply, MessageKind::kHeartbeat,
                           MessageKind::kTimeoutNow, MessageKind::kSnapshot}) {
    ExpectRefused(MakeMessage(kind, 2, 1, 0));
  }
  ExpectRefused(MakeMessage(static_cast<MessageKind>(99), 2, 1, 5));
}

TEST(CoreInputTest, NumbersNearTheEndOfTheirRangeAreRefused) {
  ExpectRefused(MakeMessage(MessageKind::kVote, 2, 1, UINT64_MAX));
  Message message = MakeMessage(MessageKind::kAppend, 2, 1, 6);
  message.index = Index{UINT64_MAX};
  ExpectRefused(message);
}

TEST(CoreInputTest, AnElectionTellsOfNoEntryOfALaterTerm) {
  for (MessageKind kind : {MessageKind::kVote, MessageKind::kPreVote, MessageKind::kVoteReply,
                           MessageKind::kPreVoteReply}) {
    Message message = MakeMessage(kind, 2, 1, 5);
    message.commit = Index{3};
    message.commit_term = Term{6};
    ExpectRefused(message);
    message.term = message.commit_term = Term{UINT64_MAX};
    ExpectRefused(message);
  }
}

TEST(CoreInputTest, SnapshotsMustHoldAConfiguration) {
  Message message = MakeMessage(MessageKind::kSnapshot, 2, 1, 5);
  ExpectRefused(message);
  message.snapshot.meta = {Index{10}, Term{9}, Voters(3)};
  ExpectRefused(message);
}

TEST(CoreInputTest, AContradictoryConfigurationInASnapshotIsRefused) {
  auto replica = Follower();
  Message message = MakeMessage(MessageKind::kSnapshot, 2, 1, 5);
  message.snapshot.meta = {Index{10}, Term{5}, Voters(3)};
  message.snapshot.meta.conf.learners = {ReplicaId{1}};
  EXPECT_EQ(replica->core().Step(message), StepResult::kMalformed);
  EXPECT_EQ(replica->core().last_index(), Index{3});

  // Nor does it raise the term, or make its sender the leader.
  message.term = Term{9};
  const ReplicaId leader = replica->core().leader();
  message.from = leader == ReplicaId{3} ? ReplicaId{2} : ReplicaId{3};
  EXPECT_EQ(replica->core().Step(message), StepResult::kMalformed);
  EXPECT_EQ(replica->core().term(), Term{5});
  EXPECT_EQ(replica->core().leader(), leader);
}

TEST(CoreInputTest, AnAcknowledgementOfWhatWasNeverWrittenIsRefused) {
  Group group(3);
  group.Elect(1);
  Message message = MakeMessage(MessageKind::kAppendReply, 2, 1, 1);
  message.index = group[1].core().last_index() + 1;
  EXPECT_EQ(group[1].core().Step(message), StepResult::kMalformed);
}

TEST(CoreInputTest, AnswersOfStrangersAreRefused) {
  auto replica = Follower();
  EXPECT_EQ(replica->core().Step(MakeMessage(MessageKind::kVoteReply, 9, 1, 5)),
            StepResult::kUnknownPeer);
}

TEST(CoreInputTest, ForwardedProposalsMustDecode) {
  Group group(3);
  group.Elect(1);
  Message message = MakeMessage(MessageKind::kPropose, 2, 1, 0);
  EXPECT_EQ(group[1].core().Step(message), StepResult::kMalformed);
  message.entries.resize(2);
  message.entries[1].kind = EntryKind::kConfChangeSet;
  message.entries[1].payload = Bytes::Copy("\xff");
  const Index last = group[1].core().last_index();
  EXPECT_EQ(group[1].core().Step(message), StepResult::kMalformed);
  message.entries[1].kind = static_cast<EntryKind>(7);
  EXPECT_EQ(group[1].core().Step(message), StepResult::kMalformed);
  EXPECT_EQ(group[1].core().last_index(), last);
}

Message RandomMessage(Random* random) {
  auto small = [random] { return random->OneIn(50) ? random->Next() : random->Below(8); };
  Message message;
  message.kind = static_cast<MessageKind>(random->Below(23));
  message.from = ReplicaId{random->OneIn(20)   ? kAppendTarget
                           : random->OneIn(20) ? kApplyTarget
                                               : ReplicaId{random->Below(5)}};
  message.to = ReplicaId{random->OneIn(20) ? 2u : 1u};
  message.term = Term{small()};
  message.log_term = Term{small()};
  message.index = Index{small()};
  message.commit = Index{small()};
  message.reject_hint = Index{small()};
  message.reject = random->OneIn(3);
  message.transfer = random->OneIn(3);
  message.applied_bytes = small();
  message.read_round = small();
  if (random->OneIn(2)) message.context = Bytes::Copy(std::string(1, char('a' + random->Below(3))));
  for (uint64_t i = random->Below(4); i > 0; --i) {
    const bool sound = !random->OneIn(8);
    Entry entry{sound ? message.log_term : Term{small()},
                sound ? message.index + message.entries.size() + 1 : Index{small()},
                static_cast<EntryKind>(random->OneIn(6) ? random->Below(4) : 0),
                {}};
    if (random->OneIn(3))
      entry.payload = Bytes::Copy(
          "\x01\x01\x02"
          "b");
    message.entries.push_back(entry);
  }
  if (random->OneIn(2)) {
    message.snapshot.meta = {Index{small()}, Term{small()}, Voters(random->Below(4))};
    if (random->OneIn(4)) message.snapshot.meta.conf.learners = {ReplicaId{random->Below(5)}};
  }
  return message;
}

// Whatever arrives, and whenever storage answers.
TEST(CoreInputTest, RandomMessagesNeverCrashNorUncommit) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    Config config = PlainConfig(ReplicaId{1});
    config.pre_vote = random.OneIn(2);
    config.check_quorum = random.OneIn(2);
    config.forward_proposals = random.OneIn(2);
    Replica replica(config);
    replica.log.conf() = Voters(1 + random.Below(4));
    replica.Start();
    Index committed{};
    Term term{};
    for (int step = 0; step < 400; ++step) {
      switch (random.Below(12)) {
        case 0:
          replica.core().Tick();
          break;
        case 1:
          replica.core().Campaign();
          break;
        case 2:
          (void)replica.Propose("x");
          break;
        case 3:
          (void)replica.core().ReadIndex(Bytes::Copy("r"));
          break;
        case 4:
          replica.Drain();
          break;
        default:
          (void)replica.core().Step(RandomMessage(&random));
      }
      ASSERT_GE(replica.core().commit(), committed) << "seed=" << seed << " step=" << step;
      ASSERT_GE(replica.core().term(), term) << "seed=" << seed << " step=" << step;
      committed = replica.core().commit();
      term = replica.core().term();
    }
  }
}

}  // namespace
}  // namespace ursula::raft
