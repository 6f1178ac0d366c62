// The sentences of sections 5.1 to 5.4 of "In Search of an Understandable Consensus Algorithm"
// (Ongaro, Ousterhout, extended version), each as a test of its name.

#include <algorithm>
#include <set>

#include "gtest/gtest.h"
#include "tests/unit/raft/replica.h"

namespace ursula::raft {
namespace {

constexpr uint32_t kElectionTicks = 10;

// Replica 1 of `voters`, over a log with entries of these terms.
class PaperTest : public testing::Test {
 protected:
  Replica& Make(uint64_t voters, std::initializer_list<uint64_t> terms = {}, uint64_t term = 0,
                uint64_t commit = 0) {
    replica_ = std::make_unique<Replica>(PlainConfig(ReplicaId{1}));
    StorageAppend append;
    append.entries = EntriesOfTerms(terms);
    append.hard_state = HardState{Term{term}, kNoReplica, Index{commit}};
    replica_->log.Persist(append);
    replica_->log.conf() = Voters(voters);
    replica_->Start();
    return *replica_;
  }

  // Makes it the leader of its next term; what it sent meanwhile is forgotten.
  Replica& MakeLeader(uint64_t voters, std::initializer_list<uint64_t> terms = {},
                      uint64_t term = 0, uint64_t commit = 0) {
    Replica& replica = Make(voters, terms, term, commit);
    replica.core().Campaign();
    replica.Drain();
    for (uint64_t peer = 2; peer <= voters && !replica.core().is_leader(); ++peer) {
      (void)replica.Send(MakeMessage(MessageKind::kVoteReply, peer, 1, Raw(replica.core().term())));
    }
    EXPECT_TRUE(replica.core().is_leader());
    (void)replica.TakeSent();
    return replica;
  }

