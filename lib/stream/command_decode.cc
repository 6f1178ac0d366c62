#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"
#include "lib/stream/command.h"
#include "lib/stream/command_format.h"
#include "lib/stream/stream_state.h"

namespace ursula::stream {
namespace {

// A list in a command has at most as many elements as bytes.
std::vector<Incarnation> GetIncarnations(Reader* in) {
  std::vector<Incarnation> ids;
  uint64_t count = in->Varint();
  if (count > in->rest().size()) {
    in->Fail();
    return ids;
  }
  ids.reserve(static_cast<std::size_t>(count));
  for (uint64_t i = 0; i < count; ++i) ids.push_back(GetIncarnation(in));
  return ids;
}

std::string GetBucket(Reader* in) {
  std::string_view bucket = in->String();
  if (bucket.find('\0') != std::string_view::npos) in->Fail();
  return std::string(bucket);
}

void Get(Reader* in, CreateBucket* c) { c->bucket = GetBucket(in); }

void Get(Reader* in, DeleteBucket* c) {
  c->bucket = GetBucket(in);
  uint8_t step = in->Fixed<uint8_t>();
  if (step < 1 || step > static_cast<uint8_t>(DeleteBucket::Step::kAbort)) in->Fail();
  c->step = static_cast<DeleteBucket::Step>(step);
  c->attempt = GetIncarnation(in);
}

void Get(Reader* in, FenceBucket* c) {
  c->bucket = GetBucket(in);
  c->bucket_incarnation = GetIncarnation(in);
  c->attempt = GetIncarnation(in);
}

void Get(Reader* in, UnfenceBucket* c) {
  c->bucket = GetBucket(in);
  c->bucket_incarnation = GetIncarnation(in);
  c->attempt = GetIncarnation(in);
}

void Get(Reader* in, SettleFences* c) { c->through = GetIncarnation(in); }

Framing FramingOf(uint8_t flags) {
  return (flags & kFlagJson) != 0 ? Framing::kJson : Framing::kConcatenated;
}

void Get(Reader* in, CreateStream* c) {
  uint8_t flags = GetFlags(in, kFlagClosed | kFlagJson | kFlagCondition);
  c->closed = (flags & kFlagClosed) != 0;
  c->framing = FramingOf(flags);
  c->id = GetStreamId(in);
  c->content_type = in->String();
  c->lifetime = GetLifetime(in);
  c->sequence = in->String();
  c->bucket.incarnation = GetIncarnation(in);
  c->bucket.seen = GetIncarnation(in);
  if ((flags & kFlagCondition) != 0) c->condition = GetPrecondition(in);
}

void Get(Reader* in, CreateFork* c) {
  c->point = GetForkPoint(in);
  c->source = GetIncarnation(in);
  uint8_t flags = GetFlags(in, kFlagAtTail | kFlagReservation);
  c->at_tail = (flags & kFlagAtTail) != 0;
  c->offset = Offset{in->Varint()};
  if ((flags & kFlagReservation) != 0) c->reservation = GetReservation(in);
  Get(in, &c->stream);
}

void Get(Reader* in, Append* c) {
  uint8_t flags =
      GetFlags(in, kFlagClosed | kFlagProducer | kFlagJson | kFlagCondition | kFlagExpected);
  c->close = (flags & kFlagClosed) != 0;
  c->framing = FramingOf(flags);
  c->id = GetStreamId(in);
  c->content_type = in->String();
  c->sequence = in->String();
  if ((flags & kFlagProducer) != 0) c->producer = GetProducer(in);
  if ((flags & kFlagExpected) != 0) c->expected = GetStateMatch(in);
  if ((flags & kFlagCondition) != 0) c->condition = GetPrecondition(in);
}

void Get(Reader* in, Delete* c) {
  uint8_t flags = GetFlags(in, kFlagCondition);
  c->id = GetStreamId(in);
  if ((flags & kFlagCondition) != 0) c->condition = GetPrecondition(in);
}
void Get(Reader* in, Expire* c) { c->incarnations = GetIncarnations(in); }
void Get(Reader* in, Touch* c) { c->incarnations = GetIncarnations(in); }

void Get(Reader* in, Reserve* c) {
  c->point = GetForkPoint(in);
  c->target = GetGroup(in);
  Get(in, &c->stream);
}

void Get(Reader* in, Confirm* c) {
  c->id = GetStreamId(in);
  c->reservation = GetIncarnation(in);
  c->incarnation = GetIncarnation(in);
}

void Get(Reader* in, Unreserve* c) {
  c->id = GetStreamId(in);
  c->reservation = GetIncarnation(in);
}

void Get(Reader* in, ResolveFork* c) {
  c->id = GetStreamId(in);
  c->reservation = GetReservation(in);
  c->hold_ms = in->Varint();
  c->settled_below = GetIncarnation(in);
}

void Get(Reader* in, DropReleases* c) {
  c->home = GetGroup(in);
  c->settled_below = GetIncarnation(in);
  c->forks = GetIncarnations(in);
}

void Get(Reader* in, SetLimits* c) { c->limits = GetLimits(in); }
void Get(Reader* in, SetFeatureLevel* c) { c->level = in->Varint(); }
void Get(Reader* in, SetHistory* c) { c->history = in->Fixed<uint64_t>(); }
void Get(Reader* in, StepClock* c) { c->delta_ms = in->Fixed<int64_t>(); }

void Get(Reader* in, AdmitNode* c) {
  c->node = in->Varint();
  c->directory = in->Fixed<uint64_t>();
  c->lives_before = in->Varint();
}

void Get(Reader* in, SettleNode* c) {
  c->node = in->Varint();
  c->lives_before = in->Varint();
  const uint8_t step = in->Fixed<uint8_t>();
  if (step != 1 && step != 3) in->Fail();
  c->step = static_cast<SettleNode::Step>(step);
}

void Get(Reader* in, MarkNode* c) {
  c->node = in->Varint();
  c->lives_before = in->Varint();
  const uint8_t mark = in->Fixed<uint8_t>();
  if (mark < 1 || mark > 4) in->Fail();
  c->mark = static_cast<MarkNode::Mark>(mark);
  c->keeps = in->Varint();
}

void Get(Reader* in, OpenNode* c) {
  c->node = in->Varint();
  c->lives_before = in->Varint();
  c->opening = in->Varint();
  c->nonce_before = in->Fixed<uint64_t>();
  c->nonce = in->Fixed<uint64_t>();
}

void Get(Reader* in, Recover* c) {
  c->number = in->Varint();
  c->history = in->Fixed<uint64_t>();
  const uint64_t survivors = in->Varint();
  for (uint64_t i = 0; i < survivors && in->ok(); ++i) {
    const uint64_t node = in->Varint();
    c->survivors.push_back({node, in->Varint()});
  }
  const uint64_t lost = in->Varint();
  for (uint64_t i = 0; i < lost && in->ok(); ++i) c->lost.push_back(in->Varint());
}

template <std::size_t kIndex = 0>
bool GetBody(std::size_t index, Reader* in, Command::Body* body) {
  if constexpr (kIndex < std::variant_size_v<Command::Body>) {
    if (index != kIndex) return GetBody<kIndex + 1>(index, in, body);
    Get(in, &body->emplace<kIndex>());
    return true;
  } else {
    return false;
  }
}

Bytes* PayloadSlot(Command* command) {
  if (Append* append = std::get_if<Append>(&command->body)) return &append->payload;
  if (CreateStream* create = std::get_if<CreateStream>(&command->body)) return &create->payload;
  if (CreateFork* fork = std::get_if<CreateFork>(&command->body)) return &fork->stream.payload;
  return nullptr;
}

constexpr std::size_t kLevelKind = 18;

Status Malformed(std::string_view what) {
  return Status(StatusCode::kDataLoss, "stream command: " + std::string(what));
}

// Takes the payload and its checksum off the end.
Status TakePayload(const Bytes& entry, Checksum verify, Reader* in, Bytes* payload) {
  uint32_t checksum = in->Fixed<uint32_t>();
  if (!in->ok()) return Malformed("malformed fields");
  if (verify == Checksum::kVerify && Crc32c(0, in->rest()) != checksum) {
    return Malformed("its payload differs from its checksum");
  }
  if (!in->rest().empty()) *payload = entry.Slice(entry.size() - in->rest().size());
  return {};
}

Status Newer(std::string_view what) {
  return Status(StatusCode::kFailedPrecondition,
                "a newer release wrote a stream command: " + std::string(what));
}

}  // namespace

uint64_t FeatureLevelIn(std::string_view entry) {
  static_assert(
      std::is_same_v<std::variant_alternative_t<kLevelKind - 1, Command::Body>, SetFeatureLevel>);
  if (entry.size() < 2 || static_cast<uint8_t>(entry[1]) != kLevelKind) return 0;
  Reader in(entry);
  const uint8_t version = in.Fixed<uint8_t>();
  in.Fixed<uint8_t>();
  GetTime(&in);
  const uint64_t level = in.Varint();
  return in.ok() && version == kCommandFormatVersion ? level : 0;
}

Result<Command> Decode(const Bytes& entry, Checksum checksum) {
  Reader in(entry.view());
  uint8_t version = in.Fixed<uint8_t>();
  if (in.ok() && version > kCommandFormatVersion) return Newer("format version");
  if (!in.ok() || version != kCommandFormatVersion) return Malformed("unknown format version");
  std::size_t kind = in.Fixed<uint8_t>();
  Command command;
  command.now_ms = GetTime(&in);
  if (!in.ok() || kind == 0) return Malformed("unknown kind");
  if (!GetBody(kind - 1, &in, &command.body)) return Newer("kind " + std::to_string(kind));
  if (!in.ok()) return Malformed("malformed fields");
  // Everything would be past its deadline, also what has none and is in no index of deadlines.
  if (command.now_ms == kNever) return Malformed("a time that never comes");
  Bytes* payload = PayloadSlot(&command);
  if (payload != nullptr) {
    Status status = TakePayload(entry, checksum, &in, payload);
    if (!status.ok()) return status;
  } else if (!in.AtEnd()) {
    return Malformed("bytes after the last field");
  }
  return command;
}

}  // namespace ursula::stream
