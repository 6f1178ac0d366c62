// lib/raft/core.h
//
// One replica of one Raft group as a pure state machine: calls go in, Readys come out. The core
// reads no clock, draws no entropy, does no I/O, starts no thread and takes no lock; same calls,
// same Readys. Its observable behaviour is that of etcd raft v3.6. Sections named below are of
// Ongaro's dissertation, "Consensus: Bridging Theory and Practice".
//
// The contract. The driver owns the core, calls it on one thread, and owes it this:
//   1. Tick() at a steady rate; Step() for each message that arrives for this replica. Messages may
//      be lost, delayed, repeated and reordered (3.1); what `from` says must be true.
//   2. After any call, while HasReady(): TakeReady(), and then, of that Ready,
//      a. `messages` are sent at once, before or while anything is written (10.2.1: the leader
//         writes its log in parallel with its followers).
//      b. `append` is queued for the log. Appends become durable in the order in which they were
//         taken. When one is durable its `responses` are released, in order; never before: they
//         carry votes, candidacies and acknowledgements, this replica's own among them (3.8,
//         10.2.1).
//      c. `apply` is queued for the state machine. Applies are done in the order in which they were
//         taken; when one is done its `response` goes to Step().
//      Nothing waits for anything else: the next Ready may be taken while appends and applies of
//      earlier ones are under way. With Config::synchronous_storage the driver instead finishes a
//      Ready (persist, release, apply) before it takes the next.
//   3. Committed membership changes go to ApplyConfChange() on every replica, at their place among
//      the applied entries, before `response` of their StorageApply is stepped (4.3). Once a Ready
//      with a snapshot is taken, entries of applies taken before it are applied no more, changes
//      among them included: the snapshot holds them. Their `response` is stepped all the same.
//   4. LogStorage shows the appends that are durable, and nothing else.
//   5. After a crash: a new core over what is durable. Undelivered responses are forgotten.
//
// Invariants (3.4, figure 3.2):
//   - Election safety: `responses` with a granted vote leave only after that vote is durable, and a
//     replica grants one vote a term. A candidate asks for votes only after its term and log are
//     durable: else, after a crash, old answers could make it lead a term twice, with two logs.
//   - Log matching: entries are taken over only behind an equal (index, term).
//   - Leader completeness and 3.6.2: a leader commits only entries of its own term by count. Others
//     commit what a leader tells, and, in an election, what is told with the term of its entry.
//   - first_index()-1 <= applied() <= commit() <= last_index(); commit() never falls.
//   - An acknowledgement from storage counts only in the term in which its write was handed out: a
//     slot written then may have been overwritten since.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/raft/config.h"
#include "lib/raft/log.h"
#include "lib/raft/message.h"
#include "lib/raft/read_queue.h"
#include "lib/raft/ready.h"
#include "lib/raft/storage.h"
#include "lib/raft/tracker.h"
#include "lib/raft/types.h"

namespace ursula::raft {

enum class ProposalOutcome : uint8_t {
  kAppended,   // At indexes [first, first + count) in `term`; committed or overwritten later.
  kForwarded,  // Sent to the leader (Config::forward_proposals); its fate is unknown.
  kDropped,    // Nothing happened: no leader, a transfer is under way, or a limit is reached.
};

struct Proposal {
  ProposalOutcome outcome = ProposalOutcome::kDropped;
  Term term{};
  Index first{};
  bool conf_change_refused = false;  // An empty entry stands in the change's place.
};

enum class StepResult : uint8_t {
  kOk,               // Taken, or ignored as Raft prescribes.
  kProposalDropped,  // A forwarded proposal that this replica can't append.
  kUnknownPeer,      // An answer from a node that is not in the configuration.
  kMalformed,        // What no correct peer sends. Nothing changed.
};

struct PeerStatus {
  ReplicaId id = kNoReplica;
  ProgressState state = ProgressState::kProbe;
  Index match{};
  Index next{};
  Index pending_snapshot{};
  bool learner = false;
  bool paused = false;
  bool recently_active = false;
  bool inflight_full = false;
  uint32_t inflight_messages = 0;
};

class Core {
 public:
  // Borrows `storage` and `driver` for its life. Fails when the config breaks a REQUIRES or what
  // was found on disk contradicts itself.
  static Result<std::unique_ptr<Core>> Create(const Config& config, const InitialState& state,
                                              const LogStorage* storage, Driver* driver);

  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Time passes. Elections (3.4), heartbeats and the quorum check (6.2) hang on it.
  void Tick();

