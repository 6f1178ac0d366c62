#include "server/protocol/state_offsets.h"

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "server/protocol/response_mapping.h"
#include "server/protocol/sse.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

constexpr const char* kPath = "/v1/stream/s";
constexpr std::string_view kInsert =
    "{\"type\":\"u\",\"key\":\"1\",\"headers\":{\"operation\":\"insert\"}}";
constexpr std::string_view kReset = "{\"headers\":{\"control\":\"reset\"}}";

// Of one message that is stored from 0 on.
std::string Of(std::string_view message) {
  std::vector<Bytes> whole = WithStateOffsets({Bytes::Copy(std::string(message) + ",\n")}, {0});
  std::string text = BodyOf(whole);
  EXPECT_TRUE(text.ends_with(",\n")) << text;
  return text.substr(0, text.size() - 2);
}

std::string OffsetOf(uint64_t bytes) {
  std::string digits = std::to_string(bytes);
  return "\"0000000000000000_" + std::string(16 - digits.size(), '0') + digits + "\"";
}

ReadReply Reply(std::vector<Bytes> parts, uint64_t start) {
  ReadReply reply;
  reply.info.content_type = "application/json";
  reply.info.incarnation = 0xabc;
  reply.start = reply.next = {start};
  for (const Bytes& part : parts) reply.next.bytes += part.size();
  reply.info.tail = reply.next;
  reply.parts = std::move(parts);
  reply.up_to_date = true;
  return reply;
}

ReadAction Asking(const std::string& query) {
  return Take<ReadAction>(Map(MakeRequest(Method::kGet, kPath + query)));
}

TEST(StateOffsetsTest, AnEventHasTheOffsetBehindIt) {
  const std::string insert(kInsert);
  EXPECT_EQ(Of(insert), insert.substr(0, insert.size() - 2) +
                            ",\"offset\":" + OffsetOf(insert.size() + 2) + "}}");
  EXPECT_EQ(Of(kReset),
            "{\"headers\":{\"control\":\"reset\",\"offset\":" + OffsetOf(kReset.size() + 2) + "}}");
}

TEST(StateOffsetsTest, OneThatItCameWithGivesWay) {
  const std::string own =
      "{\"headers\":{\"offset\" : \"x\\\"}\" ,\"control\":\"reset\"},\"value\":{\"offset\":1}}";
  EXPECT_EQ(Of(own), "{\"headers\":{\"offset\" : " + OffsetOf(own.size() + 2) +
                         " ,\"control\":\"reset\"},\"value\":{\"offset\":1}}");
  const std::string nested = "{\"headers\":{\"offset\":[{\"a\":1},2],\"operation\":\"delete\"}}";
  EXPECT_EQ(Of(nested), "{\"headers\":{\"offset\":" + OffsetOf(nested.size() + 2) +
                            ",\"operation\":\"delete\"}}");
}

TEST(StateOffsetsTest, NothingElseIsTouched) {
  for (std::string_view message :
       {"1", "\"headers\"", "[{\"headers\":{\"operation\":\"insert\"}}]", "null", "{}",
        "{\"headers\":{}}", "{\"headers\":[]}", "{\"headers\":\"operation\"}",
        "{\"headers\":{\"operation\":1}}", "{\"headers\":{\"control\":null,\"operation\":{}}}",
        "{\"value\":{\"headers\":{\"operation\":\"insert\"}}}",
        "{\"a\":\"\\\"headers\\\":{\\\"operation\\\":\\\"x\\\"}\"}",
        "{\"headers\":{\"operation\":\"insert\"},\"headers\":{}}",
        "{\"headers\":{\"value\":{\"operation\":\"insert\"}}}",
        "{\"n\":12345678901234567890.10e+2,\"headers\":{\"txid\":\"operation\"}}"}) {
    EXPECT_EQ(Of(message), message);
  }
}

// Spaces, escapes, brackets in strings and numbers of any size stay as they were written.
TEST(StateOffsetsTest, TheRestOfAnEventIsAsItWasWritten) {
  const std::string before =
      " {\"value\" : {\"s\":\"}]\\\\\",\"n\":12345678901234567890, \"l\":[1,[{}],\"\\\"\"]},"
      "\"headers\" : { \"txid\":\"{\", \"operation\" : \"update\" ";
  EXPECT_EQ(Of(before + "} }"), before + ",\"offset\":" + OffsetOf(before.size() + 5) + "} }");
}

