#include "tests/model/stream_model.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <tuple>

namespace ursula::stream {
namespace {

using State = ModelStream::State;

std::string Media(std::string_view content_type) {
  std::string media;
  for (char c : content_type) {
    if (c == ';') break;
    if (c != ' ') media.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return media;
}

// What a reader of a stream can see of it.
using View = std::tuple<bool, bool, std::size_t, bool>;

std::map<uint64_t, View> Views(const std::vector<ModelStream>& streams) {
  std::map<uint64_t, View> views;
  for (const ModelStream& stream : streams) {
    if (stream.state != State::kLive && stream.state != State::kSoftDeleted) continue;
    views[stream.number] = {true, stream.state == State::kLive, stream.content.size(),
                            stream.closed};
  }
  return views;
}

std::set<uint64_t> Numbers(const std::vector<ModelStream>& streams) {
  std::set<uint64_t> numbers;
  for (const ModelStream& stream : streams) {
    if (stream.state != State::kGone) numbers.insert(stream.number);
  }
  return numbers;
}

}  // namespace

uint64_t StreamModel::Public(const ModelStream& stream) const {
  return PublicIncarnation(history_, group_, Incarnation{stream.number});
}

StreamInfo StreamModel::InfoOf(const ModelStream& stream) const {
  StreamInfo info;
  info.content_type = stream.content_type;
  info.tail = Offset{stream.content.size()};
  info.closed = stream.closed;
  info.lifetime = stream.effective;
  info.incarnation = Public(stream);
  return info;
}

bool StreamModel::Is(const ModelStream& stream, const StateMatch& match) const {
  return (!match.incarnation || *match.incarnation == Public(stream)) &&
         (!match.tail || match.tail->bytes == stream.content.size()) &&
         (!match.closed || *match.closed == stream.closed);
}

bool StreamModel::Meets(const ModelStream* stream, const Precondition& condition) const {
  if (condition.exists && stream == nullptr) return false;
  if (condition.absent && stream != nullptr) return false;
  auto is = [&](const StateMatch& match) { return stream != nullptr && Is(*stream, match); };
  bool none = std::none_of(condition.none_of.begin(), condition.none_of.end(), is);
  bool any =
      condition.any_of.empty() || std::any_of(condition.any_of.begin(), condition.any_of.end(), is);
  return none && any;
}

ModelResult StreamModel::Apply(uint64_t index, const Command& command) {
  now_ = std::max(now_, command.now_ms);
  std::map<uint64_t, View> before = Views(streams_);
  std::set<uint64_t> present = Numbers(streams_);
  ModelResult result;
  // What is named and past its deadline is gone before the command looks.
  if (const StreamId* id = StreamOf(command)) ExpireIfDue(Named(*id));
  if (const CreateFork* fork = std::get_if<CreateFork>(&command.body)) {
    ExpireIfDue(Named(fork->point.source));
  }
  std::visit([&](const auto& body) { Do(index, body, &result); }, command.body);
  result.reply.append.outcome =
      std::holds_alternative<Append>(command.body) ? result.reply.outcome : Outcome::kOk;
  CollectGarbage();
  std::map<uint64_t, View> after = Views(streams_);
  for (const auto& [number, view] : before) {
    if (after.count(number) == 0 || after[number] != view) result.changed.insert(number);
  }
  for (const auto& [number, view] : after) {
    if (before.count(number) == 0) result.changed.insert(number);
  }
  std::set<uint64_t> left = Numbers(streams_);
  for (uint64_t number : present) {
    if (left.count(number) == 0) result.freed.insert(number);
  }
  std::erase_if(streams_, [](const ModelStream& s) { return s.state == State::kGone; });
  return result;
}

std::optional<int64_t> StreamModel::Deadline(const ModelStream& stream) const {
  if (stream.state != State::kLive) return std::nullopt;
  if (stream.effective.ttl_seconds) {
    return stream.last_use_ms + static_cast<int64_t>(*stream.effective.ttl_seconds) * 1000;
  }
  return stream.effective.expires_at_ms;
}

bool StreamModel::IsDue(const ModelStream& stream) const {
  std::optional<int64_t> deadline = Deadline(stream);
  return deadline.has_value() && *deadline <= now_;
}

const ModelStream* StreamModel::Visible(const StreamId& id) const {
  for (const ModelStream& stream : streams_) {
    if (stream.id != id || IsDue(stream)) continue;
    if (stream.state == State::kLive || stream.state == State::kSoftDeleted) return &stream;
  }
  return nullptr;
}

ModelStream* StreamModel::Named(const StreamId& id) {
  for (ModelStream& stream : streams_) {
    if (stream.id != id) continue;
    if (stream.state == State::kLive || stream.state == State::kSoftDeleted) return &stream;
  }
  return nullptr;
}

ModelStream* StreamModel::Numbered(Incarnation incarnation) {
  for (ModelStream& stream : streams_) {
    if (stream.number == Raw(incarnation) && stream.state != State::kGone) return &stream;
  }
  return nullptr;
}

bool StreamModel::HasForks(const ModelStream& stream) const {
  return std::any_of(streams_.begin(), streams_.end(), [&](const ModelStream& other) {
    return other.state != State::kGone && other.source == stream.number;
  });
}

void StreamModel::HideName(ModelStream* stream) {
  if (stream->reservation) {
    gone_.push_back({stream->number, stream->id, *stream->reservation, false});
  }
}

void StreamModel::ExpireIfDue(ModelStream* stream) {
  if (stream == nullptr || stream->state != State::kLive || !IsDue(*stream)) return;
  HideName(stream);
  stream->state = State::kHidden;
  CollectGarbage();
}

void StreamModel::CollectGarbage() {
  for (bool again = true; again;) {
    again = false;
    for (ModelStream& stream : streams_) {
      if (stream.state == State::kLive || stream.state == State::kGone) continue;
      if (HasForks(stream)) continue;
      if (stream.state == State::kSoftDeleted) HideName(&stream);
      stream.state = State::kGone;
      again = true;
    }
  }
}

bool StreamModel::SamePlace(const ModelStream& there, const CreateFork& asked) const {
  const ForkPoint& was = *there.forked_from;
  if (was.source != asked.point.source) return false;
  if (was == asked.point) return true;
  bool resolved = !asked.at_tail && Raw(asked.source) == there.source && there.source != 0;
  if (resolved) return asked.offset.bytes == there.inherited;
  if (asked.point.offset) {
    return asked.point.sub_offset == 0 && asked.point.offset->bytes == there.inherited;
  }
  for (const ModelStream& source : streams_) {
    if (source.number != there.source || source.state != State::kLive) continue;
    return source.content.size() == there.inherited;
  }
  return false;
}

bool StreamModel::Occupied(const CreateStream& command, const CreateFork* fork, Reply* reply) {
  if (const ModelStream* there = Named(command.id)) {
    reply->incarnation = Incarnation{there->number};
    reply->info = InfoOf(*there);
    if (there->state == State::kSoftDeleted) {
      reply->outcome = Outcome::kSoftDeleted;
      return true;
    }
    std::string type = command.content_type;
    if (type.empty()) type = fork != nullptr ? there->content_type : "application/octet-stream";
    bool same = Media(type) == Media(there->content_type) && command.closed == there->closed &&
                command.lifetime == there->given &&
                (fork != nullptr) == there->forked_from.has_value();
    if (same && fork != nullptr) same = SamePlace(*there, *fork);
    reply->outcome = !same                             ? Outcome::kConflict
                     : Meets(there, command.condition) ? Outcome::kExisted
                                                       : Outcome::kPreconditionFailed;
    return true;
  }
  if (command.id.bucket != "v1") {
    auto fence = fences_.find(command.id.bucket);
    bool fenced =
        fence != fences_.end() && Raw(command.bucket.incarnation) <= fence->second.refused;
    if (fenced || Raw(command.bucket.seen) < fences_settled_) {
      reply->outcome = Outcome::kBucketNotFound;
      return true;
    }
  }
  if (placements_.count(command.id) != 0) {
    reply->outcome = Outcome::kConflict;
    reply->placement = placements_[command.id];
    return true;
  }
  return false;
}

ModelStream* StreamModel::New(uint64_t index, const CreateStream& command, ModelResult* result) {
  ModelStream stream;
  stream.number = index;
  stream.id = command.id;
  stream.content_type =
      command.content_type.empty() ? "application/octet-stream" : command.content_type;
  stream.closed = command.closed;
  stream.given = stream.effective = command.lifetime;
  stream.last_use_ms = now_;
  stream.last_sequence = command.sequence;
  result->reply.incarnation = Incarnation{index};
  streams_.push_back(stream);
  return &streams_.back();
}

void StreamModel::Do(uint64_t index, const CreateStream& command, ModelResult* result) {
  if (Occupied(command, nullptr, &result->reply)) return;
  bool json = Media(command.content_type) == "application/json";
  if (!command.payload.empty() && json != (command.framing == Framing::kJson)) {
    result->reply.outcome = Outcome::kContentTypeMismatch;
    return;
  }
  if (!Meets(nullptr, command.condition)) {
    result->reply.outcome = Outcome::kPreconditionFailed;
    return;
  }
  ModelStream* stream = New(index, command, result);
  stream->content = command.payload.view();
  if (!command.payload.empty()) result->appended = Appended{Incarnation{index}, 0, command.payload};
  result->reply.info = InfoOf(*stream);
}

void StreamModel::Do(uint64_t index, const CreateFork& command, ModelResult* result) {
  Reply& reply = result->reply;
  if (Occupied(command.stream, &command, &reply)) return;
  if (command.reservation && IsOver(*command.reservation)) {
    reply.outcome = Outcome::kConflict;
    reply.reservation_lapsed = true;
    return;
  }
  const ModelStream* found = Named(command.point.source);
  if (found == nullptr) {
    reply.outcome = Outcome::kForkSourceNotFound;
    return;
  }
  if (found->state == State::kSoftDeleted) {
    reply.outcome = Outcome::kForkSourceDeleted;
    return;
  }
  const std::string& type = command.stream.content_type;
  if (!type.empty() && Media(type) != Media(found->content_type)) {
    reply.outcome = Outcome::kForkContentTypeMismatch;
    return;
  }
  if (Raw(command.source) != found->number) {
    reply.outcome = Outcome::kConflict;
    reply.unresolved = true;
    return;
  }
  bool json = Media(found->content_type) == "application/json";
  if (!command.stream.payload.empty() && json != (command.stream.framing == Framing::kJson)) {
    reply.outcome = Outcome::kForkContentTypeMismatch;
    return;
  }
  uint64_t offset = command.at_tail ? found->content.size() : command.offset.bytes;
  if (offset > found->content.size()) {
    reply.outcome = Outcome::kForkOffsetInvalid;
    return;
  }
  if (found->depth + 1 > limits_.fork_depth_max) {
    reply.outcome = Outcome::kForkTooDeep;
    return;
  }
  if (!Meets(nullptr, command.stream.condition)) {
    reply.outcome = Outcome::kPreconditionFailed;
    return;
  }
  ModelStream source = *found;
  ModelStream* stream = New(index, command.stream, result);
  if (type.empty()) stream->content_type = source.content_type;
  stream->content = source.content.substr(0, offset);
  stream->content += command.stream.payload.view();
  stream->inherited = offset;
  if (stream->given == Lifetime{}) stream->effective = source.effective;
  stream->forked_from = command.point;
  stream->source = source.number;
  stream->depth = source.depth + 1;
  stream->reservation = command.reservation;
  if (command.reservation) {
    std::erase_if(asked_, [&](const Asked& asked) {
      return asked.home == Raw(command.reservation->home) &&
             asked.reservation == Raw(command.reservation->id);
    });
  }
  if (!command.stream.payload.empty()) {
    result->appended = Appended{Incarnation{index}, offset, command.stream.payload};
  }
  reply.info = InfoOf(*stream);
}

bool StreamModel::AppendRefused(const ModelStream& stream, const Append& command, Reply* reply) {
  auto refuse = [&](Outcome outcome) {
    reply->outcome = outcome;
    return true;
  };
  if (stream.state == State::kSoftDeleted) return refuse(Outcome::kSoftDeleted);
  if (stream.closed) {
    if (command.producer && command.producer == stream.closing) {
      reply->append.producer_epoch = stream.closing->epoch;
      reply->append.producer_sequence = stream.closing->sequence;
      return refuse(Outcome::kDuplicate);
    }
    bool only_close = command.close && command.payload.empty() && !command.producer;
    bool meets = Is(stream, command.expected) && Meets(&stream, command.condition);
    return refuse(!only_close ? Outcome::kClosed
                  : meets     ? Outcome::kOk
                              : Outcome::kPreconditionFailed);
  }
  if (!command.payload.empty()) {
    bool json = Media(stream.content_type) == "application/json";
    bool other =
        !command.content_type.empty() && Media(command.content_type) != Media(stream.content_type);
    if (other || json != (command.framing == Framing::kJson)) {
      return refuse(Outcome::kContentTypeMismatch);
    }
  }
  if (command.producer) {
    const Producer& sent = *command.producer;
    auto known = stream.producers.find(sent.id);
    if (known == stream.producers.end()) {
      if (sent.sequence > 0) return refuse(Outcome::kProducerGap);
      uint64_t busy = 0;
      for (const auto& [id, seen] : stream.seen_ms) busy += Idle(seen) ? 0 : 1;
      if (busy >= limits_.producers_per_stream_max) return refuse(Outcome::kTooManyProducers);
    } else {
      const Producer& last = known->second;
      reply->append.producer_epoch = last.epoch;
      reply->append.producer_sequence = last.sequence;
      if (sent.epoch < last.epoch) return refuse(Outcome::kProducerStale);
      if (sent.epoch > last.epoch && sent.sequence != 0) {
        return refuse(Outcome::kProducerEpochStart);
      }
      if (sent.epoch == last.epoch && sent.sequence <= last.sequence) {
        return refuse(Outcome::kDuplicate);
      }
      if (sent.epoch == last.epoch && sent.sequence > last.sequence + 1) {
        reply->append.producer_expected_sequence = last.sequence + 1;
        return refuse(Outcome::kProducerGap);
      }
    }
  }
  if (!command.sequence.empty() && command.sequence <= stream.last_sequence) {
    return refuse(Outcome::kSequenceConflict);
  }
  if (!Is(stream, command.expected) || !Meets(&stream, command.condition)) {
    return refuse(Outcome::kPreconditionFailed);
  }
  return false;
}

bool StreamModel::Idle(int64_t seen_ms) const {
  return seen_ms < now_ && static_cast<uint64_t>(now_ - seen_ms) >= limits_.producer_idle_ms;
}

void StreamModel::Do(uint64_t, const Append& command, ModelResult* result) {
  Reply& reply = result->reply;
  ModelStream* stream = Named(command.id);
  if (stream == nullptr) {
    reply.outcome = Outcome::kNotFound;
    if (placements_.count(command.id) != 0) {
      reply.outcome = Outcome::kConflict;
      reply.placement = placements_[command.id];
    }
    return;
  }
  reply.incarnation = Incarnation{stream->number};
  reply.append.start = reply.append.tail = Offset{stream->content.size()};
  reply.append.closed = stream->closed;
  reply.append.incarnation = Public(*stream);
  bool refused = AppendRefused(*stream, command, &reply);
  if (!refused || reply.outcome == Outcome::kDuplicate || reply.outcome == Outcome::kOk) {
    stream->last_use_ms = now_;
  }
  if (refused) return;
  uint64_t start = stream->content.size();
  stream->content += command.payload.view();
  if (command.close) stream->closed = true;
  if (command.close) stream->closing = command.producer;
  if (!command.sequence.empty()) stream->last_sequence = command.sequence;
  if (command.producer) {
    bool known = stream->producers.count(command.producer->id) != 0;
    if (!known && stream->producers.size() >= limits_.producers_per_stream_max) {
      std::erase_if(stream->producers,
                    [&](const auto& one) { return Idle(stream->seen_ms[one.first]); });
      std::erase_if(stream->seen_ms, [&](const auto& one) { return Idle(one.second); });
    }
    stream->producers[command.producer->id] = *command.producer;
    stream->seen_ms[command.producer->id] = now_;
    reply.append.producer_epoch = command.producer->epoch;
    reply.append.producer_sequence = command.producer->sequence;
  }
  reply.append.tail = Offset{stream->content.size()};
  reply.append.closed = stream->closed;
  if (!command.payload.empty()) {
    result->appended = Appended{Incarnation{stream->number}, start, command.payload};
  }
}

void StreamModel::Do(uint64_t, const Delete& command, ModelResult* result) {
  Reply& reply = result->reply;
  ModelStream* stream = Named(command.id);
  if (stream == nullptr) {
    reply.outcome = Outcome::kNotFound;
    if (placements_.count(command.id) != 0) {
      reply.outcome = Outcome::kConflict;
      reply.placement = placements_[command.id];
    }
    return;
  }
  reply.incarnation = Incarnation{stream->number};
  reply.info = InfoOf(*stream);
  if (stream->state == State::kSoftDeleted) {
    reply.outcome = Outcome::kSoftDeleted;
  } else if (!Meets(stream, command.condition)) {
    reply.outcome = Outcome::kPreconditionFailed;
  } else {
    stream->state = State::kSoftDeleted;  // Garbage at once if nothing reads from it.
  }
}

void StreamModel::Do(uint64_t, const Expire& command, ModelResult*) {
  for (Incarnation incarnation : command.incarnations) ExpireIfDue(Numbered(incarnation));
}

void StreamModel::Do(uint64_t, const Touch& command, ModelResult*) {
  for (Incarnation incarnation : command.incarnations) {
    ModelStream* stream = Numbered(incarnation);
    if (stream == nullptr || stream->state != State::kLive) continue;
    if (stream->effective.ttl_seconds) {
      stream->last_use_ms = now_;  // Also past its end: it has readers.
    } else {
      ExpireIfDue(stream);
    }
  }
}

}  // namespace ursula::stream