  // As if a leader's last heartbeat had gone out so many ticks ago: a driver of many groups has
  // theirs leave together. REQUIRES: less than Config::heartbeat_ticks.
  void AlignHeartbeats(uint32_t ticks_ago);

  // Starts an election now (3.4; with pre_vote, 9.6 first).
  void Campaign();

  // Appends commands to the leader's log as consecutive entries (3.5); all or none. Payloads are
  // shared. REQUIRES: not empty.
  Proposal Propose(std::span<const Bytes> commands);

  // Appends a membership change (4.3). One may be pending at a time.
  Proposal ProposeConfChange(const ConfChange& change);

  // A committed change takes effect. Fails without effect, the same on every replica, where the
  // change doesn't fit the configuration. Nothing happens while a snapshot waits to be durable.
  Result<ConfState> ApplyConfChange(const ConfChange& change);

  // Asks for an index at which a linearizable read may be served (6.4); it comes as a ReadState
  // with `context`, or never: ask again after a timeout. False: dropped here and now.
  // `context` is not empty. Only a read that still waits may be asked for once more under its own;
  // else it is one that this replica has never used, in no earlier process either: the answer to an
  // older read may still be under way, and would be taken for this one's at an index that is too
  // low. What other replicas use doesn't matter.
  bool ReadIndex(Bytes context);

  // Hands leadership to a voter (3.10); gives up after an election timeout. Proposals are dropped
  // meanwhile. At a follower: asks its leader.
  void TransferLeadership(ReplicaId to);

  // A follower no longer believes in its leader (so that it may vote under pre_vote), yet keeps
  // term and timers.
  void ForgetLeader();

  // True: it stands for no election, be it asked to, and believes in no leader for longer than an
  // election timeout; it votes and follows as ever. Until it is set to false.
  void StandBack(bool stands_back) { stands_back_ = stands_back; }

  // The last message to this node may not have arrived.
  void ReportUnreachable(ReplicaId node);

  // The driver, which has held up what this node lacks (Driver::MayCatchUp), may not do so again.
  void SendMore(ReplicaId node);

  // How the sending of a snapshot to this node ended.
  void ReportSnapshot(ReplicaId node, bool installed);

  // A message from a peer, or a released response of this replica's own storage.
  StepResult Step(Message message);

  bool HasReady() const;

  // Replaces what `ready` held; the capacity of what was not moved out of it is used again, so that
  // a driver that keeps one Ready and moves nothing out makes no allocation for entries.
  void TakeReady(Ready* ready);

  // What was moved out of a Ready and is used no more: its capacity is used again.
  void Recycle(std::vector<Entry>* entries, std::vector<Message>* responses);

  // An empty vector with the capacity of one that is used no more, if there is one: for the entries
  // of the next message to Step(), which gives it back.
  std::vector<Entry> SpareEntries();

  ReplicaId self() const { return config_.self; }
  Role role() const { return role_; }
  bool is_leader() const { return role_ == Role::kLeader; }
  ReplicaId leader() const { return leader_; }  // kNoReplica: unknown.
  Term term() const { return term_; }
  ReplicaId vote() const { return vote_; }
  Index commit() const { return log_.committed(); }
  Index applied() const { return log_.applied(); }
  Index first_index() const { return log_.FirstIndex(); }
  Index last_index() const { return log_.LastIndex(); }
  // The log's entry, if it is neither compacted nor beyond the end.
  std::optional<Term> TermAt(Index index) const { return log_.TermAt(index); }
  // A leader that has committed in its own term, and so knows what is committed (6.4).
  bool CommittedInOwnTerm() const;
  ReplicaId transfer_target() const { return transfer_target_; }
  uint64_t uncommitted_bytes() const { return uncommitted_bytes_; }
  uint32_t election_elapsed() const { return election_elapsed_; }
  const Config& config() const { return config_; }

  ConfState Configuration() const { return tracker_.membership().ToConfState(); }
  bool IsVoter(ReplicaId node) const { return tracker_.membership().IsVoter(node); }
  // Of a leader, in order of ids; empty elsewhere.
  std::vector<PeerStatus> Peers() const;

  // For tests and traces: until the next change of role or term.
  void SetElectionTimeout(uint32_t ticks) { election_timeout_ = ticks; }

 private:
  enum class CampaignKind : uint8_t { kPreElection, kElection, kTransfer };

  Core(const Config& config, const LogStorage* storage, Driver* driver);