  std::unique_ptr<Replica> replica_;
};

std::vector<Message> OfKind(const std::vector<Message>& messages, MessageKind kind) {
  std::vector<Message> out;
  for (const Message& message : messages) {
    if (message.kind == kind) out.push_back(message);
  }
  return out;
}

Message Accept(uint64_t from, const Replica& leader, uint64_t term, uint64_t index) {
  Message reply = MakeMessage(MessageKind::kAppendReply, from, Raw(leader.id()), term);
  reply.index = Index{index};
  return reply;
}

std::vector<uint64_t> Terms(const MemoryLog& log) {
  std::vector<uint64_t> terms;
  for (const Entry& entry : log.entries()) terms.push_back(Raw(entry.term));
  return terms;
}

// 5.1

TEST_F(PaperTest, AFollowerWhoseTermIsSmallerUpdatesItToTheLargerValue) {
  Replica& replica = Make(3);
  (void)replica.Send(MakeAppend(2, 1, 2, 0, 0, {}, 0));
  EXPECT_EQ(replica.core().term(), Term{2});
  EXPECT_EQ(replica.log.hard().term, Term{2});
}

TEST_F(PaperTest, ACandidateThatDiscoversThatItsTermIsOutOfDateRevertsToFollower) {
  Replica& replica = Make(3);
  replica.core().Campaign();
  ASSERT_EQ(replica.core().role(), Role::kCandidate);
  (void)replica.Send(MakeAppend(2, 1, 2, 0, 0, {}, 0));
  EXPECT_EQ(replica.core().role(), Role::kFollower);
  EXPECT_EQ(replica.core().term(), Term{2});
}

TEST_F(PaperTest, ALeaderThatDiscoversThatItsTermIsOutOfDateRevertsToFollower) {
  Replica& replica = MakeLeader(3);
  (void)replica.Send(MakeAppend(2, 1, 2, 0, 0, {}, 0));
  EXPECT_EQ(replica.core().role(), Role::kFollower);
  EXPECT_EQ(replica.core().term(), Term{2});
}

TEST_F(PaperTest, ARequestWithAStaleTermNumberIsRejected) {
  Replica& replica = Make(3, {1}, 5);
  EXPECT_TRUE(replica.Send(MakeAppend(2, 1, 4, 0, 0, EntriesOfTerms({4, 4}), 2)).empty());
  EXPECT_TRUE(replica.Send(MakeMessage(MessageKind::kVote, 2, 1, 4)).empty());
  EXPECT_EQ(replica.core().term(), Term{5});
  EXPECT_EQ(replica.core().last_index(), Index{1});
  EXPECT_EQ(replica.core().commit(), Index{0});
  EXPECT_EQ(replica.core().vote(), kNoReplica);
}

// 5.2

TEST_F(PaperTest, WhenServersStartUpTheyBeginAsFollowers) {
  EXPECT_EQ(Make(3).core().role(), Role::kFollower);
  EXPECT_EQ(Make(1, {1, 2}, 2, 2).core().role(), Role::kFollower);
}

TEST_F(PaperTest, LeadersSendPeriodicHeartbeatsToAllFollowers) {
  Replica& replica = MakeLeader(3);
  for (int round = 0; round < 3; ++round) {
    replica.core().Tick();
    replica.Drain();
    std::vector<Message> sent = OfKind(replica.TakeSent(), MessageKind::kHeartbeat);
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_EQ(sent[0].to, ReplicaId{2});
    EXPECT_EQ(sent[1].to, ReplicaId{3});
    EXPECT_EQ(sent[0].term, Term{1});
  }
}

TEST_F(PaperTest, AFollowerThatReceivesNoCommunicationOverAnElectionTimeoutBeginsAnElection) {
  Replica& replica = Make(3);
  for (uint32_t i = 0; i < 2 * kElectionTicks; ++i) replica.core().Tick();
  EXPECT_EQ(replica.core().term(), Term{1}) << "it increments its current term";
  EXPECT_EQ(replica.core().role(), Role::kCandidate) << "and transitions to candidate";
  replica.Drain();
  EXPECT_EQ(replica.log.hard().vote, ReplicaId{1}) << "it votes for itself";
  std::vector<Message> sent = OfKind(replica.TakeSent(), MessageKind::kVote);
  ASSERT_EQ(sent.size(), 2u) << "and issues RequestVotes to each of the others";
  EXPECT_EQ(sent[0].term, Term{1});
}

TEST_F(PaperTest, ACandidateThatTimesOutStartsANewElectionByIncrementingItsTerm) {
  Replica& replica = Make(3);
  replica.core().Campaign();
  replica.Drain();
  (void)replica.TakeSent();
  for (uint32_t i = 0; i < 2 * kElectionTicks; ++i) replica.core().Tick();
  EXPECT_EQ(replica.core().term(), Term{2});
  EXPECT_EQ(replica.core().role(), Role::kCandidate);
  replica.Drain();
  EXPECT_EQ(OfKind(replica.TakeSent(), MessageKind::kVote).size(), 2u);
}

TEST_F(PaperTest, ACandidateWinsIfItReceivesVotesFromAMajority) {
  struct Ballots {
    uint64_t voters;
    std::vector<bool> votes;  // Of replicas 2, 3, ...
    Role role;
  };
  const Ballots kCases[] = {
      {1, {}, Role::kLeader},
      {3, {true, true}, Role::kLeader},
      {3, {true}, Role::kLeader},
      {5, {true, true, true, true}, Role::kLeader},
      {5, {true, true}, Role::kLeader},
      {3, {false, false}, Role::kFollower},
      {5, {false, false, false}, Role::kFollower},
      {5, {true, false, false, false}, Role::kFollower},
      {3, {}, Role::kCandidate},
      {5, {true}, Role::kCandidate},
      {5, {false, false}, Role::kCandidate},
      {5, {}, Role::kCandidate},
  };
  for (const Ballots& ballots : kCases) {
    Replica& replica = Make(ballots.voters);
    replica.core().Campaign();
    replica.Drain();
    for (std::size_t i = 0; i < ballots.votes.size(); ++i) {
      Message vote = MakeMessage(MessageKind::kVoteReply, i + 2, 1, 1);
      vote.reject = !ballots.votes[i];
      (void)replica.Send(vote);
    }
    EXPECT_EQ(replica.core().role(), ballots.role) << ballots.voters << "/" << ballots.votes.size();
    EXPECT_EQ(replica.core().term(), Term{1});
  }
}

TEST_F(PaperTest, EachServerVotesForAtMostOneCandidateInATermFirstComeFirstServed) {
  for (uint64_t voted : {0u, 1u, 2u}) {
    for (uint64_t asks : {1u, 2u}) {
      Replica replica(PlainConfig(ReplicaId{3}));
      replica.log.conf() = Voters(3);
      replica.log.hard() = HardState{Term{1}, ReplicaId{voted}, Index{}};
      replica.Start();
      std::vector<Message> sent = replica.Send(MakeMessage(MessageKind::kVote, asks, 3, 1));
      ASSERT_EQ(sent.size(), 1u);
      EXPECT_EQ(sent[0].kind, MessageKind::kVoteReply);
      EXPECT_EQ(sent[0].reject, voted != 0 && voted != asks) << voted << " " << asks;
    }
  }
}

TEST_F(PaperTest, ACandidateThatHearsALeaderOfATermAsLargeAsItsOwnReturnsToFollower) {
  for (uint64_t term : {1u, 2u}) {
    Replica& replica = Make(3);
    replica.core().Campaign();
    replica.Drain();
    (void)replica.Send(MakeAppend(2, 1, term, 0, 0, {}, 0));
    EXPECT_EQ(replica.core().role(), Role::kFollower);
    EXPECT_EQ(replica.core().leader(), ReplicaId{2});
    EXPECT_EQ(replica.core().term(), Term{term});
  }
}

// Ticks until it campaigns (again).
uint32_t TicksToCampaign(Replica* replica) {
  const Term before = replica->core().term();
  uint32_t ticks = 0;
  while (replica->core().term() == before) {
    replica->core().Tick();
    ++ticks;
  }
  replica->Drain();
  (void)replica->TakeSent();
  return ticks;
}

std::set<uint32_t> Timeouts(Replica* replica, bool candidate) {
  std::set<uint32_t> seen;
  for (uint64_t round = 0; round < 50 * kElectionTicks; ++round) {
    if (candidate) {
      replica->core().Campaign();
      replica->Drain();
    } else {
      const uint64_t term = Raw(replica->core().term()) + 1;
      (void)replica->Send(MakeMessage(MessageKind::kHeartbeat, 2, 1, term));
    }
    seen.insert(TicksToCampaign(replica));
  }
  return seen;
}

TEST_F(PaperTest, AFollowersElectionTimeoutIsChosenRandomlyFromAFixedInterval) {
  const std::set<uint32_t> seen = Timeouts(&Make(3), false);
  EXPECT_EQ(*seen.begin(), kElectionTicks);
  EXPECT_EQ(*seen.rbegin(), 2 * kElectionTicks - 1);
  EXPECT_EQ(seen.size(), kElectionTicks);
}

TEST_F(PaperTest, ACandidateRestartsItsRandomizedElectionTimeoutAtTheStartOfAnElection) {
  const std::set<uint32_t> seen = Timeouts(&Make(3), true);
  EXPECT_EQ(*seen.begin(), kElectionTicks);
  EXPECT_EQ(*seen.rbegin(), 2 * kElectionTicks - 1);
  EXPECT_EQ(seen.size(), kElectionTicks);
}

// How often two of five would campaign in the same tick.
int Conflicts(bool candidates) {
  int conflicts = 0;
  Group group(5);
  for (uint64_t round = 0; round < 1000; ++round) {
    std::vector<uint32_t> ticks;
    for (uint64_t id = 1; id <= 5; ++id) {
      Replica& replica = group[id];
      if (candidates) {
        replica.core().Campaign();
        replica.Drain();
      } else {
        const uint64_t term = Raw(replica.core().term()) + 1;
        (void)replica.Send(MakeMessage(MessageKind::kHeartbeat, id % 5 + 1, id, term));
      }
      ticks.push_back(TicksToCampaign(&replica));
    }
    std::sort(ticks.begin(), ticks.end());
    if (ticks[0] == ticks[1]) ++conflicts;
  }
  return conflicts;
}

TEST_F(PaperTest, InMostCasesOnlyASingleFollowerTimesOutFirst) { EXPECT_LT(Conflicts(false), 300); }

TEST_F(PaperTest, RandomizationMakesAnotherSplitVoteUnlikely) { EXPECT_LT(Conflicts(true), 300); }

// 5.3

TEST_F(PaperTest, TheLeaderAppendsACommandAndIssuesAppendEntriesInParallel) {
  Replica& replica = MakeLeader(3);
  // Followers are known to have the first entry of the term, so that they are fed in parallel.
  (void)replica.Send(Accept(2, replica, 1, 1));
  (void)replica.Send(Accept(3, replica, 1, 1));
  const Proposal proposal = replica.Propose("x");
  EXPECT_EQ(proposal.outcome, ProposalOutcome::kAppended);
  EXPECT_EQ(proposal.first, Index{2});
  EXPECT_EQ(replica.core().last_index(), Index{2});
  Ready ready;
  replica.core().TakeReady(&ready);
  ASSERT_TRUE(ready.append.has_value());
  ASSERT_EQ(ready.append->entries.size(), 1u);
  EXPECT_EQ(ready.append->entries[0].payload.view(), "x");
  std::vector<Message> sent = OfKind(ready.messages, MessageKind::kAppend);
  ASSERT_EQ(sent.size(), 2u) << "at once, not after its own write";
  for (const Message& message : sent) {
    EXPECT_EQ(message.index, Index{1});
    EXPECT_EQ(message.log_term, Term{1});
    EXPECT_EQ(message.entries, ready.append->entries);
    EXPECT_EQ(message.entries[0].payload.data(), ready.append->entries[0].payload.data());
  }
  EXPECT_EQ(replica.core().commit(), Index{1});
}

TEST_F(PaperTest, TheLeaderAppliesASafelyReplicatedEntryAndTellsFollowersOfTheIndex) {
  Replica& replica = MakeLeader(3);
  (void)replica.Send(Accept(2, replica, 1, 1));
  (void)replica.Propose("x");
  replica.Drain();
  (void)replica.TakeSent();
  EXPECT_TRUE(replica.AppliedCommands().empty());
  std::vector<Message> sent = replica.Send(Accept(2, replica, 1, 2));
  EXPECT_EQ(replica.core().commit(), Index{2});
  EXPECT_EQ(replica.AppliedCommands(), std::vector<std::string>{"x"});
  sent = OfKind(sent, MessageKind::kAppend);
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].commit, Index{2});
}

