#include "server/ctl/response_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace ursula::ctl {
namespace {

using State = ResponseParser::State;

TEST(ResponseParserTest, AResponseIsReadWhateverPiecesItComesIn) {
  const std::string bytes =
      "HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\nUrsula-Proof: ab\r\n\r\nhello";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    ResponseParser parser;
    State state = State::kNeedMore;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      EXPECT_EQ(state, State::kNeedMore);
      state = parser.Feed(std::string_view(bytes).substr(at, piece));
    }
    ASSERT_EQ(state, State::kComplete) << parser.reason();
    EXPECT_EQ(parser.response().status, 409);
    EXPECT_EQ(parser.response().headers.Find("ursula-proof"), "ab");
    EXPECT_EQ(parser.response().body, "hello");
  }
}

TEST(ResponseParserTest, ABodyWithoutALengthEndsWithTheConnection) {
  ResponseParser parser;
  EXPECT_EQ(parser.Feed("HTTP/1.1 200 OK\r\n\r\nhel"), State::kNeedMore);
  EXPECT_EQ(parser.Feed("lo"), State::kNeedMore);
  EXPECT_EQ(parser.End(), State::kComplete);
  EXPECT_EQ(parser.response().body, "hello");
}

TEST(ResponseParserTest, ChunksAreOneBody) {
  ResponseParser parser;
  EXPECT_EQ(parser.Feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\nand what follows"),
            State::kComplete);
  EXPECT_EQ(parser.response().body, "hello");
}

TEST(ResponseParserTest, WhatIsNoResponseIsRefused) {
  for (std::string bytes :
       {"", "\r\n", "GET / HTTP/1.1\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhe",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n"}) {
    ResponseParser parser;
    State state = parser.Feed(bytes);
    if (state == State::kNeedMore) state = parser.End();
    EXPECT_EQ(state, State::kBad) << bytes;
    EXPECT_FALSE(parser.reason().empty()) << bytes;
  }
}

// What comes goes on for ever; what is held doesn't.
TEST(ResponseParserTest, EveryPartIsBounded) {
  auto refused = [](const std::string& begin, const std::string& again, std::size_t times) {
    ResponseParser parser;
    State state = parser.Feed(begin);
    std::size_t fed = 0;
    for (; state == State::kNeedMore && fed < times; ++fed) state = parser.Feed(again);
    EXPECT_EQ(state, State::kBad) << begin;
    return fed;
  };
  const std::string kilobyte(1024, 'a');
  EXPECT_LE(refused("HTTP/1.1 200 ", kilobyte, 1000), 65u);
  EXPECT_LE(refused("HTTP/1.1 200 OK\r\n", kilobyte, 1000), 65u);
  EXPECT_LE(refused("HTTP/1.1 200 OK\r\na: ", kilobyte, 1000), 65u);
  EXPECT_LE(refused("HTTP/1.1 200 OK\r\n", "a: b\r\n", 1000), 102u);
  EXPECT_LE(refused("HTTP/1.1 200 OK\r\n\r\n", kilobyte, 100'000), (16u << 10) + 1);
}

}  // namespace
}  // namespace ursula::ctl
