#include "server/protocol/http_message.h"

#include <optional>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "server/protocol/cors.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

std::string HeadOf(const Response& response, Framing framing, std::string_view more_lines = "") {
  return std::string(SerializeHead(response, framing, more_lines, kAnyOrigin).view());
}

TEST(HeadersTest, NamesCompareWithoutRegardToCaseAndRepeat) {
  Headers headers;
  headers.Add("Accept", "a");
  headers.Add("accept", "b");
  headers.Add("Host", "h");
  EXPECT_EQ(headers.Count("ACCEPT"), 2u);
  EXPECT_EQ(*headers.Find("aCCept"), "a");
  EXPECT_EQ(headers.Joined("accept"), "a, b");
  EXPECT_EQ(headers.Find("accept-encoding"), std::nullopt);
  EXPECT_EQ(headers.Joined("x"), "");
  headers.Set("ACCEPT", "c");
  EXPECT_EQ(headers.Count("accept"), 1u);
  EXPECT_EQ(*headers.Find("accept"), "c");
}

TEST(HeadersTest, NamesThatLookAlikeAreToldApart) {
  Headers headers = {{"Stream-Seq", "1"}, {"Strain-Seq", "2"}, {"Tab", "a\tb"}};
  EXPECT_EQ(headers.Find("strain-seq"), "2");
  EXPECT_EQ(headers.Count("stream-seq"), 1u);
  EXPECT_EQ(headers.Find("Strict-Seq"), std::nullopt);
  EXPECT_EQ(headers.Joined("Strict-Seq"), "");
  headers.Remove("Strict-Seq");
  headers.Remove("stream-seq");
  EXPECT_EQ(headers.text(), "Strain-Seq: 2\r\nTab: a\tb\r\n");
}

TEST(HeadersTest, LinesAreOneTextInTheOrderOfArrival) {
  Headers headers = {{"A", "1"}, {"Long-Name", std::string(300, 'v')}, {"B", ""}};
  EXPECT_EQ(headers.text(), "A: 1\r\nLong-Name: " + std::string(300, 'v') + "\r\nB: \r\n");
  EXPECT_EQ(headers.at(1).name, "Long-Name");
  EXPECT_EQ(headers.at(2).value, "");
  headers.Remove("long-name");
  EXPECT_EQ(headers.text(), "A: 1\r\nB: \r\n");
  for (int i = 0; i < 100; ++i) headers.Add("N" + std::to_string(i), std::to_string(i));
  EXPECT_EQ(headers.size(), 102u);
  EXPECT_EQ(headers.Find("n99"), "99");
  Headers copy = headers;
  headers.Clear();
  EXPECT_TRUE(headers.empty());
  EXPECT_EQ(headers.text(), "");
  EXPECT_EQ(headers.Find("A"), std::nullopt);
  EXPECT_EQ(copy.Find("N0"), "0");
}

TEST(HeadersTest, BytesThatWouldEndALineAreDropped) {
  Headers headers;
  headers.Add("X\r\nY", std::string_view("1\r\n\0Set-Cookie: 2", 17));
  headers.Add("Z", "3");
  EXPECT_EQ(headers.text(), "XY: 1Set-Cookie: 2\r\nZ: 3\r\n");
  EXPECT_EQ(headers.Find("XY"), "1Set-Cookie: 2");
  EXPECT_EQ(headers.Find("Z"), "3");
}

TEST(ShortTextTest, WritesNumbersWithTheDigitsThatAreAskedFor) {
  ShortText text;
  text.AppendDecimal(0, 1);
  text.Append(" ");
  text.AppendDecimal(~uint64_t{0}, 1);
  text.Append(" ");
  text.AppendHex(0xabc, 5);
  text.Append(" ");
  text.AppendHex(0xabc, 2);
  EXPECT_EQ(text.view(), "0 18446744073709551615 00abc abc");
}

