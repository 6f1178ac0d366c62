// What those who take part in an election tell each other of what is committed.

#include "gtest/gtest.h"
#include "tests/unit/raft/replica.h"

namespace ursula::raft {
namespace {

ConfState Joint() {
  ConfState conf;
  conf.voters = {ReplicaId{1}, ReplicaId{2}, ReplicaId{4}};
  conf.voters_outgoing = {ReplicaId{1}, ReplicaId{2}, ReplicaId{3}};
  return conf;
}

Entry WithChange(Entry entry, const ConfChange& change) {
  entry.kind = EntryKind::kConfChangeSet;
  entry.payload = EncodeConfChange(change);
  return entry;
}

// Its log has entries of term 1 alone, of which the second changes members.
void Start(Replica* replica, const ConfState& conf, const ConfChange& change, uint64_t last,
           uint64_t commit) {
  std::vector<Entry> entries;
  for (uint64_t index = 1; index <= last; ++index) {
    Entry& entry = entries.emplace_back();
    entry.term = Term{1};
    entry.index = Index{index};
    if (index == 2) entry = WithChange(std::move(entry), change);
  }
  replica->log.conf() = conf;
  StorageAppend append;
  append.entries = std::move(entries);
  append.hard_state = HardState{Term{1}, kNoReplica, Index{commit}};
  replica->log.Persist(append);
  replica->Start();
  replica->Drain();
}

Message Told(MessageKind kind, uint64_t from, uint64_t term, uint64_t commit, uint64_t of_term) {
  Message message = MakeMessage(kind, from, 1, term);
  message.commit = Index{commit};
  message.commit_term = Term{of_term};
  return message;
}

// Two of a joint configuration's new members; of the third, and of who was to go, nobody hears.
class TwoAreLeft : public ::testing::TestWithParam<bool> {
 protected:
  TwoAreLeft() : one_(ConfigOf(1)), four_(ConfigOf(4)) {
    Start(&one_, Joint(), {}, 4, 1);   // Has the longer log, and forgot that the end is committed.
    Start(&four_, Joint(), {}, 2, 2);  // Knows it.
  }

  static Config ConfigOf(uint64_t id) {
    Config config = PlainConfig(ReplicaId{id});
    config.pre_vote = config.check_quorum = GetParam();
    return config;
  }

  void Campaign(Replica* candidate) {
    candidate->core().Campaign();
    for (bool more = true; more;) {
      more = false;
      for (Replica* from : {&one_, &four_}) {
        Replica* to = from == &one_ ? &four_ : &one_;
        from->Drain();
        for (Message& message : from->TakeSent()) {
          if (message.to != to->id()) continue;
          (void)to->core().Step(std::move(message));
          more = true;
        }
      }
    }
  }

  Replica one_;
  Replica four_;
};

TEST_P(TwoAreLeft, WhoForgotHowAJointConfigurationEndedIsToldWhenItAsks) {
  ASSERT_FALSE(one_.core().Configuration().voters_outgoing.empty());
  Campaign(&one_);
  EXPECT_TRUE(one_.core().Configuration().voters_outgoing.empty());
  EXPECT_TRUE(one_.core().is_leader());
  EXPECT_EQ(four_.core().commit(), one_.core().last_index());
}

TEST_P(TwoAreLeft, WhoForgotHowAJointConfigurationEndedIsToldWhenItIsAsked) {
  Campaign(&four_);
  EXPECT_FALSE(four_.core().is_leader());  // Its log is the shorter one.
  EXPECT_TRUE(one_.core().Configuration().voters_outgoing.empty());
  Campaign(&one_);
  EXPECT_TRUE(one_.core().is_leader());
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutPreVote, TwoAreLeft, ::testing::Bool());

class ElectionCommitTest : public ::testing::Test {
 protected:
  ElectionCommitTest() : replica_(PlainConfig(ReplicaId{1})) {
    Start(&replica_, Joint(), {}, 4, 1);
  }
  Index CommitAfter(Message message) {
    (void)replica_.Send(std::move(message));
    return replica_.core().commit();
  }
  Replica replica_;
};

TEST_F(ElectionCommitTest, OnlyWhoHasTheVeryEntryLearnsThatItIsCommitted) {
  // Another entry stands there; none does; a release that tells nothing; a term without an index.
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVote, 2, 3, 2, 2)), Index{1});
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVote, 2, 3, 5, 1)), Index{1});
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVote, 2, 3, 0, 0)), Index{1});
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVote, 2, 3, 2, 0)), Index{1});
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVote, 2, 3, 0, 1)), Index{1});
  EXPECT_FALSE(replica_.core().Configuration().voters_outgoing.empty());
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVote, 2, 3, 3, 1)), Index{3});
  EXPECT_TRUE(replica_.core().Configuration().voters_outgoing.empty());
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVote, 2, 3, 2, 1)), Index{3});  // It never falls.
}

TEST_F(ElectionCommitTest, QuestionsAndAnswersTellIt) {
  EXPECT_EQ(CommitAfter(Told(MessageKind::kPreVote, 2, 2, 2, 1)), Index{2});
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVoteReply, 2, 1, 3, 1)), Index{3});
  EXPECT_EQ(CommitAfter(Told(MessageKind::kPreVoteReply, 2, 2, 4, 1)), Index{4});
}

TEST_F(ElectionCommitTest, NothingElseTellsIt) {
  for (MessageKind kind : {MessageKind::kAppendReply, MessageKind::kHeartbeatReply,
                           MessageKind::kTransferLeader, MessageKind::kReadIndexReply}) {
    EXPECT_EQ(CommitAfter(Told(kind, 2, 1, 4, 1)), Index{1});
  }
}

