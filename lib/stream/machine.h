// lib/stream/machine.h
//
// Machine is the replicated state of one Raft group: its streams, forks, placements of forks that
// live elsewhere, and, in the meta group, the buckets. It holds metadata only; payload passes
// through Apply as shared Bytes and is kept by the driver.
//
// Invariant: the state is a function of the applied commands and their indexes alone. Apply is
// total (it accepts every command that Decode accepts), never looks at local memory, flags or
// clocks, and equal states give equal StateHash, whichever way they came about.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "lib/base/ids.h"
#include "lib/stream/command.h"
#include "lib/stream/record_format.h"
#include "lib/stream/reply.h"
#include "lib/stream/stream_table.h"
#include "ursula/engine.h"
#include "ursula/function.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::stream {

struct LookupResult {
  enum class Kind : uint8_t {
    kFound,
    kNotFound,
    kSoftDeleted,
    kElsewhere,  // `placement` is set: ask its target group.
    kExpired,    // Its deadline has passed; propose Expire{incarnation}, then it is kNotFound.
  };
  Kind kind = Kind::kNotFound;
  Incarnation incarnation = kNoIncarnation;  // kFound, kSoftDeleted and kExpired.
  uint64_t start = 0;
  uint64_t tail = 0;
  bool closed = false;
  bool sliding = false;  // Has a sliding TTL: reads are to Touch it.
  std::optional<int64_t> deadline_ms = {};
  std::string_view content_type = {};  // Valid until the next Apply.
  std::optional<Placement> placement = {};
};

// A part of a read, of one stream's own payload.
struct ReadRange {
  Incarnation owner = kNoIncarnation;
  uint64_t from = 0;
  uint64_t to = 0;
  friend bool operator==(const ReadRange&, const ReadRange&) = default;
};

struct BucketInfo {
  Incarnation incarnation = kNoIncarnation;
  bool deleting = false;                 // Between kBegin and kFinish or kAbort.
  Incarnation attempt = kNoIncarnation;  // Then: that kBegin's.
};

// What the meta group has been told of a node.
struct NodeState {
  enum class Stage : uint8_t { kMember = 1, kJoining, kLeaving, kGone, kInvited };
  uint64_t lives_before = 0;
  Stage stage = Stage::kMember;
  uint64_t directory = 0;  // Admitted; 0: of the node's first life, or founding.
  uint64_t opening = 0;    // The last that was told of; 0: none.
  uint64_t nonce = 0;      // Of that.
  bool cordoned = false;   // It is to lead nothing.
  friend bool operator==(const NodeState&, const NodeState&) = default;
};

class Collection;

class Machine {
 public:
  // `history`, `feature_level`: what the cluster (or, in memory, the process) was founded with.
  explicit Machine(GroupId group, uint64_t history = 0, uint64_t feature_level = 1);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // REQUIRES: index above that of every command applied before.
  ApplyResult Apply(Index index, const Command& command);

  // ---- queries: const, of the state as applied --------------------------------------------------
  // `now_ms` counts as at least the latest that was applied.

  LookupResult Lookup(const StreamId& id, int64_t now_ms) const;

  // The reply that Apply would give now, as a filter before proposing; what only Apply knows (a
  // new incarnation, a new stream's info) is left empty. Not for ResolveFork, whose answer holds
  // only once it is applied. Streams that are due count as absent, but where a CreateFork names one
  // that is, Apply may answer otherwise: what that one held isn't released yet.
  Reply Preview(const Command& command, int64_t now_ms) const;

  // A stream by incarnation, of any life; kNotFound once it is freed. Detached counts as kExpired.
  LookupResult FindIncarnation(Incarnation incarnation) const;

  // REQUIRES: FindIncarnation finds it.
  StreamInfo Info(Incarnation incarnation) const;
  uint64_t PublicIncarnation(Incarnation incarnation) const {
    return stream::PublicIncarnation(history_, group_, incarnation);
  }
  // What a fork reads from, and where it leaves that; none if it is no fork or isn't here.
  Incarnation ForkSource(Incarnation fork) const;
  StreamId IdOf(Incarnation incarnation) const;

  // Whose payload makes up [from, min(tail, from + bytes_max)), in order, across fork ancestors.
  // Adjacent ranges, none empty. Empty at or past the tail, or if the incarnation is unknown.
  std::vector<ReadRange> PlanRead(Incarnation incarnation, uint64_t from, uint64_t bytes_max) const;

  // Where a stream's own payload lies: [fork offset or 0, tail). Empty optional: freed.
  std::optional<ReadRange> OwnRange(Incarnation incarnation) const;

