#include "tests/bench/response_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace ursula::bench {
namespace {

struct Seen {
  std::vector<ResponseHead> heads;
  std::vector<std::string> bodies;
  std::size_t whole = 0;
  bool error = false;
};

// Feeds `text` in pieces of `step` bytes.
Seen Parse(std::string_view text, std::size_t step, ResponseParser* parser) {
  Seen seen;
  for (std::size_t at = 0; at < text.size() && !seen.error; at += step) {
    std::string_view piece = text.substr(at, step);
    for (bool more = true; more;) {
      switch (parser->Next(&piece)) {
        case ResponseParser::Event::kNeedMore:
          EXPECT_TRUE(piece.empty());
          more = false;
          break;
        case ResponseParser::Event::kHead:
          seen.heads.push_back(parser->head());
          seen.bodies.emplace_back();
          break;
        case ResponseParser::Event::kBody:
          seen.bodies.back().append(parser->body());
          break;
        case ResponseParser::Event::kComplete:
          ++seen.whole;
          break;
        case ResponseParser::Event::kError:
          seen.error = true;
          more = false;
          break;
      }
    }
  }
  return seen;
}

Seen Parse(std::string_view text, std::size_t step = SIZE_MAX / 2) {
  ResponseParser parser;
  return Parse(text, step, &parser);
}

constexpr std::string_view kMany =
    "HTTP/1.1 204 No Content\r\nStream-Next-Offset: 0000000000000000_0000000000000256\r\n\r\n"
    "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nStream-Up-To-Date: true\r\n\r\nhello world"
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nStream-Closed: true\r\n\r\n"
    "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

TEST(ResponseParserTest, ReadsResponsesHoweverTheyAreCut) {
  for (std::size_t step = 1; step <= kMany.size(); ++step) {
    Seen seen = Parse(kMany, step);
    ASSERT_FALSE(seen.error) << step;
    ASSERT_EQ(seen.whole, 4u) << step;
    EXPECT_EQ(seen.heads[0].status, 204);
    EXPECT_EQ(seen.heads[0].next_offset, "0000000000000000_0000000000000256");
    EXPECT_FALSE(seen.heads[0].up_to_date);
    EXPECT_EQ(seen.heads[1].status, 200);
    EXPECT_EQ(seen.heads[1].next_offset, "");
    EXPECT_TRUE(seen.heads[1].up_to_date);
    EXPECT_EQ(seen.bodies[1], "hello world");
    EXPECT_TRUE(seen.heads[2].stream_closed);
    EXPECT_EQ(seen.bodies[2], "hello world");
    EXPECT_TRUE(seen.heads[2].keep_alive);
    EXPECT_EQ(seen.heads[3].status, 503);
    EXPECT_FALSE(seen.heads[3].keep_alive);
  }
}

TEST(ResponseParserTest, ABodyWithoutLengthEndsWithTheConnection) {
  ResponseParser parser;
  Seen seen = Parse("HTTP/1.1 200 OK\r\n\r\nsome", 7, &parser);
  EXPECT_EQ(seen.whole, 0u);
  EXPECT_EQ(seen.bodies.front(), "some");
  EXPECT_TRUE(seen.heads.front().until_close);
  EXPECT_FALSE(seen.heads.front().keep_alive);
  EXPECT_TRUE(parser.EndedWell());
}

TEST(ResponseParserTest, ABodyThatStopsHalfWayIsNoGoodEnd) {
  ResponseParser parser;
  Seen seen = Parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsome", 7, &parser);
  EXPECT_EQ(seen.whole, 0u);
  EXPECT_FALSE(parser.EndedWell());
}

TEST(ResponseParserTest, RefusesWhatIsNoHttp) {
  for (std::string_view text : {
           "HTTP/1.0 200 OK\r\n\r\n",
           "SSH-2.0-OpenSSH_9.2\r\n\r\n",
           "HTTP/1.1 2x0 OK\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
       }) {
    EXPECT_TRUE(Parse(text).error) << text;
    EXPECT_TRUE(Parse(text, 1).error) << text;
  }
}

TEST(ResponseParserTest, RefusesAHeadWithoutEnd) {
  std::string text = "HTTP/1.1 200 OK\r\nX: " + std::string(ResponseParser::kHeadBytesMax, 'x');
  EXPECT_TRUE(Parse(text, 1000).error);
}

}  // namespace
}  // namespace ursula::bench
