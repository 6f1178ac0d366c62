#include "server/http/request_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace ursula::http {
namespace {

using Event = RequestParser::Event;
using std::string_literals::operator""s;  // For NUL inside a literal.

// Feeds everything in pieces of `step` until an event other than kNeedMore and kHead.
Event FeedAll(RequestParser* parser, std::string_view bytes, std::size_t step,
              std::size_t* used = nullptr) {
  Event event = Event::kNeedMore;
  std::size_t at = 0;
  while (at < bytes.size()) {
    at += parser->Feed(bytes.substr(at, step), &event);
    if (event == Event::kComplete || event == Event::kError) break;
  }
  if (used != nullptr) *used = at;
  return event;
}

ParseError ErrorOf(std::string_view bytes, const RequestLimits& limits = {}) {
  ParseError whole = ParseError::kNone;
  for (std::size_t step : {bytes.size(), std::size_t{1}, std::size_t{3}}) {
    RequestParser parser(limits);
    FeedAll(&parser, bytes, step);
    if (step == bytes.size()) whole = parser.error();
    EXPECT_EQ(parser.error(), whole) << "in steps of " << step << ": " << bytes.substr(0, 200);
  }
  return whole;
}

TEST(RequestParserTest, WholeRequestComesOutTheSameHoweverItIsCut) {
  constexpr std::string_view kRequest =
      "POST /demo/hello?x=1 HTTP/1.1\r\nHost: h\r\nContent-Type:  text/plain \r\nEmpty:\r\n"
      "Content-Length: 5\r\n\r\nhello";
  for (std::size_t step = 1; step <= kRequest.size(); ++step) {
    RequestParser parser({});
    std::size_t used = 0;
    ASSERT_EQ(FeedAll(&parser, kRequest, step, &used), Event::kComplete) << parser.error_reason();
    EXPECT_EQ(used, kRequest.size());
    EXPECT_EQ(parser.request().method, protocol::Method::kPost);
    EXPECT_EQ(parser.request().target, "/demo/hello?x=1");
    ASSERT_TRUE(parser.request().headers.Find("content-type").has_value());
    EXPECT_EQ(*parser.request().headers.Find("content-type"), "text/plain");
    ASSERT_TRUE(parser.request().headers.Find("empty").has_value());
    EXPECT_EQ(*parser.request().headers.Find("empty"), "");
    EXPECT_EQ(parser.request().headers.size(), 4u);
    EXPECT_EQ(parser.request().body.view(), "hello");
    EXPECT_TRUE(parser.keep_alive());
  }
}

// The first thing that is wrong decides, whatever else came with it.
TEST(RequestParserTest, ErrorsAreTheSameHoweverTheRequestIsCut) {
  EXPECT_EQ(ErrorOf("GET1.0\r\nHost: h\r\n\r\n"), ParseError::kMethodUnknown);
  EXPECT_EQ(ErrorOf("BREW\r\nHost: h\r\n\r\n"), ParseError::kMethodUnknown);
  EXPECT_EQ(ErrorOf("BREW / HTTP/1.1\nHost: h\n\n"), ParseError::kMethodUnknown);
  EXPECT_EQ(ErrorOf("GET / HTTP/1.1\r\nHo st: h\r\nbare: \n"), ParseError::kMalformed);
  EXPECT_EQ(ErrorOf("GET / FTP/1.1\r\n" + std::string(70'000, 'h')), ParseError::kMalformed);
}

TEST(RequestParserTest, PipelinedRequestsComeOneByOne) {
  constexpr std::string_view kTwo =
      "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxyGET /b HTTP/1.1\r\nHost: h\r\n\r\n";
  for (std::size_t step = 1; step <= kTwo.size(); ++step) {
    RequestParser parser({});
    std::size_t used = 0;
    ASSERT_EQ(FeedAll(&parser, kTwo, step, &used), Event::kComplete);
    EXPECT_EQ(parser.request().target, "/a");
    EXPECT_EQ(parser.request().body.view(), "xy");
    parser.Next();
    ASSERT_EQ(FeedAll(&parser, kTwo.substr(used), step), Event::kComplete);
    EXPECT_EQ(parser.request().target, "/b");
    EXPECT_EQ(parser.request().headers.size(), 1u);
  }
}

TEST(RequestParserTest, ChunkedBodyIsDecodedAndItsTrailersDropped) {
  constexpr std::string_view kRequest =
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\nGET";
  for (std::size_t step = 1; step <= kRequest.size(); ++step) {
    RequestParser parser({});
    std::size_t used = 0;
    ASSERT_EQ(FeedAll(&parser, kRequest, step, &used), Event::kComplete) << parser.error_reason();
    EXPECT_EQ(used, kRequest.size() - 3);
    EXPECT_EQ(parser.request().body.view(), "hello world");
    EXPECT_EQ(parser.request().headers.Find("trailer"), std::nullopt);
  }
}

TEST(RequestParserTest, WhatTwoParsersCouldReadInTwoWaysIsRefused) {
  const std::vector<std::string> cases = {
      "GET /a HTTP/1.1\nHost: h\n\n",
      "GET /a HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: h\r\nX:\rTransfer-Encoding: chunked\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"s,
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "GET /a HTTP/1.1\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: h\r\n folded: x\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost : h\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
      "GET  HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a\r\n\r\n",
      "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a  HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a HTTP/1.1 \r\nHost: h\r\n\r\n",
      "GET /a HTTP/1.10\r\nHost: h\r\n\r\n",
      "SOURCE /a ICE/1.0\r\nHost: h\r\n\r\n",
      "OPTIONS * RTSP/1.0\r\nHost: h\r\n\r\n",
      "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
      "OPTIONS *a HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a\\b HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET http://user@h/a HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 03\r\n\r\nabc",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n: x\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: a\nU: b\r\n\r\n",
      "\x16\x03\x01 hello",
      "{}\r\n",
  };
  for (const std::string& bytes : cases) {
    EXPECT_EQ(ErrorOf(bytes), ParseError::kMalformed) << bytes;
  }
}

TEST(RequestParserTest, EachLimitHasAnAnswerOfItsOwn) {
  RequestLimits limits;
  limits.line_bytes_max = 64;
  limits.header_bytes_max = 256;
  limits.header_count_max = 4;
  limits.body_bytes_max = 10;
  EXPECT_EQ(ErrorOf("GET /" + std::string(64, 'a') + " HTTP/1.1\r\n", limits),
            ParseError::kLineTooLong);
  EXPECT_EQ(ErrorOf("GET /a HTTP/1.1\r\nHost: h\r\nX: " + std::string(256, 'a'), limits),
            ParseError::kHeadersTooLarge);
  EXPECT_EQ(ErrorOf("GET /a HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n", limits),
            ParseError::kHeadersTooLarge);
  EXPECT_EQ(ErrorOf("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", limits),
            ParseError::kBodyTooLarge);
  EXPECT_EQ(ErrorOf("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n",
                    limits),
            ParseError::kBodyTooLarge);
  EXPECT_EQ(ErrorOf("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "FFFFFFFFFFFFFFFF\r\n",
                    limits),
            ParseError::kBodyTooLarge);
  EXPECT_EQ(ErrorOf("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789", limits),
            ParseError::kNone);
}

TEST(RequestParserTest, ChunkFramingThatOutweighsTheBodyIsRefused) {
  std::string bytes = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1";
  bytes += ";" + std::string(200'000, 'x');
  RequestParser parser({});
  EXPECT_EQ(FeedAll(&parser, bytes, 4096), Event::kError);
}

TEST(RequestParserTest, UnknownMethodsAndVersionsAreToldApartFromNoise) {
  EXPECT_EQ(ErrorOf("BREW /a HTTP/1.1\r\nHost: h\r\n\r\n"), ParseError::kMethodUnknown);
  EXPECT_EQ(ErrorOf("get /a HTTP/1.1\r\nHost: h\r\n\r\n"), ParseError::kMethodUnknown);
  EXPECT_EQ(ErrorOf("CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n"), ParseError::kMethodUnknown);
  EXPECT_EQ(ErrorOf("GET /a HTTP/1.2\r\nHost: h\r\n\r\n"), ParseError::kVersionUnknown);
  EXPECT_EQ(ErrorOf("GET /a HTTP/9.9\r\nHost: h\r\n\r\n"), ParseError::kVersionUnknown);
  EXPECT_EQ(ErrorOf("GET /a HTTP/2.0\r\nHost: h\r\n\r\n"), ParseError::kVersionUnknown);
  RequestParser patch({});
  EXPECT_EQ(FeedAll(&patch, "PATCH /a HTTP/1.1\r\nHost: h\r\n\r\n", 100), Event::kComplete);
  EXPECT_EQ(patch.request().method, protocol::Method::kOther);
}

TEST(RequestParserTest, OfferedUpgradesAreIgnored) {
  RequestParser parser({});
  EXPECT_EQ(FeedAll(&parser,
                    "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
                    7),
            Event::kComplete);
  EXPECT_EQ(parser.request().target, "/a");
}

TEST(RequestParserTest, KeepAliveFollowsTheVersionAndTheHeader) {
  auto keeps = [](std::string_view bytes) {
    RequestParser parser({});
    EXPECT_EQ(FeedAll(&parser, bytes, bytes.size()), Event::kComplete);
    return parser.keep_alive();
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(RequestParserTest, ExpectationsAreReported) {
  RequestParser parser({});
  Event event = Event::kNeedMore;
  parser.Feed("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n",
              &event);
  EXPECT_EQ(event, Event::kHead);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(parser.content_length(), 1u);
  RequestParser other({});
  other.Feed("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n", &event);
  EXPECT_TRUE(other.unknown_expectation());
}

TEST(RequestParserTest, BlankLinesBeforeARequestAreSkippedButNotForEver) {
  EXPECT_EQ(ErrorOf("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), ParseError::kNone);
  std::string many;
  for (int i = 0; i < 20; ++i) many += "\r\n";
  EXPECT_EQ(ErrorOf(many), ParseError::kMalformed);
}

}  // namespace
}  // namespace ursula::http