TEST(StateOffsetsTest, EachMessageIsCountedFromTheStartHoweverThePartsLie) {
  const std::string stored = std::string(kInsert) + ",\n7,\n" + std::string(kReset) + ",\n";
  const std::string whole = BodyOf(WithStateOffsets({Bytes::Copy(stored)}, {100}));
  EXPECT_NE(whole.find(OffsetOf(100 + kInsert.size() + 2)), std::string::npos);
  EXPECT_NE(whole.find(OffsetOf(100 + stored.size())), std::string::npos);
  for (std::size_t a = 0; a <= stored.size(); ++a) {
    for (std::size_t b = a; b <= stored.size(); b += 7) {
      EXPECT_EQ(BodyOf(WithStateOffsets(
                    {Bytes::Copy(stored.substr(0, a)), Bytes::Copy(stored.substr(a, b - a)),
                     Bytes::Copy(stored.substr(b))},
                    {100})),
                whole);
    }
  }
  EXPECT_TRUE(WithStateOffsets({}, {100}).empty());
}

// What isn't JSON (it can't be stored) is passed on, and nothing beside it is read.
TEST(StateOffsetsTest, BrokenBytesPassAsTheyAre) {
  const std::string event = std::string(kInsert) + ",\n";
  for (std::size_t size = 0; size < event.size(); ++size) {
    const std::string cut = event.substr(0, size);
    EXPECT_EQ(BodyOf(WithStateOffsets({Bytes::Copy(cut)}, {0})), cut);
    if (size >= event.size() - 2) continue;
    EXPECT_EQ(BodyOf(WithStateOffsets({Bytes::Copy(cut + "\n")}, {0})), cut + "\n");
  }
}

TEST(StateOffsetsTest, AQueryAsksForIt) {
  EXPECT_TRUE(Asking("?state_offsets=true").state_offsets);
  EXPECT_TRUE(Asking("?offset=-1&live=sse&state_offsets=true").state_offsets);
  EXPECT_FALSE(Asking("?state_offsets=false").state_offsets);
  EXPECT_FALSE(Asking("").state_offsets);
  for (const char* bad : {"?state_offsets", "?state_offsets=", "?state_offsets=1",
                          "?state_offsets=True", "?state_offsets=true&state_offsets=true"}) {
    EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, std::string(kPath) + bad))),
              "guarded 400 INVALID_QUERY")
        << bad;
  }
}

TEST(StateOffsetsTest, ArraysLinesAndEventsHaveThem) {
  const ProtocolConfig config;
  const std::string stored = std::string(kReset) + ",\n";
  const ReadReply reply = Reply({Bytes::Copy(stored)}, 10);
  const std::string with =
      "{\"headers\":{\"control\":\"reset\",\"offset\":" + OffsetOf(10 + stored.size()) + "}}";
  ReadAction action = Asking("?state_offsets=true");
  Response response = MapReadReply(action, reply, {}, config);
  EXPECT_EQ(BodyOf(response.body), "[" + with + "]");
  EXPECT_EQ(HeaderOf(response, "ETag"), "\"abc-a-2b.to\"");
  action.ndjson = true;
  response = MapReadReply(action, reply, {}, config);
  EXPECT_EQ(BodyOf(response.body), with + "\n");
  EXPECT_EQ(HeaderOf(response, "ETag"), "\"abc-a-2b.tlo\"");
  SseEncoder encoder(SseFormOf(reply.info.content_type, true));
  EXPECT_NE(encoder.Encode(reply, 7).bytes.find("data:[" + with + "]\n"), std::string::npos);
  EXPECT_EQ(BodyOf(reply.parts), stored);
}

TEST(StateOffsetsTest, WhoDoesNotAskForThemHasWhatIsStored) {
  const ProtocolConfig config;
  const ReadReply reply = Reply({Bytes::Copy(std::string(kReset) + ",\n")}, 10);
  Response response = MapReadReply(Asking(""), reply, {}, config);
  EXPECT_EQ(BodyOf(response.body), "[" + std::string(kReset) + "]");
  EXPECT_EQ(HeaderOf(response, "ETag"), "\"abc-a-2b.t\"");
  SseEncoder encoder(SseFormOf(reply.info.content_type));
  EXPECT_NE(encoder.Encode(reply, 7).bytes.find("data:[" + std::string(kReset) + "]\n"),
            std::string::npos);
  // Nor has a stream of text any.
  ReadReply text = reply;
  text.info.content_type = "text/plain";
  response = MapReadReply(Asking("?state_offsets=true"), text, {}, config);
  EXPECT_EQ(BodyOf(response.body), std::string(kReset) + ",\n");
  EXPECT_EQ(HeaderOf(response, "ETag"), "\"abc-a-2b.t\"");
  EXPECT_EQ(SseFormOf("text/plain", true), SseForm::kText);
}

}  // namespace
}  // namespace ursula::protocol
