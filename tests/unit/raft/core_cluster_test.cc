// Groups of replicas: elections under PreVote and leases, hand-over, flow control, snapshots, reads
// and membership changes.

#include "gtest/gtest.h"
#include "tests/unit/raft/replica.h"

namespace ursula::raft {
namespace {

void Careful(Config* config) {
  config->pre_vote = true;
  config->check_quorum = true;
}

Bytes Context(const std::string& text) { return Bytes::Copy(text); }

ConfChange Change(std::initializer_list<ConfChangeStep> steps) {
  ConfChange change;
  change.steps = steps;
  return change;
}

TEST(CoreClusterTest, ACutOffReplicaDoesNotRaiseTheTermWithPreVote) {
  Group group(3, Careful);
  group.Elect(1);
  const Term term = group[1].core().term();
  group.Isolate(3);
  group.TickAll(100);
  EXPECT_EQ(group[3].core().term(), term);
  group.Heal();
  group.TickAll(5);
  EXPECT_TRUE(group[1].core().is_leader());
  EXPECT_EQ(group[1].core().term(), term);
  EXPECT_EQ(group[3].core().leader(), ReplicaId{1});
}

// Of three one was away for ten entries, each a message of its own; its leader's driver holds them.
struct HeldUp {
  HeldUp() : group(3, [](Config* config) { config->message_bytes_max = 1; }) {
    group.Elect(1);
    group.Isolate(3);
    for (int i = 0; i < 10; ++i) group.Propose(1, "missed");
    group.Heal();
    group[1].catch_up_messages = 0;
    group.TickAll(5);
    had = group[3].core().last_index();
  }
  Group group;
  Index had{};
};

TEST(CoreClusterTest, WhatAFollowerLacksWaitsForTheDriver) {
  HeldUp held;
  Group& group = held.group;
  EXPECT_EQ(held.had + 10, group[1].core().commit());
  group.Propose(1, "new");
  group.TickAll(5);
  EXPECT_EQ(held.had + 11, group[1].core().commit());  // The other one has it.
  EXPECT_EQ(group[3].core().last_index(), held.had);
  EXPECT_EQ(group[1].caught_up_entries, 0u);
  group[1].catch_up_messages = 3;
  group[1].core().SendMore(ReplicaId{3});
  group[1].Drain();
  group.Run();
  EXPECT_EQ(group[3].core().last_index(), held.had + 3);
  EXPECT_EQ(group[1].caught_up_entries, 3u);
  group[1].catch_up_messages = UINT64_MAX;
  group[1].core().SendMore(ReplicaId{3});
  group[1].Drain();
  group.Run();
  EXPECT_EQ(group[3].core().commit(), group[1].core().commit());
  const uint64_t missed = group[1].caught_up_entries;
  EXPECT_EQ(missed, 11u);
  group.Propose(1, "newer");  // It lacks nothing any more.
  EXPECT_EQ(group[3].core().last_index(), group[1].core().last_index());
  EXPECT_EQ(group[1].caught_up_entries, missed);
}

TEST(CoreClusterTest, AHandOversTargetIsNotHeldUp) {
  HeldUp held;
  Group& group = held.group;
  group[1].core().TransferLeadership(ReplicaId{3});
  group[1].Drain();
  group.TickAll(3);
  EXPECT_TRUE(group[3].core().is_leader());
}

// At once, and not with the next beat; what it is sent counts.
TEST(CoreClusterTest, AHandOversTargetIsHeldUpNoLonger) {
  HeldUp held;
  Group& group = held.group;
  group.Propose(1, "new");  // Its last answer was held up, too.
  group[1].core().TransferLeadership(ReplicaId{3});
  group[1].Drain();
  group.Run();
  EXPECT_TRUE(group[3].core().is_leader());
  EXPECT_EQ(group[1].caught_up_entries, 11u);
}

TEST(CoreClusterTest, ALeaderThatHearsOfNoQuorumStepsDown) {
  Group group(3, Careful);
  group.Elect(1);
  group.Isolate(1);
  group.TickAll(40);
  EXPECT_FALSE(group[1].core().is_leader());
  EXPECT_EQ(group[1].count(Notice::kSteppedDownWithoutQuorum), 1);
  EXPECT_TRUE(group[2].core().is_leader() || group[3].core().is_leader());
}

TEST(CoreClusterTest, HeartbeatsGoOutInTheTicksThatTheDriverAlignsThemTo) {
  for (uint32_t elected_at = 0; elected_at < 3; ++elected_at) {
    Group group(3, [](Config* config) { config->heartbeat_ticks = 3; });
    std::string beats;
    for (uint32_t tick = 0; tick < 12; ++tick) {
      if (tick == elected_at) group.Elect(1);
      group[1].core().AlignHeartbeats(tick % 3);
      group[1].core().Tick();
      group[1].Drain();
      std::size_t count = 0;
      for (const Message& sent : group[1].TakeSent()) {
        if (sent.kind == MessageKind::kHeartbeat) ++count;
      }
      beats += std::to_string(count);
      group.Run();
    }
    EXPECT_EQ(beats, "002002002002") << elected_at;
  }
}

TEST(CoreClusterTest, WhoHearsALeaderVotesForNobodyElse) {
  Group group(3, [](Config* config) { config->check_quorum = true; });
  group.Elect(1);
  group[3].core().Campaign();
  group.Run();
  EXPECT_TRUE(group[1].core().is_leader() || group[1].core().term() > Term{1});
  EXPECT_FALSE(group[3].core().is_leader());
}

TEST(CoreClusterTest, ATransferGoesThroughALeaseAndDropsProposalsMeanwhile) {
  Group group(3, Careful);
  group.Elect(1);
  group[1].core().TransferLeadership(ReplicaId{2});
  EXPECT_EQ(group[1].Propose("x").outcome, ProposalOutcome::kDropped);
  group.Run();
  EXPECT_TRUE(group[2].core().is_leader());
  EXPECT_EQ(group[1].core().leader(), ReplicaId{2});
}

TEST(CoreClusterTest, OneThatStandsBackFollowsAndVotesAndStandsForNoElection) {
  Group group(3, Careful);
  group.Elect(1);
  group[2].core().StandBack(true);
  group[1].core().TransferLeadership(ReplicaId{2});
  group.Run();
  EXPECT_EQ(group[2].core().role(), Role::kFollower);
  group.TickAll(10);
  EXPECT_TRUE(group[1].core().is_leader());
  EXPECT_EQ(group[2].core().leader(), ReplicaId{1});
  const Term term = group[1].core().term();
  group.Isolate(2);
  group.TickAll(100);
  group[2].core().Campaign();
  EXPECT_EQ(group[2].core().role(), Role::kFollower);
  EXPECT_EQ(group[2].core().term(), term);
  EXPECT_EQ(group[2].core().leader(), kNoReplica);
  group.Heal();
  group.Isolate(1);
  for (int i = 0; i < 100 && !group[3].core().is_leader(); ++i) group.TickAll(1);
  EXPECT_TRUE(group[3].core().is_leader());
  EXPECT_EQ(group[2].core().vote(), ReplicaId{3});
  group[2].core().StandBack(false);
  group.Isolate(3);
  for (int i = 0; i < 100 && group[2].core().role() == Role::kFollower; ++i) group.TickAll(1);
  EXPECT_NE(group[2].core().role(), Role::kFollower);
}

TEST(CoreClusterTest, ATransferThatFailsEndsAfterAnElectionTimeout) {
  Group group(3);
  group.Elect(1);
  group.Isolate(2);
  group[1].core().TransferLeadership(ReplicaId{2});
  group.Run();
  EXPECT_EQ(group[1].core().transfer_target(), ReplicaId{2});
  group.TickAll(10);
  EXPECT_EQ(group[1].core().transfer_target(), kNoReplica);
  EXPECT_EQ(group[1].Propose("x").outcome, ProposalOutcome::kAppended);
}

TEST(CoreClusterTest, ALaggingTargetIsBroughtUpToDateFirst) {
  Group group(3);
  group.Elect(1);
  group.Isolate(3);
  group.Propose(1, "x");
  group.Heal();
  group[1].core().TransferLeadership(ReplicaId{3});
  group.Run();
  group.TickAll(2);
  EXPECT_TRUE(group[3].core().is_leader());
  EXPECT_EQ(group[3].AppliedCommands(), std::vector<std::string>{"x"});
}

TEST(CoreClusterTest, ForgettingTheLeaderLetsAFollowerPreVote) {
  Group group(3, Careful);
  group.Elect(1);
  group.Isolate(1);
  group[3].core().Campaign();
  group.Run();
  EXPECT_FALSE(group[3].core().is_leader()) << "replica 2 still believes in its leader";
  group[2].core().ForgetLeader();
  group[3].core().Campaign();
  group.Run();
  EXPECT_TRUE(group[3].core().is_leader());
}

TEST(CoreClusterTest, ForwardedProposalsReachTheLeaderOnlyIfAllowed) {
  Group closed(3);
  closed.Elect(1);
  EXPECT_EQ(closed[2].Propose("x").outcome, ProposalOutcome::kDropped);
  Group open(3, [](Config* config) { config->forward_proposals = true; });
  open.Elect(1);
  EXPECT_EQ(open[2].Propose("x").outcome, ProposalOutcome::kForwarded);
  open.Run();
  EXPECT_EQ(open[3].AppliedCommands(), std::vector<std::string>{"x"});
}

TEST(CoreClusterTest, WhatWasPassedOnMayComeBackToWhoLeadsByNow) {
  Group group(3, [](Config* config) { config->forward_proposals = true; });
  group.Elect(1);
  // Replica 2 asks a leader of old, which follows replica 2 by now.
  Message proposal = MakeMessage(MessageKind::kPropose, 2, 3, 0);
  proposal.entries = {{Term{}, Index{}, EntryKind::kNormal, Bytes::Static("x")}};
  Message read = MakeMessage(MessageKind::kReadIndex, 2, 3, 0);
  read.context = Bytes::Static("r");
  group.Elect(2);
  EXPECT_EQ(group[3].core().Step(proposal), StepResult::kOk);
  EXPECT_EQ(group[3].core().Step(read), StepResult::kOk);
  group.Run();
  EXPECT_EQ(group[2].count(Notice::kMalformedMessage), 0);
  EXPECT_EQ(group[1].AppliedCommands(), std::vector<std::string>{"x"});
  const std::vector<ReadState> reads = group[2].TakeReads();
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_EQ(reads[0].context, read.context);
}

TEST(CoreClusterTest, WhatWaitsInALeaderIsBoundedInBytes) {
  Group group(3, [](Config* config) { config->uncommitted_bytes_max = 10; });
  group.Elect(1);
  group.Isolate(1);
  EXPECT_EQ(group[1].Propose("0123456789012345").outcome, ProposalOutcome::kAppended)
      << "one always fits";
  EXPECT_EQ(group[1].Propose("x").outcome, ProposalOutcome::kDropped);
  group.Heal();
  group.TickAll(2);
  EXPECT_EQ(group[1].core().uncommitted_bytes(), 0u);
  EXPECT_EQ(group[1].Propose("x").outcome, ProposalOutcome::kAppended);
}

TEST(CoreClusterTest, ThePipelineStopsAtItsLimitAndGoesOnWithTheAnswers) {
  Group group(2, [](Config* config) {
    config->inflight_messages_max = 3;
    config->message_bytes_max = 1;
  });
  group.Elect(1);
  for (int i = 0; i < 10; ++i) (void)group[1].Propose("x");
  group[1].Drain();
  std::size_t appends = 0;
  std::vector<Message> sent = group[1].TakeSent();
  for (const Message& message : sent) {
    if (message.kind == MessageKind::kAppend) {
      ++appends;
      EXPECT_EQ(message.entries.size(), 1u);
    }
  }
  EXPECT_EQ(appends, 3u);
  for (Message& message : sent) (void)group[2].core().Step(message);
  group.Run();
  EXPECT_EQ(group[2].AppliedCommands().size(), 10u);
}

TEST(CoreClusterTest, EntriesThatAreNotInMemoryAreSentWhenTheyAre) {
  Group group(3);
  group.Elect(1);
  group.Isolate(3);
  for (int i = 0; i < 5; ++i) group.Propose(1, "x");
  group[1].log.set_resident(false);
  group.Heal();
  group.TickAll(3);
  EXPECT_LT(group[3].core().commit(), Index{6});
  group[1].log.set_resident(true);
  group.TickAll(3);
  EXPECT_EQ(group[3].AppliedCommands().size(), 5u);
}

TEST(CoreClusterTest, AFollowerBehindTheCompactionPointGetsASnapshot) {
  Group group(3);
  group.Elect(1);
  group.Isolate(3);
  for (int i = 0; i < 5; ++i) group.Propose(1, "x");
  group[1].log.Compact(group[1].core().applied(), Voters(3));
  group.Heal();
  group.TickAll(3);
  group.Propose(1, "after");
  EXPECT_EQ(group[3].core().commit(), group[1].core().commit());
  EXPECT_EQ(group[3].AppliedCommands(), std::vector<std::string>{"after"});
  EXPECT_EQ(group[1].core().Peers()[2].state, ProgressState::kReplicate);
}

TEST(CoreClusterTest, AFailedSnapshotIsTriedAgainAfterAHeartbeat) {
  Group group(3);
  group.Elect(1);
  group.Isolate(3);
  for (int i = 0; i < 5; ++i) group.Propose(1, "x");
  group[1].log.Compact(group[1].core().applied(), Voters(3));
  group.Heal();
  group.lose = [](const Message& message) { return message.kind == MessageKind::kSnapshot; };
  group.TickAll(2);
  EXPECT_EQ(group[1].core().Peers()[2].state, ProgressState::kSnapshot);
  group[1].core().ReportSnapshot(ReplicaId{3}, false);
  EXPECT_EQ(group[1].core().Peers()[2].state, ProgressState::kProbe);
  group.lose = nullptr;
  group.TickAll(3);
  EXPECT_EQ(group[3].core().commit(), group[1].core().commit());
}

TEST(CoreReadTest, AReadIsConfirmedByAQuorumAndEarlierOnesWithIt) {
  Group group(3);
  group.Elect(1);
  group.Propose(1, "x");
  EXPECT_TRUE(group[1].core().ReadIndex(Context("a")));
  EXPECT_TRUE(group[1].core().ReadIndex(Context("b")));
  group[1].Drain();
  const std::vector<Message> asked = group[1].TakeSent();
  ASSERT_EQ(asked.back().kind, MessageKind::kHeartbeat);
  EXPECT_TRUE(group[1].TakeReads().empty());
  // Only the answer to the second arrives.
  Message reply = MakeMessage(MessageKind::kHeartbeatReply, 2, 1, 1);
  reply.read_round = asked.back().read_round;
  (void)group[1].Send(reply);
  std::vector<ReadState> reads = group[1].TakeReads();
  ASSERT_EQ(reads.size(), 2u);
  EXPECT_EQ(reads[0].context.view(), "a");
  EXPECT_EQ(reads[1].context.view(), "b");
  EXPECT_EQ(reads[0].index, group[1].core().commit());
}

TEST(CoreReadTest, ACutOffLeaderAnswersNothing) {
  Group group(3);
  group.Elect(1);
  group.Isolate(1);
  EXPECT_TRUE(group[1].core().ReadIndex(Context("a")));
  group.TickAll(5);
  EXPECT_TRUE(group[1].TakeReads().empty());
}

TEST(CoreReadTest, ARemovedLeaderAnswersNothingForTheVoterThatIsLeft) {
  Group group(2, [](Config* config) { config->step_down_on_removal = false; });
  group.Elect(1);
  group.ChangeConf(1, {Transition::kAuto, {{ConfChangeOp::kRemove, ReplicaId{1}}}, true});
  ASSERT_TRUE(group[1].core().is_leader());
  ASSERT_EQ(group[1].core().Configuration().voters, std::vector<ReplicaId>{ReplicaId{2}});
  // The other may lead by now, and have committed more.
  group.Isolate(1);
  (void)group[1].core().ReadIndex(Bytes::Static("r"));
  group.Run();
  EXPECT_TRUE(group[1].TakeReads().empty());
}

TEST(CoreReadTest, AFollowersReadGoesToTheLeader) {
  Group group(3);
  group.Elect(1);
  group.Propose(1, "x");
  EXPECT_TRUE(group[2].core().ReadIndex(Context("r")));
  group.Run();
  std::vector<ReadState> reads = group[2].TakeReads();
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_EQ(reads[0].index, group[1].core().commit());
  EXPECT_TRUE(group[1].TakeReads().empty());
}

// They choose them on their own: each counts its reads, say.
TEST(CoreReadTest, ReplicasMayChooseTheSameContext) {
  Group group(3);
  group.Elect(1);
  group.Propose(1, "x");
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_TRUE(group[id].core().ReadIndex(Context("5")));
  group.Run();
  for (uint64_t id = 1; id <= 3; ++id) {
    const std::vector<ReadState> reads = group[id].TakeReads();
    ASSERT_EQ(reads.size(), 1u) << "replica " << id;
    EXPECT_EQ(reads[0].context.view(), "5");
    EXPECT_EQ(reads[0].index, group[1].core().commit());
  }
}

TEST(CoreReadTest, AReadAskedForAgainIsTheSameRead) {
  Group group(3, [](Config* config) { config->pending_reads_max = 2; });
  group.Elect(1);
  group.lose = [](const Message& message) { return message.kind == MessageKind::kHeartbeatReply; };
  EXPECT_TRUE(group[2].core().ReadIndex(Context("r")));
  group.Run();
  const Index asked_at = group[1].core().commit();
  group.Propose(1, "x");
  EXPECT_TRUE(group[2].core().ReadIndex(Context("r")));
  group.Run();
  EXPECT_TRUE(group[1].core().ReadIndex(Context("s"))) << "the first takes the room of one";
  group.lose = nullptr;
  group.TickAll(1);
  const std::vector<ReadState> reads = group[2].TakeReads();
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_EQ(reads[0].index, asked_at);
}

// An answer to a round that is over, from this leader's term or from before, confirms no other.
TEST(CoreReadTest, AnAnswerToAnOlderRoundConfirmsNothing) {
  Group group(3);
  group.Elect(1);
  std::vector<Message> late;
  group.lose = [&late](const Message& message) {
    if (message.kind == MessageKind::kHeartbeatReply) late.push_back(message);
    return message.kind == MessageKind::kHeartbeatReply && message.from == ReplicaId{3};
  };
  EXPECT_TRUE(group[1].core().ReadIndex(Context("a")));
  group.Run();
  EXPECT_EQ(group[1].TakeReads().size(), 1u);
  group.Isolate(1);
  EXPECT_TRUE(group[1].core().ReadIndex(Context("b")));
  ASSERT_FALSE(late.empty());
  for (const Message& reply : late) (void)group[1].Send(reply);
  EXPECT_TRUE(group[1].TakeReads().empty());
}

TEST(CoreReadTest, ANewLeaderWaitsUntilItKnowsWhatIsCommitted) {
  for (uint64_t voters : {1u, 3u}) {
    Group group(voters);
    group.Elect(1);
    group.Propose(1, "x");
    // A crash takes the commit index with it: it is written without a sync.
    group[1].log.hard().commit = Index{};
    group[1].Start();
    group[1].core().Campaign();
    Ready ready;
    group[1].core().TakeReady(&ready);
    group[1].log.Persist(*ready.append);
    (void)group[1].core().Step(ready.append->responses[0]);
    if (voters > 1) {
      (void)group[1].core().Step(
          MakeMessage(MessageKind::kVoteReply, 2, 1, Raw(group[1].core().term())));
    }
    ASSERT_TRUE(group[1].core().is_leader());
    EXPECT_TRUE(group[1].core().ReadIndex(Context("r")));
    group[1].core().TakeReady(&ready);
    EXPECT_TRUE(ready.reads.empty()) << "it doesn't know yet that x is committed";
    group[1].log.Persist(*ready.append);
    for (Message& response : ready.append->responses) {
      if (response.to == ReplicaId{1}) (void)group[1].core().Step(response);
    }
    for (Message& message : ready.messages) {
      if (Raw(message.to) <= voters) (void)group[Raw(message.to)].core().Step(message);
    }
    group.Run();
    std::vector<ReadState> reads = group[1].TakeReads();
    ASSERT_EQ(reads.size(), 1u) << voters;
    EXPECT_GE(reads[0].index, Index{3});
  }
}

TEST(CoreReadTest, ReadsAboveTheLimitAreDropped) {
  Group group(3, [](Config* config) { config->pending_reads_max = 2; });
  group.Elect(1);
  group.Isolate(1);
  EXPECT_TRUE(group[1].core().ReadIndex(Context("a")));
  EXPECT_TRUE(group[1].core().ReadIndex(Context("b")));
  EXPECT_FALSE(group[1].core().ReadIndex(Context("c")));
  EXPECT_FALSE(group[2].core().ReadIndex({}));
}

TEST(CoreMembershipTest, AnAddedVoterIsBroughtUpToDateAndCounts) {
  Group group(1);
  group.Elect(1);
  // The first configuration stands in no entry: who joins gets it with a snapshot, made once the
  // change that lets it join is applied.
  group[1].log.Compact(group[1].core().applied(), Voters(1));
  group.Propose(1, "x");
  group.Add();
  group.ChangeConf(1, Change({{ConfChangeOp::kAddVoter, ReplicaId{2}}}));
  group.Propose(1, "y");
  group.TickAll(3);
  EXPECT_EQ(group[2].AppliedCommands(), std::vector<std::string>{"y"});
  EXPECT_EQ(group[2].core().Configuration(), Voters(2));
  group.Isolate(2);
  const Index before = group[1].core().commit();
  group.Propose(1, "z");
  EXPECT_EQ(group[1].core().commit(), before);
}

TEST(CoreMembershipTest, AJointConfigurationIsLeftByTheLeaderItself) {
  Group group(3);
  group.Elect(1);
  group[1].log.Compact(group[1].core().applied(), Voters(3));
  group.Add();
  group.Add();
  ConfChange change = Change({{ConfChangeOp::kRemove, ReplicaId{2}},
                              {ConfChangeOp::kRemove, ReplicaId{3}},
                              {ConfChangeOp::kAddVoter, ReplicaId{4}},
                              {ConfChangeOp::kAddVoter, ReplicaId{5}}});
  group.ChangeConf(1, change);
  group.TickAll(5);
  const ConfState conf = group[1].core().Configuration();
  EXPECT_EQ(conf.voters, (NodeSet{ReplicaId{1}, ReplicaId{4}, ReplicaId{5}}));
  EXPECT_TRUE(conf.voters_outgoing.empty());
  EXPECT_EQ(group[4].core().Configuration(), conf);
}

TEST(CoreMembershipTest, AnExplicitJointConfigurationStaysUntilToldAndNeedsBothHalves) {
  Group group(3);
  group.Elect(1);
  group.Add();
  group.Add();
  ConfChange change = Change({{ConfChangeOp::kRemove, ReplicaId{2}},
                              {ConfChangeOp::kRemove, ReplicaId{3}},
                              {ConfChangeOp::kAddVoter, ReplicaId{4}},
                              {ConfChangeOp::kAddVoter, ReplicaId{5}}});
  change.transition = Transition::kExplicit;
  group.ChangeConf(1, change);
  group.TickAll(5);
  EXPECT_FALSE(group[1].core().Configuration().voters_outgoing.empty());
  group.Isolate(2);
  group.Isolate(3);
  const Index before = group[1].core().commit();
  group.Propose(1, "x");
  EXPECT_EQ(group[1].core().commit(), before) << "the outgoing half has no majority";
  group.Heal();
  group.TickAll(3);
  EXPECT_GT(group[1].core().commit(), before);
  group.ChangeConf(1, ConfChange());
  EXPECT_TRUE(group[1].core().Configuration().voters_outgoing.empty());
}

TEST(CoreMembershipTest, OneChangeAtATime) {
  Group group(3);
  group.Elect(1);
  group.Isolate(1);
  EXPECT_FALSE(group[1]
                   .core()
                   .ProposeConfChange(Change({{ConfChangeOp::kAddVoter, ReplicaId{4}}}))
                   .conf_change_refused);
  const Proposal second =
      group[1].core().ProposeConfChange(Change({{ConfChangeOp::kAddVoter, ReplicaId{5}}}));
  EXPECT_EQ(second.outcome, ProposalOutcome::kAppended);
  EXPECT_TRUE(second.conf_change_refused);
}

TEST(CoreMembershipTest, ARemovedLeaderStepsDownWhenTheChangeIsCommitted) {
  Group group(3);
  group.Elect(1);
  group.ChangeConf(1, Change({{ConfChangeOp::kRemove, ReplicaId{1}}}));
  EXPECT_EQ(group[1].core().role(), Role::kFollower);
  group[1].core().Campaign();
  EXPECT_EQ(group[1].core().role(), Role::kFollower);
  EXPECT_EQ(group[1].count(Notice::kNotPromotable), 1);
  group.Elect(2);
  EXPECT_TRUE(group[2].core().is_leader());
}

TEST(CoreMembershipTest, LearnersFollowButNeitherCountNorLead) {
  Group group(1);
  group.Elect(1);
  group.Add();
  group.ChangeConf(1, Change({{ConfChangeOp::kAddLearner, ReplicaId{2}}}));
  group.TickAll(3);
  group.Isolate(2);
  group.Propose(1, "x");
  EXPECT_EQ(group[1].AppliedCommands(), std::vector<std::string>{"x"});
  group.Heal();
  group.TickAll(3);
  EXPECT_EQ(group[2].AppliedCommands(), std::vector<std::string>{"x"});
  group[2].core().Campaign();
  EXPECT_EQ(group[2].core().role(), Role::kFollower);
  group[1].core().TransferLeadership(ReplicaId{2});
  EXPECT_EQ(group[1].core().transfer_target(), kNoReplica);
}

TEST(CoreMembershipTest, AChangeThatDoesNotFitChangesNothing) {
  Group group(1);
  const ConfState before = group[1].core().Configuration();
  EXPECT_FALSE(group[1].core().ApplyConfChange(ConfChange()).ok());
  EXPECT_FALSE(
      group[1].core().ApplyConfChange(Change({{ConfChangeOp::kRemove, ReplicaId{1}}})).ok());
  EXPECT_EQ(group[1].core().Configuration(), before);
}

}  // namespace
}  // namespace ursula::raft
