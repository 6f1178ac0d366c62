#include "lib/stream/command_format.h"

#include <limits>
#include <string_view>
#include <vector>

namespace ursula::stream {
namespace {

constexpr uint8_t kLifetimeNone = 0;
constexpr uint8_t kLifetimeTtl = 1;
constexpr uint8_t kLifetimeExpiresAt = 2;

constexpr uint8_t kMatchIncarnation = 1;
constexpr uint8_t kMatchTail = 2;
constexpr uint8_t kMatchClosed = 4;
constexpr uint8_t kMatchIsClosed = 8;

constexpr uint8_t kConditionExists = 1;
constexpr uint8_t kConditionAbsent = 2;

std::vector<StateMatch> GetMatches(Reader* in) {
  std::vector<StateMatch> matches;
  uint64_t count = in->Varint();
  if (count > kStateMatchesMax) in->Fail();
  for (uint64_t i = 0; i < count && in->ok(); ++i) matches.push_back(GetStateMatch(in));
  return matches;
}

// Names are parts of keys in which NUL separates (stream_state.h).
std::string GetName(Reader* in) {
  std::string_view name = in->String();
  if (name.find('\0') != std::string_view::npos) in->Fail();
  return std::string(name);
}

}  // namespace

void PutStreamId(std::string* out, const StreamId& id) {
  PutString(out, id.bucket);
  PutString(out, id.affinity);
  PutString(out, id.name);
}

StreamId GetStreamId(Reader* in) {
  StreamId id;
  id.bucket = GetName(in);
  id.affinity = GetName(in);
  id.name = GetName(in);
  if (id.affinity.size() > std::numeric_limits<uint16_t>::max()) in->Fail();
  return id;
}

void PutLifetime(std::string* out, const Lifetime& lifetime) {
  if (lifetime.ttl_seconds) {
    PutFixed<uint8_t>(out, kLifetimeTtl);
    PutVarint(out, *lifetime.ttl_seconds);
  } else if (lifetime.expires_at_ms) {
    PutFixed<uint8_t>(out, kLifetimeExpiresAt);
    PutFixed<int64_t>(out, *lifetime.expires_at_ms);
    PutString(out, lifetime.expires_at_text);
  } else {
    PutFixed<uint8_t>(out, kLifetimeNone);
  }
}

Lifetime GetLifetime(Reader* in) {
  Lifetime lifetime;
  switch (in->Fixed<uint8_t>()) {
    case kLifetimeNone:
      break;
    case kLifetimeTtl:
      lifetime.ttl_seconds = in->Varint();
      break;
    case kLifetimeExpiresAt:
      lifetime.expires_at_ms = in->Fixed<int64_t>();
      lifetime.expires_at_text = in->String();
      break;
    default:
      in->Fail();
  }
  return lifetime;
}

void PutForkPoint(std::string* out, const ForkPoint& point) {
  PutStreamId(out, point.source);
  PutFixed<uint8_t>(out, point.offset ? 1 : 0);
  if (point.offset) PutVarint(out, point.offset->bytes);
  PutVarint(out, point.sub_offset);
}

ForkPoint GetForkPoint(Reader* in) {
  ForkPoint point;
  point.source = GetStreamId(in);
  if (GetBool(in)) point.offset = Offset{in->Varint()};
  point.sub_offset = in->Varint();
  return point;
}

void PutProducer(std::string* out, const Producer& producer) {
  PutString(out, producer.id);
  PutVarint(out, producer.epoch);
  PutVarint(out, producer.sequence);
}

Producer GetProducer(Reader* in) {
  Producer producer;
  producer.id = in->String();
  producer.epoch = in->Varint();
  producer.sequence = in->Varint();
  return producer;
}

void PutReservation(std::string* out, const Reservation& reservation) {
  PutVarint(out, Raw(reservation.home));
  PutVarint(out, Raw(reservation.id));
}

Reservation GetReservation(Reader* in) {
  Reservation reservation;
  reservation.home = GetGroup(in);
  reservation.id = GetIncarnation(in);
  return reservation;
}

void PutStateMatch(std::string* out, const StateMatch& match) {
  unsigned flags = (match.incarnation ? kMatchIncarnation : 0u) | (match.tail ? kMatchTail : 0u);
  if (match.closed) flags |= kMatchClosed | (*match.closed ? kMatchIsClosed : 0u);
  PutFixed<uint8_t>(out, static_cast<uint8_t>(flags));
  if (match.incarnation) PutFixed<uint64_t>(out, *match.incarnation);
  if (match.tail) PutVarint(out, match.tail->bytes);
}

StateMatch GetStateMatch(Reader* in) {
  StateMatch match;
  uint8_t flags = GetFlags(in, kMatchIncarnation | kMatchTail | kMatchClosed | kMatchIsClosed);
  if ((flags & kMatchIncarnation) != 0) match.incarnation = in->Fixed<uint64_t>();
  if ((flags & kMatchTail) != 0) match.tail = Offset{in->Varint()};
  if ((flags & kMatchClosed) != 0) match.closed = (flags & kMatchIsClosed) != 0;
  if ((flags & kMatchIsClosed) != 0 && (flags & kMatchClosed) == 0) in->Fail();
  return match;
}

void PutPrecondition(std::string* out, const Precondition& condition) {
  PutFixed<uint8_t>(out, static_cast<uint8_t>((condition.exists ? kConditionExists : 0u) |
                                              (condition.absent ? kConditionAbsent : 0u)));
  for (const std::vector<StateMatch>* list : {&condition.any_of, &condition.none_of}) {
    PutVarint(out, list->size());
    for (const StateMatch& match : *list) PutStateMatch(out, match);
  }
}

Precondition GetPrecondition(Reader* in) {
  Precondition condition;
  uint8_t flags = GetFlags(in, kConditionExists | kConditionAbsent);
  condition.exists = (flags & kConditionExists) != 0;
  condition.absent = (flags & kConditionAbsent) != 0;
  condition.any_of = GetMatches(in);
  condition.none_of = GetMatches(in);
  if (condition.empty()) in->Fail();
  return condition;
}

void PutLimits(std::string* out, const Limits& limits) {
  PutVarint(out, limits.producers_per_stream_max);
  PutVarint(out, limits.producer_idle_ms);
  PutVarint(out, limits.fork_depth_max);
}

Limits GetLimits(Reader* in) {
  Limits limits;
  limits.producers_per_stream_max = in->Varint();
  limits.producer_idle_ms = in->Varint();
  limits.fork_depth_max = in->Varint();
  return limits;
}

GroupId GetGroup(Reader* in) {
  uint64_t group = in->Varint();
  if (group > std::numeric_limits<uint32_t>::max()) in->Fail();
  return GroupId{static_cast<uint32_t>(group)};
}

Incarnation GetIncarnation(Reader* in) { return Incarnation{in->Varint()}; }

bool GetBool(Reader* in) { return GetFlags(in, 1) != 0; }

uint8_t GetFlags(Reader* in, uint8_t known) {
  uint8_t flags = in->Fixed<uint8_t>();
  if ((flags & ~known) != 0) in->Fail();
  return flags;
}

int64_t GetTime(Reader* in) {
  uint64_t value = in->Varint();
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) in->Fail();
  return in->ok() ? static_cast<int64_t>(value) : 0;
}

uint64_t GetPosition(Reader* in) {
  uint64_t value = in->Varint();
  if (value >= kOffsetEnd) in->Fail();
  return in->ok() ? value : 0;
}

}  // namespace ursula::stream