  // Each stream that has payload of its own, ascending by incarnation: for the payload store's
  // reconciliation after a restart or a snapshot.
  void ForEachOwnRange(Function<void(const ReadRange&)> visit) const;

  // The earliest deadline of any live stream, if there is one.
  std::optional<int64_t> NextDeadline() const;
  // Live streams whose deadline is <= now_ms, and later than after_ms; earliest first.
  std::vector<Incarnation> CollectExpired(int64_t now_ms, std::size_t count_max,
                                          int64_t after_ms = INT64_MIN) const;

  // Whether the state of a stream of that bucket is in this group: live and not due, or
  // soft-deleted, its own or a foreign fork.
  bool HasStreams(std::string_view bucket, int64_t now_ms) const;
  // Placements of names in the bucket, confirmed or not.
  std::vector<PendingReservation> PlacementsIn(std::string_view bucket,
                                               std::size_t count_max) const;

  // Live streams whose state is in this group (its own and foreign forks), ordered by path.
  ListReply List(const ListRequest& request, int64_t now_ms) const;

  std::optional<BucketInfo> BucketFind(std::string_view bucket) const;  // Meta group.
  std::vector<std::string> DeletingBuckets() const;
  bool IsFenced(std::string_view bucket, const BucketStamp& stamp) const;
  // Only by an attempt that may yet be taken back.
  bool MayBeUnfenced(std::string_view bucket, const BucketStamp& stamp) const;

  // Meta group. By node; of a node that isn't here nothing was ever said.
  const absl::btree_map<uint64_t, NodeState>& nodes() const { return nodes_; }

  // Work for a new leader: placements that are not confirmed, oldest first, and releases not yet
  // dropped, of which those that are applied come last. What is new costs what it gives.
  std::vector<PendingReservation> PendingReservations(std::size_t count_max) const;
  std::vector<Release> Outbox(std::size_t count_max) const;
  // All reservations of this group below this have ended. `applied`: the last command's index.
  Incarnation SettledBelow(Index applied) const;

  uint64_t stream_count() const { return streams_.live_count(); }
  int64_t now_ms() const { return now_ms_; }  // The latest stamped time that was applied.
  GroupId group() const { return group_; }
  uint64_t history() const { return history_; }
  uint64_t recovery() const { return recovery_; }  // Recover::number of the last one; 0: none.
  uint64_t feature_level() const { return feature_level_; }
  const Limits& limits() const { return limits_; }

  // ---- snapshots (docs/formats/stream_records.md) -----------------------------------------------

  // Emits (key, value) for each record that changed since the last collection, (key, nullopt) for
  // each one that is gone; `full`: every record there is, and no tombstones. A base is one full
  // collection, a delta one that isn't; later records replace earlier ones of the same key. In one
  // go; in steps, between which commands may be applied: lib/stream/collection.h.
  using Emit = Function<void(std::string_view key, std::optional<std::string_view> value)>;
  void CollectChanges(bool full, Emit emit);

  // Into a machine that has applied nothing: every record of base and deltas in order, then
  // FinishLoad. kDataLoss: the records contradict each other or are malformed; the machine is then
  // to be thrown away.
  Status LoadRecord(std::string_view key, std::optional<std::string_view> value);
  Status FinishLoad();

  // Of the logical state: equal on every replica at equal index.
  uint64_t StateHash() const;

 private:
  struct Bucket {
    Incarnation incarnation = kNoIncarnation;
    bool deleting = false;
    Incarnation attempt = kNoIncarnation;  // The last kBegin, if it is being deleted.
  };
  struct Fence {
    Incarnation refused = kNoIncarnation;  // Creates in this or an older life of the bucket.
    Incarnation attempt = kNoIncarnation;  // The newest that was seen.
    bool undone = false;                   // Its Unfence was, too.
  };
  // Of a reservation: (home, id).
  using ReservationKey = std::pair<GroupId, Incarnation>;
  struct ReleaseState {
    std::string key = {};
    Reservation reservation = {};
    bool applied = false;  // At home. Kept on until the home group says that its reservations up
  };                       // to this one have ended: a late CreateFork under it is to be refused.
  // A reservation that was asked for and whose fork doesn't exist.
  struct Sighting {
    int64_t first_ms = 0;
    bool ruled_out = false;
  };

  // A fork as a create asks for it, to be compared with one that is there.
  struct ForkAsked {
    const ForkPoint* point = nullptr;
    Incarnation source = kNoIncarnation;  // None: `offset` says nothing.
    uint64_t offset = 0;
  };

