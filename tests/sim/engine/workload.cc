#include "tests/sim/engine/workload.h"

#include <algorithm>
#include <utility>

#include "lib/engine/placement.h"

namespace ursula::engine::sim {

void Workload::BeginBatch(const Model& model, Moments now_ms) {
  model_ = &model;
  now_ms_ = std::move(now_ms);
  focus_.clear();
  const uint64_t count = 1 + random_.Below(2);
  for (uint64_t i = 0; i < count; ++i) {
    focus_.push_back(profile_.names[random_.Below(profile_.names.size())]);
  }
  bucket_.clear();
  if (random_.OneIn(12)) bucket_ = random_.OneIn(2) ? "team" : "crew";
}

const StreamId& Workload::Name() {
  if (!random_.OneIn(5)) return focus_[random_.Below(focus_.size())];
  return profile_.names[random_.Below(profile_.names.size())];
}

Request Workload::Next(uint64_t number) {
  if (!bucket_.empty() && random_.OneIn(2)) return Bucket();
  uint64_t total = 0;
  for (uint32_t weight : profile_.weights) total += weight;
  uint64_t pick = random_.Below(total);
  std::size_t kind = 0;
  while (pick >= profile_.weights[kind]) pick -= profile_.weights[kind++];
  switch (kind) {
    case Profile::kCreate:
      return Create(number);
    case Profile::kFork:
      return Fork(number);
    case Profile::kAppend:
      return Append(number);
    case Profile::kDelete: {
      DeleteRequest request{.stream = Name()};
      if (profile_.conditions && random_.OneIn(5)) {
        request.condition = Condition(There(request.stream));
      }
      return request;
    }
    case Profile::kRead:
      return Read();
    case Profile::kHead:
      return Head();
    default:
      return Bucket();
  }
}

// A JSON value, whatever the stream's type, and another one each time.
Bytes Workload::Payload(uint64_t number) {
  const uint64_t size = random_.OneIn(30)  ? random_.Below(20'000)
                        : random_.OneIn(3) ? random_.Below(profile_.payload_max)
                                           : random_.Below(24);
  std::string text = "\"" + std::to_string(number) + "-";
  text.append(size, static_cast<char>('a' + random_.Below(26)));
  return Bytes::Take(text + "\"");
}

std::vector<Bytes> Workload::Messages(uint64_t number, uint64_t count_max) {
  std::vector<Bytes> messages;
  const uint64_t count = random_.OneIn(3) ? random_.Below(count_max + 1) : 1;
  for (uint64_t i = 0; i < count; ++i) messages.push_back(Payload(number));
  return messages;
}

std::string Workload::ContentType() {
  static constexpr const char* kTypes[] = {"", "text/plain", "application/json",
                                           "Application/JSON; charset=utf-8"};
  return kTypes[random_.Below(4)];
}

Lifetime Workload::SomeLifetime(uint32_t group) {
  Lifetime lifetime;
  if (!profile_.lifetimes || !random_.OneIn(3)) return lifetime;
  if (random_.OneIn(2)) {
    lifetime.ttl_seconds = 1 + random_.Below(4);
  } else {
    lifetime.expires_at_ms = now_ms_[group] - 500 + static_cast<int64_t>(random_.Below(6000));
    lifetime.expires_at_text = "at " + std::to_string(*lifetime.expires_at_ms);
  }
  return lifetime;
}

// The create that would have made it, or nearly so.
CreateRequest Workload::Again(const ModelStream& stream) {
  CreateRequest request;
  request.stream = stream.id;
  if (!stream.point || random_.OneIn(3)) request.content_type = stream.content_type;
  request.lifetime = stream.given;
  request.closed = stream.closed != random_.OneIn(10);
  request.fork = stream.point;
  if (!stream.point || random_.OneIn(2)) return request;
  if (random_.OneIn(2)) {
    request.fork->offset = Offset{stream.inherited};
  } else {
    request.fork->offset.reset();
  }
  request.fork->sub_offset = 0;
  return request;
}

CreateRequest Workload::Create(uint64_t number) {
  const StreamId& id = Name();
  const ModelStream* there = There(id);
  CreateRequest request;
  if (there != nullptr && random_.OneIn(2)) {
    request = Again(*there);
  } else {
    request.stream = id;
    request.content_type = ContentType();
    request.lifetime = SomeLifetime(Raw(GroupOf(id, profile_.groups)));
    request.closed = random_.OneIn(15);
    request.messages = Messages(number, 3);
    if (random_.OneIn(8)) request.sequence = "m";
  }
  if (profile_.conditions && random_.OneIn(5)) request.condition = Condition(there);
  return request;
}

CreateRequest Workload::Fork(uint64_t number) {
  const StreamId& id = Name();
  const ModelStream* there = There(id);
  if (there != nullptr && there->point && random_.OneIn(2)) return Again(*there);
  CreateRequest request;
  request.stream = id;
  request.fork = Point(Name());
  if (request.fork->source == id) {
    request.fork = Point(profile_.names[random_.Below(profile_.names.size())]);
  }
  if (random_.OneIn(8)) request.content_type = ContentType();
  const ModelStream* source = There(request.fork->source);
  const uint32_t group =
      source != nullptr ? source->group : Raw(GroupOf(request.fork->source, profile_.groups));
  if (random_.OneIn(3)) request.lifetime = SomeLifetime(group);
  request.closed = random_.OneIn(20);
  if (random_.OneIn(3)) request.messages = Messages(number, 2);
  if (profile_.conditions && random_.OneIn(8)) request.condition = Condition(there);
  return request;
}

Offset Workload::SomeOffset(const ModelStream& stream) {
  const std::vector<uint64_t>& ends = stream.append_ends;
  switch (random_.Below(5)) {
    case 0:
      return Offset{stream.tail()};
    case 1:
      return Offset{random_.Below(stream.tail() + 2)};
    case 2: {
      std::vector<uint64_t> messages = stream.MessageEnds(0, stream.tail());
      if (messages.empty()) return {};
      return Offset{messages[random_.Below(messages.size())]};
    }
    case 3:
      return Offset{0};
    default:
      return ends.empty() ? Offset{} : Offset{ends[random_.Below(ends.size())]};
  }
}

ForkPoint Workload::Point(const StreamId& source) {
  ForkPoint point;
  point.source = source;
  const ModelStream* there = There(source);
  if (there == nullptr || random_.OneIn(3)) return point;
  point.offset = SomeOffset(*there);
  if (there->point && random_.OneIn(4)) point.offset = Offset{there->inherited};
  if (!random_.OneIn(3)) return point;
  // About as far as one append reaches.
  auto end = std::ranges::upper_bound(there->append_ends, point.offset->bytes);
  const uint64_t reach =
      end == there->append_ends.end() ? 1 : *end - std::min(*end, point.offset->bytes);
  point.sub_offset = there->json() ? 1 + random_.Below(3) : 1 + random_.Below(reach + 2);
  if (!there->json() && random_.OneIn(3)) point.sub_offset = reach;
  return point;
}

Producer Workload::SomeProducer(const ModelStream* stream) {
  Producer producer{.id = random_.OneIn(2) ? "p" : "q"};
  if (stream == nullptr) return producer;
  auto known = stream->producers.find(producer.id);
  if (known != stream->producers.end()) producer = known->second;
  switch (random_.Below(10)) {
    case 0:
      break;  // Again.
    case 1:
      ++producer.epoch;
      producer.sequence = random_.OneIn(4);
      break;
    case 2:
      if (producer.epoch > 0) --producer.epoch;
      break;
    case 3:
      producer.sequence += 2;
      break;
    default:
      if (known != stream->producers.end()) ++producer.sequence;
      break;
  }
  return producer;
}

StateMatch Workload::SomeMatch(const ModelStream* stream) {
  StateMatch match;
  if (random_.OneIn(3)) match.closed = stream != nullptr && stream->closed != random_.OneIn(5);
  if (stream == nullptr) {
    match.tail = Offset{random_.Below(50)};
    return match;
  }
  if (!random_.OneIn(4))
    match.tail = random_.OneIn(4) ? SomeOffset(*stream) : Offset{stream->tail()};
  if (random_.OneIn(2) && stream->incarnation != 0) {
    match.incarnation = stream->incarnation;
    const std::vector<uint64_t>& all = model_->incarnations();
    if (random_.OneIn(4) && !all.empty()) match.incarnation = all.front();
  }
  if (!match.tail && !match.incarnation && !match.closed) match.tail = Offset{stream->tail()};
  return match;
}

Precondition Workload::Condition(const ModelStream* stream) {
  Precondition condition;
  switch (random_.Below(5)) {
    case 0:
      condition.exists = true;
      break;
    case 1:
      condition.absent = true;
      break;
    case 2:
      condition.none_of.push_back(SomeMatch(stream));
      break;
    default:
      condition.any_of.push_back(SomeMatch(stream));
      if (random_.OneIn(3)) condition.any_of.push_back(SomeMatch(stream));
      break;
  }
  return condition;
}

AppendRequest Workload::Append(uint64_t number) {
  AppendRequest request;
  request.stream = Name();
  const ModelStream* there = There(request.stream);
  request.messages = Messages(number, 4);
  if (there != nullptr && random_.OneIn(2)) request.content_type = there->content_type;
  if (random_.OneIn(15)) request.content_type = ContentType();
  request.close = request.messages.empty() || random_.OneIn(25);
  if (random_.OneIn(3)) request.producer = SomeProducer(there);
  if (random_.OneIn(6)) {
    request.sequence = there == nullptr ? "a" : there->sequence;
    if (request.sequence.empty() || !random_.OneIn(4)) request.sequence += "b";
  }
  if (!profile_.conditions || !random_.OneIn(3)) return request;
  if (random_.OneIn(2)) {
    request.expected_tail = there == nullptr ? Offset{} : Offset{there->tail()};
    if (there != nullptr && random_.OneIn(5)) request.expected_tail = SomeOffset(*there);
    if (there != nullptr && there->incarnation != 0 && random_.OneIn(2)) {
      request.expected_incarnation = there->incarnation;
    }
  } else {
    request.condition = Condition(there);
  }
  return request;
}

ReadRequest Workload::Read() {
  ReadRequest request;
  request.stream = Name();
  request.boundaries = random_.OneIn(2);
  request.touch = !random_.OneIn(3);
  request.from_tail = random_.OneIn(6);
  if (random_.OneIn(3)) request.bytes_max = 1 + random_.Below(200);
  if (random_.OneIn(4)) request.wait_ms = 1 + random_.Below(30);
  if (profile_.local_reads && random_.OneIn(2)) {
    request.consistency = Consistency::kLocal;
    request.staleness_ms_max = SomeStaleness();
  }
  const ModelStream* there = There(request.stream);
  if (there == nullptr) return request;
  request.from = SomeOffset(*there);
  request.from_append_start = random_.OneIn(2);
  if (random_.OneIn(4) && there->incarnation != 0) request.incarnation = there->incarnation;
  return request;
}

uint64_t Workload::SomeStaleness() {
  static constexpr uint64_t kBounds[] = {0, 1, 20, 300, 1000, 5000};
  return kBounds[random_.Below(6)];
}

HeadRequest Workload::Head() {
  HeadRequest request{.stream = Name()};
  request.local = profile_.local_reads && random_.OneIn(2);
  if (request.local) request.staleness_ms_max = SomeStaleness();
  return request;
}

Request Workload::NextLocalLook() {
  const StreamId& id = Name();
  return LocalLook(id, There(id));
}

Request Workload::LocalLook(const StreamId& id, const ModelStream* there) {
  if (random_.OneIn(3)) {
    return HeadRequest{.stream = id, .local = true, .staleness_ms_max = SomeStaleness()};
  }
  ReadRequest request;
  request.stream = id;
  request.touch = false;
  request.boundaries = random_.OneIn(2);
  request.consistency = Consistency::kLocal;
  request.staleness_ms_max = SomeStaleness();
  request.from_append_start = random_.OneIn(2);
  if (there == nullptr || random_.OneIn(3)) return request;
  request.from = SomeOffset(*there);
  if (random_.OneIn(2)) {
    // To where it reaches after an append that this node may not have heard of.
    request.from = Offset{there->tail() + 1 + random_.Below(20)};
    request.from_append_start = false;
  }
  return request;
}

BucketRequest Workload::Bucket() {
  using Kind = BucketRequest::Kind;
  static constexpr Kind kKinds[] = {Kind::kCreate, Kind::kCreate, Kind::kGet, Kind::kDelete,
                                    Kind::kList};
  BucketRequest request;
  request.kind = kKinds[random_.Below(5)];
  request.bucket = bucket_.empty() ? Name().bucket : bucket_;
  if (request.bucket == kUpstreamBucket) request.bucket = random_.OneIn(2) ? "team" : "crew";
  return request;
}

}  // namespace ursula::engine::sim
