// lib/stream/command.h
//
// The replicated commands of one group: what stands in the payload of a Raft entry. A command is
// data only; Machine::Apply (lib/stream/machine.h) gives it its meaning. The encoding is
// docs/formats/commands.md; its first byte is the format version.
//
// Invariant: Encode and Decode are inverse; what Encode writes, Decode takes. The payload of an
// append or a create is the tail of its encoding, so that a decoded payload shares the entry's
// memory, and its CRC32C, made once where the bytes were accepted, goes with it.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "lib/base/ids.h"
#include "ursula/bytes.h"
#include "ursula/engine.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::stream {

// The index of the entry that created a stream (or a bucket, in the meta group): unique in its
// group, and different after delete and create under the same name. 0 names none.
enum class Incarnation : uint64_t {};
inline constexpr Incarnation kNoIncarnation{0};

// How several messages make one stored payload.
enum class Framing : uint8_t {
  kConcatenated,  // As they are.
  kJson,          // Each followed by ",\n".
};

// ---- buckets ---------------------------------------------------------------------------------

struct CreateBucket {  // Meta group.
  std::string bucket = {};
  friend bool operator==(const CreateBucket&, const CreateBucket&) = default;
};

// A bucket is deleted in three steps, each idempotent: kBegin in the meta group, FenceBucket in
// every group, then kFinish in the meta group; or, where one group still has streams,
// UnfenceBucket in every group and kAbort. A leader that finds a bucket in the state "deleting"
// takes the steps up again, as a new attempt. `attempt` is the index of the kBegin: steps of an
// older one, which may come late and more than once, do nothing.
struct DeleteBucket {  // Meta group.
  enum class Step : uint8_t { kBegin = 1, kFinish = 2, kAbort = 3 };
  std::string bucket = {};
  Step step = Step::kBegin;
  Incarnation attempt = kNoIncarnation;  // kFinish and kAbort.
  friend bool operator==(const DeleteBucket&, const DeleteBucket&) = default;
};

// From here on this group refuses creates stamped with this or an older incarnation of the bucket.
struct FenceBucket {
  std::string bucket = {};
  Incarnation bucket_incarnation = kNoIncarnation;
  Incarnation attempt = kNoIncarnation;
  friend bool operator==(const FenceBucket&, const FenceBucket&) = default;
};

// Undoes the fence of this attempt, also one that comes later.
struct UnfenceBucket {
  std::string bucket = {};
  Incarnation bucket_incarnation = kNoIncarnation;
  Incarnation attempt = kNoIncarnation;
  friend bool operator==(const UnfenceBucket&, const UnfenceBucket&) = default;
};

// All attempts up to `through` have ended. Their fences are forgotten, and creates stamped by who
// looked the bucket up before that are refused: they look again.
struct SettleFences {
  Incarnation through = kNoIncarnation;
  friend bool operator==(const SettleFences&, const SettleFences&) = default;
};

// What a proposer knew of a stream's bucket: 0 and 0 for kUpstreamBucket.
struct BucketStamp {
  Incarnation incarnation = kNoIncarnation;
  Incarnation seen = kNoIncarnation;  // Index of the meta group when it was looked up.
  friend bool operator==(const BucketStamp&, const BucketStamp&) = default;
};

// ---- streams ---------------------------------------------------------------------------------

struct CreateStream {
  StreamId id = {};
  std::string content_type = {};  // Empty: application/octet-stream; of a fork, the source's.
  Lifetime lifetime = {};         // Of a fork, none: the source's.
  bool closed = false;
  std::string sequence = {};  // Stream-Seq of the initial content.
  BucketStamp bucket = {};
  Precondition condition = {};
  Framing framing = Framing::kConcatenated;  // Of the payload.
  Bytes payload = {};                        // Initial content, stored form; may be empty.
  friend bool operator==(const CreateStream&, const CreateStream&) = default;
};

// The placement entry behind a fork whose state lives outside the group of its name.
struct Reservation {
  GroupId home{};       // The group of the fork's name.
  Incarnation id = {};  // Index of the Reserve entry there.
  friend bool operator==(const Reservation&, const Reservation&) = default;
};

// Proposed to the group that holds the source.
struct CreateFork {
  CreateStream stream = {};
  ForkPoint point = {};  // As requested; what a repeated request is compared with.
  // The source that the point was resolved against; none: it isn't resolved, so that nothing is
  // created, and the command only asks what there is.
  Incarnation source = {};
  Offset offset = {};    // Resolved: the point's offset and sub-offset, or the source's tail.
  bool at_tail = false;  // Fork at the source's tail when applied; `offset` is ignored.
  std::optional<Reservation> reservation = {};  // Set iff the name belongs to another group.
  friend bool operator==(const CreateFork&, const CreateFork&) = default;
};

