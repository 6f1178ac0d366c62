// ursula/engine.h
//
// StreamEngine is an embeddable, replicated engine for append-only byte streams.
//
// An engine runs on a fixed set of cores. Each Raft group lives on exactly one core and each stream
// in exactly one group, so a stream's state is only ever touched by one thread. Every method may be
// called from any thread. `done` runs exactly once, never inside the call: on the calling core when
// the caller is one of the runtime's cores, else on the owning core, or through
// EngineOptions::executor when that is set. A `done` must not block; it may call the engine again.
//
// A request ends in one of two ways. A reply says what the stream decided, refusals included
// (Outcome): every replica decides the same. An error Status says that the engine could not decide
// (ursula/status.h). StatusOf (ursula/outcome.h) is both in one. Acknowledged means: synced on a
// majority of disks, seen by every later read.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ursula/bytes.h"
#include "ursula/env.h"
#include "ursula/function.h"
#include "ursula/runtime.h"
#include "ursula/stats.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula {

template <class Reply>
using Done = Function<void(Result<Reply>)>;

enum class Outcome : uint8_t {
  kOk,         // Applied, or found as asked.
  kExisted,    // Create: the same stream (or bucket) was there already; nothing changed.
  kDuplicate,  // Append: this producer sequence was applied before; nothing changed.
  kBucketNotFound,
  kNotFound,     // Never created, deleted, or expired.
  kSoftDeleted,  // Deleted, but forks still read from it (upstream: 410).
  kClosed,       // Append: the stream is closed; `tail` is final.
  kConflict,     // Create: the stream exists with another configuration.
  kContentTypeMismatch,
  kProducerStale,       // The epoch is below `producer.epoch`.
  kProducerGap,         // The sequence is past `producer_expected_sequence`.
  kProducerEpochStart,  // A new epoch must start at sequence 0.
  kSequenceConflict,    // Stream-Seq is not above the last one.
  kForkSourceNotFound,
  kForkSourceDeleted,  // Soft-deleted: nothing forks from it any more.
  kForkOffsetInvalid,  // Past the source's tail, before its start, or inside a message.
  kForkContentTypeMismatch,
  kOffsetInvalid,  // Inside a message of a JSON stream.
  kGone,           // Read: before the retained data.
  kBucketNotEmpty,
  kTooLarge,            // The append would pass kOffsetEnd or a configured limit.
  kPreconditionFailed,  // The request's Precondition doesn't hold; nothing changed.
  kTooManyProducers,    // The stream remembers 65536 producers, all heard of within 7 days.
  kForkTooDeep,         // The fork would have more than 256 sources above it.
};

// ---- preconditions ---------------------------------------------------------------------------

// What a stream is to be like. What is empty isn't compared; an incarnation of 0 is no stream's.
struct StateMatch {
  std::optional<uint64_t> incarnation = {};
  std::optional<Offset> tail = {};
  std::optional<bool> closed = {};
  friend bool operator==(const StateMatch&, const StateMatch&) = default;
};

// What a request is conditional on (RFC 9110, 13.1). Judged where the request is applied, after all
// other checks (RFC 9110, 13.2.1): what would be refused anyway, or is a duplicate, is answered as
// if there were no condition. If it doesn't hold: kPreconditionFailed, and nothing changes.
struct Precondition {
  bool exists = false;                   // If-Match: *
  bool absent = false;                   // If-None-Match: *
  std::vector<StateMatch> any_of = {};   // If-Match. Empty: no condition. At most 64.
  std::vector<StateMatch> none_of = {};  // If-None-Match. At most 64.
  bool empty() const { return !exists && !absent && any_of.empty() && none_of.empty(); }
  friend bool operator==(const Precondition&, const Precondition&) = default;
};

// ---- buckets ---------------------------------------------------------------------------------

struct BucketReply {
  Outcome outcome = Outcome::kOk;  // Create: kOk or kExisted. Get: kOk or kBucketNotFound.
};                                 // Delete: kOk, kBucketNotFound or kBucketNotEmpty.

struct ListRequest {
  std::string bucket = {};
  std::string prefix = {};
  std::string after = {};  // Cursor: list names above this one. Empty: from the first.
  uint32_t limit = 100;    // 1 to 1000.
};

