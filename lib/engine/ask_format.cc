#include "lib/engine/ask_format.h"

#include <string>
#include <type_traits>
#include <utility>

#include "lib/base/coding.h"
#include "lib/base/ids.h"
#include "lib/stream/command_format.h"

namespace ursula::engine {
namespace {

constexpr uint8_t kAskVersion = 1;

enum class AnswerKind : uint8_t { kElsewhere = 1, kFailed = 2, kAnswered = 3 };

constexpr uint64_t kMembersMax = 64;

constexpr uint8_t kReplyHasPlacement = 1;
constexpr uint8_t kReplyConfirmed = 2;  // The placement.
constexpr uint8_t kReplyLapsed = 4;
constexpr uint8_t kReplyUnresolved = 8;
constexpr uint8_t kReplyKnown = 15;

constexpr uint8_t kHighestOutcome = static_cast<uint8_t>(Outcome::kForkTooDeep);
constexpr uint8_t kHighestCode = static_cast<uint8_t>(StatusCode::kInternal);

stream::Command CommandOf(stream::Command::Body body) {
  stream::Command command;
  command.body = std::move(body);
  return command;
}

// ---- asks ------------------------------------------------------------------------------------

struct AskEncoder {
  ByteParts* out;

  void PutCommand(stream::Command::Body body) {
    out->PutBytes(stream::Encode(CommandOf(std::move(body))));
  }
  void PutMessages(const std::vector<Bytes>& messages) {
    out->PutVarint(messages.size());
    for (const Bytes& message : messages) out->PutBytes(message);
  }
  void operator()(const ask::Propose& ask) {
    PutCommand(ask.body);
    PutMessages(ask.messages);
  }
  void operator()(const ask::Append& ask) {
    PutCommand(ask.work->command.body);
    out->PutFixed<uint8_t>(ask.work->json_checked ? 1 : 0);
    PutMessages(ask.work->messages);
  }
  void operator()(const ask::Fork& ask) {
    PutCommand(ask.fork);
    out->PutFixed<uint8_t>(ask.json_checked ? 1 : 0);
    PutMessages(ask.messages);
  }
  void operator()(const ask::Delete& ask) { PutCommand(stream::Delete{ask.stream, ask.condition}); }
  void operator()(const ask::Unreserve& ask) {
    PutCommand(stream::Unreserve{ask.id, ask.reservation});
  }
  void operator()(const ask::Home& ask) {
    std::string text;
    stream::PutReservation(&text, ask.reservation);
    out->PutString(text);
  }
  void operator()(const ask::StepClock&) {}
  void operator()(const ask::DeleteBucket& ask) { out->PutString(ask.bucket); }
  void operator()(const ask::Reconcile& ask) {
    out->PutVarint(ask.as_of);
    out->PutVarint(ask.members.size());
    for (ReplicaId member : ask.members) out->PutVarint(Raw(member));
  }
};

struct EncodableCheck {
  bool operator()(const ask::Propose& ask) { return stream::IsEncodable(CommandOf(ask.body)); }
  bool operator()(const ask::Append& ask) { return stream::IsEncodable(ask.work->command); }
  bool operator()(const ask::Fork& ask) { return stream::IsEncodable(CommandOf(ask.fork)); }
  bool operator()(const ask::Delete& ask) {
    return stream::IsEncodable(CommandOf(stream::Delete{ask.stream, ask.condition}));
  }
  bool operator()(const ask::Unreserve& ask) {
    return stream::IsEncodable(CommandOf(stream::Unreserve{ask.id, ask.reservation}));
  }
  bool operator()(const ask::Home&) { return true; }
  bool operator()(const ask::StepClock&) { return true; }
  bool operator()(const ask::DeleteBucket&) { return true; }
  bool operator()(const ask::Reconcile& ask) { return ask.members.size() <= kMembersMax; }
};

class AskReader {
 public:
  explicit AskReader(const Bytes& letter) : letter_(letter), in_(letter.view()) {}
  Reader& in() { return in_; }

  Bytes GetBytes() {
    const std::string_view text = in_.String();
    if (text.empty()) return {};
    return letter_.Slice(static_cast<std::size_t>(text.data() - letter_.data()), text.size());
  }
  template <class Body>
  Body GetCommand() {
    Result<stream::Command> command = stream::Decode(GetBytes());
    if (!command.ok() || !std::holds_alternative<Body>(command->body)) {
      in_.Fail();
      return {};
    }
    return std::get<Body>(std::move(command->body));
  }
  std::vector<Bytes> GetMessages() {
    std::vector<Bytes> messages;
    const uint64_t count = in_.Varint();
    for (uint64_t i = 0; i < count && in_.ok(); ++i) messages.push_back(GetBytes());
    return messages;
  }