TEST_F(PaperTest, AnEntryIsCommittedOnceItsLeaderHasReplicatedItOnAMajority) {
  struct Acks {
    uint64_t voters;
    std::vector<uint64_t> from;
    bool committed;
  };
  for (const Acks& acks :
       {Acks{1, {}, true}, Acks{3, {}, false}, Acks{3, {2}, true}, Acks{3, {2, 3}, true},
        Acks{5, {}, false}, Acks{5, {2}, false}, Acks{5, {2, 3}, true}, Acks{5, {2, 3, 4}, true}}) {
    Replica& replica = MakeLeader(acks.voters);
    (void)replica.Propose("x");
    replica.Drain();
    for (uint64_t from : acks.from) (void)replica.Send(Accept(from, replica, 1, 2));
    EXPECT_EQ(replica.core().commit() == Index{2}, acks.committed)
        << acks.voters << "/" << acks.from.size();
  }
}

TEST_F(PaperTest, CommittingAnEntryCommitsAllPrecedingEntriesOfFormerLeadersToo) {
  Replica& replica = MakeLeader(3, {1, 2, 2}, 2);
  (void)replica.Propose("x");
  replica.Drain();
  (void)replica.Send(Accept(2, replica, 3, 5));
  EXPECT_EQ(replica.core().commit(), Index{5});
  std::vector<uint64_t> terms;
  for (const Entry& entry : replica.applied()) terms.push_back(Raw(entry.term));
  EXPECT_EQ(terms, (std::vector<uint64_t>{1, 2, 2, 3, 3}));
}

