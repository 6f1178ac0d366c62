#include "server/config/values.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace ursula::server {
namespace {

TEST(ValuesTest, SizesTakeUnitsOfPowersOf1024) {
  EXPECT_EQ(ParseSize("0"), 0u);
  EXPECT_EQ(ParseSize("65536"), 65536u);
  EXPECT_EQ(ParseSize("64KiB"), 65536u);
  EXPECT_EQ(ParseSize("64k"), 65536u);
  EXPECT_EQ(ParseSize("64 MiB"), uint64_t{64} << 20);
  EXPECT_EQ(ParseSize("1GB"), uint64_t{1} << 30);
  EXPECT_EQ(ParseSize("2tib"), uint64_t{2} << 40);
  for (const char* wrong : {"", "KiB", "1.5GiB", "-1", "+1", "1 2", "1XB", "1kb/s", "1KiBB",
                            "99999999999999999999", "99999999999TiB"}) {
    EXPECT_EQ(ParseSize(wrong), std::nullopt) << wrong;
  }
}

TEST(ValuesTest, StreamRootsAreApartFromEachOtherAndFromTheRest) {
  using Roots = std::vector<std::string>;
  EXPECT_EQ(ParseStreamRoots("/v1/stream"), Roots{});
  EXPECT_EQ(ParseStreamRoots("/v1/stream,/v1/streams, /streams/"),
            (Roots{"/v1/streams/", "/streams/"}));
  EXPECT_EQ(ParseStreamRoots("/A.b-c_d~1/2"), Roots{"/A.b-c_d~1/2/"});
  for (const char* wrong : {"",           "/",       "//",         "streams",
                            "/a,",        ",/a",     "/a//b",      "/a/../b",
                            "/a/./b",     "/a?b",    "/a%20b",     "/a b",
                            "/_a",        "/a/__ds", "/v1",        "/v1/stream/x",
                            "/a,/a",      "/a,/a/b", "/a/b,/a",    "/metrics",
                            "/healthz/x", "/admin",  "/a/b/c/d/e", "/1,/2,/3,/4,/5,/6,/7,/8,/9"}) {
    EXPECT_EQ(ParseStreamRoots(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(ParseStreamRoots("/" + std::string(128, 'a')), std::nullopt);
}

TEST(ValuesTest, OriginsAreWhatABrowserSends) {
  for (const char* origin : {"https://app.example.com", "http://localhost:3000", "http://[::1]:80",
                             "chrome-extension://abcdef"}) {
    EXPECT_TRUE(IsOrigin(origin)) << origin;
  }
  for (const char* wrong :
       {"", "*", "null", "app.example.com", "https://", "://a", "https://a/", "https://a/b",
        "https://A", "HTTPS://a", "https://a b", "https://a\r\nb"}) {
    EXPECT_FALSE(IsOrigin(wrong)) << wrong;
  }
  EXPECT_TRUE(IsHeaderName("X-Tenant"));
  for (const char* wrong : {"", "a b", "a:b", "a\r\n", "a,b", "\xC3\xA9"}) {
    EXPECT_FALSE(IsHeaderName(wrong)) << wrong;
  }
}

TEST(ValuesTest, SizesAreWrittenAsTheyAreRead) {
  for (uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{1023}, uint64_t{1024},
                        uint64_t{64} << 20, uint64_t{3} << 40}) {
    EXPECT_EQ(ParseSize(FormatSize(size)), size) << FormatSize(size);
  }
  EXPECT_EQ(FormatSize(uint64_t{64} << 20), "64MiB");
}

TEST(ValuesTest, AddressesAreNumericAndHaveAPort) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:4437"), (HostPort{"127.0.0.1", 4437}));
  EXPECT_EQ(ParseHostPort("localhost:0"), (HostPort{"127.0.0.1", 0}));
  EXPECT_EQ(ParseHostPort("[::1]:80"), (HostPort{"::1", 80}));
  for (const char* wrong : {"", "4437", ":4437", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                            "example.com:80", "::1:80", "[127.0.0.1]:80", "[]:80", "1.2.3:80"}) {
    EXPECT_EQ(ParseHostPort(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(FormatHostPort({"::1", 80}), "[::1]:80");
  EXPECT_TRUE(IsLoopback({"127.0.0.1", 1}));
  EXPECT_TRUE(IsLoopback({"::1", 1}));
  EXPECT_FALSE(IsLoopback({"0.0.0.0", 1}));
  EXPECT_FALSE(IsLoopback({"::", 1}));
}

TEST(ValuesTest, BooleansHaveTheirUsualWords) {
  EXPECT_EQ(ParseBool("true"), true);
  EXPECT_EQ(ParseBool("Off"), false);
  EXPECT_EQ(ParseBool("maybe"), std::nullopt);
}

}  // namespace
}  // namespace ursula::server
