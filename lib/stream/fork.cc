#include <memory>
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
  if (!DecideName(command.stream, &command.point, now, &reply)) return reply;
  auto refuse = [&reply](Outcome outcome) {
    reply.outcome = outcome;
    return reply;
  };
  if (command.reservation && (now > command.reservation->until_ms ||
                              Released(NameKey(command.stream.id).view(), *command.reservation))) {
    reply.reservation_lapsed = true;
    return refuse(Outcome::kConflict);
  }
  const StreamState* source = FindName(NameKey(command.point.source).view(), now).stream;
  if (source == nullptr) return refuse(Outcome::kForkSourceNotFound);
  if (source->life == Life::kSoftDeleted) return refuse(Outcome::kForkSourceDeleted);
  if (command.source != kNoIncarnation && command.source != source->incarnation) {
    return refuse(Outcome::kForkSourceNotFound);  // The one that was asked for is gone.
  }
  if (!command.stream.content_type.empty() &&
      !SameMediaType(command.stream.content_type, *source->content_type)) {
    return refuse(Outcome::kForkContentTypeMismatch);
  }
  uint64_t offset = command.at_tail ? source->tail : command.offset.bytes;
  if (offset > source->tail) return refuse(Outcome::kForkOffsetInvalid);
  uint32_t depth = source->fork == nullptr ? 1 : source->fork->depth + 1;
  if (command.stream.payload.size() >= kOffsetEnd - offset || depth > limits_.fork_depth_max) {
    return refuse(Outcome::kTooLarge);
  }
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
  ++source->fork_count;
  result->reply.info = InfoOf(*stream);
  SweepReleases();
}

}  // namespace ursula::stream
