// lib/engine/ask.h
//
// What can be asked of a group: a closed set, for whoever answers may be on another core or, of
// those that only a leader answers, on another node (ask_format.h has their bytes).
//
// kUnavailable says of each that nothing was applied. An ask may be carried out by several replicas
// one after the other, as long as each but the last has said so.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lib/group/members.h"
#include "lib/group/read_task.h"
#include "lib/stream/command.h"
#include "lib/stream/machine.h"
#include "lib/stream/reply.h"
#include "ursula/engine.h"

namespace ursula::engine {

// What the meta group says of a bucket.
struct FoundBucket {
  std::optional<stream::BucketInfo> info = {};  // None: there is no such bucket.
  stream::BucketStamp stamp = {};
};

// What takes up a bucket's names in a group, or in some.
struct BucketNames {
  bool streams = false;
  std::vector<stream::PendingReservation> placements = {};
};

// A stream as another group sees it: LookupResult without borrowed parts.
struct Located {
  stream::LookupResult::Kind kind = stream::LookupResult::Kind::kNotFound;
  stream::Incarnation incarnation = stream::kNoIncarnation;
  std::string content_type = {};
  std::optional<stream::Placement> placement = {};
  StreamInfo info = {};
  uint64_t fresh_ns = group::kFreshNow;  // As in GroupReadReply.
};

// What a fork's home group says of its reservation.
struct HomeOfFork {
  stream::Incarnation settled = stream::kNoIncarnation;
  uint64_t hold_ms = 0;
};

// An append on its way: the command, and its payload until the command is encoded.
struct AppendWork {
  stream::Command command = {};
  std::vector<Bytes> messages = {};
  int reframed = 0;  // How often it met a stream of another form than it was proposed in.
  bool json_checked = false;

  stream::Append& append() { return std::get<stream::Append>(command.body); }
};

// A read or a head on its way. `again`: behind barriers, since what came of it wasn't to be told.
template <class Request>
struct ReadWork {
  Request request = {};
  uint64_t asked_ns = 0;                 // When it came,
  uint64_t bound_ms = 0;                 // and how old its answer may be.
  uint64_t fresh_ns = group::kFreshNow;  // Of the least fresh group so far.
  bool again = false;
};

namespace ask {

// ---- of a leader -----------------------------------------------------------------------------

struct Propose {
  using Answer = stream::Reply;
  stream::Command::Body body = {};   // Its own payload is empty.
  std::vector<Bytes> messages = {};  // That make up the payload, in the body's framing.
};

// Framed as the stream is. What the state as applied refuses is answered behind a barrier.
struct Append {
  using Answer = stream::Reply;
  std::shared_ptr<AppendWork> work = {};  // Its own alone until it is answered.
};

// Compared with who has the name; then its point is resolved and it is proposed.
struct Fork {
  using Answer = stream::Reply;
  stream::CreateFork fork = {};
  std::vector<Bytes> messages = {};
  bool json_checked = false;
};

struct Delete {
  using Answer = stream::Reply;
  StreamId stream = {};
  Precondition condition = {};
};

// Frees a fork's name at home; the answer: what all older reservations there have settled.
struct Unreserve {
  using Answer = stream::Incarnation;
  StreamId id = {};
  stream::Incarnation reservation = {};
};

struct Home {
  using Answer = HomeOfFork;
  stream::Reservation reservation = {};
};

struct StepClock {
  using Answer = int64_t;
};

// Of the meta group: the whole of it, fences and all.
struct DeleteBucket {
  using Answer = BucketReply;
  std::string bucket = {};
};

// A step towards having these voters and no other members.
struct Reconcile {
  using Answer = group::MembersProgress;
  std::vector<ReplicaId> members = {};
  uint64_t as_of = 0;  // The index in the meta group by which they follow from its state.
};

using OfLeader = std::variant<Propose, Append, Fork, Delete, Unreserve, Home, StepClock,
                              DeleteBucket, Reconcile>;
using LeadersAnswer = std::variant<stream::Reply, stream::Incarnation, HomeOfFork, int64_t,
                                   BucketReply, group::MembersProgress>;
using LeadersDone = Function<void(Result<LeadersAnswer>)>;

// ---- of any replica, behind its barrier or where it is fresh enough ----------------------------

// What a create would meet under its name.
struct Compare {
  using Answer = stream::Reply;
  stream::CreateStream stream = {};
  std::optional<ForkPoint> point = {};  // Of a fork.
};

struct Locate {
  using Answer = Located;
  StreamId id = {};
  std::optional<group::Staleness> bound = {};  // None: behind the barrier.
};

struct Read {
  using Answer = group::GroupReadReply;
  std::shared_ptr<const ReadRequest> request = {};
  Ticket ticket = 0;
};

struct Bucket {  // Of the meta group.
  using Answer = FoundBucket;
  std::string bucket = {};
};

struct Names {
  using Answer = BucketNames;
  std::string bucket = {};
};

struct Page {
  using Answer = ListReply;
  std::shared_ptr<const ListRequest> request = {};
};

template <class Ask>
concept ForLeader = requires(OfLeader all, Ask one) {
  all.emplace<Ask>(std::move(one));
};

}  // namespace ask
}  // namespace ursula::engine
