#include "lib/stream/command_format.h"

#include <limits>
#include <string_view>

namespace ursula::stream {
namespace {

constexpr uint8_t kLifetimeNone = 0;
constexpr uint8_t kLifetimeTtl = 1;
constexpr uint8_t kLifetimeExpiresAt = 2;

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
  PutVarint(out, static_cast<uint64_t>(reservation.until_ms));
}

Reservation GetReservation(Reader* in) {
  Reservation reservation;
  uint64_t home = in->Varint();
  if (home > std::numeric_limits<uint32_t>::max()) in->Fail();
  reservation.home = GroupId{static_cast<uint32_t>(home)};
  reservation.id = GetIncarnation(in);
  reservation.until_ms = GetTime(in);
  return reservation;
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
