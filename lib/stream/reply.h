// lib/stream/reply.h
//
// What applying one command gives: the reply for its proposer, and the effects for the driver of
// the machine (lib/group), which keeps payload and waiting readers.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "lib/stream/command.h"
#include "ursula/bytes.h"
#include "ursula/engine.h"
#include "ursula/types.h"

namespace ursula::stream {

// Where the state of a fork lives whose name belongs to this group.
struct Placement {
  GroupId target{};              // The group that has its state.
  Reservation reservation = {};  // `home` is this group.
  bool confirmed = false;        // False: it may or may not exist yet; ResolveFork tells.
  Incarnation incarnation = kNoIncarnation;  // In the target group, once confirmed.
  int64_t made_ms = 0;                       // When it was reserved, in this group's time.
  friend bool operator==(const Placement&, const Placement&) = default;
};

enum class ForkResolution : uint8_t {
  kNone,     // Not a ResolveFork.
  kExists,   // Confirm it: `incarnation` is set.
  kPending,  // It may still come. Ask again after the hold.
  kNever,    // It doesn't exist and never will under this reservation: Unreserve.
};

// Flat: each kind of command fills what its line names.
struct Reply {
  Outcome outcome = Outcome::kOk;

  // Append. `append.outcome` equals `outcome`.
  AppendReply append = {};

  // CreateStream, CreateFork, and Reserve that met an existing stream: kOk, kExisted and
  // kPreconditionFailed. Delete: what is, or was, there.
  StreamInfo info = {};

  // The stream or bucket that the command created, found or changed; 0 if none.
  Incarnation incarnation = kNoIncarnation;

  // Set when the name is a placement: the request is for `placement.target`, and `outcome` is
  // kConflict for a command that this group then didn't carry out. Reserve answers kOk and the new
  // placement. CreateStream, Append, Delete, CreateFork and Reserve may answer so.
  std::optional<Placement> placement = {};

  ForkResolution resolution = ForkResolution::kNone;

  // CreateFork, outcome kConflict: its reservation is over, and nothing was created.
  bool reservation_lapsed = false;

  // CreateFork, outcome kConflict: the source is there, but what the point was resolved against is
  // not, or nothing was. Resolve it again.
  bool unresolved = false;

  // AdmitNode, SettleNode, OpenNode, MarkNode: of the node, as it is now. Refused, an OpenNode is
  // kGone where another directory has taken this one's place, and kConflict where this one was put
  // back.
  uint64_t lives_before = 0;

  // DeleteBucket: kBegin's attempt; after kFinish and kAbort, SettleFences may say this.
  Incarnation attempt = kNoIncarnation;
  Incarnation settled_through = kNoIncarnation;
};

struct Appended {
  Incarnation incarnation = kNoIncarnation;
  uint64_t start = 0;
  Bytes payload = {};  // Not empty.
};

using Incarnations = absl::InlinedVector<Incarnation, 1>;

struct ApplyResult {
  Reply reply = {};
  std::optional<Appended> appended = {};
  // Streams whose data, closed flag or existence changed: wake their waiters. Ascending.
  Incarnations changed = {};
  // Streams that are gone for good: nobody reads their payload any more. Ascending.
  Incarnations freed = {};
};

// A fork of another group's name is gone; its home group is to apply Unreserve.
struct Release {
  Incarnation fork = kNoIncarnation;  // As it was numbered in this group.
  StreamId id = {};
  Reservation reservation = {};
  bool applied = false;  // It has; kept until the home group's older reservations have ended.
};

struct PendingReservation {
  StreamId id = {};
  Placement placement = {};
};

}  // namespace ursula::stream