  // What a create under a name meets.
  struct NameState {
    const StreamState* stream = nullptr;  // Live (not due) or soft-deleted.
    const Placement* placement = nullptr;
  };

  // Everything below takes `now`, the time of the command.
  NameState FindName(std::string_view key, int64_t now) const;
  bool Due(const StreamState& stream, int64_t now) const { return stream.deadline_ms <= now; }

  // Decisions: what the reply would be. Const, shared by Apply and Preview; a decision of kOk is
  // carried out by the commit that stands beside it.
  Reply Decide(const CreateBucket& command, int64_t now) const;
  Reply Decide(const DeleteBucket& command, int64_t now) const;
  Reply Decide(const FenceBucket& command, int64_t now) const;
  Reply Decide(const UnfenceBucket& command, int64_t now) const;
  Reply Decide(const CreateStream& command, int64_t now) const;
  Reply Decide(const CreateFork& command, int64_t now) const;
  Reply Decide(const Append& command, int64_t now) const;
  Reply Decide(const Delete& command, int64_t now) const;
  Reply Decide(const Expire& command, int64_t now) const;
  Reply Decide(const Touch& command, int64_t now) const;
  Reply Decide(const Reserve& command, int64_t now) const;
  Reply Decide(const Confirm& command, int64_t now) const;
  Reply Decide(const Unreserve& command, int64_t now) const;
  Reply Decide(const ResolveFork& command, int64_t now) const;
  Reply Decide(const DropReleases& command, int64_t now) const;
  Reply Decide(const SettleFences& command, int64_t now) const;
  Reply Decide(const SetLimits& command, int64_t now) const;
  Reply Decide(const SetFeatureLevel& command, int64_t now) const;
  Reply Decide(const SetHistory& command, int64_t now) const;
  Reply Decide(const StepClock& command, int64_t now) const;
  Reply Decide(const AdmitNode& command, int64_t now) const;
  Reply Decide(const SettleNode& command, int64_t now) const;
  Reply Decide(const OpenNode& command, int64_t now) const;
  Reply Decide(const MarkNode& command, int64_t now) const;
  Reply Decide(const Recover& command, int64_t now) const;

  void Commit(Index index, const CreateBucket& command, ApplyResult* result);
  void Commit(Index index, const DeleteBucket& command, ApplyResult* result);
  void Commit(Index index, const FenceBucket& command, ApplyResult* result);
  void Commit(Index index, const UnfenceBucket& command, ApplyResult* result);
  void Commit(Index index, const CreateStream& command, ApplyResult* result);
  void Commit(Index index, const CreateFork& command, ApplyResult* result);
  void Commit(Index index, const Append& command, ApplyResult* result);
  void Commit(Index index, const Delete& command, ApplyResult* result);
  void Commit(Index index, const Expire& command, ApplyResult* result);
  void Commit(Index index, const Touch& command, ApplyResult* result);
  void Commit(Index index, const Reserve& command, ApplyResult* result);
  void Commit(Index index, const Confirm& command, ApplyResult* result);
  void Commit(Index index, const Unreserve& command, ApplyResult* result);
  void Commit(Index index, const ResolveFork& command, ApplyResult* result);
  void Commit(Index index, const DropReleases& command, ApplyResult* result);
  void Commit(Index index, const SettleFences& command, ApplyResult* result);
  void Commit(Index index, const SetLimits& command, ApplyResult* result);
  void Commit(Index index, const SetFeatureLevel& command, ApplyResult* result);
  void Commit(Index index, const SetHistory& command, ApplyResult* result);
  void Commit(Index index, const StepClock& command, ApplyResult* result);
  void Commit(Index index, const AdmitNode& command, ApplyResult* result);
  void Commit(Index index, const SettleNode& command, ApplyResult* result);
  void Commit(Index index, const OpenNode& command, ApplyResult* result);
  void Commit(Index index, const MarkNode& command, ApplyResult* result);
  void Commit(Index index, const Recover& command, ApplyResult* result);

  // condition.cc; `stream` null: there is none.
  bool Matches(const StateMatch& match, const StreamState& stream) const;
  bool Holds(const Precondition& condition, const StreamState* stream) const;

  // Before a command's decision: what it names and is due expires.
  void ExpireNamed(const Command& command, ApplyResult* result);
  void ExpireIfDue(std::string_view key, ApplyResult* result);
  void ExpireBucket(std::string_view bucket, ApplyResult* result);
  void ExpireStream(StreamState* stream, ApplyResult* result);
  void Renew(StreamState* stream);