  void Get(ask::Propose* ask) {
    Result<stream::Command> command = stream::Decode(GetBytes());
    if (!command.ok() || !stream::PayloadOf(*command).empty()) return in_.Fail();
    ask->body = std::move(command->body);
    ask->messages = GetMessages();
  }
  void Get(ask::Append* ask) {
    ask->work = std::make_shared<AppendWork>();
    ask->work->command.body = GetCommand<stream::Append>();
    ask->work->json_checked = stream::GetBool(&in_);
    ask->work->messages = GetMessages();
    if (!ask->work->append().payload.empty()) in_.Fail();
  }
  void Get(ask::Fork* ask) {
    ask->fork = GetCommand<stream::CreateFork>();
    ask->json_checked = stream::GetBool(&in_);
    ask->messages = GetMessages();
    if (!ask->fork.stream.payload.empty()) in_.Fail();
  }
  void Get(ask::Delete* ask) {
    auto command = GetCommand<stream::Delete>();
    ask->stream = std::move(command.id);
    ask->condition = std::move(command.condition);
  }
  void Get(ask::Unreserve* ask) {
    auto command = GetCommand<stream::Unreserve>();
    ask->id = std::move(command.id);
    ask->reservation = command.reservation;
  }
  void Get(ask::Home* ask) {
    Reader in(in_.String());
    ask->reservation = stream::GetReservation(&in);
    if (!in.AtEnd()) in_.Fail();
  }
  void Get(ask::StepClock*) {}
  void Get(ask::DeleteBucket* ask) { ask->bucket = std::string(in_.String()); }
  void Get(ask::Reconcile* ask) {
    ask->as_of = in_.Varint();
    const uint64_t count = in_.Varint();
    if (count > kMembersMax) in_.Fail();
    for (uint64_t i = 0; i < count && in_.ok(); ++i) {
      ask->members.push_back(ReplicaId{in_.Varint()});
    }
  }

  template <std::size_t kIndex = 0>
  void GetAny(std::size_t index, ask::OfLeader* ask) {
    if constexpr (kIndex < std::variant_size_v<ask::OfLeader>) {
      if (index == kIndex) return Get(&ask->emplace<kIndex>());
      GetAny<kIndex + 1>(index, ask);
    } else {
      in_.Fail();
    }
  }

 private:
  const Bytes& letter_;
  Reader in_;
};

void PutId(const CallId& id, ByteParts* out) {
  out->PutFixed<uint64_t>(id.opening);
  out->PutVarint(id.number);
}

CallId GetId(Reader* in) {
  CallId id;
  id.opening = in->Fixed<uint64_t>();
  id.number = in->Varint();
  return id;
}

// ---- answers ---------------------------------------------------------------------------------

Outcome GetOutcome(Reader* in) {
  const uint8_t raw = in->Fixed<uint8_t>();
  if (raw > kHighestOutcome) in->Fail();
  return static_cast<Outcome>(raw);
}

void PutInfo(std::string* out, const StreamInfo& info) {
  PutString(out, info.content_type);
  PutVarint(out, info.start.bytes);
  PutVarint(out, info.tail.bytes);
  PutFixed<uint8_t>(out, info.closed ? 1 : 0);
  stream::PutLifetime(out, info.lifetime);
  PutFixed<uint64_t>(out, info.incarnation);
}

StreamInfo GetInfo(Reader* in) {
  StreamInfo info;
  info.content_type = std::string(in->String());
  info.start = Offset{in->Varint()};
  info.tail = Offset{in->Varint()};
  info.closed = stream::GetBool(in);
  info.lifetime = stream::GetLifetime(in);
  info.incarnation = in->Fixed<uint64_t>();
  return info;
}

void PutAppendReply(std::string* out, const AppendReply& append) {
  PutFixed<uint8_t>(out, static_cast<uint8_t>(append.outcome));
  PutVarint(out, append.start.bytes);
  PutVarint(out, append.tail.bytes);
  PutFixed<uint8_t>(out, append.closed ? 1 : 0);
  PutFixed<uint64_t>(out, append.incarnation);
  PutVarint(out, append.producer_epoch);
  PutVarint(out, append.producer_sequence);
  PutVarint(out, append.producer_expected_sequence);
}

AppendReply GetAppendReply(Reader* in) {
  AppendReply append;
  append.outcome = GetOutcome(in);
  append.start = Offset{in->Varint()};
  append.tail = Offset{in->Varint()};
  append.closed = stream::GetBool(in);
  append.incarnation = in->Fixed<uint64_t>();
  append.producer_epoch = in->Varint();
  append.producer_sequence = in->Varint();
  append.producer_expected_sequence = in->Varint();
  return append;
}

struct AnswerEncoder {
  std::string* out;

