#include "lib/stream/command.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/base/crc32c.h"
#include "lib/stream/command_format.h"
#include "lib/stream/json_boundaries.h"
#include "lib/stream/stream_state.h"

namespace ursula::stream {
namespace {

// Writes the fields of each kind, in the order of docs/formats/commands.md. Payload is left to
// Encode, which puts it last.
class Encoder {
 public:
  explicit Encoder(std::string* out) : out_(out) {}

  void operator()(const CreateBucket& c) { PutString(out_, c.bucket); }
  void operator()(const DeleteBucket& c) {
    PutString(out_, c.bucket);
    PutFixed<uint8_t>(out_, static_cast<uint8_t>(c.step));
    Id(c.attempt);
  }
  void operator()(const FenceBucket& c) {
    PutString(out_, c.bucket);
    Id(c.bucket_incarnation);
    Id(c.attempt);
  }
  void operator()(const UnfenceBucket& c) {
    PutString(out_, c.bucket);
    Id(c.bucket_incarnation);
    Id(c.attempt);
  }
  void operator()(const SettleFences& c) { Id(c.through); }
  void operator()(const CreateStream& c) {
    Flags((c.closed ? kFlagClosed : 0u) | FlagsOf(c.framing) | FlagsOf(c.condition));
    PutStreamId(out_, c.id);
    PutString(out_, c.content_type);
    PutLifetime(out_, c.lifetime);
    PutString(out_, c.sequence);
    Id(c.bucket.incarnation);
    Id(c.bucket.seen);
    Condition(c.condition);
  }
  void operator()(const CreateFork& c) {
    PutForkPoint(out_, c.point);
    Id(c.source);
    Flags((c.at_tail ? kFlagAtTail : 0u) | (c.reservation ? kFlagReservation : 0u));
    PutVarint(out_, c.offset.bytes);
    if (c.reservation) PutReservation(out_, *c.reservation);
    (*this)(c.stream);
  }
  void operator()(const Append& c) {
    const bool expects = c.expected != StateMatch{};
    Flags((c.close ? kFlagClosed : 0u) | (c.producer ? kFlagProducer : 0u) | FlagsOf(c.framing) |
          FlagsOf(c.condition) | (expects ? kFlagExpected : 0u));
    PutStreamId(out_, c.id);
    PutString(out_, c.content_type);
    PutString(out_, c.sequence);
    if (c.producer) PutProducer(out_, *c.producer);
    if (expects) PutStateMatch(out_, c.expected);
    Condition(c.condition);
  }
  void operator()(const Delete& c) {
    Flags(FlagsOf(c.condition));
    PutStreamId(out_, c.id);
    Condition(c.condition);
  }
  void operator()(const Expire& c) { Ids(c.incarnations); }
  void operator()(const Touch& c) { Ids(c.incarnations); }
  void operator()(const Reserve& c) {
    PutForkPoint(out_, c.point);
    PutVarint(out_, Raw(c.target));
    (*this)(c.stream);
  }
  void operator()(const Confirm& c) {
    PutStreamId(out_, c.id);
    Id(c.reservation);
    Id(c.incarnation);
  }
  void operator()(const Unreserve& c) {
    PutStreamId(out_, c.id);
    Id(c.reservation);
  }
  void operator()(const ResolveFork& c) {
    PutStreamId(out_, c.id);
    PutReservation(out_, c.reservation);
    PutVarint(out_, c.hold_ms);
    Id(c.settled_below);
  }
  void operator()(const DropReleases& c) {
    PutVarint(out_, Raw(c.home));
    Id(c.settled_below);
    Ids(c.forks);
  }
  void operator()(const SetLimits& c) { PutLimits(out_, c.limits); }
  void operator()(const SetFeatureLevel& c) { PutVarint(out_, c.level); }
  void operator()(const SetHistory& c) { PutFixed<uint64_t>(out_, c.history); }
  void operator()(const StepClock& c) { PutFixed<int64_t>(out_, c.delta_ms); }
  void operator()(const AdmitNode& c) {
    PutVarint(out_, c.node);
    PutFixed<uint64_t>(out_, c.directory);
    PutVarint(out_, c.lives_before);
  }
  void operator()(const SettleNode& c) {
    PutVarint(out_, c.node);
    PutVarint(out_, c.lives_before);
    PutFixed<uint8_t>(out_, static_cast<uint8_t>(c.step));
  }
  void operator()(const MarkNode& c) {
    PutVarint(out_, c.node);
    PutVarint(out_, c.lives_before);
    PutFixed<uint8_t>(out_, static_cast<uint8_t>(c.mark));
    PutVarint(out_, c.keeps);
  }
  void operator()(const OpenNode& c) {
    PutVarint(out_, c.node);
    PutVarint(out_, c.lives_before);
    PutVarint(out_, c.opening);
    PutFixed<uint64_t>(out_, c.nonce_before);
    PutFixed<uint64_t>(out_, c.nonce);
  }
  void operator()(const Recover& c) {
    PutVarint(out_, c.number);
    PutFixed<uint64_t>(out_, c.history);
    PutVarint(out_, c.survivors.size());
    for (const Recover::Survivor& survivor : c.survivors) {
      PutVarint(out_, survivor.node);
      PutVarint(out_, survivor.lives_before);
    }
    PutVarint(out_, c.lost.size());
    for (uint64_t node : c.lost) PutVarint(out_, node);
  }

