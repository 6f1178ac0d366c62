// The small grammars: numbers, escapes, queries, offsets, timestamps, Accept lists.

#include <string>

#include "gtest/gtest.h"
#include "server/protocol/authority.h"
#include "server/protocol/negotiation.h"
#include "server/protocol/offset.h"
#include "server/protocol/text.h"
#include "server/protocol/timestamp.h"

namespace ursula::protocol {
namespace {

// Rule 15: digits only, at most 2^53-1.
TEST(TextTest, Rule15ProducerNumbersAreDigitsUpToTwoTo53) {
  EXPECT_EQ(ParseDigits("0", kJavaScriptIntegerMax), 0u);
  EXPECT_EQ(ParseDigits("007", kJavaScriptIntegerMax), 7u);
  EXPECT_EQ(ParseDigits("9007199254740991", kJavaScriptIntegerMax), kJavaScriptIntegerMax);
  for (const char* bad : {"", "9007199254740992", "1abc", "0xyz", "1e3", "-1", "+1", " 1", "1.0",
                          "99999999999999999999999999"}) {
    EXPECT_FALSE(ParseDigits(bad, kJavaScriptIntegerMax)) << bad;
  }
  EXPECT_EQ(ParseDigits("18446744073709551615", ~uint64_t{0}), ~uint64_t{0});
  EXPECT_FALSE(ParseDigits("18446744073709551616", ~uint64_t{0}));
  EXPECT_FALSE(ParseDigits("9", 5));
}

TEST(AuthorityTest, IsOneHostAndAtMostOnePort) {
  for (const char* good : {"h", "h:1", "h:", "[::1]:", "h,i", "a!$&'()*+;=b", "h:65535",
                           "a-b.example", "127.0.0.1:4437", "[::1]", "[::1]:80", "[fe80::1%25eth0]",
                           "a%20b", "a_b", "xn--bcher-kva.example"}) {
    EXPECT_TRUE(IsAuthority(good)) << good;
  }
  for (const char* bad :
       {"",     ":",    ":80", "h:x",    "h:80x",   "h:65536", "h:-1", "h:1:2", "::1",
        "[::1", "::1]", "[]",  "[::1]x", "[::1]80", "[h/]",    "u@h",  "u:p@h", "h/",
        "h?",   "h#",   "h i", " h",     "h\t",     "h\xE9",   "a%zz", "a%",    "h\\"}) {
    EXPECT_FALSE(IsAuthority(bad)) << bad;
  }
  EXPECT_FALSE(IsAuthority(std::string(262, 'a')));
}

// Rule 22: 0|[1-9][0-9]*.
TEST(TextTest, Rule22CanonicalNumbersHaveNoLeadingZeros) {
  EXPECT_EQ(ParseCanonicalNumber("0", 100), 0u);
  EXPECT_EQ(ParseCanonicalNumber("60", 100), 60u);
  for (const char* bad : {"00060", "00", "+60", "60.5", "1e3", "abc", "-1", "", "101"}) {
    EXPECT_FALSE(ParseCanonicalNumber(bad, 100)) << bad;
  }
}

TEST(TextTest, QuotesJsonStrings) {
  std::string out;
  AppendJsonString(&out, std::string_view("a\"\\\n\x01\0\xC3\xA9", 8));
  EXPECT_EQ(out, "\"a\\\"\\\\\\u000a\\u0001\\u0000\xC3\xA9\"");
}

TEST(TextTest, BytesThatAreNoUtf8DoNotSpoilAJsonString) {
  std::string out;
  AppendJsonString(&out, "a\xE9\xC3\xA9");
  EXPECT_EQ(out, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(QueryTest, ParametersBeyondTheLimitAreToldOf) {
  std::string query;
  for (std::size_t i = 0; i < Query::kParametersMax; ++i) query += "x=1&";
  EXPECT_FALSE(Query(query).too_many());
  EXPECT_FALSE(Query(query + "&&").too_many());
  EXPECT_TRUE(Query(query + "offset=-1").too_many());
}

TEST(QueryTest, FindsDecodesAndReportsRepetition) {
  Query query("a=1&b=x%20y+z&c&d=%zz&a2=5&a=2&&=q");
  std::string value;
  EXPECT_EQ(query.Find("a", &value), Query::Presence::kBad);
  EXPECT_EQ(query.Find("b", &value), Query::Presence::kOnce);
  EXPECT_EQ(value, "x y z");
  EXPECT_EQ(query.Find("c", &value), Query::Presence::kOnce);
  EXPECT_EQ(value, "");
  EXPECT_EQ(query.Find("d", &value), Query::Presence::kBad);
  EXPECT_EQ(query.Find("e", &value), Query::Presence::kAbsent);
  EXPECT_EQ(Query("%61=7").Find("a", &value), Query::Presence::kOnce);
}

// Rule 2: the zero offset is written and read as 16 digits, '_', 16 digits.
TEST(OffsetTest, Rule02ZeroIsSixteenDigitsTwice) {
  EXPECT_EQ(FormatOffset({{0}}), "0000000000000000_0000000000000000");
  EXPECT_EQ(FormatOffset({{1234}}), "0000000000000000_0000000000001234");
  EXPECT_EQ(FormatOffset({{1234}, true}), "0000000000000000_0000000000001234.");
  EXPECT_EQ(FormatOffset({{kOffsetEnd - 1}}), "0000000000000000_9999999999999999");
  for (uint64_t bytes : {uint64_t{0}, uint64_t{9}, uint64_t{10}, kOffsetEnd - 1}) {
    for (bool inside : {false, true}) {
      const Position position = {{bytes}, inside};
      EXPECT_EQ(ParseOffset(FormatOffset(position)), position);
    }
  }
}

// Rules 2 and 25: whatever this server can't have given out is malformed.
TEST(OffsetTest, Rule25RefusesEverythingElse) {
  for (const char* bad :
       {"", "-1", "now", "0", "9999999999999999_9999999999999999",
        "0000000000000001_0000000000000000", "0000000000000000_000000000000000",
        "0000000000000000_00000000000000000", "0000000000000000-0000000000000000",
        "0000000000000000_000000000000000a", " 000000000000000_0000000000000000",
        "0000000000000000_0000000000000000,", "0000000000000000_0000000000000000..",
        "0000000000000000_000000000000000.", ".", ".0000000000000000_0000000000000000",
        "../0000000000000_0000000000000000"}) {
    EXPECT_FALSE(ParseOffset(bad)) << bad;
  }
}

TEST(OffsetTest, StringOrderIsPositionOrder) {
  EXPECT_LT(FormatOffset({{9}}), FormatOffset({{10}}));
  EXPECT_LT(FormatOffset({{99'999}}), FormatOffset({{100'000}}));
  EXPECT_LT(FormatOffset({{9}, true}), FormatOffset({{10}}));
  EXPECT_LT(FormatOffset({{9}}), FormatOffset({{9}, true}));
  EXPECT_LT(FormatOffset({{9}, true}), FormatOffset({{10}, true}));
}

// Rule 23: fractions, Z and offsets.
TEST(TimestampTest, Rule23ReadsFractionsAndZones) {
  EXPECT_EQ(ParseTimestamp("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(ParseTimestamp("2024-10-09T00:00:00Z"), 1'728'432'000'000);
  EXPECT_EQ(ParseTimestamp("2024-10-09T00:00:00.5Z"), 1'728'432'000'500);
  EXPECT_EQ(ParseTimestamp("2024-10-09T00:00:00.123456789Z"), 1'728'432'000'123);
  EXPECT_EQ(ParseTimestamp("2024-10-09T00:00:00+00:00"), 1'728'432'000'000);
  EXPECT_EQ(ParseTimestamp("2024-10-09T02:30:00+02:30"), 1'728'432'000'000);
  EXPECT_EQ(ParseTimestamp("2024-10-08t22:00:00-02:00"), 1'728'432'000'000);
  EXPECT_EQ(ParseTimestamp("2024-02-29T00:00:00z"), 1'709'164'800'000);
  EXPECT_EQ(ParseTimestamp("2016-12-31T23:59:60Z"), 1'483'228'800'000);
  EXPECT_EQ(ParseTimestamp("9999-12-31T23:59:59Z"), 253'402'300'799'000);
}

TEST(TimestampTest, Rule23RefusesJunk) {
  for (const char* bad :
       {"", "junk", "2024-10-09", "2024-10-09T00:00:00", "2024-10-09 00:00:00Z",
        "2024-13-09T00:00:00Z", "2024-00-09T00:00:00Z", "2023-02-29T00:00:00Z",
        "2024-10-32T00:00:00Z", "2024-10-09T24:00:00Z", "2024-10-09T00:60:00Z",
        "2024-10-09T00:00:61Z", "2024-10-09T00:00:00.Z", "2024-10-09T00:00:00+24:00",
        "2024-10-09T00:00:00+0000", "2024-10-09T00:00:00Zx", "1969-12-31T23:59:59Z",
        "2024-10-09T00:00:00+00:60", "20241009T000000Z"}) {
    EXPECT_FALSE(ParseTimestamp(bad)) << bad;
  }
}

TEST(TimestampTest, FormatIsReadBack) {
  for (int64_t ms : {int64_t{0}, int64_t{1'709'164'800'123}, int64_t{1'483'228'799'999},
                     int64_t{253'402'300'799'000}, int64_t{951'782'400'000}}) {
    EXPECT_EQ(ParseTimestamp(FormatTimestamp(ms)), ms) << FormatTimestamp(ms);
  }
  EXPECT_EQ(FormatTimestamp(1'728'432'000'005), "2024-10-09T00:00:00.005Z");
}

TEST(NegotiationTest, ChoosesTheCodingOfHighestWeight) {
  EXPECT_EQ(ChooseCoding(""), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("gzip"), ContentCoding::kGzip);
  EXPECT_EQ(ChooseCoding("gzip, deflate, br, zstd"), ContentCoding::kZstd);
  EXPECT_EQ(ChooseCoding("gzip;q=1.0, zstd;q=0.5"), ContentCoding::kGzip);
  EXPECT_EQ(ChooseCoding("gzip;q=0"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("gzip;q=0, *"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("*"), ContentCoding::kGzip);
  EXPECT_EQ(ChooseCoding("*;q=0"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("identity;q=1, gzip;q=0.5"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("GZIP ; Q=0.8"), ContentCoding::kGzip);
  EXPECT_EQ(ChooseCoding("gzip;q=2, zstd;q=x"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding("br, deflate"), ContentCoding::kIdentity);
  EXPECT_EQ(ChooseCoding(",,;,"), ContentCoding::kIdentity);
}

TEST(NegotiationTest, NdjsonOnlyWhenItIsNamed) {
  EXPECT_FALSE(WantsNdjson(""));
  EXPECT_FALSE(WantsNdjson("*/*"));
  EXPECT_FALSE(WantsNdjson("application/*"));
  EXPECT_TRUE(WantsNdjson("application/x-ndjson"));
  EXPECT_TRUE(WantsNdjson("Application/X-NDJSON, */*;q=0.1"));
  EXPECT_FALSE(WantsNdjson("application/x-ndjson;q=0"));
  EXPECT_FALSE(WantsNdjson("application/json, application/x-ndjson;q=0.5"));
}

// Rule 21: the media type alone decides, in any case.
TEST(NegotiationTest, Rule21MediaTypesIgnoreCaseAndParameters) {
  EXPECT_EQ(MediaType("TEXT/Plain ; charset=utf-8"), "text/plain");
  EXPECT_TRUE(IsJson("application/json; charset=utf-8"));
  EXPECT_TRUE(IsJson("Application/JSON"));
  EXPECT_FALSE(IsJson("application/jsonl"));
  EXPECT_FALSE(IsJson("application/vnd.x+json"));
  EXPECT_TRUE(IsText("text/html"));
  EXPECT_FALSE(IsText("application/text"));
}

}  // namespace
}  // namespace ursula::protocol
