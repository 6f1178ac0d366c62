#include <memory>
#include <string>
#include <utility>

#include "lib/base/check.h"
#include "lib/stream/machine.h"
#include "lib/stream/media_type.h"

// Creating, deleting and freeing streams.

namespace ursula::stream {
namespace {

// The lifetime as its creator gave it.
const Lifetime& GivenLifetime(const StreamState& stream) {
  static const Lifetime* const kNone = new Lifetime();
  bool given =
      stream.lifetime != nullptr && (stream.fork == nullptr || !stream.fork->inherits_lifetime);
  return given ? *stream.lifetime : *kNone;
}

}  // namespace

// Left out or named, positions that are the same place are the same request.
bool Machine::SamePoint(const ForkState& there, const ForkAsked& asked) const {
  if (asked.point->source != there.point.source) return false;
  if (*asked.point == there.point) return true;
  if (asked.source == there.source) return asked.offset == there.offset;
  if (!asked.point->offset) {
    const StreamState* source = streams_.Find(there.source);
    return source != nullptr && source->life == Life::kLive && source->tail == there.offset;
  }
  return asked.point->sub_offset == 0 && asked.point->offset->bytes == there.offset;
}

bool Machine::SameConfig(const StreamState& stream, const CreateStream& command,
                         const ForkAsked* fork) const {
  if ((fork == nullptr) != (stream.fork == nullptr)) return false;
  if (fork != nullptr && !SamePoint(*stream.fork, *fork)) return false;
  std::string_view type = command.content_type;
  if (type.empty() && fork == nullptr) type = kDefaultContentType;
  if (!type.empty() && !SameMediaType(type, *stream.content_type)) return false;
  return command.closed == stream.closed && command.lifetime == GivenLifetime(stream);
}

Reply Machine::DecideExisting(const StreamState& stream, const CreateStream& command,
                              const ForkAsked* fork) const {
  Reply reply;
  reply.incarnation = stream.incarnation;
  reply.info = InfoOf(stream);
  if (stream.life == Life::kSoftDeleted) {
    reply.outcome = Outcome::kSoftDeleted;
  } else if (SameConfig(stream, command, fork)) {
    bool holds = Holds(command.condition, &stream);
    reply.outcome = holds ? Outcome::kExisted : Outcome::kPreconditionFailed;
  } else {
    reply.outcome = Outcome::kConflict;
  }
  return reply;
}

// False when what is known of the name, or of its bucket, settles the reply of a create.
bool Machine::DecideName(const CreateStream& command, const ForkAsked* fork, int64_t now,
                         Reply* reply) const {
  NameState name = FindName(NameKey(command.id).view(), now);
  if (name.stream != nullptr) {
    *reply = DecideExisting(*name.stream, command, fork);
    return false;
  }
  if (IsFenced(command.id.bucket, command.bucket)) {
    reply->outcome = Outcome::kBucketNotFound;
    return false;
  }
  if (name.placement != nullptr) {
    reply->outcome = Outcome::kConflict;
    reply->placement = *name.placement;
    return false;
  }
  return true;
}

Reply Machine::Decide(const CreateStream& command, int64_t now) const {
  Reply reply;
  if (!DecideName(command, nullptr, now, &reply)) return reply;
  if (command.payload.size() >= kOffsetEnd) {
    reply.outcome = Outcome::kTooLarge;
  } else if (!command.payload.empty() &&
             (command.framing == Framing::kJson) != IsJson(command.content_type)) {
    reply.outcome = Outcome::kContentTypeMismatch;
  } else if (!Holds(command.condition, nullptr)) {
    reply.outcome = Outcome::kPreconditionFailed;
  }
  return reply;
}

void Machine::Commit(Index index, const CreateStream& command, ApplyResult* result) {
  std::string_view type = command.content_type;
  StreamState* stream = AddStream(index, command, type.empty() ? kDefaultContentType : type,
                                  command.lifetime, 0, result);
  result->reply.info = InfoOf(*stream);
}

StreamState* Machine::AddStream(Index index, const CreateStream& command,
                                std::string_view content_type, const Lifetime& lifetime,
                                uint64_t start, ApplyResult* result) {
  Incarnation incarnation{Raw(index)};
  StreamState* stream =
      streams_.Add(incarnation, std::string(NameKey(command.id).view()), content_type);
  stream->tail = start + command.payload.size();
  stream->closed = command.closed;
  stream->set_sequence(command.sequence);
  if (lifetime.ttl_seconds || lifetime.expires_at_ms) {
    stream->lifetime = std::make_unique<Lifetime>(lifetime);
    streams_.SetDeadline(stream, DeadlineOf(lifetime, now_ms_));
  }
  if (!command.payload.empty()) result->appended = Appended{incarnation, start, command.payload};
  result->changed.push_back(incarnation);
  result->reply.incarnation = incarnation;
  return stream;
}

Reply Machine::Decide(const Delete& command, int64_t now) const {
  Reply reply;
  NameState name = FindName(NameKey(command.id).view(), now);
  if (name.stream != nullptr) {
    reply.incarnation = name.stream->incarnation;
    reply.info = InfoOf(*name.stream);
    if (name.stream->life == Life::kSoftDeleted) {
      reply.outcome = Outcome::kSoftDeleted;
    } else if (!Holds(command.condition, name.stream)) {
      reply.outcome = Outcome::kPreconditionFailed;
    }
  } else if (name.placement != nullptr) {
    reply.outcome = Outcome::kConflict;
    reply.placement = *name.placement;
  } else {
    reply.outcome = Outcome::kNotFound;
  }
  return reply;
}

void Machine::Commit(Index, const Delete&, ApplyResult* result) {
  StreamState* stream = streams_.Find(result->reply.incarnation);
  URSULA_CHECK(stream != nullptr);
  result->changed.push_back(stream->incarnation);
  End(stream, Life::kSoftDeleted, result);
}

// A live stream ends: at once when nothing reads from it, else it stays in `life` for its forks.
void Machine::End(StreamState* stream, Life life, ApplyResult* result) {
  streams_.SetLife(stream, life);
  stream->producers = nullptr;  // Nothing is appended any more.
  if (stream->extra != nullptr) stream->extra->closed_by.reset();
  stream->set_sequence({});
  if (life == Life::kDetached) ReleaseName(*stream);
  FreeUnheld(stream, result);
}

// Frees an ended stream if no fork reads from it, then its source, and so on upward.
void Machine::FreeUnheld(StreamState* stream, ApplyResult* result) {
  while (stream != nullptr && stream->life != Life::kLive && stream->fork_count() == 0) {
    if (stream->life == Life::kSoftDeleted) {
      streams_.SetLife(stream, Life::kDetached);
      ReleaseName(*stream);
      result->changed.push_back(stream->incarnation);
    }
    StreamState* source = nullptr;
    if (stream->fork != nullptr) {
      source = streams_.Find(stream->fork->source);
      URSULA_CHECK(source != nullptr && source->fork_count() > 0);
      --source->more().fork_count;
    }
    result->freed.push_back(stream->incarnation);
    streams_.Free(stream);
    stream = source;
  }
}

void Machine::ReleaseName(const StreamState& stream) {
  if (!stream.foreign()) return;
  const Reservation& reservation = *stream.fork->reservation;
  outbox_[stream.incarnation] = ReleaseState{std::string(stream.key()), reservation, false};
  to_hand_on_.insert(stream.incarnation);
  releases_.insert({{reservation.home, reservation.id}, stream.incarnation});
  MarkRecord(kReleaseRecord, IncarnationKey(stream.incarnation));
}

}  // namespace ursula::stream
