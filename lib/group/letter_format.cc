#include "lib/group/letter_format.h"

#include <utility>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"

namespace ursula::group {
namespace {

// The numbers stand on the wire; never reuse one.
enum class Kind : uint8_t {
  kRaft = 1,
  kSnapshotPart = 2,
  kSnapshotAck = 3,
  kPayloadAsk = 4,
  // 5 was an answer without a checksum.
  kTimeNews = 6,
  kWholeness = 7,
  kPayloadAnswer = 8,
  kLacking = 9,
  kPayloadAnswerSummed = 10,
};

struct Encoder {
  const AddressedLetter& letter;
  ByteParts* out;

  void Begin(Kind kind) {
    out->PutFixed<uint8_t>(static_cast<uint8_t>(kind));
    out->PutVarint(Raw(letter.from));
    out->PutVarint(Raw(letter.to));
  }
  void operator()(const raft::Message& message) {
    out->PutFixed<uint8_t>(static_cast<uint8_t>(Kind::kRaft));
    raft::EncodeMessage(message, out);
  }
  void operator()(const SnapshotPart& part) {
    Begin(Kind::kSnapshotPart);
    out->PutVarint(part.shipment);
    out->PutVarint(part.number);
    out->PutBytes(part.records);
  }
  void operator()(const SnapshotAck& ack) {
    Begin(Kind::kSnapshotAck);
    out->PutVarint(ack.shipment);
    out->PutVarint(ack.next);
    out->PutFixed<uint8_t>(ack.refused ? 1 : 0);
  }
  void operator()(const PayloadAsk& ask) {
    Begin(Kind::kPayloadAsk);
    out->PutVarint(ask.ask);
    out->PutVarint(ask.incarnation);
    out->PutVarint(ask.from);
    out->PutVarint(ask.to);
  }
  void operator()(const PayloadAnswer& answer) {
    Begin(answer.sums_ends ? Kind::kPayloadAnswerSummed : Kind::kPayloadAnswer);
    out->PutVarint(answer.ask);
    out->PutVarint(answer.next);
    out->PutVarint(answer.message_ends.size());
    uint64_t before = 0;
    for (uint64_t end : answer.message_ends) {
      out->PutVarint(end - before);
      before = end;
    }
    out->PutFixed<uint32_t>(answer.sum);
    out->PutBytes(answer.bytes);
  }
  void operator()(const Wholeness& whole) {
    Begin(Kind::kWholeness);
    out->PutVarint(whole.applied);
  }
  void operator()(const Lacking& lacking) {
    Begin(Kind::kLacking);
    out->PutVarint(lacking.bytes);
  }
  void operator()(const TimeNews& news) {
    Begin(Kind::kTimeNews);
    for (const std::vector<uint64_t>* list : {&news.read, &news.due}) {
      out->PutVarint(list->size());
      for (uint64_t incarnation : *list) out->PutVarint(incarnation);
    }
  }
};

class Decoder {
 public:
  explicit Decoder(const Bytes& letter) : letter_(letter), reader_(letter.view()) {}

  Result<AddressedLetter> Run() {
    AddressedLetter read;
    const Kind kind = static_cast<Kind>(reader_.Fixed<uint8_t>());
    if (kind == Kind::kRaft) {
      Result<raft::Message> message = raft::DecodeMessage(letter_.Slice(1));
      if (!message.ok()) return message.status();
      return AddressedLetter{message->from, message->to, std::move(*message)};
    }
    read.from = ReplicaId{reader_.Varint()};
    read.to = ReplicaId{reader_.Varint()};
    read.letter = TakeLetter(kind);
    if (!reader_.AtEnd()) {
      return Status(StatusCode::kInvalidArgument, "a peer's letter is malformed");
    }
    return read;
  }