TEST(MethodTest, NamesAreCaseSensitive) {
  EXPECT_EQ(MethodFromName("GET"), Method::kGet);
  EXPECT_EQ(MethodFromName("DELETE"), Method::kDelete);
  EXPECT_EQ(MethodFromName("get"), Method::kOther);
  EXPECT_EQ(MethodFromName("PATCH"), Method::kOther);
}

TEST(RequestTest, SplitsTargetsInOriginAndAbsoluteForm) {
  Request request;
  request.target = "/a/b?x=1?2";
  EXPECT_EQ(request.path(), "/a/b");
  EXPECT_EQ(request.query(), "x=1?2");
  request.target = "/a";
  EXPECT_EQ(request.query(), "");
  request.target = "http://host:1/a/b?x";
  EXPECT_EQ(request.path(), "/a/b");
  EXPECT_EQ(request.query(), "x");
  request.target = "http://host";
  EXPECT_EQ(request.path(), "/");
  request.target = "http://host?x=http://y/z";
  EXPECT_EQ(request.path(), "");
  EXPECT_EQ(request.query(), "x=http://y/z");
  request.target = "/a?u=http://y/z";
  EXPECT_EQ(request.path(), "/a");
}

TEST(SerializeHeadTest, EveryHeadCarriesSecurityAndCorsHeaders) {
  for (int status : {200, 204, 304, 404, 503}) {
    Response response;
    response.status = status;
    std::string head = HeadOf(response, Framing::kLength);
    EXPECT_NE(head.find("\r\nX-Content-Type-Options: nosniff\r\n"), std::string::npos);
    EXPECT_NE(head.find("\r\nCross-Origin-Resource-Policy: cross-origin\r\n"), std::string::npos);
    EXPECT_NE(head.find("\r\nAccess-Control-Allow-Origin: *\r\n"), std::string::npos);
    for (const char* name :
         {"Stream-Next-Offset", "Stream-Up-To-Date", "Stream-Closed", "Stream-Cursor", "Stream-TTL",
          "Stream-Expires-At", "Stream-SSE-Data-Encoding", "Stream-Incarnation", "Stream-Outcome",
          "Producer-Epoch", "Producer-Seq", "Producer-Expected-Seq", "Producer-Received-Seq",
          "ETag", "Location", "Retry-After", "X-Request-Id"}) {
      std::size_t expose = head.find("Access-Control-Expose-Headers: ");
      EXPECT_NE(head.find(name, expose), std::string::npos) << name;
    }
    EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  }
}

TEST(SerializeHeadTest, FramesBodiesAndOmitsLengthWhereThereIsNone) {
  Response response;
  response.body = {Bytes::Static("ab"), Bytes::Static("c")};
  std::string head = HeadOf(response, Framing::kLength, "Date: x\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_NE(head.find("\r\nContent-Length: 3\r\n"), std::string::npos);
  EXPECT_NE(head.find("\r\nDate: x\r\n\r\n"), std::string::npos);
  head = HeadOf(response, Framing::kChunked);
  EXPECT_NE(head.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(head.find("Content-Length"), std::string::npos);
  head = HeadOf(response, Framing::kUntilClose);
  EXPECT_EQ(head.find("Content-Length"), std::string::npos);
  EXPECT_EQ(head.find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(SendsBody(response, Framing::kLength));
  EXPECT_FALSE(SendsBody(response, Framing::kHead));
  for (int status : {204, 304}) {
    response.status = status;
    EXPECT_FALSE(SendsBody(response, Framing::kLength));
    head = HeadOf(response, Framing::kLength);
    EXPECT_EQ(head.find("Content-Length"), std::string::npos);
  }
}

TEST(SerializeHeadTest, AValueCanNotAddAHeader) {
  Response response;
  response.headers.Add("Content-Type", "a/b\r\nSet-Cookie: x\n\0y");
  std::string head = HeadOf(response, Framing::kLength);
  EXPECT_EQ(head.find("\nSet-Cookie"), std::string::npos);
  EXPECT_NE(head.find("Content-Type: a/bSet-Cookie: x"), std::string::npos);
}

}  // namespace
}  // namespace ursula::protocol
