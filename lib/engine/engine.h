// lib/engine/engine.h
//
// Engine implements StreamEngine: it routes each request to the core of the stream's home group,
// runs there what a request needs (a flow), and brings the answer back to where it was asked for.
//
// A flow runs on the loop of the home group's core and reaches groups through CallGroup, so a
// request crosses cores once each way, and once more only for a fork whose source lives elsewhere.
// What only a leader can answer goes on to its node if that is another.

#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "lib/engine/ask.h"
#include "lib/engine/call_gate.h"
#include "lib/engine/forwarder.h"
#include "lib/engine/founding_task.h"
#include "lib/engine/outside.h"
#include "lib/engine/placement.h"
#include "lib/engine/shard.h"
#include "lib/io/guarded.h"
#include "lib/io/runtime.h"
#include "lib/meta/disks.h"
#include "lib/meta/feature_levels.h"
#include "lib/meta/founding.h"
#include "lib/storage/directory.h"
#include "ursula/engine.h"

namespace ursula::engine {

class Engine;

// Completes where the caller was: on its core, through the executor, or on the owning core.
template <class Reply>
class Return {
 public:
  Return(Engine* engine, Done<Reply> done);  // REQUIRES: the gate let the call in.
  void operator()(Result<Reply> result);     // Once. The call leaves the gate.

  // While the public call hasn't returned, what ends here is answered later.
  void SetInside(bool inside) { inside_ = inside; }

 private:
  Engine* engine_;
  io::Loop* origin_;
  Done<Reply> done_;
  bool inside_ = false;
};

// A request on its way, shared by the steps that serve it.
template <class Request, class Reply>
struct Call {
  Request request;
  Return<Reply> done;
  int attempts = 0;
};
template <class Request, class Reply>
using CallPtr = std::shared_ptr<Call<Request, Reply>>;

// How far one group's chores are.
struct GroupChores {
  uint64_t resolve_at_ns = 0;  // Not before.
  uint64_t settle_at_ns = 0;
  std::size_t resolving = 0;  // Questions under way.
  std::size_t handing_on = 0;
  bool raising = false;  // Its feature level.
};

// How far the cluster is with its feature level. The meta group's loop only.
struct LevelsChore {
  meta::FeatureLevels said;
  uint64_t store_ns = 0;       // When META is tried, at the earliest.
  uint64_t store_wait_ns = 0;  // How long it waited for that, after the last failure.
  std::string cannot = {};     // Why META can't be written. Empty: it can, or needn't.
  std::string refused = {};    // Why the last proposal of the meta group's level was none.
  bool told = false;           // The transport, of the level in force.
};

struct LevelsStatus {
  uint32_t in_force = 1;
  std::string waits_for = {};  // ClusterStatus::feature_level_waits_for.
};

// How far the groups are with the members that the cluster is to have. At the meta group's leader.
struct MembersChore {
  std::vector<ReplicaId> wanted = {};
  uint64_t round = 0;  // Of `wanted`.
  uint64_t as_of = 0;  // The meta group's index by which it is wanted.
  // By group: the nodes whose part isn't done there; none as long as it hasn't said.
  std::vector<std::optional<std::vector<NodeId>>> open = {};
  uint64_t look_ns = 0;                       // When all groups are looked at anew.
  std::deque<uint32_t> todo = {};             // Groups; the first of them are being worked on.
  absl::flat_hash_set<uint32_t> asking = {};  // Groups.
  bool settling = false;  // The meta group is being told that all have done a node's part.
  std::string waits_for = {};
  absl::flat_hash_set<uint64_t> admitting = {};  // Nodes; at any node.
};

// Whether the cluster knows of this opening of the directory. The meta group's loop only.
struct Registration {
  enum class State : uint8_t { kOpen, kTold, kRefused };
  State state = State::kOpen;
  bool asking = false;
  uint64_t next_ns = 0;  // When peers are told again.
};

// Of the deletion of a bucket.
struct BucketAttempt {
  stream::Incarnation bucket = stream::kNoIncarnation;
  stream::Incarnation id = stream::kNoIncarnation;
};

class Engine final : public StreamEngine, private ForwarderHost, private group::LevelGate {
 public:
  static Result<std::unique_ptr<StreamEngine>> Open(EngineOptions options);
  ~Engine() override;