 private:
  Letter TakeLetter(Kind kind) {
    switch (kind) {
      case Kind::kSnapshotPart: {
        SnapshotPart part;
        part.shipment = reader_.Varint();
        part.number = reader_.Varint();
        part.records = TakeBytes();
        return part;
      }
      case Kind::kSnapshotAck: {
        SnapshotAck ack;
        ack.shipment = reader_.Varint();
        ack.next = reader_.Varint();
        ack.refused = reader_.Fixed<uint8_t>() != 0;
        return ack;
      }
      case Kind::kPayloadAsk: {
        PayloadAsk ask;
        ask.ask = reader_.Varint();
        ask.incarnation = reader_.Varint();
        ask.from = reader_.Varint();
        ask.to = reader_.Varint();
        return ask;
      }
      case Kind::kPayloadAnswer:
      case Kind::kPayloadAnswerSummed:
        return TakeAnswer(kind);
      case Kind::kTimeNews: {
        TimeNews news;
        news.read = TakeList();
        news.due = TakeList();
        return news;
      }
      case Kind::kWholeness:
        return Wholeness{reader_.Varint()};
      case Kind::kLacking:
        return Lacking{reader_.Varint()};
      default:
        reader_.Fail();
        return {};
    }
  }

  Bytes TakeBytes() {
    const std::string_view view = reader_.String();
    if (view.empty()) return {};
    return letter_.Slice(static_cast<std::size_t>(view.data() - letter_.data()), view.size());
  }

  std::vector<uint64_t> TakeList() {
    const uint64_t count = reader_.Varint();
    if (count > reader_.rest().size()) reader_.Fail();
    std::vector<uint64_t> list;
    for (uint64_t i = 0; i < count && reader_.ok(); ++i) list.push_back(reader_.Varint());
    return list;
  }

  PayloadAnswer TakeAnswer(Kind kind) {
    PayloadAnswer answer;
    answer.sums_ends = kind == Kind::kPayloadAnswerSummed;
    answer.ask = reader_.Varint();
    answer.next = reader_.Varint();
    const uint64_t count = reader_.Varint();
    if (count > reader_.rest().size()) reader_.Fail();
    uint64_t end = 0;
    for (uint64_t i = 0; i < count && reader_.ok(); ++i) {
      const uint64_t step = reader_.Varint();
      if (step == 0 || step > UINT64_MAX - end) reader_.Fail();
      end += step;
      answer.message_ends.push_back(end);
    }
    answer.sum = reader_.Fixed<uint32_t>();
    answer.bytes = TakeBytes();
    return answer;
  }

  const Bytes& letter_;
  Reader reader_;
};

}  // namespace

void EncodeLetter(const AddressedLetter& letter, ByteParts* out) {
  std::visit(Encoder{letter, out}, letter.letter);
}

Result<AddressedLetter> DecodeLetter(const Bytes& letter) { return Decoder(letter).Run(); }

uint32_t PayloadSum(uint64_t incarnation, uint64_t from, std::string_view bytes) {
  char place[16];
  StoreFixed<uint64_t>(place, incarnation);
  StoreFixed<uint64_t>(place + 8, from);
  return Crc32c(Crc32c(0, std::string_view(place, sizeof(place))), bytes);
}

uint32_t PayloadSum(uint64_t incarnation, uint64_t from, std::span<const uint64_t> ends,
                    std::string_view bytes) {
  std::string place;
  PutFixed<uint64_t>(&place, incarnation);
  PutFixed<uint64_t>(&place, from);
  PutFixed<uint64_t>(&place, ends.size());
  for (uint64_t end : ends) PutFixed<uint64_t>(&place, end);
  return Crc32c(Crc32c(0, place), bytes);
}

uint32_t SumOf(const PayloadAnswer& answer, uint64_t incarnation, uint64_t from) {
  const std::string_view bytes = answer.bytes.view();
  return answer.sums_ends ? PayloadSum(incarnation, from, answer.message_ends, bytes)
                          : PayloadSum(incarnation, from, bytes);
}

std::string EncodeShipment(uint64_t shipment) {
  std::string data;
  PutFixed<uint64_t>(&data, shipment);
  return data;
}

uint64_t DecodeShipment(std::string_view data) {
  return data.size() == sizeof(uint64_t) ? LoadFixed<uint64_t>(data.data()) : 0;
}

}  // namespace ursula::group
