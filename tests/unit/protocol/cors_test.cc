#include "server/protocol/cors.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

Request From(std::string_view origin) {
  Headers headers;
  if (!origin.empty()) headers.Add("Origin", origin);
  Request request;
  request.headers = std::move(headers);
  return request;
}

// A page that isn't named gets an answer that its browser keeps from it, and no cache mixes them
// up.
TEST(OriginLinesTest, NamedOriginsAloneAreAllowedAndMayHaveCredentials) {
  CorsConfig config;
  config.origins = {"https://app.example.com", "http://localhost:3000"};
  for (const std::string& origin : config.origins) {
    EXPECT_EQ(OriginLines(config, From(origin)),
              "Access-Control-Allow-Origin: " + origin +
                  "\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
  }
  for (const char* other :
       {"", "null", "https://app.example.com.evil.example", "https://app.example.com:444",
        "http://app.example.com", "HTTPS://APP.EXAMPLE.COM", "*"}) {
    EXPECT_EQ(OriginLines(config, From(other)), "Vary: Origin\r\n") << other;
  }
}

TEST(PreflightTest, FurtherHeadersAreAllowed) {
  CorsConfig config;
  EXPECT_NE(HeaderOf(PreflightResponse(config, From("")), "Access-Control-Allow-Headers")
                .find("traceparent"),
            std::string::npos);
  config.headers = {"X-Tenant", "x-b"};
  EXPECT_TRUE(HeaderOf(PreflightResponse(config, From("")), "Access-Control-Allow-Headers")
                  .ends_with(", x-request-id, X-Tenant, x-b"));
}

TEST(PreflightTest, APrivateNetworkIsOpenedOnlyWhereThatIsWanted) {
  constexpr std::string_view kAllowed = "Access-Control-Allow-Private-Network";
  Request asks = From("https://app.example.com");
  asks.headers.Add("Access-Control-Request-Private-Network", "true");
  CorsConfig config;
  EXPECT_EQ(HeaderOf(PreflightResponse(config, asks), kAllowed), "(none)");
  config.private_network = true;
  EXPECT_EQ(HeaderOf(PreflightResponse(config, asks), kAllowed), "true");
  EXPECT_EQ(HeaderOf(PreflightResponse(config, From("")), kAllowed), "(none)");
}

}  // namespace
}  // namespace ursula::protocol