// Ordered by name. Linearizable for each group, not across them: a stream created or deleted while
// the listing runs may be in it or not.
struct ListReply {
  Outcome outcome = Outcome::kOk;  // kOk or kBucketNotFound.
  struct Stream {
    std::string path = {};  // "name" or "affinity/name".
    std::string content_type = {};
    Offset tail = {};
    bool closed = false;
  };
  std::vector<Stream> streams = {};
  bool more = false;  // Ask again with `after` = the last path.
};

// ---- streams ---------------------------------------------------------------------------------

// Where a fork leaves its source (upstream: Stream-Forked-From and its companions).
struct ForkPoint {
  StreamId source = {};
  std::optional<Offset> offset = {};  // Empty: the source's tail when the fork is made.
  uint64_t sub_offset = 0;            // JSON: messages past `offset`; else bytes. May not cross the
                                      // one append that starts at `offset`.
  friend bool operator==(const ForkPoint&, const ForkPoint&) = default;
};

// Messages of JSON that are known to be what they have to be, so that the engine doesn't look
// again. Only what this library's own server has split from a body that it checked is: nobody else
// can make one that says so.
class JsonChecked {
 public:
  constexpr JsonChecked() = default;
  constexpr explicit operator bool() const { return checked_; }

 private:
  friend struct JsonSplitter;
  bool checked_ = false;
};

struct CreateRequest {
  StreamId stream = {};
  std::string content_type = {};  // Empty: application/octet-stream, or the fork source's.
  Lifetime lifetime = {};
  bool closed = false;
  std::vector<Bytes> messages = {};  // Initial content, as in AppendRequest. May be empty.
  std::optional<ForkPoint> fork = {};
  // Of a fork: only of this life of its source, to which the messages were fitted. 0: of none, so
  // that only a stream that is there already is found.
  std::optional<uint64_t> source_incarnation = {};
  std::string sequence = {};  // Stream-Seq of the initial content.
  JsonChecked json_checked = {};
  Precondition condition = {};
};

// What a stream is. `incarnation` differs after delete and create under the same name, and between
// two lives of a directory or a memory engine: it is made from the replicated history id.
struct StreamInfo {
  std::string content_type = {};
  Offset start = {};  // First retained byte.
  Offset tail = {};
  bool closed = false;
  Lifetime lifetime = {};
  uint64_t incarnation = 0;
};

struct CreateReply {
  Outcome outcome = Outcome::kOk;  // kOk, kExisted, kConflict, kSoftDeleted, kBucketNotFound,
  // kFork…, kTooLarge, kPreconditionFailed. Info is of the stream that has the name, if
  // one has it now.
  StreamInfo info = {};
};

// How current the answer of a read or a head is. Any node gives both.
enum class Consistency : uint8_t {
  kLinearizable,  // Every write acknowledged before the call is in it.
  // Every write acknowledged `staleness_ms` before the answer, or earlier, is in it: the node
  // answers of what it has while it can prove that much, without a word to others, and asks its
  // group's leader where it can't. So it goes on for `staleness_ms_max` without a leader; then
  // kBehind. What says no (not found, deleted, gone), and an answer to an offset past the tail, is
  // linearizable all the same: nothing is denied for having come lately.
  kLocal,
};

inline constexpr uint64_t kStalenessMsDefault = 5'000;
inline constexpr uint64_t kStalenessMsMax = 3'600'000;

struct HeadRequest {
  HeadRequest() = default;
  HeadRequest(StreamId id) : stream(std::move(id)) {}  // NOLINT: implicit on purpose.

  StreamId stream = {};
  Consistency consistency = Consistency::kLinearizable;
  uint64_t staleness_ms_max = kStalenessMsDefault;  // As in ReadRequest.
};

struct HeadReply {
  Outcome outcome = Outcome::kOk;  // kOk, kNotFound, kSoftDeleted or kBucketNotFound.
  StreamInfo info = {};
  uint64_t staleness_ms = 0;  // As in ReadReply.
};

struct DeleteRequest {
  StreamId stream = {};
  Precondition condition = {};
};

struct DeleteReply {
  // kOk, kNotFound, kSoftDeleted (before), kBucketNotFound, kPreconditionFailed.
  Outcome outcome = Outcome::kOk;
  StreamInfo info = {};  // What was deleted or, kPreconditionFailed, is there.
};

