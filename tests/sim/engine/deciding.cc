#include "tests/sim/engine/deciding.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "tests/sim/seeds/hash.h"

namespace ursula::engine::sim {
namespace {

using Life = ModelStream::Life;

// A read's renewal is left out while it would move the deadline by less than this.
constexpr int64_t kTickMs = 20;

int64_t RenewalWindowMs(const ModelStream& stream) {
  const auto ttl_ms = static_cast<int64_t>(*stream.effective.ttl_seconds) * 1000;
  return std::min<int64_t>(1000, ttl_ms / 8);
}

void Extend(ModelStream* stream, std::string_view bytes) {
  if (bytes.empty()) return;
  stream->content += bytes;
  stream->append_ends.push_back(stream->content.size());
  stream->content_hash = ursula::sim::Mix(stream->content_hash, ursula::sim::HashBytes(bytes));
}

}  // namespace

void Model::Explain(const Operation& operation, std::vector<Model>* after) const {
  Deciding deciding(operation, after);
  std::vector<StreamId> names = NamesOf(operation);
  std::string bucket;  // That is looked at.
  if (const auto* request = std::get_if<BucketRequest>(&operation.request)) {
    bucket = request->bucket;
  } else if (ending_.contains(names.front().bucket)) {
    // Whatever is asked of a stream that isn't there tells whether its bucket is.
    bucket = names.front().bucket;
  }
  for (StreamId& id : NamesIn(bucket)) names.push_back(std::move(id));
  std::vector<Model> variants;
  for (const Model& aged : Aged(names, operation.times)) aged.WithEnding(bucket, &variants);
  for (const Model& variant : variants) deciding.Decide(variant);
}

void Deciding::Decide(const Model& model) {
  // A Status says that nothing was applied; but a read that was cancelled has renewed its stream.
  const bool refused =
      operation_.was_answered() && !StatusOf(operation_).ok() && !IsUnknown(operation_);
  if (refused && !std::holds_alternative<ReadRequest>(operation_.request)) {
    return after_.push_back(model);
  }
  std::visit([&](const auto& request) { Do(model, request); }, operation_.request);
}

// ---- preconditions ---------------------------------------------------------------------------

bool Deciding::Matches(const StateMatch& match, const ModelStream& stream) {
  // An incarnation that the engine hasn't told yet can't have been asked for.
  if (match.incarnation && *match.incarnation != stream.incarnation) return false;
  if (match.tail && match.tail->bytes != stream.tail()) return false;
  return !match.closed || *match.closed == stream.closed;
}

bool Deciding::Holds(const Precondition& condition, const ModelStream* stream) {
  auto matches = [stream](const StateMatch& match) {
    return stream != nullptr && Matches(match, *stream);
  };
  if (condition.exists && stream == nullptr) return false;
  if (condition.absent && stream != nullptr) return false;
  if (!condition.any_of.empty() && std::ranges::none_of(condition.any_of, matches)) return false;
  return std::ranges::none_of(condition.none_of, matches);
}

bool Deciding::InfoFits(Model* model, const ModelStream& stream, const StreamInfo& info) {
  return info.content_type == stream.content_type && info.start.bytes == 0 &&
         info.tail.bytes == stream.tail() && info.closed == stream.closed &&
         info.lifetime == stream.effective && model->Learn(stream.number, info.incarnation);
}

void Deciding::Renew(Model* model, uint64_t number, bool certainly) const {
  if (!model->Numbered(number)->effective.ttl_seconds) return;
  ModelStream* stream = model->Edit(number);
  const Interval now = operation_.times[stream->group];
  // A read's renewal may come as late as the next one could.
  const int64_t until_ms = now.until + (certainly ? 0 : RenewalWindowMs(*stream) + kTickMs);
  stream->last_use.until = std::max(stream->last_use.until, until_ms);
  if (certainly) stream->last_use.from = std::max(stream->last_use.from, now.from);
}

void Model::MayRenew(const StreamId& id, const Intervals& times) {
  for (const auto& stream : streams_) {
    if (stream->id != id || !stream->effective.ttl_seconds) continue;
    ModelStream* renewed = Edit(stream->number);
    const int64_t until_ms = times[renewed->group].until + RenewalWindowMs(*renewed) + kTickMs;
    renewed->last_use.until = std::max(renewed->last_use.until, until_ms);
  }
}

// ---- buckets ---------------------------------------------------------------------------------

Outcome Deciding::Absent(const Model& model, const StreamId& id) {
  const bool there = id.bucket == kUpstreamBucket || model.buckets_.contains(id.bucket);
  return there ? Outcome::kNotFound : Outcome::kBucketNotFound;
}

void Deciding::Do(const Model& model, const BucketRequest& request) {
  using Kind = BucketRequest::Kind;
  const bool built_in = request.bucket == kUpstreamBucket;
  const bool there = built_in || model.buckets_.contains(request.bucket);
  Model next = model;
  Outcome outcome = there ? Outcome::kOk : Outcome::kBucketNotFound;
  if (request.kind == Kind::kCreate) {
    outcome = there ? Outcome::kExisted : Outcome::kOk;
    if (!there) next.buckets_.insert(request.bucket);
  } else if (request.kind == Kind::kDelete && there && !built_in) {
    if (IsUnknown(operation_)) {
      // Once begun, it goes on by itself.
      Model begun = model;
      begun.ending_.insert(request.bucket);
      after_.push_back(std::move(begun));
    }
    if (model.HasNames(request.bucket)) outcome = Outcome::kBucketNotEmpty;
    if (outcome == Outcome::kOk) {
      next.buckets_.erase(request.bucket);
      next.ending_.erase(request.bucket);
    }
  } else if (request.kind == Kind::kDelete && there) {
    outcome = Outcome::kBucketNotEmpty;
  }
  const BucketReply* reply = ReplyOf<BucketReply>(operation_);
  if (reply == nullptr || reply->outcome == outcome) after_.push_back(std::move(next));
}

// ---- creating --------------------------------------------------------------------------------

std::optional<uint64_t> Deciding::Resolve(const ModelStream& source, const ForkPoint& point) {
  if (!point.offset) {
    if (point.sub_offset > 0) return std::nullopt;
    return source.tail();
  }
  const uint64_t anchor = point.offset->bytes;
  if (anchor > source.tail() || (anchor == source.tail() && point.sub_offset > 0)) {
    return std::nullopt;
  }
  if (source.json() && anchor > 0 && source.content[anchor - 1] != '\n') return std::nullopt;
  if (point.sub_offset == 0) return anchor;
  const uint64_t end = *std::ranges::upper_bound(source.append_ends, anchor);
  if (!source.json()) {
    if (point.sub_offset > end - anchor) return std::nullopt;
    return anchor + point.sub_offset;
  }
  uint64_t messages = 0;
  for (uint64_t at = anchor; at < end; ++at) {
    if (source.content[at] == '\n' && ++messages == point.sub_offset) return at + 1;
  }
  return std::nullopt;
}

// The same request, or one that names the same place in another way.
bool Deciding::SamePoint(const Model& model, const ModelStream& there, const ForkPoint& point) {
  if (*there.point == point) return true;
  if (there.point->source != point.source) return false;
  const ModelStream* source = model.Find(point.source);
  const bool same_life = source != nullptr && source->number == there.source;
  if (!point.offset) {
    const bool live = same_life && source->life == Life::kLive;
    return live && point.sub_offset == 0 && source->tail() == there.inherited;
  }
  if (same_life) return Resolve(*source, point) == there.inherited;
  return point.sub_offset == 0 && point.offset->bytes == there.inherited;
}

bool Deciding::SameConfig(const Model& model, const ModelStream& there,
                          const CreateRequest& request) {
  if (there.point.has_value() != request.fork.has_value()) return false;
  if (request.fork && !SamePoint(model, there, *request.fork)) return false;
  std::string type = request.content_type;
  if (type.empty() && !request.fork) type = "application/octet-stream";
  if (!type.empty() && !SameMediaType(type, there.content_type)) return false;
  return request.closed == there.closed && request.lifetime == there.given;
}

Deciding::Creation Deciding::PlanCreation(const Model& model, const CreateRequest& request) const {
  Creation creation;
  if (request.stream.bucket != kUpstreamBucket && !model.buckets_.contains(request.stream.bucket)) {
    // Of a fork it's open what is looked at first.
    if (request.fork) PlanFork(model, request, &creation);
    creation.outcomes.insert(creation.outcomes.begin(), Outcome::kBucketNotFound);
    return creation;
  }
  creation.there = model.Find(request.stream);
  if (creation.there != nullptr) {
    if (creation.there->life == Life::kSoftDeleted) {
      creation.outcomes = {Outcome::kSoftDeleted};
    } else if (!SameConfig(model, *creation.there, request)) {
      creation.outcomes = {Outcome::kConflict};
    } else {
      const bool holds = Holds(request.condition, creation.there);
      creation.outcomes = {holds ? Outcome::kExisted : Outcome::kPreconditionFailed};
    }
    return creation;
  }
  if (request.fork) PlanFork(model, request, &creation);
  if (!creation.outcomes.empty()) return creation;
  creation.outcomes = {Holds(request.condition, nullptr) ? Outcome::kOk
                                                         : Outcome::kPreconditionFailed};
  return creation;
}

void Deciding::PlanFork(const Model& model, const CreateRequest& request,
                        Creation* creation) const {
  const ModelStream* source = model.Find(request.fork->source);
  if (source == nullptr) {
    creation->outcomes = {Outcome::kForkSourceNotFound};
    return;
  }
  if (source->life == Life::kSoftDeleted) {
    creation->outcomes = {Outcome::kForkSourceDeleted};
    return;
  }
  creation->source = source->number;
  const std::string& type = request.content_type;
  if (!type.empty() && !SameMediaType(type, source->content_type)) {
    creation->outcomes.push_back(Outcome::kForkContentTypeMismatch);
  }
  if (const std::optional<uint64_t> offset = Resolve(*source, *request.fork)) {
    creation->offset = *offset;
  } else {
    creation->outcomes.push_back(Outcome::kForkOffsetInvalid);
  }
}

void Deciding::Do(const Model& model, const CreateRequest& request) {
  const Creation creation = PlanCreation(model, request);
  const CreateReply* reply = ReplyOf<CreateReply>(operation_);
  const bool may_make = creation.outcomes.front() == Outcome::kOk ||
                        creation.outcomes.front() == Outcome::kPreconditionFailed;
  // While a fork is being made under the name, a create waits for what becomes of it.
  if (may_make && model.Hidden(request.stream) != nullptr) return;
  if (reply != nullptr &&
      std::ranges::find(creation.outcomes, reply->outcome) == creation.outcomes.end()) {
    return;
  }
  if (creation.outcomes.front() == Outcome::kOk) return Make(model, request, creation);
  Model next = model;
  const bool informs = creation.outcomes.front() == Outcome::kExisted;
  if (reply != nullptr && informs && !InfoFits(&next, *creation.there, reply->info)) return;
  after_.push_back(std::move(next));
}

void Deciding::Make(Model model, const CreateRequest& request, const Creation& creation) {
  ModelStream* stream = model.Add(operation_, request);
  if (creation.source != 0) {
    const ModelStream& source = *model.Numbered(creation.source);
    if (request.content_type.empty()) stream->content_type = source.content_type;
    stream->source = source.number;
    stream->confirmed = stream->group == source.group;
    stream->group = source.group;
    stream->last_use = operation_.times[stream->group];
    stream->point = request.fork;
    if (request.lifetime == Lifetime{}) stream->effective = source.effective;
    for (uint64_t end : source.append_ends) {
      const uint64_t from = stream->tail();
      if (from >= creation.offset) break;
      Extend(stream,
             std::string_view(source.content).substr(from, std::min(end, creation.offset) - from));
    }
    stream->inherited = creation.offset;
  }
  Extend(stream, StoredForm(request.messages, stream->json()));
  const CreateReply* reply = ReplyOf<CreateReply>(operation_);
  if (reply != nullptr && !InfoFits(&model, *stream, reply->info)) return;
  after_.push_back(std::move(model));
}

// ---- appending -------------------------------------------------------------------------------

Outcome Deciding::ProducerOutcome(const ModelStream& stream, const Producer& producer) {
  auto known = stream.producers.find(producer.id);
  if (known == stream.producers.end()) {
    return producer.sequence == 0 ? Outcome::kOk : Outcome::kProducerGap;
  }
  const Producer& last = known->second;
  if (producer.epoch < last.epoch) return Outcome::kProducerStale;
  if (producer.epoch > last.epoch) {
    return producer.sequence == 0 ? Outcome::kOk : Outcome::kProducerEpochStart;
  }
  if (producer.sequence <= last.sequence) return Outcome::kDuplicate;
  return producer.sequence == last.sequence + 1 ? Outcome::kOk : Outcome::kProducerGap;
}

Outcome Deciding::AppendOutcome(const ModelStream& stream, const AppendRequest& request) {
  if (stream.life == Life::kSoftDeleted) return Outcome::kSoftDeleted;
  const Outcome producer =
      request.producer ? ProducerOutcome(stream, *request.producer) : Outcome::kOk;
  if (stream.closed) {
    if (request.producer && request.producer == stream.closing) return Outcome::kDuplicate;
    const bool again = request.close && request.messages.empty() && !request.producer;
    if (!again) return Outcome::kClosed;
  } else {
    if (!request.messages.empty() && !request.content_type.empty() &&
        !SameMediaType(request.content_type, stream.content_type)) {
      return Outcome::kContentTypeMismatch;
    }
    if (producer != Outcome::kOk) return producer;
    if (!request.sequence.empty() && request.sequence <= stream.sequence) {
      return Outcome::kSequenceConflict;
    }
  }
  StateMatch expected;
  expected.tail = request.expected_tail;
  expected.incarnation = request.expected_incarnation;
  const bool holds = Matches(expected, stream) && Holds(request.condition, &stream);
  return holds ? Outcome::kOk : Outcome::kPreconditionFailed;
}

void Deciding::ApplyAppend(ModelStream* stream, const AppendRequest& request) {
  if (stream->closed) return;
  Extend(stream, StoredForm(request.messages, stream->json()));
  if (request.close) {
    stream->closed = true;
    stream->closing = request.producer;
  }
  if (!request.sequence.empty()) stream->sequence = request.sequence;
  if (request.producer) stream->producers[request.producer->id] = *request.producer;
}

bool Deciding::AppendReplyFits(Model* model, const ModelStream& before, const ModelStream& after,
                               Outcome outcome) const {
  const AppendReply* reply = ReplyOf<AppendReply>(operation_);
  if (reply == nullptr) return true;
  if (reply->outcome != outcome) return false;
  if (outcome == Outcome::kSoftDeleted) return true;
  if (reply->tail.bytes != after.tail() || reply->closed != after.closed) return false;
  if (outcome == Outcome::kOk && reply->start.bytes != before.tail()) return false;
  if (reply->incarnation != 0 && !model->Learn(after.number, reply->incarnation)) return false;
  const auto& request = std::get<AppendRequest>(operation_.request);
  if (!request.producer || outcome == Outcome::kClosed) return true;
  auto known = after.producers.find(request.producer->id);
  const bool says = outcome != Outcome::kContentTypeMismatch && known != after.producers.end();
  if (says && (reply->producer_epoch != known->second.epoch ||
               reply->producer_sequence != known->second.sequence)) {
    return false;
  }
  if (outcome != Outcome::kProducerGap) return true;
  const uint64_t next = known == after.producers.end() ? 0 : known->second.sequence + 1;
  return reply->producer_expected_sequence == next;
}

void Deciding::Do(const Model& model, const AppendRequest& request) {
  const AppendReply* reply = ReplyOf<AppendReply>(operation_);
  const ModelStream* before = model.Find(request.stream);
  if (before == nullptr) {
    if (reply == nullptr || reply->outcome == Absent(model, request.stream))
      after_.push_back(model);
    return;
  }
  const Outcome outcome = AppendOutcome(*before, request);
  Model next = model;
  if (outcome == Outcome::kOk) ApplyAppend(next.Edit(before->number), request);
  const std::shared_ptr<const ModelStream> after =
      std::make_shared<const ModelStream>(*next.Numbered(before->number));
  if (!AppendReplyFits(&next, *before, *after, outcome)) return;
  if (outcome == Outcome::kOk) Renew(&next, before->number, true);
  if (outcome == Outcome::kDuplicate) Renew(&next, before->number, false);
  after_.push_back(std::move(next));
}

// ---- deleting and reading --------------------------------------------------------------------

void Deciding::Do(const Model& model, const DeleteRequest& request) {
  const ModelStream* stream = model.Find(request.stream);
  Outcome outcome = Outcome::kOk;
  if (stream == nullptr) {
    outcome = Absent(model, request.stream);
  } else if (stream->life == Life::kSoftDeleted) {
    outcome = Outcome::kSoftDeleted;
  } else if (!Holds(request.condition, stream)) {
    outcome = Outcome::kPreconditionFailed;
  }
  Model next = model;
  const DeleteReply* reply = ReplyOf<DeleteReply>(operation_);
  if (reply != nullptr) {
    if (reply->outcome != outcome) return;
    const bool informs = outcome == Outcome::kOk || outcome == Outcome::kPreconditionFailed;
    const bool informed = reply->info.incarnation != 0;
    if (informs && informed && !InfoFits(&next, *stream, reply->info)) return;
  }
  if (outcome == Outcome::kOk) next.End(stream->number, Life::kSoftDeleted);
  after_.push_back(std::move(next));
}

void Deciding::Do(const Model& model, const HeadRequest& request) {
  const ModelStream* stream = model.Find(request.stream);
  Model next = model;
  if (const HeadReply* reply = ReplyOf<HeadReply>(operation_)) {
    const Outcome outcome = stream == nullptr                    ? Absent(model, request.stream)
                            : stream->life == Life::kSoftDeleted ? Outcome::kSoftDeleted
                                                                 : Outcome::kOk;
    if (reply->outcome != outcome) return;
    if (outcome == Outcome::kOk && !InfoFits(&next, *stream, reply->info)) return;
  }
  after_.push_back(std::move(next));
}

void Deciding::Do(const Model& model, const ReadRequest& request) {
  const ModelStream* stream = model.Find(request.stream);
  const ReadReply* reply = ReplyOf<ReadReply>(operation_);
  if (reply == nullptr) {
    Model next = model;
    if (stream != nullptr) Renew(&next, stream->number, false);
    return after_.push_back(std::move(next));
  }
  if (stream == nullptr || stream->life == Life::kSoftDeleted) {
    const Outcome outcome =
        stream == nullptr ? Absent(model, request.stream) : Outcome::kSoftDeleted;
    if (reply->outcome == outcome) after_.push_back(model);
    return;
  }
  Model next = model;
  if (request.incarnation) {
    // One that the engine hasn't told yet can't have been asked for.
    const bool other = *request.incarnation != stream->incarnation;
    if (other != (reply->outcome == Outcome::kNotFound)) return;
    if (other) return after_.push_back(std::move(next));
  }
  if (!ReadReplyFits(&next, *stream, request, *reply)) return;
  // Who waits keeps the stream alive, whether it wants to or not.
  const bool renews = request.touch || request.wait_ms > 0;
  if (renews && stream->effective.ttl_seconds) {
    Renew(&next, stream->number, false);
    ModelStream* renewed = next.Edit(stream->number);
    const int64_t from_ms = operation_.times[renewed->group].from - RenewalWindowMs(*renewed);
    if (request.touch && !operation_.cut_short) {
      renewed->last_use.from = std::max(renewed->last_use.from, from_ms);
    }
  }
  after_.push_back(std::move(next));
}

bool Deciding::ReadReplyFits(Model* model, const ModelStream& stream, const ReadRequest& request,
                             const ReadReply& reply) const {
  if (!PageFits(stream, request, reply)) return false;
  if (reply.outcome != Outcome::kOk) return true;
  if (reply.next == reply.start && !request.from_tail && request.from.bytes < stream.tail() &&
      request.wait_ms == 0 && operation_.answered == operation_.invoked + 1) {
    return false;  // Nothing else happened meanwhile, and there was something to read.
  }
  return InfoFits(model, stream, reply.info);
}

bool PageFits(const ModelStream& stream, const ReadRequest& request, const ReadReply& reply) {
  const uint64_t tail = stream.tail();
  uint64_t from = request.from.bytes;
  if (request.from_append_start && from < tail) {
    const std::vector<uint64_t> before = stream.MessageEnds(0, from);
    from = before.empty() ? 0 : before.back();
  }
  const bool inside = stream.json() && !request.from_tail && from > 0 && from < tail &&
                      stream.content[from - 1] != '\n';
  if (inside) return reply.outcome == Outcome::kOffsetInvalid;
  if (reply.outcome != Outcome::kOk) return false;
  const uint64_t start = reply.start.bytes;
  const uint64_t next = reply.next.bytes;
  if (start > next || next > tail) return false;
  // The tail that it began at may have moved on since.
  const bool right_start =
      request.from_tail ? start <= tail : start == from || (start < from && start == next);
  if (!right_start) return false;
  const bool read_any = next > start;
  std::string bytes;
  for (const Bytes& part : reply.parts) bytes += part.view();
  if (bytes != std::string_view(stream.content).substr(start, next - start)) return false;
  if (reply.up_to_date != (next == tail)) return false;
  if (stream.json() && read_any && stream.content[next - 1] != '\n') return false;
  const bool cut = read_any && !stream.json() && stream.MessageEnds(next - 1, next).empty();
  if (reply.cut != cut) return false;
  if (request.boundaries) {
    std::vector<uint64_t> ends;
    for (Offset end : reply.message_ends) ends.push_back(end.bytes);
    if (ends != stream.MessageEnds(start, next)) return false;
  }
  return true;
}

}  // namespace ursula::engine::sim
