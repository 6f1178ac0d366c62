#include "lib/stream/record_format.h"

#include <cstddef>
#include <limits>
#include <utility>

#include "lib/base/coding.h"
#include "lib/stream/command_format.h"

namespace ursula::stream {
namespace {

constexpr std::size_t kIncarnationKeySize = 8;

constexpr uint8_t kHasDeadline = 1;
constexpr uint8_t kIsClosed = 2;
constexpr uint8_t kHasLifetime = 4;
constexpr uint8_t kHasFork = 8;
constexpr uint8_t kHasProducers = 16;
constexpr uint8_t kHasClosedBy = 32;
constexpr uint8_t kKnownFlags = 63;

constexpr uint8_t kForkInheritsLifetime = 1;
constexpr uint8_t kForkHasReservation = 2;

uint8_t FlagsOf(const StreamState& stream) {
  unsigned flags = 0;
  if (stream.deadline_ms != kNever) flags |= kHasDeadline;
  if (stream.closed) flags |= kIsClosed;
  if (stream.lifetime != nullptr) flags |= kHasLifetime;
  if (stream.fork != nullptr) flags |= kHasFork;
  if (stream.producers != nullptr) flags |= kHasProducers;
  if (stream.closed_by != nullptr) flags |= kHasClosedBy;
  return static_cast<uint8_t>(flags);
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
  PutVarint(out, producers.size());
  for (const auto& [id, state] : producers) {
    PutProducer(out, Producer{id, state.epoch, state.sequence});
    PutVarint(out, Raw(state.accepted));
  }
}

std::unique_ptr<Producers> GetProducers(Reader* in) {
  auto producers = std::make_unique<Producers>();
  uint64_t count = in->Varint();
  for (uint64_t i = 0; i < count && in->ok(); ++i) {
    Producer producer = GetProducer(in);
    Index accepted{in->Varint()};
    ProducerState state{producer.epoch, producer.sequence, accepted};
    if (!producers->emplace(std::move(producer.id), state).second) in->Fail();
  }
  if (count == 0) in->Fail();
  return producers;
}

Status Malformed(std::string_view what) {
  return Status(StatusCode::kDataLoss, "malformed snapshot record: " + std::string(what));
}

}  // namespace

std::string IncarnationKey(Incarnation incarnation) {
  std::string key(kIncarnationKeySize, '\0');
  uint64_t value = Raw(incarnation);
  for (std::size_t i = kIncarnationKeySize; i > 0; --i, value >>= 8) {
    key[i - 1] = static_cast<char>(value & 0xff);
  }
  return key;
}

bool ParseIncarnationKey(std::string_view key, Incarnation* incarnation) {
  if (key.size() != kIncarnationKeySize) return false;
  uint64_t value = 0;
  for (char c : key) value = (value << 8) | static_cast<unsigned char>(c);
  *incarnation = Incarnation{value};
  return value != 0;
}

std::string EncodeStream(const StreamState& stream) {
  std::string out;
  PutFixed<uint8_t>(&out, kRecordFormatVersion);
  PutFixed<uint8_t>(&out, static_cast<uint8_t>(stream.life));
  PutFixed<uint8_t>(&out, FlagsOf(stream));
  PutString(&out, stream.key);
  PutString(&out, *stream.content_type);
  PutVarint(&out, stream.tail);
  PutString(&out, stream.sequence());
  if (stream.deadline_ms != kNever) PutFixed<int64_t>(&out, stream.deadline_ms);
  if (stream.lifetime != nullptr) PutLifetime(&out, *stream.lifetime);
  if (stream.fork != nullptr) PutFork(&out, *stream.fork);
  if (stream.producers != nullptr) PutProducers(&out, *stream.producers);
  if (stream.closed_by != nullptr) PutProducer(&out, *stream.closed_by);
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
  uint8_t flags = GetFlags(&in, kKnownFlags);
  stream.closed = (flags & kIsClosed) != 0;
  stream.key = in.String();
  decoded.content_type = in.String();
  stream.tail = GetPosition(&in);
  stream.set_sequence(in.String());
  if ((flags & kHasDeadline) != 0) stream.deadline_ms = in.Fixed<int64_t>();
  if ((flags & kHasLifetime) != 0) stream.lifetime = std::make_unique<Lifetime>(GetLifetime(&in));
  if ((flags & kHasFork) != 0) stream.fork = GetFork(&in);
  if ((flags & kHasProducers) != 0) stream.producers = GetProducers(&in);
  if ((flags & kHasClosedBy) != 0) stream.closed_by = std::make_unique<Producer>(GetProducer(&in));
  if (!in.AtEnd() || !IsKey(stream.key)) return Malformed("stream");
  if (stream.fork != nullptr && stream.fork->offset > stream.tail) return Malformed("fork offset");
  return decoded;
}

std::string EncodePlacement(const Placement& placement) {
  std::string out;
  PutFixed<uint8_t>(&out, kRecordFormatVersion);
  PutVarint(&out, Raw(placement.target));
  PutVarint(&out, Raw(placement.reservation.id));
  PutVarint(&out, static_cast<uint64_t>(placement.reservation.until_ms));
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
  placement.reservation.until_ms = GetTime(&in);
  placement.confirmed = GetBool(&in);
  placement.incarnation = GetIncarnation(&in);
  if (!in.AtEnd() || target > std::numeric_limits<uint32_t>::max()) return Malformed("placement");
  return placement;
}

}  // namespace ursula::stream