TEST_F(PaperTest, AFollowerThatLearnsThatAnEntryIsCommittedAppliesItInLogOrder) {
  for (uint64_t commit : {1u, 2u, 3u}) {
    Replica& replica = Make(3);
    std::vector<Entry> entries = EntriesOfTerms({1, 1, 1});
    for (std::size_t i = 0; i < 3; ++i)
      entries[i].payload = Bytes::Copy(std::string(1, char('a' + i)));
    (void)replica.Send(MakeAppend(2, 1, 1, 0, 0, entries, commit));
    EXPECT_EQ(replica.core().commit(), Index{commit});
    std::vector<std::string> expected{"a", "b", "c"};
    expected.resize(commit);
    EXPECT_EQ(replica.AppliedCommands(), expected);
  }
}

TEST_F(PaperTest, AFollowerRefusesEntriesIfItHasNoEntryWithTheSameIndexAndTermBeforeThem) {
  struct Probe {
    uint64_t index, term;
    bool refused;
    uint64_t hint;
  };
  for (const Probe& probe : {Probe{1, 1, false, 0}, Probe{2, 2, false, 0}, Probe{1, 2, true, 1},
                             Probe{2, 1, true, 1}, Probe{3, 3, true, 2}}) {
    Replica& replica = Make(3, {1, 2}, 2, 0);
    std::vector<Message> sent = replica.Send(MakeAppend(2, 1, 3, probe.index, probe.term, {}, 0));
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].kind, MessageKind::kAppendReply);
    EXPECT_EQ(sent[0].reject, probe.refused) << probe.index << " " << probe.term;
    EXPECT_EQ(sent[0].index, Index{probe.index});
    if (probe.refused) {
      EXPECT_EQ(sent[0].reject_hint, Index{probe.hint});
    }
  }
}

