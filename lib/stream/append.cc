#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/stream/machine.h"
#include "lib/stream/media_type.h"

// The order of an append's checks is the protocol's: existence, closed, content type, producer,
// Stream-Seq, size. A refusal changes nothing, producer state included.

namespace ursula::stream {
namespace {

Reply AppendReplyOf(const StreamState& stream, Outcome outcome) {
  Reply reply;
  reply.outcome = outcome;
  reply.incarnation = stream.incarnation;
  reply.append.outcome = outcome;
  reply.append.start = Offset{stream.tail};
  reply.append.tail = Offset{stream.tail};
  reply.append.closed = stream.closed;
  return reply;
}

const ProducerState* FindProducer(const StreamState& stream, const std::string& id) {
  if (stream.producers == nullptr) return nullptr;
  auto found = stream.producers->find(id);
  return found == stream.producers->end() ? nullptr : &found->second;
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
  if (stream.life == Life::kSoftDeleted) return AppendReplyOf(stream, Outcome::kSoftDeleted);
  if (stream.closed) return DecideClosed(stream, command);
  Reply reply = AppendReplyOf(stream, Outcome::kOk);
  auto refuse = [&reply](Outcome outcome) {
    reply.outcome = reply.append.outcome = outcome;
    return reply;
  };
  if (!command.payload.empty() && !command.content_type.empty() &&
      !SameMediaType(command.content_type, *stream.content_type)) {
    return refuse(Outcome::kContentTypeMismatch);
  }
  if (command.producer && !DecideProducer(stream, *command.producer, &reply)) return reply;
  if (!command.sequence.empty() && command.sequence <= stream.sequence()) {
    return refuse(Outcome::kSequenceConflict);
  }
  if (command.payload.size() >= kOffsetEnd - stream.tail) return refuse(Outcome::kTooLarge);
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
  if (command.producer && stream.closed_by != nullptr && *command.producer == *stream.closed_by) {
    Reply reply = AppendReplyOf(stream, Outcome::kDuplicate);
    reply.append.producer_epoch = stream.closed_by->epoch;
    reply.append.producer_sequence = stream.closed_by->sequence;
    return reply;
  }
  bool close_again = command.close && command.payload.empty() && !command.producer;
  return AppendReplyOf(stream, close_again ? Outcome::kOk : Outcome::kClosed);
}

// False when the reply is settled. The reply shows the producer's state as it stands.
bool Machine::DecideProducer(const StreamState& stream, const Producer& producer,
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
  reply->outcome = reply->append.outcome = outcome;
  return outcome == Outcome::kOk;
}

void Machine::Commit(Index index, const Append& command, ApplyResult* result) {
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
    if (command.producer) stream->closed_by = std::make_unique<Producer>(*command.producer);
  }
  if (!command.sequence.empty()) stream->set_sequence(command.sequence);
  if (command.producer) CommitProducer(index, stream, *command.producer);
  streams_.MarkChanged(stream);
  if (!command.payload.empty() || command.close) result->changed.push_back(stream->incarnation);
}

void Machine::CommitProducer(Index index, StreamState* stream, const Producer& producer) {
  if (stream->producers == nullptr) stream->producers = std::make_unique<Producers>();
  Producers& producers = *stream->producers;
  producers.insert_or_assign(producer.id, ProducerState{producer.epoch, producer.sequence, index});
  if (producers.size() <= limits_.producers_per_stream_max) return;
  // Several at once, so that a stream at its limit doesn't pay a scan for each new producer.
  constexpr std::size_t kEvictedFraction = 16;
  std::size_t keep =
      limits_.producers_per_stream_max - limits_.producers_per_stream_max / kEvictedFraction;
  std::vector<Index> accepted;
  accepted.reserve(producers.size());
  for (const auto& [id, state] : producers) accepted.push_back(state.accepted);
  std::size_t drop = producers.size() - std::max<std::size_t>(keep, 1);
  std::ranges::nth_element(accepted, accepted.begin() + static_cast<std::ptrdiff_t>(drop));
  Index oldest_kept = accepted[drop];  // Each entry accepts one append: no two are equal.
  for (auto at = producers.begin(); at != producers.end();) {
    at = at->second.accepted < oldest_kept ? producers.erase(at) : std::next(at);
  }
}

}  // namespace ursula::stream
