#include "lib/raft/message_format.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::raft {
namespace {

enum Flag : uint8_t {
  kReject = 1,
  kTransfer = 2,
  kHasSnapshot = 4,
  kKnown = kReject | kTransfer | kHasSnapshot,
};

// An entry says at least this much: an upper bound for their number.
constexpr uint64_t kEntryBytesMin = 3;

bool Travels(MessageKind kind) {
  return kind >= MessageKind::kPropose && kind <= MessageKind::kTimeoutNow;
}

void PutNodes(ByteParts* out, const std::vector<ReplicaId>& nodes) {
  out->PutVarint(nodes.size());
  for (ReplicaId node : nodes) out->PutVarint(Raw(node));
}

std::vector<ReplicaId> ReadNodes(Reader* reader) {
  std::vector<ReplicaId> nodes;
  const uint64_t count = reader->Varint();
  for (uint64_t i = 0; i < count && reader->ok(); ++i) nodes.push_back(ReplicaId{reader->Varint()});
  return nodes;
}

void PutSnapshot(ByteParts* out, const Snapshot& snapshot) {
  out->PutVarint(Raw(snapshot.meta.index));
  out->PutVarint(Raw(snapshot.meta.term));
  PutNodes(out, snapshot.meta.conf.voters);
  PutNodes(out, snapshot.meta.conf.learners);
  PutNodes(out, snapshot.meta.conf.voters_outgoing);
  PutNodes(out, snapshot.meta.conf.learners_next);
  out->PutFixed<uint8_t>(snapshot.meta.conf.auto_leave ? 1 : 0);
  out->PutBytes(snapshot.data);
}

class Decoder {
 public:
  explicit Decoder(const Bytes& encoded) : encoded_(encoded), reader_(encoded.view()) {}

  Result<Message> Run() {
    Message message;
    message.kind = static_cast<MessageKind>(reader_.Fixed<uint8_t>());
    const uint8_t flags = reader_.Fixed<uint8_t>();
    message.from = ReplicaId{reader_.Varint()};
    message.to = ReplicaId{reader_.Varint()};
    message.term = Term{reader_.Varint()};
    message.log_term = Term{reader_.Varint()};
    message.index = Index{reader_.Varint()};
    message.commit = Index{reader_.Varint()};
    message.reject_hint = Index{reader_.Varint()};
    const uint64_t number = reader_.Varint();
    if (OfElection(message.kind)) {
      message.commit_term = Term{number};
    } else {
      message.read_round = number;
    }
    message.context = TakeBytes();
    message.reject = (flags & kReject) != 0;
    message.transfer = (flags & kTransfer) != 0;
    ReadEntries(&message);
    if ((flags & kHasSnapshot) != 0) ReadSnapshot(&message.snapshot);
    if (!reader_.AtEnd() || !Travels(message.kind) || (flags & ~kKnown) != 0) {
      return Status(StatusCode::kInvalidArgument, "a message of a peer is malformed");
    }
    return message;
  }

 private:
  Bytes TakeBytes() {
    const std::string_view view = reader_.String();
    if (view.empty()) return {};
    return encoded_.Slice(static_cast<std::size_t>(view.data() - encoded_.data()), view.size());
  }

  void ReadEntries(Message* message) {
    const uint64_t count = reader_.Varint();
    if (count > reader_.rest().size() / kEntryBytesMin) return reader_.Fail();
    message->entries.reserve(count);
    Index index = message->index;
    for (uint64_t i = 0; i < count && reader_.ok(); ++i) {
      Entry& entry = message->entries.emplace_back();
      entry.term = Term{reader_.Varint()};
      const uint8_t kind = reader_.Fixed<uint8_t>();
      if (kind > static_cast<uint8_t>(EntryKind::kConfChangeSet)) return reader_.Fail();
      entry.kind = static_cast<EntryKind>(kind);
      entry.payload = TakeBytes();
      index = index + 1;
      if (message->kind == MessageKind::kAppend) entry.index = index;
    }
  }

  void ReadSnapshot(Snapshot* snapshot) {
    snapshot->meta.index = Index{reader_.Varint()};
    snapshot->meta.term = Term{reader_.Varint()};
    snapshot->meta.conf.voters = ReadNodes(&reader_);
    snapshot->meta.conf.learners = ReadNodes(&reader_);
    snapshot->meta.conf.voters_outgoing = ReadNodes(&reader_);
    snapshot->meta.conf.learners_next = ReadNodes(&reader_);
    snapshot->meta.conf.auto_leave = reader_.Fixed<uint8_t>() != 0;
    snapshot->data = TakeBytes();
  }

  const Bytes& encoded_;
  Reader reader_;
};

}  // namespace

void EncodeMessage(const Message& message, ByteParts* out) {
  URSULA_CHECK(Travels(message.kind));
  const bool has_snapshot = !message.snapshot.empty();
  out->PutFixed<uint8_t>(static_cast<uint8_t>(message.kind));
  out->PutFixed<uint8_t>(static_cast<uint8_t>((message.reject ? kReject : 0) |
                                              (message.transfer ? kTransfer : 0) |
                                              (has_snapshot ? kHasSnapshot : 0)));
  out->PutVarint(Raw(message.from));
  out->PutVarint(Raw(message.to));
  out->PutVarint(Raw(message.term));
  out->PutVarint(Raw(message.log_term));
  out->PutVarint(Raw(message.index));
  out->PutVarint(Raw(message.commit));
  out->PutVarint(Raw(message.reject_hint));
  out->PutVarint(OfElection(message.kind) ? Raw(message.commit_term) : message.read_round);
  out->PutBytes(message.context);
  out->PutVarint(message.entries.size());
  for (const Entry& entry : message.entries) {
    out->PutVarint(Raw(entry.term));
    out->PutFixed<uint8_t>(static_cast<uint8_t>(entry.kind));
    out->PutBytes(entry.payload);
  }
  if (has_snapshot) PutSnapshot(out, message.snapshot);
}

Result<Message> DecodeMessage(const Bytes& encoded) { return Decoder(encoded).Run(); }

}  // namespace ursula::raft
