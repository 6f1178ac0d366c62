#include "lib/group/letter_format.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace ursula::group {
namespace {

Bytes Encoded(const Letter& letter) {
  ByteParts parts;
  EncodeLetter({ReplicaId{2}, ReplicaId{1}, letter}, &parts);
  return parts.TakeJoined();
}

std::vector<Letter> Samples() {
  raft::Message message;
  message.kind = raft::MessageKind::kAppend;
  message.from = ReplicaId{2};
  message.to = ReplicaId{1};
  message.term = Term{3};
  message.index = Index{7};
  message.entries.resize(1);
  message.entries[0].payload = Bytes::Static("command");
  return {message,
          SnapshotPart{77, 3, Bytes::Static("records")},
          SnapshotAck{77, 4, true},
          PayloadAsk{5, 6, 7000, 8000},
          PayloadAnswer{5, 9, {7003, 7100}, Bytes::Static("bytes"), 0x01020304},
          PayloadAnswer{5, 9, {7003, 7100}, Bytes::Static("bytes"), 0x01020304, true},
          TimeNews{{5, 6}, {7}},
          Wholeness{700},
          Lacking{9}};
}

TEST(LetterFormatTest, WhatIsReadIsWhatWasWritten) {
  for (const Letter& letter : Samples()) {
    Result<AddressedLetter> read = DecodeLetter(Encoded(letter));
    ASSERT_TRUE(read.ok()) << letter.index();
    EXPECT_EQ(read->from, ReplicaId{2});
    EXPECT_EQ(read->to, ReplicaId{1});
    EXPECT_EQ(read->letter.index(), letter.index());
    EXPECT_EQ(Encoded(read->letter), Encoded(letter));
  }
  Result<AddressedLetter> part =
      DecodeLetter(Encoded(SnapshotPart{77, 3, Bytes::Static("records")}));
  EXPECT_EQ(std::get<SnapshotPart>(part->letter).shipment, 77u);
  EXPECT_EQ(std::get<SnapshotPart>(part->letter).number, 3u);
  EXPECT_EQ(std::get<SnapshotPart>(part->letter).records.view(), "records");
  Result<AddressedLetter> answer =
      DecodeLetter(Encoded(PayloadAnswer{5, 0, {3, 9}, Bytes::Static("b"), 77}));
  EXPECT_EQ(std::get<PayloadAnswer>(answer->letter).message_ends, (std::vector<uint64_t>{3, 9}));
  EXPECT_EQ(std::get<PayloadAnswer>(answer->letter).bytes.view(), "b");
  EXPECT_EQ(std::get<PayloadAnswer>(answer->letter).sum, 77u);
  Result<AddressedLetter> whole = DecodeLetter(Encoded(Wholeness{700}));
  EXPECT_EQ(std::get<Wholeness>(whole->letter).applied, 700u);
}

TEST(LetterFormatTest, AnyCutUnknownKindAndWhateverFollowsIsRefused) {
  for (const Letter& letter : Samples()) {
    const Bytes encoded = Encoded(letter);
    for (std::size_t size = 0; size < encoded.size(); ++size) {
      EXPECT_FALSE(DecodeLetter(encoded.Slice(0, size)).ok()) << letter.index() << " " << size;
    }
    EXPECT_FALSE(DecodeLetter(Bytes::Take(std::string(encoded.view()) + "x")).ok());
  }
  EXPECT_FALSE(DecodeLetter(Bytes::Static("\x08\x02\x01")).ok());
}

TEST(LetterFormatTest, AnAnswerSaysWhetherItsSumIsOfItsEnds) {
  for (bool sums_ends : {false, true}) {
    Result<AddressedLetter> read =
        DecodeLetter(Encoded(PayloadAnswer{5, 0, {3, 9}, Bytes::Static("b"), 77, sums_ends}));
    ASSERT_TRUE(read.ok());
    PayloadAnswer answer = std::get<PayloadAnswer>(read->letter);
    EXPECT_EQ(answer.sums_ends, sums_ends);
    const uint32_t sum = SumOf(answer, 1, 2);
    answer.message_ends = {3, 8};
    EXPECT_EQ(SumOf(answer, 1, 2) != sum, sums_ends);
    answer.message_ends = {3};
    EXPECT_EQ(SumOf(answer, 1, 2) != sum, sums_ends);
    EXPECT_NE(SumOf(answer, 1, 3), SumOf(answer, 1, 2));
  }
}

TEST(LetterFormatTest, AShipmentIsNamedInASnapshotsData) {
  EXPECT_EQ(DecodeShipment(EncodeShipment(77)), 77u);
  EXPECT_EQ(DecodeShipment(""), 0u);
  EXPECT_EQ(DecodeShipment("123456789"), 0u);
}

}  // namespace
}  // namespace ursula::group