struct AppendRequest {
  StreamId stream = {};
  // The stored form of each message, in order; together one append: all or nothing. On a JSON
  // stream each is one JSON value's source text (no terminator; raw CR and LF, which JSON allows
  // only between tokens, already replaced by spaces), and the engine adds ",\n"; what isn't is
  // kInvalidArgument (the engine looks, on the calling thread where `content_type` says that it is
  // JSON). On any other stream they are concatenated as they are. Empty only if `close`.
  std::vector<Bytes> messages = {};
  std::string content_type = {};  // Empty: not compared. REQUIRED by HTTP when there is a body.
  bool close = false;
  std::optional<Producer> producer = {};
  std::string sequence = {};  // Stream-Seq: opaque, compared bytewise, must grow. Empty: none.
  // Append only if the tail is still this, and the stream this incarnation: of two writers that
  // expect the same tail one succeeds. Without a producer a retry whose first try landed is
  // kPreconditionFailed: equal bytes prove nothing.
  std::optional<Offset> expected_tail = {};
  std::optional<uint64_t> expected_incarnation = {};
  JsonChecked json_checked = {};
  Precondition condition = {};  // Holds besides.
};

struct AppendReply {
  Outcome outcome = Outcome::kOk;
  Offset start = {};         // Of this append's first byte, when kOk.
  Offset tail = {};          // After the append; on a refusal the stream's tail.
  bool closed = false;       // The stream's flag after the append.
  uint64_t incarnation = 0;  // The stream's; 0 if there is none.
  // The producer's state after the append (or as it stands, on a refusal).
  uint64_t producer_epoch = 0;
  uint64_t producer_sequence = 0;           // The highest accepted.
  uint64_t producer_expected_sequence = 0;  // kProducerGap.
};

inline constexpr std::size_t kAppendBatchItemsMax = 1024;

// What has come of each of AppendBatch's items, in their order: as Append's `done` would say it.
struct AppendBatchReply {
  std::vector<Result<AppendReply>> items = {};
};

struct ReadRequest {
  StreamId stream = {};
  Offset from = {};
  bool from_tail = false;  // `now`: `from` is ignored; the reply's `start` is the tail.
  // A `from` inside an append (of JSON: inside a message) stands for where that begins. Else bytes
  // are read from just there, and of JSON it is kOffsetInvalid.
  bool from_append_start = false;
  // Soft: at least one whole JSON message is returned. 0: no data at all; such a read waits, where
  // it waits, until the stream is gone or its time is over.
  uint64_t bytes_max = 1 << 20;
  uint64_t wait_ms = 0;     // At the tail of an open stream: wait this long for data.
  bool touch = true;        // Renews a sliding TTL.
  bool boundaries = false;  // Fill ReadReply::message_ends.
  std::optional<uint64_t> incarnation = {};  // Set: another incarnation is kNotFound.
  Consistency consistency = Consistency::kLinearizable;
  // kLocal: an older answer isn't given without asking. At most kStalenessMsMax. 0: it is asked in
  // any case.
  uint64_t staleness_ms_max = kStalenessMsDefault;
  // Set: no data is read if `from` is where that page begins and it lies in what there is now; all
  // else of the reply is as if it had been. Not with `boundaries`.
  std::optional<KeptPage> kept = {};
};

struct ReadReply {
  Outcome outcome = Outcome::kOk;  // kOk, kNotFound, kSoftDeleted, kBucketNotFound, kOffsetInvalid
                                   // or kGone.
  std::vector<Bytes> parts = {};   // The stored form, contiguous from `start`; shared memory.
  Offset start = {};  // == request.from, or the tail when that is past it, or from_append_start.
  Offset next = {};   // Read on from here.
  bool cut = false;   // The data ends inside an append: what is left of it begins at `next`.
  bool kept = false;  // The data is that of ReadRequest::kept; `parts` is empty.
  // The end of each message in `parts`, ascending; that of one which is cut at `next` isn't among
  // them. Of JSON: each value. Of other streams: each append.
  std::vector<Offset> message_ends = {};
  bool up_to_date = false;  // `next` was the tail when the reply was made.
  StreamInfo info = {};
  // kLocal: how long ago, by this node's own clock, that began of which the answer is known to hold
  // all; 0 on a node that is alone. Over staleness_ms_max only where the leader was asked since the
  // call. kLinearizable: 0.
  uint64_t staleness_ms = 0;
};

// Names one waiting Read or one Follow. 0 names none.
using Ticket = uint64_t;