  void CreateBucket(std::string bucket, Done<BucketReply> done) override;
  void GetBucket(std::string bucket, Done<BucketReply> done) override;
  void DeleteBucket(std::string bucket, Done<BucketReply> done) override;
  void List(ListRequest request, Done<ListReply> done) override;
  void Create(CreateRequest request, Done<CreateReply> done) override;
  void Head(HeadRequest request, Done<HeadReply> done) override;
  void Delete(DeleteRequest request, Done<DeleteReply> done) override;
  void Append(AppendRequest request, Done<AppendReply> done) override;
  void AppendBatch(std::vector<AppendRequest> items, Done<AppendBatchReply> done) override;
  Ticket Read(ReadRequest request, Done<ReadReply> done) override;
  Ticket Follow(FollowRequest request, Follower* follower) override;
  void Grant(Ticket ticket, uint64_t bytes) override;
  void Cancel(Ticket ticket) override;
  void StepClock(Done<ClockReply> done) override;
  void TransferLeader(GroupId group, NodeId to, Done<TransferReply> done) override;
  void ChangeMember(MemberChange change, Done<MemberReply> done) override;
  void InspectRecovery(Done<RecoveryStatus> done) override;
  void RecoverCluster(RecoveryPlan plan, Done<RecoveryReply> done) override;
  Status Ready() const override;
  Status ReadyFor(const StreamId& stream) const override;
  EngineStats Stats() const override;
  ClusterStatus Cluster() const override;
  CoreId HomeCoreOf(const StreamId& stream) const override {
    return CoreOf(Home(stream), static_cast<uint16_t>(shards_.size()));
  }
  void Stop(Done<Stopped> done) override;

  // ---- simulators ----
  Shard& shard(CoreId core) { return *shards_.at(Raw(core)); }
  // In place of Stop, once the world it ran in has crashed: nobody is called any more.
  void Abandon();

 private:
  template <class Reply>
  friend class Return;
  using AppendCall = CallPtr<AppendWork, AppendReply>;
  using CreateCall = CallPtr<CreateRequest, CreateReply>;
  using ReadCall = CallPtr<ReadWork<ReadRequest>, ReadReply>;
  using HeadCall = CallPtr<ReadWork<HeadRequest>, HeadReply>;
  using NameCall = CallPtr<std::string, BucketReply>;
  using ListCall = CallPtr<ListRequest, ListReply>;

  Engine(EngineOptions options, std::unique_ptr<Runtime> owned_runtime);

  // open.cc
  Status Start();
  Status Recover(std::vector<ShardStart>* starts);
  Status ReadDirectory(std::vector<ShardStart>* starts, bool* rotten);
  Status OpenDirectory();
  Status Join();
  Status Found();
  storage::LogLine StorageLog();
  void LimitMessages(const ShardStart& start, uint64_t cores);
  void PrepareShards(std::vector<ShardStart>* starts);
  Status StartShards(std::vector<ShardStart> starts);
  Status BeginHistory();
  void BeginStop(Done<Stopped> done);
  void StopNow();
  void OnShardStopped();
  void CloseShards();
  void OnShardClosed();
  void OnClosed();

  // ---- routing (engine.cc) ----
  GroupId Home(const StreamId& stream) const { return GroupOf(stream, group_count_); }
  Shard& ShardOf(GroupId group) const {
    return *shards_[Raw(CoreOf(group, static_cast<uint16_t>(shards_.size())))];
  }
  Shard& ShardHere() { return *shards_[Raw(runtime_.Current()->core())]; }
  // The shared state of a call whose answer goes to where it came from. Null if the engine is
  // stopping or has stopped: then `done` is told, later.
  template <class Request, class Reply>
  CallPtr<Request, Reply> Admit(GroupId group, Request&& request, Done<Reply> done);
  // Runs `flow` on the group's core, at once if that is here. If `valid` isn't ok or its mailbox is
  // full, the call ends with that instead, later. `call` may be null.
  template <class Request, class Reply>
  void Enter(GroupId group, const CallPtr<Request, Reply>& call, Status valid,
             Function<void()> flow);
  // Answers, later, a call that the gate didn't let in: on its core, else on `owner` or outside.
  template <class Reply>
  void AnswerUncounted(io::Loop* owner, Done<Reply> done, Result<Reply> result);
  // ---- ForwarderHost ----
  void CarryOutAny(GroupId group, ask::OfLeader ask, ask::LeadersDone done) override;
  bool EnterCall() override { return gate_.Enter(); }
  void LeaveCall() override { CallEnded(); }
  bool RouteLetter(NodeId from, GroupId group, Bytes letter, uint64_t arrived_ns) override;
  void RouteBeats(peers::Beats record) override;
  void RouteAnswer(CoreId core, Bytes letter) override;
  void OnNodeFrame(NodeId from, const Bytes& frame) override;
  void OnNodeLost(NodeId peer) override;
  std::vector<NodeId> Leaders() override;
  LeadAdvice Advice() override;

