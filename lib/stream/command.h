// lib/stream/command.h
//
// The replicated commands of one group: what stands in the payload of a Raft entry. A command is
// data only; Machine::Apply (lib/stream/machine.h) gives it its meaning. The encoding is
// docs/formats/commands.md; its first byte is the format version.
//
// Invariant: Encode and Decode are inverse, and the payload of an append or a create is the tail of
// its encoding, so that a decoded payload shares the entry's memory.

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

// ---- buckets ---------------------------------------------------------------------------------

struct CreateBucket {  // Meta group.
  std::string bucket = {};
  friend bool operator==(const CreateBucket&, const CreateBucket&) = default;
};

// A bucket is deleted in three steps, each idempotent: kBegin in the meta group, FenceBucket in
// every group, then kFinish in the meta group; or, where one group still has streams,
// UnfenceBucket in every group and kAbort. A leader that finds a bucket in the state "deleting"
// takes the steps up again.
struct DeleteBucket {  // Meta group.
  enum class Step : uint8_t { kBegin = 1, kFinish = 2, kAbort = 3 };
  std::string bucket = {};
  Step step = Step::kBegin;
  Incarnation incarnation = kNoIncarnation;  // kFinish and kAbort: the one that kBegin answered.
  friend bool operator==(const DeleteBucket&, const DeleteBucket&) = default;
};

// From here on this group refuses creates stamped with this or an older incarnation of the bucket.
struct FenceBucket {
  std::string bucket = {};
  Incarnation bucket_incarnation = kNoIncarnation;
  friend bool operator==(const FenceBucket&, const FenceBucket&) = default;
};

struct UnfenceBucket {
  std::string bucket = {};
  Incarnation bucket_incarnation = kNoIncarnation;
  friend bool operator==(const UnfenceBucket&, const UnfenceBucket&) = default;
};

// ---- streams ---------------------------------------------------------------------------------

struct CreateStream {
  StreamId id = {};
  std::string content_type = {};  // Empty: application/octet-stream; of a fork, the source's.
  Lifetime lifetime = {};         // Of a fork, none: the source's.
  bool closed = false;
  std::string sequence = {};                        // Stream-Seq of the initial content.
  Incarnation bucket_incarnation = kNoIncarnation;  // 0 for kUpstreamBucket.
  Bytes payload = {};  // Initial content in its stored form; may be empty.
  friend bool operator==(const CreateStream&, const CreateStream&) = default;
};

// The placement entry behind a fork whose state lives outside the group of its name.
struct Reservation {
  GroupId home{};        // The group of the fork's name.
  Incarnation id = {};   // Index of the Reserve entry there.
  int64_t until_ms = 0;  // Creation under this reservation is refused after this stamped time.
  friend bool operator==(const Reservation&, const Reservation&) = default;
};

// Proposed to the group that holds the source.
struct CreateFork {
  CreateStream stream = {};
  ForkPoint point = {};     // As requested; what a repeated request is compared with.
  Incarnation source = {};  // The source that `offset` was resolved against.
  Offset offset = {};       // Resolved: the point's offset and sub-offset, or the source's tail.
  bool at_tail = false;     // Fork at the source's tail when applied; `offset` is ignored.
  std::optional<Reservation> reservation = {};  // Set iff the name belongs to another group.
  friend bool operator==(const CreateFork&, const CreateFork&) = default;
};

struct Append {
  StreamId id = {};
  std::string content_type = {};  // Empty: not compared.
  bool close = false;
  std::optional<Producer> producer = {};
  std::string sequence = {};  // Stream-Seq. Empty: none.
  Bytes payload = {};         // Stored form: of JSON, each message ended by ",\n".
  friend bool operator==(const Append&, const Append&) = default;
};

struct Delete {
  StreamId id = {};
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

struct Reserve {             // Home group.
  CreateStream stream = {};  // Payload empty: what an existing stream is compared with.
  ForkPoint point = {};
  GroupId target{};      // The source's group.
  uint64_t hold_ms = 0;  // Reservation::until_ms = now_ms + hold_ms.
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

struct ResolveFork {  // Source's group: does the fork of this reservation exist, or never will?
  StreamId id = {};
  Reservation reservation = {};
  friend bool operator==(const ResolveFork&, const ResolveFork&) = default;
};

struct DropReleases {  // Source's group: these releases (Release::fork) are applied at home.
  std::vector<Incarnation> forks = {};
  friend bool operator==(const DropReleases&, const DropReleases&) = default;
};

// ----------------------------------------------------------------------------------------------

struct Command {
  // The alternatives' order is the encoding's kind number, from 1.
  using Body = std::variant<CreateBucket, DeleteBucket, FenceBucket, UnfenceBucket, CreateStream,
                            CreateFork, Append, Delete, Expire, Touch, Reserve, Confirm, Unreserve,
                            ResolveFork, DropReleases>;

  int64_t now_ms = 0;  // Unix time, stamped by the leader that proposes it. Not negative.
  Body body = {};
  friend bool operator==(const Command&, const Command&) = default;
};

// How several messages make one stored payload.
enum class Framing : uint8_t {
  kConcatenated,  // As they are.
  kJson,          // Each followed by ",\n".
};

// One contiguous buffer. The second form writes `messages` in the place of the command's payload,
// which is to be empty; it copies each message once. REQUIRES: no NUL in a StreamId, now_ms >= 0.
Bytes Encode(const Command& command);
Bytes Encode(const Command& command, std::span<const Bytes> messages, Framing framing);

// The size of the payload that Encode makes of `messages`.
uint64_t PayloadSize(std::span<const Bytes> messages, Framing framing);

// kDataLoss when the bytes are no command of a known version. Payload shares `entry`'s memory.
Result<Command> Decode(const Bytes& entry);

// The payload of a create, fork or append; else empty.
const Bytes& PayloadOf(const Command& command);

// The stream a command names, or null: Expire, Touch, DropReleases and buckets name none.
const StreamId* StreamOf(const Command& command);

}  // namespace ursula::stream