// A live reader with credit: OnData is called in order as data comes; the engine stops reading
// ahead of `unread_bytes_max` bytes that were delivered and not yet granted back.
class Follower {
 public:
  virtual ~Follower() = default;
  // `reply.parts` is never empty, except that a change to closed comes with the closing reply.
  virtual void OnData(ReadReply reply) = 0;
  // Once, last; nothing follows. Ok: the stream is closed and all of it was delivered.
  // kCancelled: by Cancel or Stop. kFailedPrecondition: the stream is gone; kind in `outcome`.
  // kUnavailable: this node can't read it for now, or hasn't heard of its group's leader for 5 s.
  virtual void OnEnd(Status status, Outcome outcome) = 0;
};

struct FollowRequest {
  StreamId stream = {};
  Offset from = {};
  bool from_tail = false;
  uint64_t unread_bytes_max = 1 << 20;
  bool boundaries = false;
  // Of the stream that `from` is an offset of, by an earlier reply. Set: where another one has its
  // name now, OnEnd says kNotFound and nothing of that is delivered.
  std::optional<uint64_t> incarnation = {};
  // Of what is there at the beginning; what comes later comes as it is applied here.
  Consistency consistency = Consistency::kLinearizable;
  uint64_t staleness_ms_max = kStalenessMsDefault;  // As in ReadRequest.
};

// ---- the engine ------------------------------------------------------------------------------

struct EngineOptions {
  std::string data_dir = {};  // Empty: everything in memory, nothing survives the engine.
  uint32_t group_count = 0;   // Fixed for a directory. 0: what it has, else cores x 4.
  // The directory is a copy, or was restored from one: its streams get other incarnations (and so
  // entity tags) than those of the original. For one opening, not for each.
  bool new_history = false;
  uint64_t hot_bytes_max = 256 << 20;  // Payload kept in memory, all groups together.
  // Write-ahead logs on disk, all cores together; no more than half of what the volume has free.
  // 0: 512 MiB a core.
  uint64_t wal_bytes_max = 0;
  uint64_t memory_bytes_max = uint64_t{1} << 30;  // Payload, when data_dir is empty.
  uint64_t inflight_bytes_max = 64 << 20;         // Payload of appends not yet acknowledged.
  // Payload read from disk for readers that still hold it; beyond it reads are refused. Pages get
  // smaller on the way there.
  uint64_t inflight_read_bytes_max = 256 << 20;
  // One append; at most 256 MiB. Less on a small volume, for a log's segment must hold it: `log`
  // tells.
  uint64_t message_bytes_max = 64 << 20;
  uint32_t waiters_per_core_max = 200'000;  // Waiting reads.
  // With peers, 100 to 600'000: for a leader to take a call (then kUnavailable), for a majority to
  // confirm what was proposed (kOutcomeUnknown; no less than that), or a read (kUnavailable).
  uint64_t leader_ms_max = 5000;
  uint64_t append_ms_max = 10'000;
  uint64_t read_ms_max = 5000;
  // What is on disk is read again and checked in the background, all cores together at this rate
  // at most; 0: never. A round over all files begins so long after the one before has begun, or
  // once that one has ended. What has rotten comes back from peers; a node that is alone tells.
  uint64_t scrub_bytes_per_second = 4 << 20;
  uint64_t scrub_every_seconds = 24 * 60 * 60;
  // How fast replicas are brought up that were away, or have lost something: what this node fetches
  // for its own, and what it sends to those of peers that have fallen behind, all cores together at
  // this rate each; at least 1 MiB. 0: as fast as can be, at the cost of whoever appends meanwhile.
  // What a read waits for isn't held up, nor is a replica without which nothing is acknowledged.
  uint64_t rejoin_bytes_per_second = 64 << 20;
  // What a node of three or more does when Open finds its log or a snapshot rotten: once a member
  // of its cluster says that it would be taken in, its directory's files are moved into a folder
  // `aside` in there, which is never removed, and it joins again, as with an empty directory.
  // False, or where there is such a folder already: kDataLoss, with file and offset, and nothing is
  // moved.
  bool rejoin_when_rotten = true;
  // This node takes part in no higher feature level: so the cluster stays at that, and an older
  // release can go on from the directory. 1 to kFeatureLevelMax. A directory of a higher one isn't
  // opened, and no cluster's that has gone on to one.
  uint32_t feature_level_max = kFeatureLevelMax;
  Runtime* runtime = nullptr;  // Borrowed, outlives the engine. Null: the engine owns a small one.
  // Runs completions of calls made outside the runtime's cores. Empty: they run on the core.
  Function<void(Function<void()>)> executor = {};
  // Structured log lines, called on any core; must not block. Empty: silence.
  Function<void(int level, std::string_view message)> log = {};
  ClusterOptions cluster = {};  // Needs a data_dir. As it stands: this node is alone.
  // Borrowed until Open has returned: others follow the opening there, or end it. May be null.
  Opening* opening = nullptr;
};

