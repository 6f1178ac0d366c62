#include "tests/model/command_source.h"

#include <algorithm>
#include <utility>

namespace ursula::stream {

const std::vector<StreamId>& ModelNames() {
  static const auto* const kNames = new std::vector<StreamId>{
      {"v1", "", "a"},      {"v1", "", "a/b"},    {"v1", "", "ab"},     {"bucket", "", "x"},
      {"bucket", "k", "x"}, {"bucket", "k", "y"}, {"v1", "", "remote"}, {"v1", "", "foreign"},
  };
  return *kNames;
}

StreamId CommandSource::Name() { return ModelNames()[random_.Below(ModelNames().size())]; }

std::string CommandSource::ContentType() {
  static const char* const kTypes[] = {"", "text/plain", "Text/PLAIN; charset=utf-8",
                                       "application/json", "text/plain"};
  return kTypes[random_.Below(5)];
}

Lifetime CommandSource::SomeLifetime() {
  Lifetime lifetime;
  if (random_.OneIn(4)) {
    lifetime.ttl_seconds = random_.Below(4);
  } else if (random_.OneIn(6)) {
    lifetime.expires_at_ms = now_ms_ + static_cast<int64_t>(random_.Below(4000));
    lifetime.expires_at_text = "t" + std::to_string(*lifetime.expires_at_ms);
  }
  return lifetime;
}

Bytes CommandSource::Payload() {
  std::string payload;
  for (uint64_t i = random_.Below(4); i > 0; --i) {
    payload.push_back(static_cast<char>('a' + random_.Below(26)));
  }
  return Bytes::Take(std::move(payload));
}

Incarnation CommandSource::SomeIncarnation() {
  const std::vector<ModelStream>& streams = twin_->model().streams();
  if (streams.empty() || random_.OneIn(10)) return Incarnation{1 + random_.Below(50)};
  return Incarnation{streams[random_.Below(streams.size())].number};
}

CreateStream CommandSource::Create() {
  CreateStream create;
  create.id = Name();
  create.content_type = ContentType();
  create.lifetime = SomeLifetime();
  create.closed = random_.OneIn(8);
  create.sequence = random_.OneIn(6) ? "1" : "";
  if (create.id.bucket != "v1") {
    create.bucket = {Incarnation{5 + random_.Below(3)}, Incarnation{random_.Below(60)}};
  }
  create.payload = Payload();
  create.framing = FramingFor(create.content_type);
  if (random_.OneIn(6)) create.condition = Condition(create.id);
  return create;
}

// Mostly the right one.
Framing CommandSource::FramingFor(std::string_view content_type) {
  bool json = content_type == "application/json";
  return json != random_.OneIn(20) ? Framing::kJson : Framing::kConcatenated;
}

StateMatch CommandSource::Match(const StreamId& id) {
  StateMatch match;
  const ModelStream* stream = twin_->model().Visible(id);
  uint64_t tail = stream == nullptr ? 0 : stream->content.size();
  if (random_.OneIn(2)) match.tail = Offset{tail + (random_.OneIn(3) ? 1 : 0)};
  if (random_.OneIn(3)) match.closed = random_.OneIn(4);
  if (random_.OneIn(3)) {
    Incarnation life{stream == nullptr ? random_.Below(5) : stream->number};
    match.incarnation = PublicIncarnation(twin_->model().history(), GroupId{3}, life);
  }
  return match;
}

Precondition CommandSource::Condition(const StreamId& id) {
  Precondition condition;
  condition.exists = random_.OneIn(4);
  condition.absent = random_.OneIn(4);
  for (uint64_t i = random_.Below(3); i > 0; --i) condition.any_of.push_back(Match(id));
  for (uint64_t i = random_.Below(2); i > 0; --i) condition.none_of.push_back(Match(id));
  return condition;
}

ForkPoint CommandSource::Point() {
  ForkPoint point;
  point.source = Name();
  if (random_.OneIn(2)) point.offset = Offset{random_.Below(4)};
  if (random_.OneIn(5)) point.sub_offset = random_.Below(2);
  return point;
}

Reservation CommandSource::SomeReservation() {
  uint64_t newest = static_cast<uint64_t>(now_ms_) / 10000;
  return Reservation{GroupId{9}, Incarnation{newest + random_.Below(3)}};
}

CreateFork CommandSource::Fork() {
  CreateFork fork;
  fork.stream = Create();
  if (random_.OneIn(2)) fork.stream.content_type.clear();
  if (random_.OneIn(2)) fork.stream.lifetime = {};
  fork.point = Point();
  fork.at_tail = random_.OneIn(3);
  fork.offset = Offset{random_.Below(6)};
  const ModelStream* source = twin_->model().Visible(fork.point.source);
  if (source != nullptr) fork.source = Incarnation{source->number};
  if (source != nullptr && source->content_type == "application/json") {
    fork.stream.framing = Framing::kJson;
  }
  if (random_.OneIn(8)) fork.source = SomeIncarnation();
  if (random_.OneIn(8)) fork.source = kNoIncarnation;
  if (fork.stream.id.name == "foreign" || random_.OneIn(8)) fork.reservation = SomeReservation();
  return fork;
}

Append CommandSource::SomeAppend() {
  if (random_.OneIn(5)) return last_append_;  // A retry.
  Append append;
  append.id = Name();
  append.content_type = ContentType();
  const ModelStream* there = twin_->model().Visible(append.id);
  append.framing = FramingFor(there == nullptr ? std::string() : there->content_type);
  if (random_.OneIn(6)) append.expected = Match(append.id);
  if (random_.OneIn(6)) append.condition = Condition(append.id);
  append.close = random_.OneIn(12);
  append.payload = Payload();
  if (random_.OneIn(3)) {
    append.producer = Producer{random_.OneIn(2) ? "p" : "q", random_.Below(3), random_.Below(4)};
  }
  static const char* const kSequences[] = {"1", "10", "2", "09", "a", "B"};
  if (random_.OneIn(6)) append.sequence = kSequences[random_.Below(6)];
  last_append_ = append;
  return append;
}

Command::Body CommandSource::StreamBody() {
  switch (random_.Below(12)) {
    case 0:
    case 1:
      return Create();
    case 2:
    case 3:
    case 4:
      return Fork();
    case 5: {
      StreamId id = Name();
      return Delete{id, random_.OneIn(4) ? Condition(id) : Precondition{}};
    }
    case 6:
      return Expire{{SomeIncarnation(), SomeIncarnation()}};
    case 7:
      return Touch{{SomeIncarnation(), SomeIncarnation()}};
    default:
      return SomeAppend();
  }
}

Command::Body CommandSource::ClusterBody() {
  std::string bucket = random_.OneIn(2) ? "bucket" : "other";
  if (random_.OneIn(20)) bucket = "v1";
  StreamId remote = random_.OneIn(4) ? Name() : StreamId{"v1", "", "remote"};
  auto placed = twin_->model().placements().find(remote);
  Incarnation reservation{random_.Below(20)};
  if (placed != twin_->model().placements().end() && !random_.OneIn(4)) {
    reservation = placed->second.reservation.id;
  }
  switch (random_.Below(11)) {
    case 9:
      if (random_.OneIn(3)) return SettleFences{Incarnation{random_.Below(50)}};
      return Configuration();
    case 0:
      return CreateBucket{bucket};
    case 1: {
      auto found = twin_->model().buckets().find(bucket);
      uint64_t number = found == twin_->model().buckets().end() ? 1 : found->second.attempt;
      return DeleteBucket{bucket, static_cast<DeleteBucket::Step>(1 + random_.Below(3)),
                          Incarnation{number}};
    }
    case 2:
      return FenceBucket{bucket, Incarnation{4 + random_.Below(4)}, Incarnation{random_.Below(60)}};
    case 3:
      return UnfenceBucket{bucket, Incarnation{4 + random_.Below(4)},
                           Incarnation{random_.Below(60)}};
    case 4: {
      Reserve reserve{Create(), Point(), GroupId{random_.OneIn(5) ? 3u : 9u}};
      reserve.stream.payload = {};
      if (random_.OneIn(2)) reserve.stream.id = remote;
      return reserve;
    }
    case 5:
      return Confirm{remote, reservation, Incarnation{random_.Below(100)}};
    case 6:
      return Unreserve{remote, reservation};
    case 7: {
      ResolveFork resolve{StreamId{"v1", "", "foreign"}, SomeReservation(), random_.Below(3000)};
      if (random_.OneIn(4)) resolve.hold_ms = 0;
      if (random_.OneIn(4)) resolve.settled_below = SomeReservation().id;
      const ModelStream* stream = twin_->model().Visible(resolve.id);
      if (stream != nullptr && stream->reservation) resolve.reservation = *stream->reservation;
      return resolve;
    }
    default: {
      DropReleases drop{GroupId{9}, {}, {}};
      if (random_.OneIn(3)) drop.settled_below = SomeReservation().id;
      for (const StreamModel::Gone& gone : twin_->model().gone()) {
        if (random_.OneIn(2)) drop.forks.push_back(Incarnation{gone.fork});
      }
      return drop;
    }
  }
}

Recover CommandSource::RandomRecover() {
  Recover recover{.number = random_.Below(4), .history = random_.Below(3)};
  for (uint64_t node = 1; node <= random_.Below(5); ++node) {
    if (random_.OneIn(2)) {
      recover.survivors.push_back({node, random_.Below(3)});
    } else {
      recover.lost.push_back(node);
    }
  }
  return recover;
}

Command::Body CommandSource::Configuration() {
  switch (random_.Below(11)) {
    case 10:
      return RandomRecover();
    case 9:
      return MarkNode{1 + random_.Below(7), random_.Below(2),
                      static_cast<MarkNode::Mark>(1 + random_.Below(4)), 1 + random_.Below(4)};
    case 6:
      return AdmitNode{1 + random_.Below(3), random_.Below(4), random_.Below(3)};
    case 7:
      return SettleNode{1 + random_.Below(3), random_.Below(4),
                        random_.OneIn(2) ? SettleNode::Step::kWhole : SettleNode::Step::kGone};
    case 8:
      return OpenNode{1 + random_.Below(3), random_.Below(4), random_.Below(6), random_.Below(3),
                      random_.Below(3)};
    case 0:
      return SetHistory{random_.Below(3)};
    case 1:
      return SetFeatureLevel{random_.Below(3)};
    case 2:
      return SetLimits{{1 + random_.Below(3), 1000 + random_.Below(3000), 1 + random_.Below(4)}};
    case 3:
      return StepClock{static_cast<int64_t>(random_.Below(3000)) - 1500};
    default:
      return SetLimits{};
  }
}

Command CommandSource::Next() {
  now_ms_ += static_cast<int64_t>(random_.OneIn(3) ? random_.Below(1200) : random_.Below(5));
  Command command;
  command.now_ms = now_ms_ - (random_.OneIn(20) ? 50 : 0);  // A new leader's clock may be behind.
  command.body = random_.OneIn(6) ? ClusterBody() : StreamBody();
  return command;
}

}  // namespace ursula::stream
