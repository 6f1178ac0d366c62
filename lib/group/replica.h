// lib/group/replica.h
//
// One live replica of a Raft group on its core: the only place where consensus, the state machine
// and storage meet. It drives raft::Core by its contract (lib/raft/core.h) with asynchronous
// writes, the same for a group of one as for any other.
//
// Invariant: a command's `done` runs with a reply only after its entry is committed and applied
// here, and a read sees every command acknowledged before it was asked for.

#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "lib/group/barrier.h"
#include "lib/group/catch_ups.h"
#include "lib/group/checkpoint.h"
#include "lib/group/fetch.h"
#include "lib/group/group_log.h"
#include "lib/group/install.h"
#include "lib/group/letter_format.h"
#include "lib/group/log_window.h"
#include "lib/group/members.h"
#include "lib/group/proposals.h"
#include "lib/group/read_task.h"
#include "lib/group/recovery.h"
#include "lib/group/services.h"
#include "lib/group/ship.h"
#include "lib/group/stamp_clock.h"
#include "lib/raft/core.h"
#include "lib/stream/command.h"
#include "lib/stream/hot_ring.h"
#include "lib/stream/machine.h"
#include "ursula/engine.h"

namespace ursula::group {

class Replica final : private raft::Driver,
                      private io::TurnHook,
                      private ApplyTurns::Waiter,
                      private CheckpointHost,
                      private ShipHost,
                      private CatchUpHost,
                      private LogWindowHost,
                      private InstallHost,
                      private FetchHost,
                      private storage::PayloadWatcher {
 public:
  // `recovered` is what recovery found of this group. kDataLoss when it contradicts itself.
  static Result<std::unique_ptr<Replica>> Create(const Services& services, GroupId group,
                                                 RecoveredGroup recovered);
  ~Replica() override;  // REQUIRES: Stop done, or Abandon called.

  GroupId group() const { return group_; }

  // `ready` runs once everything that is known to be committed is applied; a sole voter leads by
  // then. Where there are others, leaders come and go afterwards: Ready tells.
  void Start(Function<void(Status)> ready);

  // ---- commands ----
  // Stamps and proposes; `command` isn't needed any more afterwards. `done` is never called inside
  // the call: with what applying gave, or
  //   kUnavailable         nothing was applied: it doesn't lead, the log has failed, stopping;
  //   kResourceExhausted   nothing was applied: a limit;
  //   kStorageFull         nothing was applied: the disk, or the memory in its place;
  //   kInvalidArgument     no command can say this, or it is larger than a log record can be;
  //   kOutcomeUnknown      it may or may not be applied: the log failed, append_ns_max of
  //                        the budget passed, or it stopped first.
  // `messages` make up the payload (in the command's framing); the command's own is empty then.
  // False: `done` will say that it came to no decision. One behind it may still be let in.
  bool Propose(stream::Command* command, std::span<const Bytes> messages, ProposeDone done);
  void Propose(stream::Command::Body body, ProposeDone done);

  // Changes the group's members (dissertation 4.3). `done` once it is applied here:
  //   kUnavailable         nothing happened: it doesn't lead, or hands over;
  //   kFailedPrecondition  nothing happened: another change is under way, or it doesn't fit;
  //   kOutcomeUnknown      as for commands.
  // A new member is a learner first, and a voter once it has caught up and lacks no payload.
  void ChangeMembers(const raft::ConfChange& change, Function<void(Status)> done);
  raft::ConfState members() const { return core_->Configuration(); }
  // A step towards these voters and no other members. As ChangeMembers; what it says was so before.
  void Reconcile(const std::vector<ReplicaId>& wanted,
                 Function<void(Result<MembersProgress>)> done);

  // Asks this node's voter to lead, which lacks `lag_max` of this leader's entries at most; what
  // comes meanwhile waits. False: it isn't such a one, or this is no leader or hands over already.
  bool HandOverTo(NodeId node, uint64_t lag_max = 0);

  // Sets the group's time to the wall clock; `done` with what it moved by, or as Propose.
  void StepClock(Function<void(Result<int64_t>)> done);

  // ---- reads ----
  // `done(ok)`: every command acknowledged before this call is in machine(). kUnavailable.
  void AfterBarrier(BarrierDone done);

  // The same of commands acknowledged `bound` ago, or earlier: at once, which is later in this
  // turn, where that is known to hold, else behind a barrier. kBehind: neither.
  void AfterFreshness(Staleness bound, BarrierDone done);
  // A moment of the loop's clock: every command acknowledged before it is in machine(). kFreshNow:
  // so is every command. None: nothing is known of what others have acknowledged.
  std::optional<uint64_t> FreshNs() const;

  // Behind one of the two: what the name is now. An expired stream is expired by a command first,
  // so that the answer is never kExpired.
  void Lookup(StreamId id, Function<void(Result<stream::LookupResult>)> done) {
    Lookup(std::move(id), std::nullopt, std::move(done));
  }
  void Lookup(StreamId id, std::optional<Staleness> bound,
              Function<void(Result<stream::LookupResult>)> done);

  // Behind the barrier: no stream is past its deadline at this moment, so that what a query hides
  // is gone for every other one, too.
  void AfterExpiry(BarrierDone done);

  // A whole Read, waiting included; `placement` in its reply sends the caller elsewhere. A local
  // one isn't asked for again here, whatever comes of it.
  void Read(ReadRequest request, uint64_t read_id, GroupReadDone done);
  // True if it was found here; its `done` then ends with kCancelled.
  bool CancelRead(uint64_t read_id);

  // Where a fork of `source`, a stream of any life, begins: an absolute offset, or what is wrong
  // with the point.
  void ResolveForkPoint(stream::Incarnation source, ForkPoint point,
                        Function<void(Result<ResolvedFork>)> done);

  const stream::Machine& machine() const { return *machine_; }
  // REQUIRES: machine().FindIncarnation finds it.
  StreamInfo Info(stream::Incarnation incarnation) const { return machine_->Info(incarnation); }
  // By what streams are judged to have expired: a leader's time; elsewhere what leaders have
  // stamped, or said when they confirmed a read.
  int64_t NowMs() {
    return keeps_time() ? clock_.NowMs() : std::max(machine_->now_ms(), leaders_ms_);
  }
  // What NowMs goes on from where this replica leads, or would; and whether others have stamped
  // anything since it began.
  int64_t clock_ms() const { return clock_.PeekMs(); }
  bool knows_time() const { return clock_.seen_live(); }
  int64_t ClockAheadMs() { return keeps_time() ? clock_.AheadMs() : 0; }  // Of the wall clock.
  // Leads, and has applied all that was committed before: what it proposes is judged by it.
  bool leads() const {
    return core_->is_leader() && applied_term_ == core_->term() && recovery_applied();
  }
  // Not a moment after its cluster was recovered: then nothing is judged or read here yet.
  bool recovery_applied() const {
    return services_.recovered == nullptr ||
           machine_->recovery() >= services_.recovered->command.number;
  }
  ReplicaId self() const { return services_.self; }
  NodeId node() const { return NodeOf(services_.self); }
  NodeId leader() const { return NodeOf(core_->leader()); }
  // The same, unless that says nothing of now: one that has failed knows the same leader for ever,
  // and so does one that only learns, which waits for no election.
  NodeId LeaderHeard() const {
    const bool hears = core_->is_leader() || core_->IsVoter(services_.self) ||
                       core_->election_elapsed() < core_->config().election_ticks;
    return failed() || !hears ? kNoNode : leader();
  }
  // It leads still, and takes no commands: another one is to lead in a moment.
  bool hands_over() const { return core_->transfer_target() != raft::kNoReplica; }
  uint64_t leads_since_ns() const { return leads_since_ns_; }  // REQUIRES: leads(), a turn ago.
  // It takes part no more: it hears of no leader either.
  bool failed() const { return state_ == State::kFailed || !payload_failure_.ok(); }
  Term term() const { return core_->term(); }
  // Of a leader, in order of ids; empty elsewhere.
  std::vector<raft::PeerStatus> Peers() const { return core_->Peers(); }
  // Of a leader: those of its voters that couldn't take its place; by id.
  std::vector<ReplicaTrouble> Troubles() const;
  // Of a leader: it was heard of within a second.
  bool Hears(ReplicaId member) const { return IsActive(member); }
  Index applied() const { return applied_index_; }
  Index commit() const { return core_->commit(); }
  // It has much that it knows to be committed and hasn't applied, as after a start.
  bool lags() const { return LacksApplied(services_.budget->unapplied_max); }
  Index last() const { return core_->last_index(); }
  Term last_term() const { return core_->TermAt(core_->last_index()).value_or(Term{}); }
  // The last that an earlier opening has left, if who proposed it is gone for certain; else 0.
  Index recovered() const { return recovered_index_; }
  // Ok while there is a leader, or was one within kLeaderlessNs.
  Status Ready() const;
  // It takes part, and hasn't known of a leader for kLeaderlessNs.
  bool leaderless() const;
  bool installing() const { return install_.state() != Install::State::kIdle; }
  // Of its streams' payload, what is on no disk of its own yet.
  uint64_t lacking_bytes() const { return fetch_.lacking_bytes(); }
  uint64_t read_rounds() const { return barrier_.rounds_begun(); }
  // It has compared its streams with its payload, and lacks none.
  bool whole() const { return payload_checked_ && fetch_.whole(); }
  std::size_t waiting_reads() const { return waiting_reads_; }
  std::size_t proposals_pending() const { return proposals_.size() + staged_.size(); }

  // ---- from the core that hosts it ----
  void Tick();  // Every kTickMs.
  // What the same group's replica at `from` has said.
  void OnPeerLetter(NodeId from, const Bytes& letter);
  // The same in a record of many groups. `from` is a replica of the node that it came from.
  void OnPeerBeat(ReplicaId from, ReplicaId to, const peers::Beat& beat);
  // Letters to or from it may be lost; `ended`: its process has ended, and its leadership with it.
  void OnPeerLost(NodeId peer, bool ended);
  // One that it wrote to this peer didn't leave.
  void OnLetterDropped(NodeId to);
  // Its directory isn't the cluster's any more: it is silent from here on, and nothing is read.
  void Refuse(const std::string& why);
  void OnWalDurable(uint64_t lsn);
  void OnWalFailed(const Status& status);
  void Checkpoint() {  // The log wants its space back.
    if (state_ != State::kStarting && !unreadable_) checkpoint_.Request();
  }
  // A file of the group's snapshot has rotted: all of it is written anew.
  void RenewSnapshot() {
    if (state_ != State::kStarting && !unreadable_) checkpoint_.RequestBase();
  }
  bool may_flush() const { return state_ != State::kStarting && !unreadable_; }
  void Flush() {  // Memory wants its payload written out.
    if (may_flush()) checkpoint_.Flush();
  }
  uint64_t EvictTo(uint64_t bytes);  // Of the hot ring; what is left.
  uint64_t log_bytes() const { return log_.bytes(); }
  uint64_t kept_log_bytes() const { return log_.kept_bytes(); }  // For peers, in memory.
  uint64_t hot_bytes() const { return ring_.bytes(); }
  uint64_t unflushed_bytes() const { return ring_.UnflushedBytes(); }
  void Stop(Function<void()> done);
  // The world that this replica ran in has crashed: forgets everything, calls nobody. Simulators.
  void Abandon();

  static constexpr uint64_t kTickMs = 100;
  static constexpr uint32_t kHeartbeatTicks = 2;
  // A leader whose log takes longer for one write hands over.
  static constexpr uint64_t kSlowLogNs = 2'000'000'000;
  static constexpr uint64_t kLeaderlessNs = 5'000'000'000;
  // While somebody waits at a tail: how often a replica proves that it is fresh, and when it ends
  // the wait because it can't; a tick and a round later it is 5 s at the most.
  static constexpr uint64_t kTailsAskNs = 1'000'000'000;
  static constexpr uint64_t kTailsFreshNs = 4'800'000'000;
  static constexpr uint32_t kTailsTicksMin = 5;
  static constexpr std::size_t kTailsAtOnce = 1024;
  // Of a stop, for what only peers can end: handing over, and what waits for a majority.
  static constexpr uint64_t kStopDeadlineNs = 2'000'000'000;
  // And it is there for as long, from when it has handed over: peers that haven't heard of the new
  // leader yet ask here, and are told that nothing was applied. Nobody would tell them afterwards.
  static constexpr uint64_t kFarewellNs = 200'000'000;

 private:
  friend class ReadTask;
  friend class StreamRead;
  friend class ForkPointRead;
  friend class PayloadServe;
  struct Staged {
    Bytes command;
    uint64_t payload_bytes = 0;
    uint64_t start_ns = 0;
    ProposeDone done;
  };
  struct PendingAppend {
    uint64_t lsn = 0;  // Durable when the log is durable up to here.
    std::vector<raft::Entry> entries;
    std::vector<raft::Message> responses;
    uint64_t start_ns = 0;
    std::unique_ptr<raft::SnapshotMeta> snapshot = {};  // It takes the place of all before.
  };
  enum class State : uint8_t { kStarting, kRunning, kFailed, kStopping, kStopped };

  Replica(const Services& services, GroupId group, RecoveredGroup recovered);

  // raft::Driver
  uint32_t Jitter(uint32_t bound) override;
  bool MayCatchUp(ReplicaId to) override { return catch_ups_.MayTake(to); }
  void OnCatchUp(ReplicaId, uint64_t entries, uint64_t bytes) override {
    catch_ups_.Took(entries, bytes);
  }
  // io::TurnHook
  void OnTurnEnd() override;
  // CheckpointHost (checkpoint.cc calls back)
  std::optional<raft::SnapshotMeta> AppliedMeta(bool again) override;
  void OnCheckpointed(const raft::SnapshotMeta& meta) override;
  void OnBase(std::shared_ptr<const BaseSnapshot> base) override;
  void OnFlushed() override;
  void OnPayloadFailed(const Status& status) override;

  // What goes on without peers goes on at once; the rest is bounded by deadlines.
  bool sole_voter() const { return sole_voter_; }
  bool follows() const { return !core_->is_leader() && !sole_voter() && state_ != State::kFailed; }
  // Its clock is the group's; not before it has applied what its log has, members and what others
  // have stamped included.
  bool keeps_time() const {
    if (sole_voter() || state_ == State::kFailed) return state_ != State::kStarting;
    return leads();
  }

  // peering.cc: of several replicas.
  void Send(std::vector<raft::Message> messages);
  void SendToPeer(raft::Message message);
  void HoldReadReply(raft::Message reply);
  void SendBeat(const raft::Message& message);
  bool Write(ReplicaId to, Channel channel, Letter letter);  // False: it was dropped.
  void OnPeerMessage(raft::Message message);
  void NotePast(const raft::Message& append);
  bool GetsReadyToLead(Term asked_in);
  bool Listens(const raft::Message& message);
  void ReportUnreachable(NodeId node);
  void PlanCampaign(NodeId gone);
  void CampaignIfDue();
  void WatchLeader();
  void TellLeader();
  bool CanTakeOver(const raft::PeerStatus& peer) const;
  bool MayTakeOver(const raft::PeerStatus& peer) const;  // Once it has applied what it has.
  bool HasApplied(ReplicaId peer) const;
  bool AwaitsHeir() const;
  bool LacksApplied(uint64_t entries) const;  // Of what it has and knows to be committed.
  bool StandsBack() const;
  bool MayLead(NodeId node) const;
  void HandOver();
  void ExpireWaiting();
  void EndUnknown(Proposals::Waiter* waiter, const char* why);

  // membership.cc
  void NoteMembership();
  bool OfFormerMembers(const raft::Entry& entry) const;
  void NoteChange(const raft::ConfState& before);
  bool ChangeIsRemembered() const;
  void AwaitRemembrance(bool proposes, MembersProgress* progress);
  void ProposeRecovery();
  // A change without steps leaves a joint configuration.
  MembersProgress PlanMembers(const std::vector<ReplicaId>& wanted,
                              std::optional<raft::ConfChange>* planned);
  void PlanVoters(const std::vector<ReplicaId>& wanted, const raft::ConfState& conf,
                  MembersProgress* progress, raft::ConfChange* change);
  bool IsActive(ReplicaId member) const;
  bool HeardSince(ReplicaId member, uint64_t ns) const;
  VotersSwap PlanSwap(const std::vector<ReplicaId>& wanted, const raft::ConfState& conf,
                      ReplicaId* waits_for) const;
  bool IsWholeHere(ReplicaId learner) const;
  ReplicaId KeepsFromMajority(const raft::ConfState& conf, const VotersSwap& swap) const;
  void TellWhole();
  void TellLacking();
  void OnWholeness(ReplicaId from, const Wholeness& whole);
  void ForgetWholeness();

  // catching_up.cc: of those that are too far behind.
  bool WriteLetter(ReplicaId to, Letter letter) override;
  void NoteCatchUps();
  void OnCatchUpAsked() override { Schedule(); }
  void OnCatchUpDue(ReplicaId to) override;
  void Ship(raft::Message message);
  bool MayShip(ReplicaId to) override { return catch_ups_.MayTake(to); }
  void WantBase() override;
  void OnShipmentLost(ReplicaId to) override;
  uint64_t DrawShipment() override;
  void WatchShipments();
  void KeepForPeers();
  void ReadMissed();
  void OnWindowRead() override;
  uint64_t KeptBytesMax() const;
  bool FeedsOneBehind() const;
  uint64_t HistoryOfGroup() override { return machine_->history(); }
  void DrainCheckpoint(Function<void()> done) override;
  void OnInstallWritten(const raft::SnapshotMeta& meta) override;
  void OnInstallFailed(Status status) override;
  void Swap(const raft::SnapshotMeta& meta);
  void Serve(ReplicaId from, const PayloadAsk& ask);
  std::vector<ReplicaId> Sources() override;
  std::optional<stream::ReadRange> OwnRangeNow(stream::Incarnation incarnation) override;
  void OnPayloadLost(const stream::ReadRange& range) override;
  void OnPayloadRepaired(const stream::ReadRange& range) override;
  void OnPayloadDamaged(const storage::PayloadDamage& damage) override;

  // replica.cc
  Status Admit(const stream::Command& command, uint64_t payload_bytes) const;
  Status AdmitPayload(uint64_t bytes) const;
  Status PayloadRoom() const;
  Status LimitReached(const std::string& limit) const;
  void Stage(Bytes command, uint64_t payload_bytes, ProposeDone done);
  void ProposeStaged();
  void DropProposing();
  void Schedule() { services_.loop->AtTurnEnd(this); }
  bool Reject(ProposeDone done, Status status);
  Status RefuseReads() const;

  // drive.cc: the Ready contract.
  void Pump();
  void TakeSoftState(const raft::SoftState& soft_state);
  void Persist(raft::StorageAppend* append);
  void WriteAppend(raft::StorageAppend* append);
  bool ForgetsChange(Index written) const;
  void PersistState(Index written);  // The last entry that the log has, or gets before this.
  void ReleaseDurable();
  void Apply(raft::StorageApply* apply);
  void ApplyPage(raft::StorageApply* apply);
  bool MayApply() const { return applies_all_ || services_.MayApply(); }
  void ApplyHeld();
  bool ApplyAll();
  void BeginToLead();
  void OnApplyTurn() override;
  void ApplyEntry(const raft::Entry& entry);
  // False: it can't be read.
  bool ApplyConfChange(const raft::Entry& entry, stream::Reply* reply);
  void CarryOut(stream::ApplyResult* result);
  void AfterApply();
  void Fail(Status status);
  void Corrupt(Status status);
  void MaybeCheckPayload();
  void MaybeFinishStart();
  void MaybeFinishStop();

  // remote_time.cc: a leader's streams are read elsewhere, too.
  struct Settling {
    stream::Incarnation incarnation = stream::kNoIncarnation;
    std::optional<int64_t> deadline_ms = {};
    uint64_t until_ns = 0;
    Function<void(Status)> done;
  };
  void SettleAtLeader(stream::Incarnation incarnation, bool held, Function<void(Status)> done);
  void CheckSettling();
  void EndSettling(const Status& status);
  int64_t LeaderNowMs();
  void RenewAtLeader();
  void SendTimeNews();
  void PutLeadersTime(raft::Message* reply);
  void TakeLeadersTime(raft::Message* reply);
  void OnTimeNews(const TimeNews& news);

  // expiry.cc: time passes for streams.
  void WatchClock();
  void SweepExpired();
  void Settle(stream::Incarnation incarnation, bool held, Function<void(Status)> done);
  // A stream with live readers doesn't expire, but a core that stood still may have missed to renew
  // it in time: that is made up for before anything else is judged by the time that it is now.
  // Whether such renewals are under way.
  bool RenewHeld();
  void TouchOnRead(stream::Incarnation incarnation, const stream::LookupResult& found);
  void TouchFor(stream::Incarnation incarnation, const stream::LookupResult& found,
                int64_t read_ms);
  void TouchLate();
  void ProposeTouches();
  bool HasWaiters(stream::Incarnation incarnation) const;
  bool IsHeld(stream::Incarnation incarnation) const;

  // reads.cc
  ReadTask* AddTask(std::unique_ptr<ReadTask> task, std::optional<Staleness> bound = {});
  bool IsFresh(Staleness bound) const;
  void WatchTails();
  void EndTails();
  void AnswerFresh();
  void RemoveTask(uint64_t read_id);
  bool AddWaiter(ReadTask* task, stream::Incarnation incarnation);
  void RemoveWaiter(ReadTask* task, stream::Incarnation incarnation);
  void Wake(stream::Incarnation incarnation);

  const Services services_;
  const GroupId group_;
  State state_ = State::kStarting;
  Status failure_;           // Of kFailed.
  bool corrupt_ = false;     // A committed entry can't be read: nothing after it is applied.
  bool unreadable_ = false;  // kFailed, and not known to have applied all that is committed.
  Status payload_failure_;   // The payload store takes nothing any more; nor do we.

  GroupLog log_;
  const bool reset_missing_;  // Of what was recovered.
  std::unique_ptr<stream::Machine> machine_;
  stream::HotRing ring_;
  StampClock clock_;
  std::unique_ptr<raft::Core> core_;
  raft::Ready ready_;  // Kept for its capacity.
  raft::InitialState initial_;
  raft::HardState hard_;  // As the core last handed it out.
  bool pumping_ = false;
  std::deque<raft::StorageApply> held_applies_;  // Of earlier turns, from the oldest on.
  bool applies_all_ = false;
  // The last to each, which confirms what the ones before did. Until it leads: they tell the time.
  absl::btree_map<ReplicaId, raft::Message> held_read_replies_;

  std::vector<Staged> staged_;
  std::vector<Staged> proposing_;  // Empty but in ProposeStaged; kept for its capacity, as
  std::vector<Bytes> commands_;    // this is.
  Proposals proposals_;
  std::deque<PendingAppend> appends_;  // In the order in which the core handed them out.
  // Since a snapshot that is being installed, which is the first of them.
  std::deque<raft::StorageAppend> held_appends_;
  uint64_t last_lsn_ = 0;    // Of this group's last record.
  Index written_index_{};    // Of its last entry, or snapshot, in the log's order.
  Index recorded_commit_{};  // Of its last state record.
  Index changed_index_{};    // No entry of the log above it changes members.
  uint64_t durable_lsn_ = 0;
  Index applied_index_{};
  Index recovered_index_{};
  // Entries above it have been stamped since this opening, if their term isn't below that one.
  Index opened_at_{};
  Term opened_term_{};
  bool heard_ = false;  // Of a leader, since then.
  Term applied_term_{};
  Barrier barrier_;
  std::vector<BarrierDone> fresh_;  // What is here is fresh enough for these.
  uint64_t tails_since_ns_ = 0;     // When nobody waited at a tail, last.
  uint64_t tails_asked_ns_ = 0;     // The last round for those who do began.
  uint32_t tails_ticks_ = 0;        // Since it wasn't fresh enough.
  // Of the last change of members that was applied: where the log ended then; and whose it was.
  Index changed_at_{};
  std::vector<NodeId> changed_;
  bool sole_voter_ = false;
  bool alone_ = false;   // And there is no learner.
  bool learns_ = false;  // Or is no member yet, or any more.
  // As leader: learners that have said that they are whole, and those that were sent a snapshot.
  absl::btree_set<ReplicaId> whole_peers_;
  struct Heard {
    uint64_t ns = 0;
    bool applies = false;  // By its own word it has much to apply.
  };
  absl::btree_map<ReplicaId, Heard> heard_of_;  // While it leads.
  uint64_t led_not_ns_ = 0;                     // When it didn't lead, last.
  Term asked_to_lead_{};                        // By that term's leader.
  uint64_t going_since_ns_ = 0;  // Voters are to go, if the others are heard of since then.
  Term whole_told_{};            // To that term's leader; none: it lacks something, or did.
  Term lacking_told_{};          // To that term's leader.
  absl::btree_map<ReplicaId, Index> shipped_;
  bool entry_too_large_logged_ = false;
  // Payload on disk is of entries up to here at most: whether it fits can be told once they are
  // applied, or cut off by another leader.
  Index payload_checked_at_{};
  bool payload_checked_ = false;
  uint32_t damage_logged_ = 0;  // Lines of this opening.
  uint64_t leader_seen_ns_ = 0;
  uint64_t ticks_ = 0;
  // Since its leader's process was seen to end; UINT64_MAX: it wasn't, or there is another one.
  uint64_t campaign_at_ns_ = UINT64_MAX;
  int campaigns_left_ = 0;
  ReplicaId told_leader_ = raft::kNoReplica;  // To services_.leaders,
  bool told_leads_ = false;                   // and whether this one is ready to be it.
  uint64_t leads_since_ns_ = 0;
  uint64_t stop_deadline_ns_ = UINT64_MAX;
  uint64_t farewell_ns_ = 0;  // Stopping: it isn't over before.

  uint64_t next_internal_id_ = uint64_t{1} << 62;  // Of reads that no caller can cancel.
  absl::flat_hash_map<uint64_t, std::unique_ptr<ReadTask>> tasks_;
  absl::node_hash_map<stream::Incarnation, IntrusiveList<ReadTask>> waiters_;
  std::size_t waiting_reads_ = 0;
  std::size_t waiting_tails_ = 0;                 // Of them, those that aren't local.
  absl::btree_set<stream::Incarnation> woken_;    // By what was applied in this batch.
  absl::btree_set<stream::Incarnation> touched_;  // To go into one Touch at the turn's end.
  // By when the next renewal is due: read too soon after one to make another at once, and when
  // last.
  absl::btree_map<std::pair<int64_t, stream::Incarnation>, int64_t> touches_due_;
  std::vector<Settling> settling_;            // On a follower.
  absl::btree_set<stream::Incarnation> due_;  // To be told to the leader at the turn's end.
  int64_t leaders_ms_ = INT64_MIN;            // What a leader's time was, on a follower.
  int64_t time_seen_ms_ = 0;                  // A follower's latest applied time,
  uint64_t time_seen_ns_ = 0;                 // and when it was seen here.
  bool expire_pending_ = false;
  int64_t renewed_until_ms_ = INT64_MIN;  // RenewHeld has looked at deadlines up to here.
  std::size_t renewals_ = 0;              // Of RenewHeld, not applied yet.
  bool clock_ahead_logged_ = false;
  int clock_steps_ = 0;            // Proposed here, and not yet applied.
  bool recovery_pending_ = false;  // So is that.

  CatchUps catch_ups_;
  LogWindow window_;
  CheckpointJob checkpoint_;
  Shipments shipments_;
  Install install_;
  Fetch fetch_;
  uint64_t counted_hot_bytes_ = 0;  // What budget holds of this group.
  uint64_t counted_unflushed_bytes_ = 0;
  void CountMemory();

  Function<void(Status)> start_done_;
  Function<void()> stop_done_;
};

}  // namespace ursula::group