// The least wal_bytes_max, other than 0, that Open takes: four segments a core, each with room for
// the largest append and 1 MiB beside it.
constexpr uint64_t WalBytesMin(uint64_t core_count, uint64_t message_bytes_max) {
  constexpr uint64_t kMiB = 1 << 20;
  return core_count * 4 * ((message_bytes_max + 2 * kMiB - 1) / kMiB * kMiB);
}

struct ClockReply {
  int64_t moved_ms = 0;  // The largest step of any group's time; negative: back.
};

// What came of asking a node to lead a group.
enum class TransferOutcome : uint8_t {
  kBegun,      // It is asked to. Cluster() tells when it leads; given up after an election timeout.
  kLeads,      // It leads already.
  kNotLeader,  // Another node leads the group, or none does: that one is to be asked.
  kHandsOver,  // A hand-over of the group is under way.
  kNoVoter,    // It isn't a voter of the group.
  kNotThere,   // It hasn't been heard of lately.
  kBehind,     // It lacks too much of the log.
};

struct TransferReply {
  TransferOutcome outcome = TransferOutcome::kBegun;
  NodeId leader = {};  // Of the group, as this node knows; 0: none.
};

// A change of the nodes that the cluster has, by an operator's word.
struct MemberChange {
  enum class Kind : uint8_t {
    kAdd,     // The node may join, with an empty directory; who is leaving stays after all.
    kRemove,  // Every group is to be without it. Where it was only to be added: not any more.
    kCordon,  // It is to lead nothing.
    kUncordon,
  };
  Kind kind = Kind::kAdd;
  NodeId node = {};
};

enum class MemberOutcome : uint8_t {
  kAccepted,     // The cluster remembers it, and goes about it. Cluster() tells how far it is.
  kIsSo,         // It was so already.
  kIsMember,     // kAdd: it is one, or on its way.
  kIsNoMember,   // The others.
  kTooMany,      // kAdd: a cluster has at most MemberReply::kNodesMax nodes.
  kLast,         // kRemove: no other is there for good.
  kOtherChange,  // It is leaving, or something else has come in between: look, and ask again.
};

struct MemberReply {
  static constexpr uint32_t kNodesMax = 5;
  MemberOutcome outcome = MemberOutcome::kAccepted;
};

enum class RecoveryOutcome : uint8_t {
  kStored,     // Durable: the next opening goes by it. Until then the node takes part in nothing.
  kIsSo,       // It was stored before, or the node goes by it already.
  kNotNeeded,  // The survivors have a majority of every group: they do without.
  kOtherPlan,  // Another one is stored: open the engine anew first.
  kTerm,       // A group is of the plan's term or a later one: look again, and make another plan.
};

struct RecoveryReply {
  RecoveryOutcome outcome = RecoveryOutcome::kStored;
};

struct Stopped {};

class StreamEngine {
 public:
  // Opens the engine and recovers every group. Blocks until a node that is alone can commit, and
  // one of several has recovered (whether its groups have leaders Ready tells), or says why not:
  // kFailedPrecondition (directory in use, of another version, group count or cluster, or that node
  // has lost a directory its cluster counts on), kIoError, kDataLoss
  // (a log is rotten below what was synced: file and offset in the message; a node of several waits
  // for its cluster instead, see rejoin_when_rotten), kInvalidArgument, kCancelled
  // (options.opening).
  // On a core of the runtime it ends the process with a sentence, as the destructor does.
  static Result<std::unique_ptr<StreamEngine>> Open(EngineOptions options);

  StreamEngine(const StreamEngine&) = delete;
  StreamEngine& operator=(const StreamEngine&) = delete;

  // Stops first if Stop has not run, and waits for it.
  virtual ~StreamEngine() = default;

  virtual void CreateBucket(std::string bucket, Done<BucketReply> done) = 0;
  virtual void GetBucket(std::string bucket, Done<BucketReply> done) = 0;
  virtual void DeleteBucket(std::string bucket, Done<BucketReply> done) = 0;
  virtual void List(ListRequest request, Done<ListReply> done) = 0;