  // For flows: asks the group, by way of its core and, if need be, its leader's node; `done` back
  // on this loop.
  template <class Ask>
  void CallGroup(GroupId group, Ask ask, Function<void(Result<typename Ask::Answer>)> done);
  // On the group's core.
  template <class Ask>
  void Dispatch(GroupId group, Ask ask, Function<void(Result<typename Ask::Answer>)> done);
  template <class Request, class Reply>
  void AnswerOfStream(const CallPtr<Request, Reply>& call, const std::string& bucket, Reply reply);
  void ProposeAt(GroupId group, stream::Command::Body body, group::ProposeDone done);
  void CancelAt(Shard* shard, Ticket ticket);
  void CallEnded();  // It leaves the gate; the last one's end is the engine's.
  // On this loop, inside the gate.
  void RunLater(uint64_t delay_ns, Function<void()> function) {
    ShardHere().RunLater(delay_ns, std::move(function));
  }

  // ---- what was asked, at a replica and on its core; each beside the flow that asks it ----
  void CarryOut(group::Replica& replica, ask::Propose ask, group::ProposeDone done);
  void CarryOut(group::Replica& replica, ask::Append ask, group::ProposeDone done);
  void CarryOut(group::Replica& replica, ask::Fork ask, group::ProposeDone done);
  void CarryOut(group::Replica& replica, ask::Delete ask, group::ProposeDone done);
  void CarryOut(group::Replica& replica, ask::Unreserve ask,
                Function<void(Result<stream::Incarnation>)> done);
  void CarryOut(group::Replica& replica, ask::Home ask, Function<void(Result<HomeOfFork>)> done);
  void CarryOut(group::Replica& replica, ask::StepClock ask, Function<void(Result<int64_t>)> done);
  void CarryOut(group::Replica& replica, ask::DeleteBucket ask, Done<BucketReply> done);
  void CarryOut(group::Replica& replica, ask::Reconcile ask,
                Function<void(Result<group::MembersProgress>)> done);
  void CarryOut(group::Replica& replica, ask::Compare ask, group::ProposeDone done);
  void CarryOut(group::Replica& replica, ask::Locate ask, Function<void(Result<Located>)> done);
  void CarryOut(group::Replica& replica, ask::Read ask, group::GroupReadDone done);
  void CarryOut(group::Replica& replica, ask::Bucket ask, Function<void(Result<FoundBucket>)> done);
  void CarryOut(group::Replica& replica, ask::Names ask, Function<void(Result<BucketNames>)> done);
  void CarryOut(group::Replica& replica, ask::Page ask, Done<ListReply> done);

