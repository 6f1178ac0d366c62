#include "lib/stream/command.h"

#include <cstddef>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/random.h"

namespace ursula::stream {
namespace {

const StreamId kId = {"team", "k", "doc"};
const ForkPoint kPoint = {{"v1", "", "a/b"}, Offset{300}, 2};

CreateStream Create() {
  CreateStream create;
  create.id = kId;
  create.content_type = "text/plain";
  create.lifetime.ttl_seconds = 60;
  create.closed = true;
  create.sequence = "s";
  create.bucket = {Incarnation{9}, Incarnation{12}};
  create.payload = Bytes::Static("xy");
  return create;
}

CreateStream CreateWithoutPayload() {
  CreateStream create = Create();
  create.lifetime = {};
  create.lifetime.expires_at_ms = -2;
  create.lifetime.expires_at_text = "then";
  create.payload = {};
  return create;
}

CreateFork Fork() {
  CreateFork fork;
  fork.stream = Create();
  fork.point = kPoint;
  fork.source = Incarnation{4};
  fork.offset = Offset{302};
  fork.reservation = Reservation{GroupId{7}, Incarnation{8}};
  return fork;
}

CreateFork ForkAtTail() {
  CreateFork fork;
  fork.stream.id = kId;
  fork.point.source = kId;
  fork.at_tail = true;
  return fork;
}

Append Appended() {
  Append append;
  append.id = kId;
  append.content_type = "text/plain";
  append.close = true;
  append.producer = Producer{"p", 1, 200};
  append.sequence = "q";
  append.payload = Bytes::Static("payload");
  return append;
}

Append Conditional() {
  Append append;
  append.id = kId;
  append.framing = Framing::kJson;
  append.expected = {0x1122334455667788, Offset{300}, std::nullopt};
  append.condition.exists = true;
  append.condition.any_of = {{std::nullopt, Offset{1}, true}, {std::nullopt, std::nullopt, false}};
  append.condition.none_of = {{7, std::nullopt, std::nullopt}};
  append.payload = Bytes::Static("1,\n");
  return append;
}

Delete DeletingIf() {
  Delete body{kId, {}};
  body.condition.absent = true;
  return body;
}

struct Golden {
  const char* hex;
  Command::Body body;
};

// A line is never changed: logs of every version are read for ever.
std::vector<Golden> Goldens() {
  return {
      {"0201ac02047465616d", CreateBucket{"team"}},
      {"0202ac02047465616d0209", DeleteBucket{"team", DeleteBucket::Step::kFinish, Incarnation{9}}},
      {"0203ac02047465616d090b", FenceBucket{"team", Incarnation{9}, Incarnation{11}}},
      {"0204ac02047465616d090b", UnfenceBucket{"team", Incarnation{9}, Incarnation{11}}},
      {"0205ac0201047465616d016b03646f630a746578742f706c61696e013c0173090c2cef06da7879", Create()},
      {"0206ac020276310003612f6201ac02020402ae02070801047465616d016b03646f630a746578742f706c61696e0"
       "13c0173090c2cef06da7879",
       Fork()},
      {"0206ac02047465616d016b03646f63000000010000047465616d016b03646f63000000000000000000",
       ForkAtTail()},
      {"0207ac0203047465616d016b03646f630a746578742f706c61696e0171017001c8017069e3f47061796c6f6164",
       Appended()},
      {"0208ac0200047465616d016b03646f63", Delete{kId}},
      {"0209ac0202018002", Expire{{Incarnation{1}, Incarnation{256}}}},
      {"020aac020103", Touch{{Incarnation{3}}}},
      {"020bac020276310003612f6201ac02020701047465616d016b03646f630a746578742f706c61696e02fefffffff"
       "fffffff047468656e0173090c",
       Reserve{CreateWithoutPayload(), kPoint, GroupId{7}}},
      {"020cac02047465616d016b03646f630809", Confirm{kId, Incarnation{8}, Incarnation{9}}},
      {"020dac02047465616d016b03646f6308", Unreserve{kId, Incarnation{8}}},
      {"020eac02047465616d016b03646f630708e80705",
       ResolveFork{kId, {GroupId{7}, Incarnation{8}}, 1000, Incarnation{5}}},
      {"0207ac021c047465616d016b03646f630000038877665544332211ac0201020e010401010700000000000000c4d"
       "e3493312c0a",
       Conditional()},
      {"0208ac0208047465616d016b03646f63020000", DeletingIf()},
      {"0210ac02ac02", SettleFences{Incarnation{300}}},
      {"0211ac02808004e8078002", SetLimits{{65536, 1000, 256}}},
      {"0212ac0203", SetFeatureLevel{3}},
      {"0213ac020807060504030201", SetHistory{0x0102030405060708}},
      {"0214ac02feffffffffffffff", StepClock{-2}},
      {"0215ac0203080706050403020102", AdmitNode{3, 0x0102030405060708, 2}},
      {"0216ac02030203", SettleNode{3, 2, SettleNode::Step::kGone}},
      {"0217ac020302ac0208070605040302010100000000000000",
       OpenNode{3, 2, 300, 0x0102030405060708, 1}},
      {"0218ac0203020205", MarkNode{3, 2, MarkNode::Mark::kLeave, 5}},
      {"0219ac02020807060504030201010103020203", Recover{2, 0x0102030405060708, {{1, 3}}, {2, 3}}},
      {"020fac0207ac02020506",
       DropReleases{GroupId{7}, Incarnation{300}, {Incarnation{5}, Incarnation{6}}}},
  };
}

Command Stamped(Command::Body body) { return Command{300, std::move(body)}; }

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (char c : bytes) {
    hex.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    hex.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return hex;
}

TEST(CommandTest, EveryKindHasItsGoldenBytesAndReadsBack) {
  std::set<std::size_t> kinds;
  for (const Golden& golden : Goldens()) {
    Command command = Stamped(golden.body);
    Bytes encoded = Encode(command);
    EXPECT_EQ(Hex(encoded.view()), golden.hex) << "kind " << golden.body.index() + 1;
    Result<Command> decoded = Decode(encoded);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(*decoded, command);
    kinds.insert(golden.body.index());
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<Command::Body>);
}

TEST(CommandTest, ADecodedPayloadSharesTheEntrysMemory) {
  Bytes encoded = Encode(Stamped(Appended()));
  Result<Command> decoded = Decode(encoded);
  ASSERT_TRUE(decoded.ok());
  const Bytes& payload = PayloadOf(*decoded);
  EXPECT_EQ(payload.view(), "payload");
  EXPECT_EQ(payload.data() + payload.size(), encoded.data() + encoded.size());
}

TEST(CommandTest, MessagesAreFramedInThePayloadsPlace) {
  std::vector<Bytes> messages = {Bytes::Static("1"), Bytes::Static("{\"a\":2}")};
  Append append = Appended();
  append.payload = {};
  auto payload = [&](Framing framing) {
    append.framing = framing;
    Bytes encoded = Encode(Stamped(append), messages);
    std::string view(PayloadOf(*Decode(encoded)).view());
    EXPECT_EQ(PayloadSize(messages, framing), view.size());
    return view;
  };
  EXPECT_EQ(payload(Framing::kJson), "1,\n{\"a\":2},\n");
  EXPECT_EQ(payload(Framing::kConcatenated), "1{\"a\":2}");
}

TEST(CommandTest, APayloadIsSummedWholeHoweverItIsCut) {
  for (Framing framing : {Framing::kConcatenated, Framing::kJson}) {
    std::vector<Bytes> messages;
    std::string stored;
    char letter = 'a';
    for (std::size_t size : {1u, 8191u, 2u, 8192u, 0u, 8193u, 30'000u, 3u}) {
      messages.push_back(Bytes::Copy(std::string(size, letter++)));
      stored.append(messages.back().view());
      if (framing == Framing::kJson) stored += ",\n";
    }
    Command command;
    command.body = Append{.id = {.bucket = "b", .name = "s"}, .framing = framing};
    Result<Command> decoded = Decode(Encode(command, messages));
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(PayloadOf(*decoded).view(), stored);
  }
}

TEST(CommandTest, ACutHeadIsRefused) {
  for (const Golden& golden : Goldens()) {
    Command command = Stamped(golden.body);
    Bytes encoded = Encode(command);
    std::size_t head = encoded.size() - PayloadOf(command).size();
    for (std::size_t size = 0; size < head; ++size) {
      Result<Command> decoded = Decode(encoded.Slice(0, size));
      ASSERT_FALSE(decoded.ok()) << "kind " << golden.body.index() + 1 << " cut at " << size;
      EXPECT_EQ(decoded.status().code(), StatusCode::kDataLoss);
    }
  }
}

TEST(CommandTest, UnknownVersionsKindsAndTrailingBytesAreRefused) {
  std::string good(Encode(Stamped(Delete{kId})).view());
  auto refused = [](std::string bytes) { return !Decode(Bytes::Take(std::move(bytes))).ok(); };
  EXPECT_FALSE(refused(good));
  for (std::size_t at : {0, 1}) {
    for (char value : {'\0', '\x40', '\xff'}) {
      std::string bad = good;
      bad[at] = value;
      EXPECT_TRUE(refused(bad)) << "byte " << at << " is " << int{value};
    }
  }
  EXPECT_TRUE(refused(good + "x"));
}

// It is said to be newer, not broken: an older release is to be told apart from rot.
TEST(CommandTest, ANewerReleasesCommandIsNamedAsSuch) {
  std::string bytes(Encode(Stamped(Delete{kId})).view());
  std::string version = bytes;
  version[0] = static_cast<char>(version[0] + 1);
  EXPECT_EQ(Decode(Bytes::Copy(version)).status().code(), StatusCode::kFailedPrecondition);
  std::string kind = bytes;
  kind[1] = '\x40';
  EXPECT_EQ(Decode(Bytes::Copy(kind)).status().code(), StatusCode::kFailedPrecondition);
}

TEST(CommandTest, APayloadThatDiffersFromItsChecksumIsRefused) {
  std::string bytes(Encode(Stamped(Appended())).view());
  for (std::size_t from_end : {1u, 7u, 8u, 11u}) {  // Payload, then its checksum.
    std::string bad = bytes;
    bad[bad.size() - from_end] ^= 1;
    EXPECT_EQ(Decode(Bytes::Copy(bad)).status().code(), StatusCode::kDataLoss) << from_end;
  }
}

// No deadline is later, so it would end streams that have none.
TEST(CommandTest, TheLastOfAllTimesIsRefused) {
  Command command = Stamped(Delete{kId});
  command.now_ms = std::numeric_limits<int64_t>::max() - 1;
  std::string bytes(Encode(command).view());
  EXPECT_TRUE(Decode(Bytes::Copy(bytes)).ok());
  bytes[2] = static_cast<char>(bytes[2] + 1);
  EXPECT_EQ(Decode(Bytes::Copy(bytes)).status().code(), StatusCode::kDataLoss);
  ++command.now_ms;
  EXPECT_FALSE(IsEncodable(command));
}

// What can't be decoded is never encoded: it would be in the log for good.
TEST(CommandTest, WhatDecodeRefusesIsNotEncodable) {
  const std::string nul("a\0b", 3);
  auto encodable = [](Command::Body body) { return IsEncodable(Stamped(std::move(body))); };
  EXPECT_TRUE(encodable(Delete{kId}));
  for (std::string StreamId::*field : {&StreamId::bucket, &StreamId::affinity, &StreamId::name}) {
    StreamId bad = kId;
    bad.*field = nul;
    CreateFork fork = Fork();
    fork.stream.id = bad;
    CreateFork from = Fork();
    from.point.source = bad;
    Append append = Appended();
    append.id = bad;
    Reserve reserve{CreateWithoutPayload(), kPoint, GroupId{7}};
    reserve.point.source = bad;
    for (const Command::Body& body :
         {Command::Body{Delete{bad}}, Command::Body{fork}, Command::Body{from},
          Command::Body{append}, Command::Body{reserve}, Command::Body{Confirm{bad, {}, {}}},
          Command::Body{ResolveFork{bad, {}, 0, {}}}}) {
      EXPECT_FALSE(encodable(body)) << body.index();
    }
  }
  EXPECT_FALSE(encodable(CreateBucket{nul}));
  EXPECT_FALSE(encodable(DeleteBucket{nul, DeleteBucket::Step::kBegin, {}}));
  EXPECT_FALSE(encodable(FenceBucket{nul, {}, {}}));
  StreamId long_affinity = kId;
  long_affinity.affinity.assign(65'536, 'a');
  EXPECT_FALSE(encodable(Delete{long_affinity}));
  Delete many = DeletingIf();
  many.condition.any_of.resize(65);
  EXPECT_FALSE(encodable(many));
  EXPECT_FALSE(IsEncodable(Command{-1, Delete{kId}}));
}

// What decodes encodes to something that decodes to the same; nothing else may happen.
TEST(CommandTest, ChangedBytesAreRefusedOrMeanSomething) {
  Random random(1);
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<Golden> goldens = Goldens();
    std::string bytes(Encode(Stamped(goldens[random.Below(goldens.size())].body)).view());
    for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(256));
    }
    Result<Command> decoded = Decode(Bytes::Take(std::move(bytes)));
    ++(decoded.ok() ? accepted : refused);
    if (!decoded.ok()) continue;
    Result<Command> again = Decode(Encode(*decoded));
    ASSERT_TRUE(again.ok());
    ASSERT_EQ(*again, *decoded);
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(CommandTest, ACommandNamesItsStream) {
  EXPECT_EQ(*StreamOf(Stamped(Appended())), kId);
  EXPECT_EQ(*StreamOf(Stamped(Fork())), kId);
  EXPECT_EQ(StreamOf(Stamped(Touch{})), nullptr);
  EXPECT_EQ(StreamOf(Stamped(CreateBucket{})), nullptr);
}

}  // namespace
}  // namespace ursula::stream
