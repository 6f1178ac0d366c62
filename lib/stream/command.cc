#include "lib/stream/command.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/stream/command_format.h"
#include "lib/stream/json_boundaries.h"

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
    Id(c.incarnation);
  }
  void operator()(const FenceBucket& c) {
    PutString(out_, c.bucket);
    Id(c.bucket_incarnation);
  }
  void operator()(const UnfenceBucket& c) {
    PutString(out_, c.bucket);
    Id(c.bucket_incarnation);
  }
  void operator()(const CreateStream& c) {
    PutFixed<uint8_t>(out_, c.closed ? kFlagClosed : 0);
    PutStreamId(out_, c.id);
    PutString(out_, c.content_type);
    PutLifetime(out_, c.lifetime);
    PutString(out_, c.sequence);
    Id(c.bucket_incarnation);
  }
  void operator()(const CreateFork& c) {
    PutForkPoint(out_, c.point);
    Id(c.source);
    PutFixed<uint8_t>(out_, static_cast<uint8_t>((c.at_tail ? kFlagAtTail : 0) |
                                                 (c.reservation ? kFlagReservation : 0)));
    PutVarint(out_, c.offset.bytes);
    if (c.reservation) PutReservation(out_, *c.reservation);
    (*this)(c.stream);
  }
  void operator()(const Append& c) {
    PutFixed<uint8_t>(
        out_, static_cast<uint8_t>((c.close ? kFlagClosed : 0) | (c.producer ? kFlagProducer : 0)));
    PutStreamId(out_, c.id);
    PutString(out_, c.content_type);
    PutString(out_, c.sequence);
    if (c.producer) PutProducer(out_, *c.producer);
  }
  void operator()(const Delete& c) { PutStreamId(out_, c.id); }
  void operator()(const Expire& c) { Ids(c.incarnations); }
  void operator()(const Touch& c) { Ids(c.incarnations); }
  void operator()(const Reserve& c) {
    PutForkPoint(out_, c.point);
    PutVarint(out_, Raw(c.target));
    PutVarint(out_, c.hold_ms);
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
  }
  void operator()(const DropReleases& c) { Ids(c.forks); }

 private:
  void Id(Incarnation id) { PutVarint(out_, Raw(id)); }
  void Ids(const std::vector<Incarnation>& ids) {
    PutVarint(out_, ids.size());
    for (Incarnation id : ids) Id(id);
  }

  std::string* out_;
};

std::string EncodeHead(const Command& command) {
  URSULA_CHECK(command.now_ms >= 0);
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

// In one block of just the size: it stays in the log, and with its payload in the hot ring.
Bytes Assemble(std::string_view head, std::span<const Bytes> messages, Framing framing) {
  const std::size_t size = head.size() + static_cast<std::size_t>(PayloadSize(messages, framing));
  std::shared_ptr<char[]> block = std::make_shared_for_overwrite<char[]>(size);
  char* at = std::copy(head.begin(), head.end(), block.get());
  for (const Bytes& message : messages) {
    at = std::copy_n(message.data(), message.size(), at);
    if (framing == Framing::kJson)
      at = std::copy(kJsonTerminator.begin(), kJsonTerminator.end(), at);
  }
  const std::string_view all(block.get(), size);
  return Bytes(std::move(block), all);
}

}  // namespace

Bytes Encode(const Command& command) {
  return Assemble(EncodeHead(command), {&PayloadOf(command), 1}, Framing::kConcatenated);
}

Bytes Encode(const Command& command, std::span<const Bytes> messages, Framing framing) {
  URSULA_CHECK(PayloadOf(command).empty());
  return Assemble(EncodeHead(command), messages, framing);
}

uint64_t PayloadSize(std::span<const Bytes> messages, Framing framing) {
  uint64_t size = framing == Framing::kJson ? messages.size() * kJsonTerminator.size() : 0;
  for (const Bytes& message : messages) size += message.size();
  return size;
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