struct Append {
  StreamId id = {};
  std::string content_type = {};  // Empty: not compared.
  bool close = false;
  std::optional<Producer> producer = {};
  std::string sequence = {};  // Stream-Seq. Empty: none.
  StateMatch expected = {};   // Holds besides `condition`.
  Precondition condition = {};
  Framing framing = Framing::kConcatenated;  // Another than the stream's is refused.
  Bytes payload = {};                        // Stored form: of JSON, each message ended by ",\n".
  friend bool operator==(const Append&, const Append&) = default;
};

struct Delete {
  StreamId id = {};
  Precondition condition = {};
  friend bool operator==(const Delete&, const Delete&) = default;
};

struct Expire {  // Those whose deadline has passed at now_ms; the others are left.
  std::vector<Incarnation> incarnations = {};
  friend bool operator==(const Expire&, const Expire&) = default;
};

struct Touch {  // These were read: renews a sliding TTL.
  std::vector<Incarnation> incarnations = {};
  friend bool operator==(const Touch&, const Touch&) = default;
};

// ---- forks across groups ---------------------------------------------------------------------
//
// home group: Reserve → source's group: CreateFork → home group: Confirm. After a crash in between
// the home leader asks with ResolveFork and then sends itself Confirm or Unreserve. When the fork's
// name is free again, the source's group keeps a release in its outbox until the home group has
// applied Unreserve and the outbox entry is dropped by DropReleases.
//
// No step relies on another group's clock or on the order of messages. A CreateFork may come late,
// or twice: it is refused once its reservation is known to be over. That is remembered one by one
// until the home group says that all its reservations below a number have ended (`settled_below`).

struct Reserve {             // Home group.
  CreateStream stream = {};  // Payload empty: what an existing stream is compared with.
  ForkPoint point = {};
  GroupId target{};  // The source's group.
  friend bool operator==(const Reserve&, const Reserve&) = default;
};

struct Confirm {  // Home group.
  StreamId id = {};
  Incarnation reservation = {};
  Incarnation incarnation = {};  // Of the fork, in the target group.
  friend bool operator==(const Confirm&, const Confirm&) = default;
};

struct Unreserve {  // Home group. Nothing happens if the placement is of another reservation.
  StreamId id = {};
  Incarnation reservation = {};
  friend bool operator==(const Unreserve&, const Unreserve&) = default;
};

// Source's group: does the fork of this reservation exist, or never will? One that doesn't exist
// may be under way: only `hold_ms` after the first question, in this group's time, it is ruled out;
// with 0, at once.
struct ResolveFork {
  StreamId id = {};
  Reservation reservation = {};
  uint64_t hold_ms = 0;
  Incarnation settled_below = {};  // Of the home group.
  friend bool operator==(const ResolveFork&, const ResolveFork&) = default;
};

struct DropReleases {  // Source's group: these releases (Release::fork) are applied at home.
  GroupId home{};
  Incarnation settled_below = {};
  std::vector<Incarnation> forks = {};
  friend bool operator==(const DropReleases&, const DropReleases&) = default;
};

// ---- configuration of the group --------------------------------------------------------------

// Where applying a command may differ between releases, what decides is logged.
struct Limits {
  uint64_t producers_per_stream_max = 65'536;
  // A producer that wasn't heard of for this long makes room for another at the limit.
  uint64_t producer_idle_ms = uint64_t{7} * 24 * 3600 * 1000;
  uint64_t fork_depth_max = 256;  // Sources above a fork: reads walk them.
  friend bool operator==(const Limits&, const Limits&) = default;
};

struct SetLimits {
  Limits limits = {};
  friend bool operator==(const SetLimits&, const SetLimits&) = default;
};

// Never falls. What a release newer than all replicas' could do is proposed only after it. A node
// stores it only once its directory says that it is of that level: where this is, older releases
// don't come.
struct SetFeatureLevel {
  uint64_t level = 0;
  friend bool operator==(const SetFeatureLevel&, const SetFeatureLevel&) = default;
};

// This directory's streams are others from here on than those of the original it was copied from.
struct SetHistory {
  uint64_t history = 0;
  friend bool operator==(const SetHistory&, const SetHistory&) = default;
};

// Moves the group's time by an operator's word, and all that counts from it: sliding deadlines and
// holds, not the fixed Expires-At.
struct StepClock {
  int64_t delta_ms = 0;
  friend bool operator==(const StepClock&, const StepClock&) = default;
};

// ---- nodes of the cluster: meta group ----------------------------------------------------------
//
// A node's replicas are named by the node and by how many directories it had in the cluster before
// (ReplicaId). A node of which nothing was ever said here is a member in its first life.

// This directory, which is empty, is the node's next one: the same again is no other life. Refused
// if another one was admitted since it had so many: what comes late takes nobody's place.
// Refused for a node that leaves or has left, until it is invited again.
struct AdmitNode {
  uint64_t node = 0;
  uint64_t directory = 0;
  uint64_t lives_before = 0;
  friend bool operator==(const AdmitNode&, const AdmitNode&) = default;
};