  virtual void Create(CreateRequest request, Done<CreateReply> done) = 0;
  virtual void Head(HeadRequest request, Done<HeadReply> done) = 0;
  virtual void Delete(DeleteRequest request, Done<DeleteReply> done) = 0;
  virtual void Append(AppendRequest request, Done<AppendReply> done) = 0;

  // Many appends, to any streams: each is judged, applied and answered as by Append, by itself.
  // Those of different streams run at the same time, those of one stream in their order, and what
  // one group's core gets is proposed at once. One that is refused doesn't stop others; where one
  // has come to no decision or its outcome is unknown, those behind it in its stream that weren't
  // begun are kUnavailable. All have ended after some 15 s. The call itself: kInvalidArgument
  // without items or with more than kAppendBatchItemsMax; kFailedPrecondition: as each call.
  virtual void AppendBatch(std::vector<AppendRequest> items, Done<AppendBatchReply> done) = 0;

  // Linearizable, unless asked otherwise. A read that waits may be ended with Cancel(ticket):
  // kCancelled.
  virtual Ticket Read(ReadRequest request, Done<ReadReply> done) = 0;

  // `follower` is borrowed until its OnEnd has returned. Its calls run where a `done` would.
  virtual Ticket Follow(FollowRequest request, Follower* follower) = 0;
  virtual void Grant(Ticket ticket, uint64_t bytes) = 0;  // `bytes` delivered were consumed.

  virtual void Cancel(Ticket ticket) = 0;

  // Sets every group's time to this node's wall clock: an operator's step, once a clock that was
  // far ahead is right. Sliding deadlines move along; fixed ones (Expires-At) don't.
  virtual void StepClock(Done<ClockReply> done) = 0;

  // Asks `to` to lead a group that this node leads. Meanwhile what comes for the group waits.
  // kInvalidArgument: there is no such group.
  virtual void TransferLeader(GroupId group, NodeId to, Done<TransferReply> done) = 0;

  // Has the cluster add, remove, cordon or uncordon a node; any member takes it. `done` comes once
  // the cluster remembers it, not when it has come about. kInvalidArgument: node 0 or one above
  // 65535, kAdd of one that ClusterOptions::founders doesn't name; kFailedPrecondition: this engine
  // has no peers; kUnavailable, kOutcomeUnknown as in Append: the same may be asked again.
  virtual void ChangeMember(MemberChange change, Done<MemberReply> done) = 0;

  // What this node could be recovered from. kFailedPrecondition: it has no directory, or one that
  // is none of its cluster's any more.
  virtual void InspectRecovery(Done<RecoveryStatus> done) = 0;

  // Ends this node's part in its cluster, and makes durable what its next opening goes by. By an
  // operator's word alone: nothing here can tell a node that is lost from one that is cut off, and
  // those that are cut off go on by themselves if they have a majority. Every survivor gets the
  // same plan; those who open with it serve once all of them have. kInvalidArgument: the plan isn't
  // of this directory, or doesn't say of every node that is known here what has become of it;
  // kFailedPrecondition: as InspectRecovery; kUnavailable: another call is under way; kIoError:
  // unknown, the same may be asked again. With kStored, kTerm and kIoError the node takes part in
  // nothing until its next opening.
  virtual void RecoverCluster(RecoveryPlan plan, Done<RecoveryReply> done) = 0;

  // Why the engine can't commit, or ok. Any thread, at once: for readiness checks.
  virtual Status Ready() const = 0;

  // Why not, if `stream`'s group has had no leader for some seconds, or ok. Any thread, at once.
  virtual Status ReadyFor(const StreamId& stream) const = 0;

  // A copy of the counters, summed over cores. Any thread.
  virtual EngineStats Stats() const = 0;

  // Who this node is, and who leads its groups as it knew a moment ago. Any thread.
  virtual ClusterStatus Cluster() const = 0;

  // The core, of the runtime it runs on, that carries out calls about `stream`: made there they
  // need no way to another. Always the same until the engine is opened again. Any thread, at once.
  virtual CoreId HomeCoreOf(const StreamId& stream) const = 0;

  // Completes what is under way (what waits: kCancelled), seals the logs. Every call from now on, a
  // second Stop included, is kFailedPrecondition.
  virtual void Stop(Done<Stopped> done) = 0;

 protected:
  StreamEngine() = default;
};

std::string_view Version();  // "0.2.0".

}  // namespace ursula
