#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/stream/machine.h"
#include "lib/stream/media_type.h"

// A fork shares its source's offset space: [0, offset) is read from the source, which is kept for
// as long as the fork lives. Producer state and Stream-Seq start empty.

namespace ursula::stream {

Reply Machine::Decide(const CreateFork& command, int64_t now) const {
  Reply reply;
  const bool resolved = command.source != kNoIncarnation;
  const ForkAsked asked = {&command.point, command.at_tail ? kNoIncarnation : command.source,
                           command.offset.bytes};
  if (!DecideName(command.stream, &asked, now, &reply)) return reply;
  auto refuse = [&reply](Outcome outcome) {
    reply.outcome = outcome;
    return reply;
  };
  if (command.reservation && IsOver(*command.reservation)) {
    reply.reservation_lapsed = true;
    return refuse(Outcome::kConflict);
  }
  const StreamState* source = FindName(NameKey(command.point.source).view(), now).stream;
  if (source == nullptr) return refuse(Outcome::kForkSourceNotFound);
  if (source->life == Life::kSoftDeleted) return refuse(Outcome::kForkSourceDeleted);
  const std::string& type = *source->content_type;
  if (!command.stream.content_type.empty() && !SameMediaType(command.stream.content_type, type)) {
    return refuse(Outcome::kForkContentTypeMismatch);
  }
  // What was learned before this was proposed holds of one life of the source.
  if (!resolved || command.source != source->incarnation) {
    reply.unresolved = true;
    return refuse(Outcome::kConflict);
  }
  if (!command.stream.payload.empty() &&
      (command.stream.framing == Framing::kJson) != IsJson(type)) {
    return refuse(Outcome::kForkContentTypeMismatch);
  }
  uint64_t offset = command.at_tail ? source->tail : command.offset.bytes;
  if (offset > source->tail || offset < source->start()) return refuse(Outcome::kForkOffsetInvalid);
  uint32_t depth = source->fork == nullptr ? 1 : source->fork->depth + 1;
  if (depth > limits_.fork_depth_max) return refuse(Outcome::kForkTooDeep);
  if (command.stream.payload.size() >= kOffsetEnd - offset) return refuse(Outcome::kTooLarge);
  if (!Holds(command.stream.condition, nullptr)) return refuse(Outcome::kPreconditionFailed);
  return reply;
}

void Machine::Commit(Index index, const CreateFork& command, ApplyResult* result) {
  StreamState* source = streams_.FindByKey(NameKey(command.point.source).view());
  URSULA_CHECK(source != nullptr && source->life == Life::kLive);
  const Lifetime& given = command.stream.lifetime;
  bool inherits = !given.ttl_seconds && !given.expires_at_ms;
  auto fork = std::make_unique<ForkState>();
  fork->source = source->incarnation;
  fork->offset = command.at_tail ? source->tail : command.offset.bytes;
  fork->point = command.point;
  fork->inherits_lifetime = inherits;
  fork->reservation = command.reservation;
  fork->depth = source->fork == nullptr ? 1 : source->fork->depth + 1;
  Lifetime lifetime = !inherits                     ? given
                      : source->lifetime != nullptr ? *source->lifetime
                                                    : Lifetime{};
  std::string_view type = command.stream.content_type;
  StreamState* stream = AddStream(index, command.stream,
                                  type.empty() ? std::string_view(*source->content_type) : type,
                                  lifetime, fork->offset, result);
  stream->fork = std::move(fork);
  ++source->more().fork_count;
  result->reply.info = InfoOf(*stream);
  if (!command.reservation) return;
  const ReservationKey key{command.reservation->home, command.reservation->id};
  if (sightings_.erase(key) > 0) MarkRecord(kSightingRecord, SightingKey(key.first, key.second));
}

Incarnation Machine::ForkSource(Incarnation fork) const {
  const StreamState* stream = streams_.Find(fork);
  return stream == nullptr || stream->fork == nullptr ? kNoIncarnation : stream->fork->source;
}

}  // namespace ursula::stream
