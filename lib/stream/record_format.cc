#include "lib/stream/record_format.h"

#include <cstddef>
#include <limits>
#include <utility>

#include "lib/base/coding.h"
#include "lib/stream/command_format.h"

namespace ursula::stream {
namespace {

constexpr std::size_t kIncarnationKeySize = 8;

constexpr uint64_t kHasDeadline = 1;
constexpr uint64_t kIsClosed = 2;
constexpr uint64_t kHasLifetime = 4;
constexpr uint64_t kHasFork = 8;
constexpr uint64_t kHasProducers = 16;
constexpr uint64_t kHasClosedBy = 32;
constexpr uint64_t kHasStart = 64;
constexpr uint64_t kHasColdEnd = 128;
constexpr uint64_t kHasRetention = 256;
constexpr uint64_t kKnownFlags = 511;

constexpr uint8_t kForkInheritsLifetime = 1;
constexpr uint8_t kForkHasReservation = 2;

uint64_t FlagsOf(const StreamState& stream) {
  uint64_t flags = 0;
  if (stream.deadline_ms != kNever) flags |= kHasDeadline;
  if (stream.closed) flags |= kIsClosed;
  if (stream.lifetime != nullptr) flags |= kHasLifetime;
  if (stream.fork != nullptr) flags |= kHasFork;
  if (stream.producers != nullptr) flags |= kHasProducers;
  if (stream.closed_by() != nullptr) flags |= kHasClosedBy;
  if (stream.extra == nullptr) return flags;
  if (stream.extra->start != 0) flags |= kHasStart;
  if (stream.extra->cold_end != 0) flags |= kHasColdEnd;
  if (stream.extra->retained_ms != 0 || stream.extra->retained_bytes != 0) flags |= kHasRetention;
  return flags;
}

void PutFork(std::string* out, const ForkState& fork) {
  PutFixed<uint8_t>(out, static_cast<uint8_t>((fork.inherits_lifetime ? kForkInheritsLifetime : 0) |
                                              (fork.reservation ? kForkHasReservation : 0)));
  PutVarint(out, Raw(fork.source));
  PutVarint(out, fork.offset);
  PutForkPoint(out, fork.point);
  if (fork.reservation) PutReservation(out, *fork.reservation);
}

std::unique_ptr<ForkState> GetFork(Reader* in) {
  auto fork = std::make_unique<ForkState>();
  uint8_t flags = GetFlags(in, kForkInheritsLifetime | kForkHasReservation);
  fork->inherits_lifetime = (flags & kForkInheritsLifetime) != 0;
  fork->source = GetIncarnation(in);
  fork->offset = GetPosition(in);
  fork->point = GetForkPoint(in);
  if ((flags & kForkHasReservation) != 0) fork->reservation = GetReservation(in);
  return fork;
}

void PutProducers(std::string* out, const Producers& producers) {
  PutVarint(out, producers.by_id.size());
  for (const auto& [id, state] : producers.by_id) {
    PutProducer(out, Producer{id, state.epoch, state.sequence});
    PutVarint(out, static_cast<uint64_t>(state.seen_ms));
  }
}

std::unique_ptr<Producers> GetProducers(Reader* in) {
  auto producers = std::make_unique<Producers>();
  uint64_t count = in->Varint();
  for (uint64_t i = 0; i < count && in->ok(); ++i) {
    Producer producer = GetProducer(in);
    ProducerState state{producer.epoch, producer.sequence, GetTime(in)};
    if (!producers->by_id.emplace(std::move(producer.id), state).second) in->Fail();
  }
  if (count == 0) in->Fail();
  return producers;
}

void PutExtra(std::string* out, const StreamExtra& extra) {
  if (extra.start != 0) PutVarint(out, extra.start);
  if (extra.cold_end != 0) PutVarint(out, extra.cold_end);
  if (extra.retained_ms == 0 && extra.retained_bytes == 0) return;
  PutVarint(out, extra.retained_ms);
  PutVarint(out, extra.retained_bytes);
}

void GetExtra(Reader* in, uint64_t flags, StreamExtra* extra) {
  if ((flags & kHasClosedBy) != 0) extra->closed_by = GetProducer(in);
  if ((flags & kHasStart) != 0 && (extra->start = GetPosition(in)) == 0) in->Fail();
  if ((flags & kHasColdEnd) != 0 && (extra->cold_end = GetPosition(in)) == 0) in->Fail();
  if ((flags & kHasRetention) != 0) {
    extra->retained_ms = in->Varint();
    extra->retained_bytes = in->Varint();
    if (extra->retained_ms == 0 && extra->retained_bytes == 0) in->Fail();
  }
}

Status Malformed(std::string_view what) {
  return Status(StatusCode::kDataLoss, "malformed snapshot record: " + std::string(what));
}

}  // namespace

bool ParseNumber(std::string_view key, Incarnation* number) {
  if (key.size() != kIncarnationKeySize) return false;
  uint64_t value = 0;
  for (char c : key) value = (value << 8) | static_cast<unsigned char>(c);
  *number = Incarnation{value};
  return true;
}

std::string NodeKey(uint64_t node) { return IncarnationKey(Incarnation{node}); }

bool ParseNodeKey(std::string_view key, uint64_t* node) {
  Incarnation number = kNoIncarnation;
  if (!ParseNumber(key, &number)) return false;
  *node = Raw(number);
  return true;
}

std::string IncarnationKey(Incarnation incarnation) {
  std::string key(kIncarnationKeySize, '\0');
  uint64_t value = Raw(incarnation);
  for (std::size_t i = kIncarnationKeySize; i > 0; --i, value >>= 8) {
    key[i - 1] = static_cast<char>(value & 0xff);
  }
  return key;
}

std::string SettledKey(GroupId home) {
  std::string key(sizeof(uint32_t), '\0');
  uint32_t value = Raw(home);
  for (std::size_t i = key.size(); i > 0; --i, value >>= 8) {
    key[i - 1] = static_cast<char>(value & 0xff);
  }
  return key;
}

std::string SightingKey(GroupId home, Incarnation reservation) {
  return SettledKey(home) + IncarnationKey(reservation);
}

bool ParseGroup(std::string_view* key, GroupId* group) {
  if (key->size() < sizeof(uint32_t)) return false;
  uint32_t value = 0;
  for (char c : key->substr(0, sizeof(uint32_t))) {
    value = (value << 8) | static_cast<unsigned char>(c);
  }
  key->remove_prefix(sizeof(uint32_t));
  *group = GroupId{value};
  return true;
}

bool ParseIncarnationKey(std::string_view key, Incarnation* incarnation) {
  return ParseNumber(key, incarnation) && *incarnation != kNoIncarnation;
}

std::string EncodeStream(const StreamState& stream) {
  std::string out;
  PutFixed<uint8_t>(&out, kRecordFormatVersion);
  PutFixed<uint8_t>(&out, static_cast<uint8_t>(stream.life));
  PutVarint(&out, FlagsOf(stream));
  PutString(&out, stream.key());
  PutString(&out, *stream.content_type);
  PutVarint(&out, stream.tail);
  PutString(&out, stream.sequence());
  if (stream.deadline_ms != kNever) PutFixed<int64_t>(&out, stream.deadline_ms);
  if (stream.lifetime != nullptr) PutLifetime(&out, *stream.lifetime);
  if (stream.fork != nullptr) PutFork(&out, *stream.fork);
  if (stream.producers != nullptr) PutProducers(&out, *stream.producers);
  if (stream.closed_by() != nullptr) PutProducer(&out, *stream.closed_by());
  if (stream.extra != nullptr) PutExtra(&out, *stream.extra);
  return out;
}

Result<DecodedStream> DecodeStream(Incarnation incarnation, std::string_view value) {
  Reader in(value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("stream version");
  DecodedStream decoded;
  decoded.state = std::make_unique<StreamState>();
  StreamState& stream = *decoded.state;
  stream.incarnation = incarnation;
  uint8_t life = in.Fixed<uint8_t>();
  if (life < 1 || life > static_cast<uint8_t>(Life::kDetached)) return Malformed("stream life");
  stream.life = static_cast<Life>(life);
  uint64_t flags = in.Varint();
  if ((flags & ~kKnownFlags) != 0) return Malformed("stream flags");
  stream.closed = (flags & kIsClosed) != 0;
  stream.set_key(in.String());
  decoded.content_type = in.String();
  stream.tail = GetPosition(&in);
  stream.set_sequence(in.String());
  if ((flags & kHasDeadline) != 0) stream.deadline_ms = in.Fixed<int64_t>();
  if ((flags & kHasLifetime) != 0) stream.lifetime = std::make_unique<Lifetime>(GetLifetime(&in));
  if ((flags & kHasFork) != 0) stream.fork = GetFork(&in);
  if ((flags & kHasProducers) != 0) stream.producers = GetProducers(&in);
  if ((flags & (kHasClosedBy | kHasStart | kHasColdEnd | kHasRetention)) != 0) {
    GetExtra(&in, flags, &stream.more());
  }
  if (!in.AtEnd() || !IsKey(stream.key())) return Malformed("stream");
  if (stream.fork != nullptr && stream.fork->offset > stream.tail) return Malformed("fork offset");
  if (stream.start() > stream.tail) return Malformed("start");
  return decoded;
}

std::string EncodePlacement(const Placement& placement) {
  std::string out;
  PutFixed<uint8_t>(&out, kRecordFormatVersion);
  PutVarint(&out, Raw(placement.target));
  PutVarint(&out, Raw(placement.reservation.id));
  PutVarint(&out, static_cast<uint64_t>(placement.made_ms));
  PutFixed<uint8_t>(&out, placement.confirmed ? 1 : 0);
  PutVarint(&out, Raw(placement.incarnation));
  return out;
}

Result<Placement> DecodePlacement(GroupId home, std::string_view value) {
  Reader in(value);
  if (in.Fixed<uint8_t>() != kRecordFormatVersion) return Malformed("placement version");
  Placement placement;
  uint64_t target = in.Varint();
  placement.target = GroupId{static_cast<uint32_t>(target)};
  placement.reservation.home = home;
  placement.reservation.id = GetIncarnation(&in);
  placement.made_ms = GetTime(&in);
  placement.confirmed = GetBool(&in);
  placement.incarnation = GetIncarnation(&in);
  if (!in.AtEnd() || target > std::numeric_limits<uint32_t>::max()) return Malformed("placement");
  return placement;
}

}  // namespace ursula::stream
