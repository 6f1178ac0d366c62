#include "lib/stream/command.h"

#include <cstddef>
#include <limits>
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
  create.bucket_incarnation = Incarnation{9};
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
  fork.reservation = Reservation{GroupId{7}, Incarnation{8}, 1000};
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

struct Golden {
  const char* hex;
  Command::Body body;
};

// A line is never changed: logs of every version are read for ever.
std::vector<Golden> Goldens() {
  return {
      {"0101ac02047465616d", CreateBucket{"team"}},
      {"0102ac02047465616d0209", DeleteBucket{"team", DeleteBucket::Step::kFinish, Incarnation{9}}},
      {"0103ac02047465616d09", FenceBucket{"team", Incarnation{9}}},
      {"0104ac02047465616d09", UnfenceBucket{"team", Incarnation{9}}},
      {"0105ac0201047465616d016b03646f630a746578742f706c61696e013c0173097879", Create()},
      {"0106ac020276310003612f6201ac02020402ae020708e80701047465616d016b03646f630a746578742f706c61"
       "696e013c0173097879",
       Fork()},
      {"0106ac02047465616d016b03646f63000000010000047465616d016b03646f6300000000", ForkAtTail()},
      {"0107ac0203047465616d016b03646f630a746578742f706c61696e0171017001c8017061796c6f6164",
       Appended()},
      {"0108ac02047465616d016b03646f63", Delete{kId}},
      {"0109ac0202018002", Expire{{Incarnation{1}, Incarnation{256}}}},
      {"010aac020103", Touch{{Incarnation{3}}}},
      {"010bac020276310003612f6201ac020207882701047465616d016b03646f630a746578742f706c61696e02feff"
       "ffffffffffff047468656e017309",
       Reserve{CreateWithoutPayload(), kPoint, GroupId{7}, 5000}},
      {"010cac02047465616d016b03646f630809", Confirm{kId, Incarnation{8}, Incarnation{9}}},
      {"010dac02047465616d016b03646f6308", Unreserve{kId, Incarnation{8}}},
      {"010eac02047465616d016b03646f630708e807",
       ResolveFork{kId, {GroupId{7}, Incarnation{8}, 1000}}},
      {"010fac02020506", DropReleases{{Incarnation{5}, Incarnation{6}}}},
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
    Bytes encoded = Encode(Stamped(append), messages, framing);
    std::string view(PayloadOf(*Decode(encoded)).view());
    EXPECT_EQ(PayloadSize(messages, framing), view.size());
    return view;
  };
  EXPECT_EQ(payload(Framing::kJson), "1,\n{\"a\":2},\n");
  EXPECT_EQ(payload(Framing::kConcatenated), "1{\"a\":2}");
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
    for (char value : {'\0', '\x10', '\xff'}) {
      std::string bad = good;
      bad[at] = value;
      EXPECT_TRUE(refused(bad)) << "byte " << at << " is " << int{value};
    }
  }
  EXPECT_TRUE(refused(good + "x"));
}

// No deadline is later, so it would end streams that have none.
TEST(CommandTest, TheLastOfAllTimesIsRefused) {
  Command command = Stamped(Delete{kId});
  command.now_ms = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(Decode(Encode(command)).status().code(), StatusCode::kDataLoss);
  --command.now_ms;
  EXPECT_TRUE(Decode(Encode(command)).ok());
}

TEST(CommandTest, NamesWithNulAreRefused) {
  Delete body{kId};
  body.id.name = std::string("a\0b", 3);
  EXPECT_FALSE(Decode(Encode(Stamped(body))).ok());
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
