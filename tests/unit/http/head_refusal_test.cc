// What is refused by its head: its body isn't read, or asked for.

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/http/stream_handler_rig.h"

namespace ursula::http {
namespace {

class HeadRefusalTest : public StreamHandlerTest {
 protected:
  // The head of a request with such a body, of which nothing follows.
  std::string AskWithoutBody(const std::string& line, const std::string& headers) {
    auto peer = rig().Connect();
    peer->Write(line + " HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n" + headers +
                "\r\n\r\n");
    return peer->TakeReceived();
  }
  void LoseLeader() {
    rig();
    engine_->ready_for = Status(StatusCode::kUnavailable, "it has no leader");
  }
};

constexpr const char* kLarge = "Content-Length: 1000000";
constexpr const char* kSmall = "Content-Length: 10";
constexpr const char* kChunked = "Transfer-Encoding: chunked";
constexpr const char* kExpects = "Content-Length: 10\r\nExpect: 100-continue";

TEST_F(HeadRefusalTest, AWriteWithoutALeaderNeedsNoBody) {
  LoseLeader();
  for (const char* line : {"POST /v1/stream/s", "PUT /v1/stream/s", "DELETE /v1/stream/s",
                           "POST /bucket/s", "PUT /bucket/affinity/s"}) {
    for (const char* headers : {kLarge, kSmall, kChunked, kExpects}) {
      const std::string answer = AskWithoutBody(line, headers);
      EXPECT_EQ(StatusOf(answer), 503) << line << headers;
      EXPECT_EQ(answer.find("100 Continue"), std::string::npos) << line << headers;
      for (const char* part : {"\r\nRetry-After: ", "\r\nStream-Outcome: not-proposed\r\n",
                               "\r\nConnection: close\r\n", "\"UNAVAILABLE\""}) {
        EXPECT_NE(answer.find(part), std::string::npos) << part << answer;
      }
    }
  }
  EXPECT_EQ(engine_->appends, 0u);
  const auto& refused = rig().server->counters().refused;
  EXPECT_EQ(refused[static_cast<std::size_t>(Refusal::kHead)].Get(), 20u);
}

// It costs nothing to read, and the connection goes on.
TEST_F(HeadRefusalTest, ASmallBodyThatIsThereIsJudgedAsEver) {
  CreateText("/v1/stream/s");
  LoseLeader();
  auto peer = rig().Connect();
  for (int i = 0; i < 2; ++i) {
    Send(peer.get(), "POST", "/v1/stream/s", "abc");
    EXPECT_EQ(StatusOf(peer->TakeReceived()), 204);
  }
  Send(peer.get(), "GET", "/v1/stream/s");
  EXPECT_EQ(StatusOf(peer->TakeReceived()), 200) << "a read has no body";
}

TEST_F(HeadRefusalTest, WithALeaderABodyIsAskedFor) {
  CreateText("/v1/stream/s");
  EXPECT_EQ(AskWithoutBody("POST /v1/stream/s", kExpects), "HTTP/1.1 100 Continue\r\n\r\n");
  for (const char* headers : {kLarge, kSmall, kChunked}) {
    EXPECT_EQ(AskWithoutBody("POST /v1/stream/s", headers), "") << headers;
  }
}

TEST_F(HeadRefusalTest, WhereNothingCanBeNoLargeBodyIsRead) {
  struct Case {
    const char* line;
    const char* answer;
  };
  const Case cases[] = {
      {"POST /v1/stream/__ds/x", "404 RESERVED_NAME"},
      {"PUT /v1/stream/__ds/x", "400 RESERVED_NAME"},
      {"PUT /v1/stream/__batch", "400 RESERVED_NAME"},
      {"POST /v1/stream/__batch", "415 UNSUPPORTED_MEDIA_TYPE"},
      {"POST /v1/stream/%zz", "400 INVALID_STREAM_NAME"},
      {"POST /bucket/a/b/c", "404 NOT_FOUND"},
      {"POST /bucket", "405 METHOD_NOT_ALLOWED"},
      {"PUT /bucket/streams", "405 METHOD_NOT_ALLOWED"},
      {"POST /v1/stream/__batch?consistency=local", "400 INVALID_CONSISTENCY"},
  };
  for (const Case& one : cases) {
    const std::string wanted = one.answer;
    for (const char* headers : {kLarge, kChunked, kExpects}) {
      const std::string answer = AskWithoutBody(one.line, headers);
      EXPECT_EQ(std::to_string(StatusOf(answer)), wanted.substr(0, 3)) << one.line << headers;
      EXPECT_NE(answer.find("\"" + wanted.substr(4) + "\""), std::string::npos)
          << one.line << answer;
      EXPECT_NE(answer.find("\r\nStream-Outcome: refused\r\n"), std::string::npos) << one.line;
    }
    EXPECT_EQ(AskWithoutBody(one.line, kSmall), "") << one.line << ": the connection is worth more";
  }
}

// It has a body that isn't read, and gets none (RFC 9110, 9.3.2).
TEST_F(HeadRefusalTest, ARefusedHeadIsAnsweredWithoutABody) {
  for (const char* headers : {kLarge, kChunked}) {
    const std::string answer = AskWithoutBody("HEAD /bucket/streams?consistency=local", headers);
    EXPECT_EQ(StatusOf(answer), 400);
    EXPECT_EQ(answer.find("\r\n\r\n"), answer.size() - 4) << answer;
  }
}

// What a stream would say of them comes first, and what is too large before that.
TEST_F(HeadRefusalTest, WhatTheStreamMaySeeOtherwiseWaitsForIt) {
  EXPECT_EQ(AskWithoutBody("POST /v1/stream/nowhere", kLarge), "");
  EXPECT_EQ(AskWithoutBody("PUT /v1/stream/s?offset=junk", kLarge), "");
  EXPECT_EQ(StatusOf(AskWithoutBody("POST /v1/stream/__ds/x", "Content-Length: 99999999999")), 413);
  LoseLeader();
  EXPECT_EQ(StatusOf(AskWithoutBody("POST /v1/stream/s", "Content-Length: 99999999999")), 413);
  EXPECT_EQ(StatusOf(AskWithoutBody("POST /v1/stream/s", "Content-Length: 5\r\nExpect: tea")), 417);
}

}  // namespace
}  // namespace ursula::http
