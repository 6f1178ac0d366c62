// Pages, offsets and the head of answers, as StreamHandler gives them.

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/unit/http/stream_handler_rig.h"

namespace ursula::http {
namespace {

TEST_F(StreamHandlerTest, PagesOfTextEndAtCharacters) {
  config_.read_bytes_max = 8;
  CreateText(kStream);
  Ask("POST", kStream, "a\xC3\xA9");
  std::string first = Ask("GET", std::string(kStream) + "?offset=-1");
  EXPECT_EQ(BodyOf(first), "first a");
  EXPECT_NE(first.find("_0000000000000007.\r\n"), std::string::npos);
  EXPECT_EQ(BodyOf(Ask("GET", std::string(kStream) + "?offset=0000000000000000_0000000000000007.")),
            "\xC3\xA9");
}

TEST_F(StreamHandlerTest, NamedOriginsAreAllowedByEachAnswerErrorsIncluded) {
  config_.cors.origins = {"https://app.example.com"};
  CreateText(kStream);
  constexpr std::string_view kAllowed =
      "\r\nAccess-Control-Allow-Origin: https://app.example.com\r\n"
      "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n";
  for (std::string_view path : {"/v1/stream/s", "/v1/stream/none", "/v1/stream/s?offset=junk",
                                "/v1/stream/s?offset=-1&live=sse", "/x"}) {
    std::string mine = AskUnder("Origin: https://app.example.com", "GET", path);
    EXPECT_NE(mine.find(kAllowed), std::string::npos) << mine;
    std::string other = AskUnder("Origin: https://other.example.com", "GET", path);
    EXPECT_EQ(other.find("Access-Control-Allow-Origin"), std::string::npos) << other;
    EXPECT_NE(other.find("\r\nVary: Origin\r\n"), std::string::npos) << other;
  }
}

}  // namespace
}  // namespace ursula::http