 private:
  static unsigned FlagsOf(Framing framing) { return framing == Framing::kJson ? kFlagJson : 0; }
  static unsigned FlagsOf(const Precondition& c) { return c.empty() ? 0 : kFlagCondition; }
  void Flags(unsigned flags) { PutFixed<uint8_t>(out_, static_cast<uint8_t>(flags)); }
  void Condition(const Precondition& c) {
    if (!c.empty()) PutPrecondition(out_, c);
  }
  void Id(Incarnation id) { PutVarint(out_, Raw(id)); }
  void Ids(const std::vector<Incarnation>& ids) {
    PutVarint(out_, ids.size());
    for (Incarnation id : ids) Id(id);
  }

  std::string* out_;
};

bool HasPayload(const Command& command) {
  return std::holds_alternative<Append>(command.body) ||
         std::holds_alternative<CreateStream>(command.body) ||
         std::holds_alternative<CreateFork>(command.body);
}

std::string EncodeHead(const Command& command) {
  URSULA_CHECK(IsEncodable(command));
  std::string out;
  constexpr std::size_t kGuess = 128;
  out.reserve(kGuess);
  PutFixed<uint8_t>(&out, kCommandFormatVersion);
  PutFixed<uint8_t>(&out, static_cast<uint8_t>(command.body.index() + 1));
  PutVarint(&out, static_cast<uint64_t>(command.now_ms));
  Encoder encoder(&out);
  std::visit(encoder, command.body);
  return out;
}

// Copies texts one after the other and sums them up on the way, piece by piece: a piece is still in
// the nearest cache then.
class SummingCopy {
 public:
  explicit SummingCopy(char* at) : at_(at), summed_(at) {}

  void Put(std::string_view text) {
    constexpr std::size_t kPieceBytes = 8 << 10;
    for (; !text.empty(); text.remove_prefix(std::min(text.size(), kPieceBytes))) {
      at_ += text.copy(at_, kPieceBytes);
      if (static_cast<std::size_t>(at_ - summed_) >= kPieceBytes) Sum();
    }
  }
  uint32_t Crc() {
    Sum();
    return crc_;
  }

 private:
  void Sum() {
    crc_ = Crc32c(crc_, std::string_view(summed_, static_cast<std::size_t>(at_ - summed_)));
    summed_ = at_;
  }