  // core.cc: state changes and the way out of messages.
  void Reset(Term term);
  void BecomeFollower(Term term, ReplicaId leader);
  void BecomePreCandidate();
  void BecomeCandidate();
  void BecomeLeader();
  void Send(Message message);
  void TellCommit(Message* message) const;
  HardState hard_state() const { return {term_, vote_, log_.committed()}; }
  SoftState soft_state() const { return {leader_, role_}; }
  void Note(Notice notice) { driver_->OnNotice(notice); }

  // step.cc: what each role does with each message.
  bool WellFormed(const Message& message) const;
  bool AppendWellFormed(const Message& message) const;
  bool AppendReplyWellFormed(const Message& message) const;
  bool StorageAnswerWellFormed(const Message& message) const;
  bool EnterHigherTerm(const Message& message);  // False: it is to be ignored.
  void AnswerLowerTerm(const Message& message);
  StepResult StepInTerm(Message message);
  StepResult StepLeader(Message message);
  StepResult StepCandidate(Message message);
  StepResult StepFollower(Message message);

  // election.cc
  void TickElection();
  void TickLeader();
  void CheckQuorum();
  bool Promotable() const;
  void StartCampaign(CampaignKind kind);
  void SolicitVotes(CampaignKind kind);
  void HandleVoteRequest(const Message& message);
  void HandleVoteReply(const Message& message);
  void CountVotes();
  void RecountVotes();
  void LearnCommit(const Message& message);
  void AbortTransfer() { transfer_target_ = kNoReplica; }
  void HandleTransfer(const Message& message);
  void SendTimeoutNow(ReplicaId to);

  // replication.cc: the leader's side.
  bool AppendOwn(std::vector<Entry>* entries);
  bool ReserveUncommitted(uint64_t bytes);
  bool MaybeCommit();
  void BroadcastAppend();
  void BroadcastHeartbeat(uint64_t read_round);
  bool SendAppend(ReplicaId to, Progress* progress, bool even_if_empty);
  bool SendSnapshot(ReplicaId to, Progress* progress);
  void HandleAppendReply(const Message& message, Progress* progress);
  void HandleAccepted(const Message& message, Progress* progress);
  void HandleHeartbeatReply(const Message& message, Progress* progress);

  // follower.cc: the follower's side.
  StepResult HandleAppend(Message* message);
  StepResult HandleHeartbeat(const Message& message);
  StepResult HandleSnapshot(Message* message);
  bool Restore(Snapshot* snapshot);

  // propose.cc: also membership.
  StepResult ProposeEntries(std::vector<Entry>* entries, bool* conf_change_refused);
  bool ConfChangeAllowed(const ConfChange& change) const;
  Proposal ProposeOwn(std::vector<Entry>* entries);
  ConfState SwitchTo(Membership membership);

  // read.cc
  bool HandleReadIndex(Message message);  // False: too many wait.
  void StartRead(Message message);
  void AnswerRead(const Message& request, Index index);
  void ReleasePostponedReads();

  // ready.cc
  void RecycleReady(Ready* ready);
  void KeepSpare(std::vector<Entry>* entries);
  void TakeApply(Ready* ready);
  void TakeAppend(Ready* ready);
  void HandleAppended(const Message& message);
  void HandleApplied(const Message& message);
  void AppliedTo(Index index, uint64_t bytes);
  void SnapshotStored(Index index);
  Message AppendedResponse() const;

  const Config config_;
  Driver* const driver_;
  Log log_;
  Tracker tracker_;

  Term term_{};
  ReplicaId vote_ = kNoReplica;
  Role role_ = Role::kFollower;
  ReplicaId leader_ = kNoReplica;
  ReplicaId transfer_target_ = kNoReplica;
  bool stands_back_ = false;

  uint32_t election_elapsed_ =
      0;  // Ticks since a leader was heard of; a leader's: since its check.
  uint32_t heartbeat_elapsed_ = 0;
  uint32_t election_timeout_ = 0;

  // Invariant: a leader has at most one conf change in (applied, pending_conf_index_].
  Index pending_conf_index_{};
  uint64_t uncommitted_bytes_ = 0;  // Of payload proposed here and not yet applied.

  ReadQueue reads_;
  std::vector<Message> postponed_reads_;  // Until this leader has committed in its own term.

  SoftState handed_soft_;  // As last handed out.
  HardState handed_hard_;
  std::vector<ReadState> read_states_;
  std::vector<Message> messages_;
  std::vector<Message> responses_;  // For the next StorageAppend.
  // Kept for their capacity.
  std::vector<Entry> scratch_;                     // Of Propose.
  std::vector<std::vector<Entry>> spare_entries_;  // Empty ones.
  std::vector<Message> spare_responses_;           // Empty.
};

}  // namespace ursula::raft