  void operator()(const stream::Reply& reply) {
    PutFixed<uint8_t>(out, static_cast<uint8_t>(reply.outcome));
    PutFixed<uint8_t>(out, static_cast<uint8_t>(reply.resolution));
    uint8_t flags = 0;
    if (reply.placement) flags |= kReplyHasPlacement;
    if (reply.placement && reply.placement->confirmed) flags |= kReplyConfirmed;
    if (reply.reservation_lapsed) flags |= kReplyLapsed;
    if (reply.unresolved) flags |= kReplyUnresolved;
    PutFixed<uint8_t>(out, flags);
    PutAppendReply(out, reply.append);
    PutInfo(out, reply.info);
    PutVarint(out, Raw(reply.incarnation));
    PutVarint(out, reply.lives_before);
    PutVarint(out, Raw(reply.attempt));
    PutVarint(out, Raw(reply.settled_through));
    if (!reply.placement) return;
    PutVarint(out, Raw(reply.placement->target));
    stream::PutReservation(out, reply.placement->reservation);
    PutVarint(out, Raw(reply.placement->incarnation));
    PutFixed<int64_t>(out, reply.placement->made_ms);
  }
  void operator()(stream::Incarnation settled) { PutVarint(out, Raw(settled)); }
  void operator()(const HomeOfFork& home) {
    PutVarint(out, Raw(home.settled));
    PutVarint(out, home.hold_ms);
  }
  void operator()(int64_t moved_ms) { PutFixed<int64_t>(out, moved_ms); }
  void operator()(const BucketReply& reply) {
    PutFixed<uint8_t>(out, static_cast<uint8_t>(reply.outcome));
  }
  void operator()(const group::MembersProgress& progress) {
    PutFixed<uint8_t>(out, progress.rests ? 1 : 0);
    PutFixed<uint8_t>(out, progress.away ? 1 : 0);
    PutVarint(out, Raw(progress.waits_for));
    PutVarint(out, progress.open.size());
    for (NodeId node : progress.open) PutVarint(out, Raw(node));
  }
};

stream::Reply GetReply(Reader* in) {
  stream::Reply reply;
  reply.outcome = GetOutcome(in);
  const uint8_t resolution = in->Fixed<uint8_t>();
  if (resolution > static_cast<uint8_t>(stream::ForkResolution::kNever)) in->Fail();
  reply.resolution = static_cast<stream::ForkResolution>(resolution);
  const uint8_t flags = stream::GetFlags(in, kReplyKnown);
  reply.reservation_lapsed = (flags & kReplyLapsed) != 0;
  reply.unresolved = (flags & kReplyUnresolved) != 0;
  reply.append = GetAppendReply(in);
  reply.info = GetInfo(in);
  reply.incarnation = stream::GetIncarnation(in);
  reply.lives_before = in->Varint();
  reply.attempt = stream::GetIncarnation(in);
  reply.settled_through = stream::GetIncarnation(in);
  if ((flags & kReplyHasPlacement) == 0) return reply;
  stream::Placement& placement = reply.placement.emplace();
  placement.target = stream::GetGroup(in);
  placement.reservation = stream::GetReservation(in);
  placement.confirmed = (flags & kReplyConfirmed) != 0;
  placement.incarnation = stream::GetIncarnation(in);
  placement.made_ms = in->Fixed<int64_t>();
  return reply;
}

ask::LeadersAnswer GetAnswer(Reader* in, std::size_t index) {
  switch (index) {
    case 0:
      return GetReply(in);
    case 1:
      return stream::GetIncarnation(in);
    case 2: {
      HomeOfFork home;
      home.settled = stream::GetIncarnation(in);
      home.hold_ms = in->Varint();
      return home;
    }
    case 3:
      return in->Fixed<int64_t>();
    case 4:
      return BucketReply{GetOutcome(in)};
    case 5: {
      group::MembersProgress progress;
      progress.rests = stream::GetBool(in);
      progress.away = stream::GetBool(in);
      progress.waits_for = ReplicaId{in->Varint()};
      const uint64_t count = in->Varint();
      if (count > 2 * kMembersMax) in->Fail();
      for (uint64_t i = 0; i < count && in->ok(); ++i)
        progress.open.push_back(NodeId{in->Varint()});
      return progress;
    }
    default:
      in->Fail();
      return {};
  }
}

Status Malformed(const char* what) {
  return Status(StatusCode::kInvalidArgument, std::string("malformed ") + what + " of a peer");
}

}  // namespace

std::optional<CallId> PeekId(const Bytes& letter) {
  Reader in(letter.view());
  in.Fixed<uint8_t>();
  if (in.Fixed<uint8_t>() != kAskVersion) in.Fail();
  const CallId id = GetId(&in);
  if (!in.ok()) return std::nullopt;
  return id;
}

bool IsEncodable(const ask::OfLeader& ask) { return std::visit(EncodableCheck{}, ask); }

void EncodeCall(const CallLetter& call, ByteParts* out) {
  out->PutFixed<uint8_t>(kCallLetter);
  out->PutFixed<uint8_t>(kAskVersion);
  PutId(call.id, out);
  out->PutVarint(call.time_left_ms);
  out->PutFixed<uint8_t>(static_cast<uint8_t>(call.ask.index()));
  std::visit(AskEncoder{out}, call.ask);
}

Result<CallLetter> DecodeCall(const Bytes& letter) {
  AskReader reader(letter);
  Reader& in = reader.in();
  if (in.Fixed<uint8_t>() != kCallLetter || in.Fixed<uint8_t>() != kAskVersion) in.Fail();
  CallLetter call;
  call.id = GetId(&in);
  call.time_left_ms = in.Varint();
  const uint8_t kind = in.Fixed<uint8_t>();
  if (in.ok()) reader.GetAny(kind, &call.ask);
  if (!in.AtEnd()) return Malformed("call");
  return call;
}

void EncodeAnswer(const AnswerLetter& answer, ByteParts* out) {
  out->PutFixed<uint8_t>(kAnswerLetter);
  out->PutFixed<uint8_t>(kAskVersion);
  PutId(answer.id, out);
  if (answer.elsewhere) {
    out->PutFixed<uint8_t>(static_cast<uint8_t>(AnswerKind::kElsewhere));
    return out->PutVarint(Raw(*answer.elsewhere));
  }
  if (!answer.answer.ok()) {
    out->PutFixed<uint8_t>(static_cast<uint8_t>(AnswerKind::kFailed));
    out->PutFixed<uint8_t>(static_cast<uint8_t>(answer.answer.status().code()));
    return out->PutString(answer.answer.status().message());
  }
  out->PutFixed<uint8_t>(static_cast<uint8_t>(AnswerKind::kAnswered));
  out->PutFixed<uint8_t>(static_cast<uint8_t>(answer.answer->index()));
  std::string text;
  std::visit(AnswerEncoder{&text}, *answer.answer);
  out->PutString(text);
}

Result<AnswerLetter> DecodeAnswer(const Bytes& letter) {
  Reader in(letter.view());
  if (in.Fixed<uint8_t>() != kAnswerLetter || in.Fixed<uint8_t>() != kAskVersion) in.Fail();
  AnswerLetter answer;
  answer.id = GetId(&in);
  switch (static_cast<AnswerKind>(in.Fixed<uint8_t>())) {
    case AnswerKind::kElsewhere:
      answer.elsewhere = NodeId{in.Varint()};
      break;
    case AnswerKind::kFailed: {
      const uint8_t code = in.Fixed<uint8_t>();
      if (code == 0 || code > kHighestCode) in.Fail();
      answer.answer = Status(static_cast<StatusCode>(code), std::string(in.String()));
      break;
    }
    case AnswerKind::kAnswered: {
      const uint8_t kind = in.Fixed<uint8_t>();
      Reader body(in.String());
      answer.answer = GetAnswer(&body, kind);
      if (!body.AtEnd()) in.Fail();
      break;
    }
    default:
      in.Fail();
  }
  if (!in.AtEnd()) return Malformed("answer");
  return answer;
}

}  // namespace ursula::engine