  char* at_;
  char* summed_;
  uint32_t crc_ = 0;
};

// In one block of just the size: it stays in the log, and with its payload in the hot ring.
Bytes Assemble(const Command& command, std::span<const Bytes> messages, Framing framing) {
  const std::string head = EncodeHead(command);
  const std::size_t checksum = HasPayload(command) ? sizeof(uint32_t) : 0;
  const std::size_t size =
      head.size() + checksum + static_cast<std::size_t>(PayloadSize(messages, framing));
  std::shared_ptr<char[]> block = std::make_shared_for_overwrite<char[]>(size);
  std::copy(head.begin(), head.end(), block.get());
  SummingCopy payload(block.get() + head.size() + checksum);
  for (const Bytes& message : messages) {
    payload.Put(message.view());
    if (framing == Framing::kJson) payload.Put(kJsonTerminator);
  }
  if (checksum > 0) StoreFixed<uint32_t>(block.get() + head.size(), payload.Crc());
  const std::string_view all(block.get(), size);
  return Bytes(std::move(block), all);
}

bool IsName(std::string_view name) { return name.find('\0') == std::string_view::npos; }

bool IsEncodable(const StreamId& id) {
  return IsName(id.bucket) && IsName(id.affinity) && IsName(id.name) &&
         id.affinity.size() <= std::numeric_limits<uint16_t>::max();
}

bool IsEncodable(const Precondition& condition) {
  return condition.any_of.size() <= kStateMatchesMax &&
         condition.none_of.size() <= kStateMatchesMax;
}

}  // namespace

bool IsEncodable(const Command& command) {
  if (command.now_ms < 0 || command.now_ms == kNever) return false;
  return std::visit(
      [](const auto& body) {
        if constexpr (requires { body.id; }) {
          if (!IsEncodable(body.id)) return false;
        }
        if constexpr (requires { body.bucket.size(); }) {
          if (!IsName(body.bucket)) return false;
        }
        if constexpr (requires { body.condition; }) {
          if (!IsEncodable(body.condition)) return false;
        }
        if constexpr (requires { body.stream; }) {
          if (!IsEncodable(body.stream.id) || !IsEncodable(body.stream.condition)) return false;
        }
        if constexpr (requires { body.point; }) {
          if (!IsEncodable(body.point.source)) return false;
        }
        return true;
      },
      command.body);
}

Bytes Encode(const Command& command) {
  return Assemble(command, {&PayloadOf(command), 1}, Framing::kConcatenated);
}

Bytes Encode(const Command& command, std::span<const Bytes> messages) {
  URSULA_CHECK(PayloadOf(command).empty());
  return Assemble(command, messages, FramingOf(command));
}

uint64_t PayloadSize(std::span<const Bytes> messages, Framing framing) {
  uint64_t size = framing == Framing::kJson ? messages.size() * kJsonTerminator.size() : 0;
  for (const Bytes& message : messages) size += message.size();
  return size;
}

Framing FramingOf(const Command& command) {
  if (const Append* append = std::get_if<Append>(&command.body)) return append->framing;
  if (const CreateStream* create = std::get_if<CreateStream>(&command.body)) return create->framing;
  if (const CreateFork* fork = std::get_if<CreateFork>(&command.body)) return fork->stream.framing;
  return Framing::kConcatenated;
}

const Bytes& PayloadOf(const Command& command) {
  static const Bytes* const kNone = new Bytes();
  if (const Append* append = std::get_if<Append>(&command.body)) return append->payload;
  if (const CreateStream* create = std::get_if<CreateStream>(&command.body)) return create->payload;
  if (const CreateFork* fork = std::get_if<CreateFork>(&command.body)) return fork->stream.payload;
  return *kNone;
}

const StreamId* StreamOf(const Command& command) {
  return std::visit(
      [](const auto& body) -> const StreamId* {
        if constexpr (requires { body.id; }) {
          return &body.id;
        } else if constexpr (requires { body.stream.id; }) {
          return &body.stream.id;
        } else {
          return nullptr;
        }
      },
      command.body);
}

}  // namespace ursula::stream