// What is committed is so whatever became of its term; but a stranger's answer isn't heard at all.
TEST_F(ElectionCommitTest, AStrangersQuestionTellsItAndItsAnswerDoesNot) {
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVoteReply, 9, 1, 2, 1)), Index{1});
  EXPECT_EQ(CommitAfter(Told(MessageKind::kVote, 9, 2, 2, 1)), Index{2});
}

TEST(ElectionCommitOfALeaderTest, ALeaderCountsByItself) {
  Group group(3);
  group.Elect(1);
  const Index before = group[1].core().commit();
  (void)group[1].Propose("nobody has it yet");
  const Term term = group[1].core().term();
  Message message = Told(MessageKind::kVoteReply, 2, Raw(term), Raw(before) + 1, Raw(term));
  EXPECT_EQ(group[1].core().Step(message), StepResult::kOk);
  EXPECT_EQ(group[1].core().commit(), before);
}

std::vector<Message> Said(Replica* replica) {
  replica->core().Campaign();
  replica->Drain();
  return replica->TakeSent();
}

TEST(ElectionCommitToldTest, EachMessageOfAnElectionTellsItWithItsTerm) {
  for (bool pre_vote : {false, true}) {
    Config config = PlainConfig(ReplicaId{1});
    config.pre_vote = pre_vote;
    Replica replica(config);
    Start(&replica, Voters(3), {}, 4, 3);
    std::vector<Message> said = Said(&replica);
    const MessageKind asks = pre_vote ? MessageKind::kPreVote : MessageKind::kVote;
    // One that is refused, and one of a term that is over.
    for (const Message& question :
         {MakeMessage(MessageKind::kVote, 2, 1, 9), MakeMessage(asks, 2, 1, 1)}) {
      for (Message& answer : replica.Send(question)) said.push_back(answer);
    }
    Message granted = MakeMessage(asks, 3, 1, 12);
    granted.index = Index{7};
    granted.log_term = Term{9};
    for (Message& answer : replica.Send(granted)) said.push_back(answer);
    EXPECT_EQ(said.size(), pre_vote ? 5u : 4u);  // A late question without pre-vote has no answer.
    for (const Message& message : said) {
      ASSERT_TRUE(OfElection(message.kind));
      EXPECT_EQ(message.commit, Index{3});
      EXPECT_EQ(message.commit_term, Term{1});
    }
  }
}

TEST(ElectionCommitToldTest, WhereTheLogBeginsBehindItTheTermIsTheSnapshots) {
  Replica replica(PlainConfig(ReplicaId{1}));
  Start(&replica, Voters(3), {}, 4, 3);
  replica.log.Compact(Index{3}, Voters(3));
  replica.Start();
  for (const Message& message : Said(&replica)) {
    EXPECT_EQ(message.commit, Index{3});
    EXPECT_EQ(message.commit_term, Term{1});
  }
}

TEST(ElectionCommitToldTest, WhoHasNothingTellsNothing) {
  Group group(3);
  for (const Message& message : Said(&group[1])) {
    EXPECT_EQ(message.commit, Index{});
    EXPECT_EQ(message.commit_term, Term{});
  }
}

TEST(ElectionCommitToldTest, NoneOfItWhereTheConfigSaysSo) {
  Config config = PlainConfig(ReplicaId{1});
  config.votes_tell_commit = false;
  Replica replica(config);
  Start(&replica, Joint(), {}, 4, 1);
  (void)replica.Send(Told(MessageKind::kVote, 2, 3, 4, 1));
  EXPECT_EQ(replica.core().commit(), Index{1});
  for (const Message& message : Said(&replica)) EXPECT_EQ(message.commit, Index{});
}

TEST(ElectionCommitCandidateTest, OneThatLearnsOfItsOwnRemovalStandsNoMore) {
  Replica replica(PlainConfig(ReplicaId{1}));
  ConfChange change;
  change.steps = {{ConfChangeOp::kRemove, ReplicaId{1}}};
  Start(&replica, Voters(5), change, 3, 1);
  (void)Said(&replica);
  ASSERT_EQ(replica.core().role(), Role::kCandidate);
  (void)replica.Send(Told(MessageKind::kVoteReply, 2, 2, 3, 1));
  EXPECT_EQ(replica.core().role(), Role::kFollower);
  EXPECT_FALSE(replica.core().IsVoter(ReplicaId{1}));
  for (uint64_t voter : {3, 4}) {
    (void)replica.Send(MakeMessage(MessageKind::kVoteReply, voter, 1, 2));
  }
  EXPECT_FALSE(replica.core().is_leader());
}

// One voter more, so that what it has isn't enough any more.
TEST(ElectionCommitCandidateTest, VotesThatItHasCountByTheMembersThatItLearnsOf) {
  Replica replica(PlainConfig(ReplicaId{1}));
  ConfChange change;
  change.steps = {{ConfChangeOp::kAddVoter, ReplicaId{6}}};
  Start(&replica, Voters(5), change, 3, 1);
  (void)Said(&replica);
  (void)replica.Send(MakeMessage(MessageKind::kVoteReply, 2, 1, 2));
  Message told = Told(MessageKind::kVoteReply, 5, 2, 2, 1);
  told.reject = true;
  (void)replica.Send(told);
  ASSERT_TRUE(replica.core().IsVoter(ReplicaId{6}));
  (void)replica.Send(MakeMessage(MessageKind::kVoteReply, 3, 1, 2));
  EXPECT_EQ(replica.core().role(), Role::kCandidate);  // Three of six.
  (void)replica.Send(MakeMessage(MessageKind::kVoteReply, 4, 1, 2));
  EXPECT_TRUE(replica.core().is_leader());
}

}  // namespace
}  // namespace ursula::raft
