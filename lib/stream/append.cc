#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/stream/machine.h"
#include "lib/stream/media_type.h"

// The order of an append's checks is the protocol's: existence, closed, content type, producer,
// Stream-Seq, size, and last the preconditions. A refusal changes nothing, producer state included.

namespace ursula::stream {
namespace {

Reply AppendReplyOf(const StreamState& stream, uint64_t public_incarnation, Outcome outcome) {
  Reply reply;
  reply.outcome = outcome;
  reply.incarnation = stream.incarnation;
  reply.append.incarnation = public_incarnation;
  reply.append.outcome = outcome;
  reply.append.start = Offset{stream.tail};
  reply.append.tail = Offset{stream.tail};
  reply.append.closed = stream.closed;
  return reply;
}

const ProducerState* FindProducer(const StreamState& stream, const std::string& id) {
  if (stream.producers == nullptr) return nullptr;
  auto found = stream.producers->by_id.find(id);
  return found == stream.producers->by_id.end() ? nullptr : &found->second;
}

Outcome ProducerOutcome(const ProducerState* state, const Producer& producer) {
  if (state == nullptr) return producer.sequence == 0 ? Outcome::kOk : Outcome::kProducerGap;
  if (producer.epoch < state->epoch) return Outcome::kProducerStale;
  if (producer.epoch > state->epoch) {
    return producer.sequence == 0 ? Outcome::kOk : Outcome::kProducerEpochStart;
  }
  if (producer.sequence <= state->sequence) return Outcome::kDuplicate;
  return producer.sequence - 1 == state->sequence ? Outcome::kOk : Outcome::kProducerGap;
}

bool IdleSince(int64_t seen_ms, int64_t now, const Limits& limits) {
  if (seen_ms >= now) return false;
  return static_cast<uint64_t>(now) - static_cast<uint64_t>(seen_ms) >= limits.producer_idle_ms;
}

}  // namespace

Reply Machine::Decide(const Append& command, int64_t now) const {
  NameState name = FindName(NameKey(command.id).view(), now);
  if (name.stream == nullptr) {
    Reply reply;
    reply.outcome = name.placement != nullptr ? Outcome::kConflict : Outcome::kNotFound;
    if (name.placement != nullptr) reply.placement = *name.placement;
    reply.append.outcome = reply.outcome;
    return reply;
  }
  const StreamState& stream = *name.stream;
  Reply reply = AppendReplyOf(stream, PublicIncarnation(stream.incarnation), Outcome::kOk);
  auto refuse = [&reply](Outcome outcome) {
    reply.outcome = reply.append.outcome = outcome;
    return reply;
  };
  if (stream.life == Life::kSoftDeleted) return refuse(Outcome::kSoftDeleted);
  if (stream.closed) return DecideClosed(stream, command);
  if (!command.payload.empty()) {
    const bool other =
        !command.content_type.empty() && !SameMediaType(command.content_type, *stream.content_type);
    const bool json = command.framing == Framing::kJson;
    if (other || json != IsJson(*stream.content_type)) {
      return refuse(Outcome::kContentTypeMismatch);
    }
  }
  if (command.producer && !DecideProducer(stream, *command.producer, now, &reply)) return reply;
  if (!command.sequence.empty() && command.sequence <= stream.sequence()) {
    return refuse(Outcome::kSequenceConflict);
  }
  if (command.payload.size() >= kOffsetEnd - stream.tail) return refuse(Outcome::kTooLarge);
  if (!Matches(command.expected, stream) || !Holds(command.condition, &stream)) {
    return refuse(Outcome::kPreconditionFailed);
  }
  reply.append.tail = Offset{stream.tail + command.payload.size()};
  reply.append.closed = command.close;
  if (command.producer) {
    reply.append.producer_epoch = command.producer->epoch;
    reply.append.producer_sequence = command.producer->sequence;
  }
  return reply;
}

// Of a closed stream: the closing append again and closing again are fine, all else is refused.
Reply Machine::DecideClosed(const StreamState& stream, const Append& command) const {
  const uint64_t incarnation = PublicIncarnation(stream.incarnation);
  const Producer* closed_by = stream.closed_by();
  if (command.producer && closed_by != nullptr && *command.producer == *closed_by) {
    Reply reply = AppendReplyOf(stream, incarnation, Outcome::kDuplicate);
    reply.append.producer_epoch = closed_by->epoch;
    reply.append.producer_sequence = closed_by->sequence;
    return reply;
  }
  bool close_again = command.close && command.payload.empty() && !command.producer;
  if (!close_again) return AppendReplyOf(stream, incarnation, Outcome::kClosed);
  bool holds = Matches(command.expected, stream) && Holds(command.condition, &stream);
  return AppendReplyOf(stream, incarnation, holds ? Outcome::kOk : Outcome::kPreconditionFailed);
}

// False when the reply is settled. The reply shows the producer's state as it stands.
bool Machine::DecideProducer(const StreamState& stream, const Producer& producer, int64_t now,
                             Reply* reply) const {
  const ProducerState* state = FindProducer(stream, producer.id);
  Outcome outcome = ProducerOutcome(state, producer);
  if (state != nullptr) {
    reply->append.producer_epoch = state->epoch;
    reply->append.producer_sequence = state->sequence;
  }
  if (outcome == Outcome::kProducerGap) {
    reply->append.producer_expected_sequence = state == nullptr ? 0 : state->sequence + 1;
  }
  if (outcome == Outcome::kOk && state == nullptr && !RoomForProducer(stream, now)) {
    outcome = Outcome::kTooManyProducers;
  }
  reply->outcome = reply->append.outcome = outcome;
  return outcome == Outcome::kOk;
}

// A producer is forgotten only when it was idle for long and another needs the room: never one
// that may still retry.
bool Machine::RoomForProducer(const StreamState& stream, int64_t now) const {
  if (limits_.producers_per_stream_max == 0) return false;
  if (stream.producers == nullptr) return true;
  const Producers& producers = *stream.producers;
  if (producers.by_id.size() < limits_.producers_per_stream_max) return true;
  if (!IdleSince(producers.seen_from_ms, now, limits_)) return false;
  int64_t first = kNever;
  for (const auto& [id, state] : producers.by_id) first = std::min(first, state.seen_ms);
  producers.seen_from_ms = first;
  return IdleSince(first, now, limits_);
}

void Machine::Commit(Index, const Append& command, ApplyResult* result) {
  StreamState* stream = streams_.Find(result->reply.incarnation);
  URSULA_CHECK(stream != nullptr);
  Renew(stream);
  if (result->reply.outcome == Outcome::kDuplicate || stream->closed) return;
  if (!command.payload.empty()) {
    result->appended = Appended{stream->incarnation, stream->tail, command.payload};
    stream->tail += command.payload.size();
  }
  if (command.close) {
    stream->closed = true;
    if (command.producer) {
      stream->more().closed_by = *command.producer;
    }
  }
  if (!command.sequence.empty()) stream->set_sequence(command.sequence);
  if (command.producer) CommitProducer(stream, *command.producer);
  streams_.MarkChanged(stream);
  if (!command.payload.empty() || command.close) result->changed.push_back(stream->incarnation);
}

void Machine::CommitProducer(StreamState* stream, const Producer& producer) {
  if (stream->producers == nullptr) stream->producers = std::make_unique<Producers>();
  auto& by_id = stream->producers->by_id;
  auto found = by_id.find(producer.id);
  if (found == by_id.end() && by_id.size() >= limits_.producers_per_stream_max) {
    absl::erase_if(
        by_id, [this](const auto& one) { return IdleSince(one.second.seen_ms, now_ms_, limits_); });
  }
  by_id.insert_or_assign(producer.id, ProducerState{producer.epoch, producer.sequence, now_ms_});
}

}  // namespace ursula::stream
