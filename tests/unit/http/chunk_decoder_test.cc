#include "server/http/chunk_decoder.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace ursula::http {
namespace {

using Event = ChunkDecoder::Event;
using std::string_literals::operator""s;  // For NUL inside a literal.

struct Decoded {
  Event end = Event::kNeedMore;
  std::string body = {};
  std::size_t used = 0;
  friend bool operator==(const Decoded&, const Decoded&) = default;
};

Decoded DecodeInSteps(std::string_view bytes, std::size_t step) {
  ChunkDecoder decoder;
  Decoded decoded;
  while (decoded.used < bytes.size()) {
    std::size_t consumed = 0;
    decoded.end = decoder.Feed(bytes.substr(decoded.used, step), &consumed);
    decoded.used += consumed;
    if (decoded.end == Event::kData) decoded.body += decoder.data();
    if (decoded.end == Event::kEnd) break;
    if (decoded.end == Event::kError) {
      EXPECT_NE(decoder.reason(), "");
      break;
    }
  }
  return decoded;
}

// However it is cut, the outcome and where it falls are the same.
Decoded Decode(std::string_view bytes) {
  Decoded whole = DecodeInSteps(bytes, bytes.size());
  for (std::size_t step : {1, 2, 3, 5}) EXPECT_EQ(DecodeInSteps(bytes, step), whole) << bytes;
  return whole;
}

TEST(ChunkDecoderTest, TakesWhatTheGrammarAllows) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"0\r\n\r\n", ""},
      {"3\r\nabc\r\n0\r\n\r\n", "abc"},
      {"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"0003\r\nabc\r\n0000\r\n\r\n", "abc"},
      {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
      {"3;a\r\nabc\r\n0;b\r\n\r\n", "abc"},
      {"3;a=b;c=d\r\nabc\r\n0\r\n\r\n", "abc"},
      {"3;a=\"b;c\\\"\t\xE9\";d\r\nabc\r\n0\r\n\r\n", "abc"},
      {"3 ; a = b ;\tc = \"d\" ;e\r\nabc\r\n0\r\n\r\n", "abc"},
      {"3\r\nabc\r\n0\r\nA: b\r\nContent-Length: 9\r\nEmpty:\r\n\r\n", "abc"},
  };
  for (const auto& [bytes, body] : cases) {
    Decoded decoded = Decode(bytes + "GET");
    EXPECT_EQ(decoded.end, Event::kEnd) << bytes;
    EXPECT_EQ(decoded.body, body) << bytes;
    EXPECT_EQ(decoded.used, bytes.size()) << bytes;
  }
}

TEST(ChunkDecoderTest, RefusesEverythingElse) {
  const std::vector<std::string> cases = {
      "\r\n",
      "g\r\n",
      "+3\r\n",
      "-3\r\n",
      "0x3\r\n",
      "3_0\r\n",
      " 3\r\n",
      "3 \r\n",
      "3\t\r\n",
      "3\n",
      "3\rabc",
      "00000000000000003\r\n",
      "10000000000000000\r\n",
      "3;\r\n",
      "3;;a\r\n",
      "3;a=\r\n",
      "3;=b\r\n",
      "3;[\r\n",
      "3;a b\r\n",
      "3;a=b c\r\n",
      "3;a\n",
      "3;a\rb\r\n",
      "3;a=\"b\r\n",
      "3;a=\"b\nc\"\r\n",
      "3;a=\"b\"c\r\n",
      "3;a=\"\\\r\n\"\r\n",
      "3;a=\0\r\n"s,
      "3;a\x7f\r\n",
      "3\r\nabcd\r\n",
      "3\r\nabc\n0\r\n\r\n",
      "3\r\nabc\r0\r\n\r\n",
      "3\r\nabc0\r\n\r\n",
      "0\r\n\n",
      "0\r\n\rX",
      "0\n\r\n",
      "0\r\nno colon\r\n\r\n",
      "0\r\nA : b\r\n\r\n",
      "0\r\n: b\r\n\r\n",
      "0\r\nA: b\n\r\n",
      "0\r\nA: b\rc\r\n\r\n",
      "0\r\nA: \0\r\n\r\n"s,
      "0\r\nA: b\r\n folded\r\n\r\n",
      "0\r\nGET / HTTP/1.1\r\n\r\n",
  };
  for (const std::string& bytes : cases) EXPECT_EQ(Decode(bytes).end, Event::kError) << bytes;
}

TEST(ChunkDecoderTest, SaysHowLargeAChunkIsBeforeItCame) {
  ChunkDecoder decoder;
  std::size_t consumed = 0;
  EXPECT_EQ(decoder.Feed("FFFFFFFFFFFFFFFF\r", &consumed), Event::kNeedMore);
  EXPECT_FALSE(decoder.in_data());
  EXPECT_EQ(decoder.Feed("\n", &consumed), Event::kNeedMore);
  EXPECT_TRUE(decoder.in_data());
  EXPECT_EQ(decoder.chunk_bytes_left(), ~uint64_t{0});
}

}  // namespace
}  // namespace ursula::http