  // append.cc
  Reply DecideClosed(const StreamState& stream, const Append& command) const;
  bool DecideProducer(const StreamState& stream, const Producer& producer, int64_t now,
                      Reply* reply) const;
  bool RoomForProducer(const StreamState& stream, int64_t now) const;
  void CommitProducer(StreamState* stream, const Producer& producer);

  // lifecycle.cc; `fork` null: what is asked for is no fork.
  bool SameConfig(const StreamState& stream, const CreateStream& command,
                  const ForkAsked* fork) const;
  bool SamePoint(const ForkState& there, const ForkAsked& asked) const;
  Reply DecideExisting(const StreamState& stream, const CreateStream& command,
                       const ForkAsked* fork) const;
  bool DecideName(const CreateStream& command, const ForkAsked* fork, int64_t now,
                  Reply* reply) const;
  StreamState* AddStream(Index index, const CreateStream& command, std::string_view content_type,
                         const Lifetime& lifetime, uint64_t start, ApplyResult* result);
  void End(StreamState* stream, Life life, ApplyResult* result);
  void FreeUnheld(StreamState* stream, ApplyResult* result);
  void ReleaseName(const StreamState& stream);
  StreamInfo InfoOf(const StreamState& stream) const;
  LookupResult Describe(const StreamState& stream) const;

  // bucket.cc
  bool HasNames(std::string_view bucket, int64_t now) const;

  // nodes.cc
  NodeState FindNode(uint64_t node) const;
  void PutNode(uint64_t node, const NodeState& state);

  // placement.cc
  bool IsOver(const Reservation& reservation) const;
  void Settle(GroupId home, Incarnation settled_below);

  // configuration.cc
  void BecomeHistory(uint64_t history, ApplyResult* result);

  // snapshot.cc
  friend class Collection;
  void MarkRecord(char kind, std::string_view rest);
  bool IsMarked(std::string_view key) const;
  uint64_t marks() const { return record_marks_ + streams_.marks(); }  // Ever made.
  // The first key of a record after `key`, the header's aside: kind by kind, and in each in order
  // of keys. Empty: none.
  std::string KeyAfter(std::string_view key) const;
  std::optional<std::string> RecordOf(std::string_view key) const;
  void ForEachRecord(Emit* emit) const;
  void PutHeader(std::string* out) const;
  Status LoadHeader(std::string_view value);
  Status LoadBucket(std::string_view name, std::optional<std::string_view> value);
  Status LoadFence(std::string_view bucket, std::optional<std::string_view> value);
  Status LoadNode(std::string_view rest, std::optional<std::string_view> value);
  Status LoadRelease(std::string_view rest, std::optional<std::string_view> value);
  Status LoadPlacement(std::string_view key, std::optional<std::string_view> value);
  Status LoadSettled(std::string_view rest, std::optional<std::string_view> value);
  Status LoadSighting(std::string_view rest, std::optional<std::string_view> value);
  Status LoadStream(std::string_view rest, std::optional<std::string_view> value);

  const GroupId group_;
  uint64_t history_;
  uint64_t recovery_ = 0;
  uint64_t feature_level_;
  Limits limits_;
  int64_t now_ms_ = 0;
  StreamTable streams_;
  absl::btree_map<std::string, Placement, std::less<>> placements_;  // By NameKey.
  absl::btree_map<std::string, Bucket, std::less<>> buckets_;        // Meta group.
  absl::btree_map<std::string, Fence, std::less<>> fences_;          // By bucket.
  absl::btree_map<uint64_t, NodeState> nodes_;                       // Meta group.
  Incarnation fences_settled_ = kNoIncarnation;                      // SettleFences::through.
  absl::btree_map<Incarnation, ReleaseState> outbox_;                // By fork.
  absl::btree_map<GroupId, Incarnation> settled_;                    // By home group.
  absl::btree_map<ReservationKey, Sighting> sightings_;
  absl::btree_set<std::string, std::less<>> changed_records_;  // Keys; streams aside.
  uint64_t record_marks_ = 0;

  // Derived.
  absl::btree_map<Incarnation, std::string> deleting_;  // Buckets, by attempt.
  absl::btree_map<Incarnation, std::string> pending_;   // Keys of unconfirmed, by reservation.
  absl::btree_set<std::pair<ReservationKey, Incarnation>> releases_;  // Of outbox_.
  absl::btree_set<Incarnation> to_hand_on_;  // Of outbox_: those not applied.
};

}  // namespace ursula::stream