TEST_F(PaperTest, AFollowerDeletesAConflictingEntryAndAllThatFollowItAndAppendsTheNew) {
  struct Case {
    uint64_t index, term;
    std::vector<uint64_t> sent;
    std::vector<uint64_t> log;
  };
  const Case kCases[] = {
      {2, 2, {3}, {1, 2, 3}},
      {1, 1, {3, 4}, {1, 3, 4}},
      {0, 0, {1}, {1, 2}},
      {0, 0, {3}, {3}},
  };
  for (const Case& c : kCases) {
    Replica& replica = Make(3, {1, 2}, 2);
    std::vector<Entry> entries;
    for (uint64_t term : c.sent) {
      entries.push_back({Term{term}, Index{c.index + entries.size() + 1}, EntryKind::kNormal, {}});
    }
    (void)replica.Send(MakeAppend(2, 1, 4, c.index, c.term, entries, 0));
    EXPECT_EQ(Terms(replica.log), c.log);
  }
}

TEST_F(PaperTest, TheLeaderBringsAFollowersLogIntoConsistencyWithItsOwn) {
  // Figure 7.
  const std::vector<uint64_t> kLeader = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::initializer_list<uint64_t> kFollowers[] = {
      {1, 1, 1, 4, 4, 5, 5, 6, 6},
      {1, 1, 1, 4},
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
      {1, 1, 1, 4, 4, 4, 4},
      {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
  };
  for (const auto& follower : kFollowers) {
    Group group(3);
    StorageAppend leaders;
    leaders.entries = EntriesOfTerms({1, 1, 1, 4, 4, 5, 5, 6, 6, 6});
    leaders.hard_state = HardState{Term{8}, kNoReplica, Index{3}};
    StorageAppend followers;
    followers.entries = EntriesOfTerms(follower);
    followers.hard_state = HardState{Term{7}, kNoReplica, Index{}};
    group[1].log.Persist(leaders);
    group[2].log.Persist(followers);
    group[3].log.Persist(leaders);
    for (uint64_t id = 1; id <= 3; ++id) group[id].Start();
    group.Elect(1);
    group.TickAll(2);
    ASSERT_TRUE(group[1].core().is_leader());
    std::vector<uint64_t> expected = kLeader;
    expected.push_back(9);
    EXPECT_EQ(Terms(group[1].log), expected);
    EXPECT_EQ(Terms(group[2].log), expected);
  }
}

// 5.4

TEST_F(PaperTest, AVoteRequestIncludesInformationAboutTheCandidatesLog) {
  Replica& replica = Make(3, {1, 2}, 2);
  replica.core().Campaign();
  replica.Drain();
  std::vector<Message> sent = OfKind(replica.TakeSent(), MessageKind::kVote);
  ASSERT_EQ(sent.size(), 2u);
  for (const Message& message : sent) {
    EXPECT_EQ(message.index, Index{2});
    EXPECT_EQ(message.log_term, Term{2});
    EXPECT_EQ(message.term, Term{3});
  }
}

TEST_F(PaperTest, AVoterDeniesItsVoteIfItsOwnLogIsMoreUpToDate) {
  struct Case {
    std::initializer_list<uint64_t> own;
    uint64_t log_term, index;
    bool denied;
  };
  const Case kCases[] = {
      {{1}, 1, 1, false},   {{1}, 1, 2, false},    {{1, 1}, 1, 1, true}, {{1}, 2, 1, false},
      {{1}, 2, 2, false},   {{1, 1}, 2, 1, false}, {{2}, 1, 1, true},    {{2}, 1, 2, true},
      {{2, 2}, 1, 1, true}, {{1, 1}, 1, 2, false},
  };
  for (const Case& c : kCases) {
    Replica& replica = Make(2, c.own, 2);
    Message vote = MakeMessage(MessageKind::kVote, 2, 1, 3);
    vote.log_term = Term{c.log_term};
    vote.index = Index{c.index};
    std::vector<Message> sent = replica.Send(vote);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].reject, c.denied) << c.log_term << "/" << c.index;
  }
}

TEST_F(PaperTest, OnlyEntriesOfTheLeadersCurrentTermAreCommittedByCountingReplicas) {
  for (uint64_t acknowledged : {1u, 2u, 3u}) {
    Replica& replica = MakeLeader(3, {1, 2}, 2);
    (void)replica.Send(Accept(2, replica, 3, acknowledged));
    EXPECT_EQ(replica.core().commit(), Index{acknowledged == 3 ? 3u : 0u}) << acknowledged;
  }
}

}  // namespace
}  // namespace ursula::raft