  // ---- flows ----
  // append_flow.cc
  bool TooLarge(std::span<const Bytes> messages) const;  // For one append.
  void AppendAt(GroupId group, AppendCall call);
  void OnAppended(AppendCall call, GroupId group, Result<stream::Reply> reply);
  // append_batch.cc: the appends of a batch to one stream, in a lane, on its group's core.
  struct Batch;
  struct Lane;
  using LanePtr = std::shared_ptr<Lane>;
  std::vector<LanePtr> LanesOf(const std::shared_ptr<Batch>& batch,
                               std::vector<AppendRequest> items);
  void EnterLanes(CoreId core, const std::shared_ptr<Batch>& batch, std::vector<LanePtr> lanes);
  void RunLane(const LanePtr& lane);
  void ProposeLane(const LanePtr& lane, bool behind_barrier);
  void OnLaneProposed(const LanePtr& lane, std::size_t item, Result<stream::Reply> reply);
  void OnLaneJudged(const LanePtr& lane);
  void AskLane(const LanePtr& lane);
  void OnLaneAsked(const LanePtr& lane, Result<stream::Reply> reply);
  void SettleLane(const LanePtr& lane);
  void EndLane(const LanePtr& lane);
  // read_flow.cc
  void ReadAt(GroupId group, ReadCall call, Ticket ticket);
  void OnRead(ReadCall call, Ticket ticket, group::GroupReadReply result);
  void HeadFlow(HeadCall call);
  // Follows a confirmed placement: where the stream's state is, or that there is none.
  void Locate(ask::Locate ask, Function<void(Result<std::pair<GroupId, Located>>)> done);
  void DeleteAt(GroupId group, CallPtr<DeleteRequest, DeleteReply> call);
  void ListFlow(ListCall call);
  struct Listing;
  void ListNextGroup(const std::shared_ptr<Listing>& listing);
  // create_flow.cc
  void CreateFlow(CreateCall call);
  // What this core knows of it, else what the meta group says.
  void WithBucket(const std::string& bucket, Function<void(Result<FoundBucket>)> done);
  void AskForBucket(const std::string& bucket, Function<void(Result<FoundBucket>)> done);
  void CreateStamped(CreateCall call, stream::BucketStamp bucket);
  void CreateNative(CreateCall call, stream::BucketStamp bucket);
  void OnCreated(CreateCall call, Result<stream::Reply> reply);
  void CreateWherePlaced(CreateCall call, stream::Placement placement);
  void RetryCreate(CreateCall call);
  // fork_flow.cc
  void CreateFork(CreateCall call, stream::BucketStamp bucket);
  void ForkFrom(CreateCall call, stream::BucketStamp bucket, GroupId target, Located source);
  void ForkAt(CreateCall call, stream::CreateFork fork, GroupId target);
  void OnForked(CreateCall call, stream::CreateFork fork, Result<stream::Reply> reply);
  void EndFork(CreateCall call, Result<stream::Reply> reply);
  // chores.cc: work of the leader that outlives requests.
  void ResolvePlacement(StreamId id, stream::Placement placement, Function<void(Status)> done);
  void OnResolved(StreamId id, stream::Placement placement, const stream::Reply& reply,
                  Function<void(Status)> done);
  // Frees the name at home; `done` with what all older reservations there have settled.
  void Unreserve(StreamId id, stream::Reservation reservation,
                 Function<void(Result<stream::Incarnation>)> done);
  void RunChores(Shard* shard);
  void ChoresOf(group::Replica* replica);
  void StartChores(group::Replica* replica);
  void ResolvePending(group::Replica* replica);
  void HandOnReleases(group::Replica* replica);
  void FreeAtHome(GroupId group, GroupId home, std::vector<stream::Release> releases,
                  Function<void()> done);
  void DropReleases(GroupId group, GroupId home, std::vector<stream::Incarnation> forks,
                    stream::Incarnation settled_below, Function<void()> done);
  // membership.cc: which directories the cluster has. On the meta group's core.
  void RunMembers(group::Replica* meta);
  void PublishMembers(const group::Replica& meta);
  void BeginRound(std::vector<ReplicaId> wanted);
  void WorkOnGroups();
  void ReconcileGroup(GroupId group);
  void OnReconciled(GroupId group, const Result<group::MembersProgress>& progress);
  void SettleMembers(const group::Replica& meta);
  std::vector<ReplicaId> WantedMembers(const stream::Machine& meta) const;
  // rejoin.cc: a directory that was found rotten.
  bool MayRejoin() const;
  bool MayBeAlone() const;
  Status Missing(const Status& what, bool* rotten);
  Status Rejoin(const Status& rot);
  Status AskToRejoin();
  Status PutAside();
  bool IsTakenIn(const std::vector<MemberStatus>& members) const;
  // registration.cc: whether this directory is still the one that the cluster takes it for.
  void Register(const group::Replica& meta);
  void TellOpening();
  void SayOpening(const group::Replica& meta);
  std::string RefusalOf(const meta::FoundingHello& member);
  void RefuseDirectory(const std::string& why);
  void TakePartNoMore(const std::string& why);
  void AnswerJoiner(NodeId from, const meta::FoundingHello& hello);
  meta::FoundingAdmission AdmissionOf(const meta::FoundingNode& joiner);
  std::string KeepsOut(NodeId node);
  std::string KeepsMemberOut(const meta::FoundingHello& member);
  std::string KnowsNoMore() const;
  void AskToAdmit(const meta::FoundingNode& joiner, uint64_t lives_before);
  // feature_level.cc
  bool Reach(uint64_t level) override;
  Status CheckLevels(const std::vector<group::RecoveredGroup>& groups);
  std::string CantBe(uint64_t level) const;
  void RunLevels(group::Replica* meta);
  bool MayStore(const group::Replica& meta, uint32_t level) const;
  void StoreLevel(uint64_t wanted, uint64_t now_ns);
  std::string LevelWaitsFor(meta::LevelVerdict verdict) const;
  std::vector<meta::LevelMember> LevelMembers(const stream::Machine& meta) const;
  void ProposeLevel(group::Replica* replica, uint64_t level);
  void LevelChore(group::Replica* replica);
  void TellLevel(uint32_t in_force);
  void NoteLevels(const meta::FoundingHello& hello);
  // disks.cc
  meta::DiskReport OwnDisk() const;
  void RunDisks();
  void NoteDisk(const meta::FoundingHello& hello);
  void PutDisks(std::vector<MemberStatus>* members);
  static bool MayLead(const MemberStatus& member);  // Its disk aside.
  // member_change.cc: an operator's word.
  using MemberCall = CallPtr<MemberChange, MemberReply>;
  void ChangeMemberAt(MemberCall call);
  std::optional<MemberOutcome> Judge(const MemberChange& change, const stream::Machine& meta,
                                     stream::MarkNode* mark) const;
  // recover.cc: the survivors of a cluster that has lost its majority.
  struct Inspection {};
  using RecoverCall = CallPtr<RecoveryPlan, RecoveryReply>;
  bool IsRecovered(const stream::Machine& meta) const;
  const absl::btree_map<uint64_t, stream::NodeState>& NodesKnown(const stream::Machine& meta) const;
  std::vector<NodeId> KnownNodes() const;
  Status HasDirectory() const;
  Status IsMemberStill() const;
  void LookAtGroups(bool silence, Function<void(std::vector<RecoveryGroup>)> done);
  void RecoverAt(RecoverCall call);
  Status CheckPlan(const RecoveryPlan& plan) const;
  void StoreRecovery(RecoverCall call);
  // bucket_flow.cc
  void DeleteBucketFlow(NameCall call);
  void BeginBucketDelete(NameCall call);
  void FenceAll(NameCall call, BucketAttempt attempt);
  void OnFenceRefused(NameCall call, BucketAttempt attempt);
  void FindNames(const std::string& bucket, Function<void(Result<BucketNames>)> done);
  void UndoFences(NameCall call, BucketAttempt attempt, Result<Outcome> refusal);
  void EndBucketDelete(NameCall call, BucketAttempt attempt, Result<Outcome> end);
  void LeaveBucketDelete(NameCall call, Result<Outcome> end);
  void NextBucketDelete(const std::string& bucket);
  void OnAllGroups(stream::Command::Body body, Function<void(Result<Outcome>)> done);
  void ResumeBucketDelete(const std::string& bucket);

