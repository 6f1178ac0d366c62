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

StreamInfo InfoOf(const ModelStream& stream) {
  StreamInfo info;
  info.content_type = stream.content_type;
  info.tail = Offset{stream.content.size()};
  info.closed = stream.closed;
  info.lifetime = stream.effective;
  info.incarnation = stream.number;
  return info;
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

void StreamModel::SweepGone() {
  std::erase_if(gone_,
                [&](const Gone& gone) { return gone.applied && gone.reservation.until_ms < now_; });
}

bool StreamModel::WasHere(const StreamId& id, const Reservation& reservation) const {
  return std::any_of(gone_.begin(), gone_.end(), [&](const Gone& gone) {
    return gone.id == id && gone.reservation == reservation;
  });
}

void StreamModel::Do(uint64_t index, const CreateBucket& command, ModelResult* result) {
  result->reply.outcome = Outcome::kExisted;
  if (command.bucket == "v1") return;
  if (buckets_.count(command.bucket) == 0) {
    buckets_[command.bucket].number = index;
    result->reply.outcome = Outcome::kOk;
  }
  result->reply.incarnation = Incarnation{buckets_[command.bucket].number};
}

void StreamModel::Do(uint64_t, const DeleteBucket& command, ModelResult* result) {
  Reply& reply = result->reply;
  bool begin = command.step == DeleteBucket::Step::kBegin;
  if (command.bucket == "v1") {
    reply.outcome = Outcome::kBucketNotEmpty;
  } else if (buckets_.count(command.bucket) == 0 ||
             (!begin && buckets_[command.bucket].number != Raw(command.incarnation))) {
    reply.outcome = Outcome::kBucketNotFound;
  } else {
    reply.incarnation = Incarnation{buckets_[command.bucket].number};
    buckets_[command.bucket].deleting = begin;
    if (command.step == DeleteBucket::Step::kFinish) buckets_.erase(command.bucket);
  }
}

void StreamModel::Do(uint64_t, const FenceBucket& command, ModelResult* result) {
  // The machine expires what is due in order of names until it meets one that isn't.
  std::map<std::string, std::vector<uint64_t>> by_path;
  for (const ModelStream& stream : streams_) {
    if (stream.id.bucket != command.bucket) continue;
    if (stream.state != State::kLive && stream.state != State::kSoftDeleted) continue;
    std::string path = stream.id.affinity;
    path += stream.id.affinity.empty() ? "" : "/";
    by_path[path + stream.id.name].push_back(stream.number);
  }
  bool empty = command.bucket != "v1";
  bool stop = false;
  for (const auto& [path, numbers] : by_path) {
    for (uint64_t number : numbers) {
      ModelStream* stream = Numbered(Incarnation{number});
      if (stream == nullptr) continue;
      if (!IsDue(*stream)) stop = true;
      if (!stop) ExpireIfDue(stream);
    }
  }
  if (stop)
    empty = std::none_of(streams_.begin(), streams_.end(), [&](const ModelStream& stream) {
      return stream.id.bucket == command.bucket && Visible(stream.id) != nullptr;
    });
  for (const auto& [id, placement] : placements_) {
    if (id.bucket == command.bucket) empty = false;
  }
  if (command.bucket == "v1") empty = false;
  result->reply.outcome = empty ? Outcome::kOk : Outcome::kBucketNotEmpty;
  if (!empty) return;
  uint64_t& fence = fences_[command.bucket];
  fence = std::max(fence, Raw(command.bucket_incarnation));
}

void StreamModel::Do(uint64_t, const UnfenceBucket& command, ModelResult*) {
  auto found = fences_.find(command.bucket);
  if (found == fences_.end() || found->second != Raw(command.bucket_incarnation)) return;
  if (found->second > 0) --found->second;
  if (found->second == 0) fences_.erase(found);
}

bool StreamModel::Occupied(const CreateStream& command, const ForkPoint* point, Reply* reply) {
  if (const ModelStream* there = Named(command.id)) {
    reply->incarnation = Incarnation{there->number};
    if (there->state == State::kSoftDeleted) {
      reply->outcome = Outcome::kSoftDeleted;
      return true;
    }
    std::string type = command.content_type;
    if (type.empty()) type = point != nullptr ? there->content_type : "application/octet-stream";
    bool same = Media(type) == Media(there->content_type) && command.closed == there->closed &&
                command.lifetime == there->given &&
                (point != nullptr) == there->forked_from.has_value();
    if (same && point != nullptr) {
      const ForkPoint& was = *there->forked_from;
      same = was.source == point->source && was.offset == point->offset &&
             was.sub_offset == point->sub_offset;
    }
    reply->outcome = same ? Outcome::kExisted : Outcome::kConflict;
    if (same) reply->info = InfoOf(*there);
    return true;
  }
  auto fence = fences_.find(command.id.bucket);
  if (fence != fences_.end() && Raw(command.bucket_incarnation) <= fence->second) {
    reply->outcome = Outcome::kBucketNotFound;
    return true;
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
  ModelStream* stream = New(index, command, result);
  stream->content = command.payload.view();
  if (!command.payload.empty()) result->appended = Appended{Incarnation{index}, 0, command.payload};
  result->reply.info = InfoOf(*stream);
}

void StreamModel::Do(uint64_t index, const CreateFork& command, ModelResult* result) {
  Reply& reply = result->reply;
  if (Occupied(command.stream, &command.point, &reply)) return;
  if (command.reservation &&
      (now_ > command.reservation->until_ms || WasHere(command.stream.id, *command.reservation))) {
    reply.outcome = Outcome::kConflict;
    reply.reservation_lapsed = true;
    return;
  }
  const ModelStream* found = Named(command.point.source);
  bool other = found != nullptr && found->state == State::kLive && Raw(command.source) != 0 &&
               Raw(command.source) != found->number;
  if (found == nullptr || other) {
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
  uint64_t offset = command.at_tail ? found->content.size() : command.offset.bytes;
  if (offset > found->content.size()) {
    reply.outcome = Outcome::kForkOffsetInvalid;
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
  stream->reservation = command.reservation;
  if (!command.stream.payload.empty()) {
    result->appended = Appended{Incarnation{index}, offset, command.stream.payload};
  }
  reply.info = InfoOf(*stream);
  SweepGone();
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
    return refuse(only_close ? Outcome::kOk : Outcome::kClosed);
  }
  if (!command.payload.empty() && !command.content_type.empty() &&
      Media(command.content_type) != Media(stream.content_type)) {
    return refuse(Outcome::kContentTypeMismatch);
  }
  if (command.producer) {
    const Producer& sent = *command.producer;
    auto known = stream.producers.find(sent.id);
    if (known == stream.producers.end()) {
      if (sent.sequence > 0) return refuse(Outcome::kProducerGap);
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
  return false;
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
    stream->producers[command.producer->id] = *command.producer;
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
  if (stream->state == State::kSoftDeleted) {
    reply.outcome = Outcome::kSoftDeleted;
  } else {
    stream->state = State::kSoftDeleted;  // Garbage at once if nothing reads from it.
  }
}

void StreamModel::Do(uint64_t, const Expire& command, ModelResult*) {
  for (Incarnation incarnation : command.incarnations) ExpireIfDue(Numbered(incarnation));
}

void StreamModel::Do(uint64_t, const Touch& command, ModelResult*) {
  for (Incarnation incarnation : command.incarnations) {
    ExpireIfDue(Numbered(incarnation));
    ModelStream* stream = Numbered(incarnation);
    if (stream != nullptr && stream->state == State::kLive) stream->last_use_ms = now_;
  }
}

void StreamModel::Do(uint64_t index, const Reserve& command, ModelResult* result) {
  if (Occupied(command.stream, &command.point, &result->reply)) return;
  if (command.target == group_) {
    result->reply.outcome = Outcome::kConflict;
    return;
  }
  Placement placement;
  placement.target = command.target;
  placement.reservation = {group_, Incarnation{index},
                           now_ + static_cast<int64_t>(command.hold_ms)};
  placements_[command.stream.id] = placement;
  result->reply.placement = placement;
}

void StreamModel::Do(uint64_t, const Confirm& command, ModelResult* result) {
  auto found = placements_.find(command.id);
  if (found == placements_.end() || found->second.reservation.id != command.reservation) {
    result->reply.outcome = Outcome::kNotFound;
    return;
  }
  found->second.confirmed = true;
  found->second.incarnation = command.incarnation;
  result->reply.placement = found->second;
}

void StreamModel::Do(uint64_t, const Unreserve& command, ModelResult* result) {
  auto found = placements_.find(command.id);
  if (found == placements_.end() || found->second.reservation.id != command.reservation) {
    result->reply.outcome = Outcome::kNotFound;
    return;
  }
  placements_.erase(found);
}

void StreamModel::Do(uint64_t, const ResolveFork& command, ModelResult* result) {
  const ModelStream* stream = Named(command.id);
  if (stream != nullptr && stream->reservation == command.reservation) {
    result->reply.resolution = ForkResolution::kExists;
    result->reply.incarnation = Incarnation{stream->number};
  } else if (now_ > command.reservation.until_ms || WasHere(command.id, command.reservation)) {
    result->reply.resolution = ForkResolution::kNever;
  } else {
    result->reply.resolution = ForkResolution::kPending;
  }
}

void StreamModel::Do(uint64_t, const DropReleases& command, ModelResult*) {
  for (Gone& gone : gone_) {
    for (Incarnation fork : command.forks) gone.applied |= gone.fork == Raw(fork);
  }
  SweepGone();
}

}  // namespace ursula::stream