// kWhole: every group has the node's replica of this life as a voter, and none of before.
// kGone: no group has any of it.
struct SettleNode {
  enum class Step : uint8_t { kWhole = 1, kGone = 3 };
  uint64_t node = 0;
  uint64_t lives_before = 0;
  Step step = Step::kWhole;
  friend bool operator==(const SettleNode&, const SettleNode&) = default;
};

// An operator's word. kInvite: a new directory of this node, which is none of the cluster's, may be
// admitted; who is leaving stays after all. At most MemberReply::kNodesMax are there, or are to be.
// kLeave: every group is to be without it; `keeps`, which stays, must be staying still,
// so that the last one never leaves. kCordon: it is to lead nothing.
struct MarkNode {
  enum class Mark : uint8_t { kInvite = 1, kLeave = 2, kCordon = 3, kUncordon = 4 };
  uint64_t node = 0;
  uint64_t lives_before = 0;
  Mark mark = Mark::kInvite;
  uint64_t keeps = 0;  // kLeave.
  friend bool operator==(const MarkNode&, const MarkNode&) = default;
};

// The node's directory was opened. Refused where a later opening of it was told of, or, right
// before this one, another than it remembers: then an older state of it was put back, and what it
// has acknowledged since is gone.
struct OpenNode {
  uint64_t node = 0;
  uint64_t lives_before = 0;
  uint64_t opening = 0;       // How many there were of the directory, this one included.
  uint64_t nonce_before = 0;  // Random, of the opening before it,
  uint64_t nonce = 0;         // and of this one.
  friend bool operator==(const OpenNode&, const OpenNode&) = default;
};

// The survivors of a cluster that had lost its majority go on, as another history. Proposed by the
// first leader before all else, in every group; what comes after it is of that history. Of an older
// recovery, or of the same again, nothing comes.
struct Recover {
  struct Survivor {
    uint64_t node = 0;
    uint64_t lives_before = 0;
    friend bool operator==(const Survivor&, const Survivor&) = default;
  };
  uint64_t number = 0;  // 1, 2, 3 ... of the cluster's recoveries.
  uint64_t history = 0;
  // Of the meta group: who is a member from here on. All others are none, `lost` among them.
  std::vector<Survivor> survivors = {};
  std::vector<uint64_t> lost = {};
  friend bool operator==(const Recover&, const Recover&) = default;
};

// ----------------------------------------------------------------------------------------------

struct Command {
  // The alternatives' order is the encoding's kind number, from 1.
  using Body =
      std::variant<CreateBucket, DeleteBucket, FenceBucket, UnfenceBucket, CreateStream, CreateFork,
                   Append, Delete, Expire, Touch, Reserve, Confirm, Unreserve, ResolveFork,
                   DropReleases, SettleFences, SetLimits, SetFeatureLevel, SetHistory, StepClock,
                   AdmitNode, SettleNode, OpenNode, MarkNode, Recover>;

  int64_t now_ms = 0;  // Unix time, stamped by the leader that proposes it. Not negative.
  Body body = {};
  friend bool operator==(const Command&, const Command&) = default;
};

// One contiguous buffer. The second form writes `messages`, in the command's framing, in the place
// of its payload, which is to be empty; it copies each message once. REQUIRES: IsEncodable.
Bytes Encode(const Command& command);
Bytes Encode(const Command& command, std::span<const Bytes> messages);

// Whether Decode would take it: names without NUL, an affinity below 64 KiB, times and positions in
// their range, lists that aren't too long.
bool IsEncodable(const Command& command);

// The size of the payload that Encode makes of `messages`.
uint64_t PayloadSize(std::span<const Bytes> messages, Framing framing);

// Whether the payload's checksum is compared; a fuzzer couldn't get past it.
enum class Checksum : uint8_t { kVerify, kIgnore };

// kDataLoss when the bytes are no command of a known version, or their payload differs from its
// checksum. kFailedPrecondition: a newer release wrote it. Payload shares `entry`'s memory.
Result<Command> Decode(const Bytes& entry, Checksum checksum = Checksum::kVerify);

// The level that this entry, a SetFeatureLevel, asks for; 0: it is another one. Looks at its kind
// only: what isn't decoded yet may be of a newer release.
uint64_t FeatureLevelIn(std::string_view entry);

// The payload of a create, fork or append; else empty.
const Bytes& PayloadOf(const Command& command);
// How it is framed; kConcatenated for every other kind.
Framing FramingOf(const Command& command);

// The stream a command names, or null: Expire, Touch, DropReleases and buckets name none.
const StreamId* StreamOf(const Command& command);

}  // namespace ursula::stream