  EngineOptions options_;
  std::unique_ptr<Runtime> owned_runtime_;
  io::LoopRuntime& runtime_;
  Log log_;
  Outside outside_;
  Opening unwatched_;
  Opening& opening_;  // The caller's, while Open runs; else `unwatched_`.
  uint32_t group_count_ = 0;
  std::unique_ptr<storage::DataDirectory> directory_;
  FoundingTerms founding_terms_;  // As they were given.
  uint64_t wal_room_bytes_ = 0;   // Free on its volume when it was opened, or taken by its logs.
  std::unique_ptr<storage::SnapshotFiles> snapshot_files_;        // While opening.
  std::shared_ptr<storage::RecoveredPayload> recovered_payload_;  // While opening.
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<GroupChores> chores_;  // By group; each on its group's core.
  // Under way here, and who wants the same meanwhile; the meta group's loop only.
  absl::flat_hash_map<std::string, std::vector<NameCall>> bucket_deletes_;
  MembersChore members_;  // The meta group's loop only.
  Registration registration_;
  meta::Disks disks_;           // The meta group's loop only, as the next.
  meta::DiskReport told_disk_;  // This node's, as peers hear of it.
  std::atomic<bool> log_hangs_ = false;
  LevelsChore levels_;                        // The meta group's loop only.
  std::atomic<uint64_t> level_stored_ = 1;    // META's.
  std::atomic<uint64_t> level_wanted_ = 1;    // That META is to have.
  std::atomic<uint64_t> level_in_force_ = 0;  // The meta group's, as applied here; 0: not yet.
  io::Guarded<LevelsStatus> published_levels_;
  bool recovering_ = false;                    // A plan is being taken. The meta group's loop only.
  std::optional<group::Recovered> recovered_;  // What this opening goes by.
  io::Guarded<std::string> refused_;  // Why this directory is none of the cluster's any more.
  io::Guarded<ClusterStatus> published_members_;
  io::Guarded<ask::Reconcile> known_members_;  // As this node has applied the meta group.
  std::atomic<uint64_t> next_ticket_ = 1;
  CallGate gate_;  // Inside: calls not yet answered, chores under way, and Stop.
  std::atomic<bool> stop_called_ = false;
  bool abandoned_ = false;
  std::atomic<std::size_t> shards_left_ = 0;  // While stopping, then while closing.
  // ---- core 0's loop only ----
  Done<Stopped> stop_done_;
  bool closed_ = false;
  Function<void()> closed_waiter_;  // The destructor.
};

}  // namespace ursula::engine

#include "lib/engine/engine_routing.h"
