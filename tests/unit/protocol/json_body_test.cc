#include "server/protocol/json_body.h"

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/random.h"
#include "simdjson.h"

namespace ursula::protocol {
namespace {

using Texts = std::vector<std::string>;

Texts SplitValid(std::string_view body) {
  JsonSplit split = SplitJson(Bytes::Copy(body), JsonLimits{});
  EXPECT_EQ(split.verdict, JsonVerdict::kValid) << body << " at " << split.error_at;
  Texts texts;
  for (const Bytes& message : split.messages) texts.emplace_back(message.view());
  return texts;
}

JsonVerdict VerdictOn(std::string_view body) {
  return SplitJson(Bytes::Copy(body), JsonLimits{}).verdict;
}

TEST(JsonBodyTest, AValueIsOneMessage) {
  EXPECT_EQ(SplitValid("{\"a\":1}"), Texts{"{\"a\":1}"});
  EXPECT_EQ(SplitValid("  null \n"), Texts{"null"});
  EXPECT_EQ(SplitValid("\"s\""), Texts{"\"s\""});
  EXPECT_EQ(SplitValid("true"), Texts{"true"});
  EXPECT_EQ(SplitValid("-0"), Texts{"-0"});
}

TEST(JsonBodyTest, ATopLevelArrayIsFlattenedOneLevel) {
  EXPECT_EQ(SplitValid("[1,[2,3], {\"a\":[4]} ,null]"),
            (Texts{"1", "[2,3]", "{\"a\":[4]}", "null"}));
  EXPECT_EQ(SplitValid("[[1,2]]"), Texts{"[1,2]"});
  EXPECT_EQ(SplitValid("[[]]"), Texts{"[]"});
  EXPECT_EQ(SplitValid(" [ ] "), Texts{});
}

TEST(JsonBodyTest, SourceTextIsKept) {
  EXPECT_EQ(
      SplitValid("[12345678901234567890123, 1.0, 1e400, {\"a\":1,\"a\":2}, \"\\u0041\\ud800\"]"),
      (Texts{"12345678901234567890123", "1.0", "1e400", "{\"a\":1,\"a\":2}",
             "\"\\u0041\\ud800\""}));
}

TEST(JsonBodyTest, MessagesShareTheBodyUnlessLineEndsAreReplaced) {
  Bytes body = Bytes::Copy("[\"ab\",\n{\"a\":\r\n\"x\\n\"}]");
  JsonSplit split = SplitJson(body, JsonLimits{});
  ASSERT_EQ(split.messages.size(), 2u);
  EXPECT_EQ(split.messages[0].data(), body.data() + 1);
  EXPECT_EQ(split.messages[1].view(), "{\"a\":  \"x\\n\"}");
}

TEST(JsonBodyTest, RefusesWhatIsNotJson) {
  for (const char* bad : {"",        " ",           "{",          "}",        "[",
                          "]",       "[1",          "[1,]",       "[,1]",     "[1 2]",
                          "{\"a\"}", "{\"a\":}",    "{\"a\":1,}", "{a:1}",    "{'a':1}",
                          "01",      "1.",          ".5",         "+1",       "1e",
                          "1e+",     "--1",         "-",          "0x1",      "nul",
                          "nulll",   "truefalse",   "NaN",        "Infinity", "\"",
                          "\"\\x\"", "\"\\u12g4\"", "\"\\u12\"",  "\"a\nb\"", "\"a\tb\"",
                          "1 2",     "{} {}",       "[1],",       "// c\n1",  "1\xEF\xBB\xBF",
                          "[}",      "{]",          "{\"a\":1]",  "\"\\"}) {
    EXPECT_EQ(VerdictOn(bad), JsonVerdict::kInvalid) << bad;
  }
  EXPECT_EQ(VerdictOn(std::string_view("\"\0\"", 3)), JsonVerdict::kInvalid);
}

TEST(JsonBodyTest, RefusesWhatIsNotUtf8) {
  EXPECT_EQ(VerdictOn("\"\xFF\""), JsonVerdict::kNotUtf8);
  EXPECT_EQ(VerdictOn("\"\xC3\""), JsonVerdict::kNotUtf8);
  EXPECT_EQ(VerdictOn("\"\xED\xA0\x80\""), JsonVerdict::kNotUtf8);
  EXPECT_EQ(VerdictOn("\"\xF0\x9F\x98\x80\""), JsonVerdict::kValid);
}

TEST(JsonBodyTest, DepthAndCountAreBounded) {
  std::string deep = std::string(600, '[') + std::string(600, ']');
  EXPECT_EQ(VerdictOn(deep), JsonVerdict::kTooDeep);
  std::string fits = std::string(513, '[') + std::string(513, ']');
  EXPECT_EQ(VerdictOn(fits), JsonVerdict::kValid);
  JsonLimits limits;
  limits.messages_max = 2;
  EXPECT_EQ(SplitJson(Bytes::Static("[1,2]"), limits).messages.size(), 2u);
  EXPECT_EQ(SplitJson(Bytes::Static("[1,2,3]"), limits).verdict, JsonVerdict::kTooManyMessages);
}

TEST(JsonBodyTest, ErrorsNameTheByte) {
  EXPECT_EQ(SplitJson(Bytes::Static("[1,x]"), JsonLimits{}).error_at, 3u);
  EXPECT_EQ(SplitJson(Bytes::Static("\xEF\xBB\xBF[1,x]"), JsonLimits{}).error_at, 6u);
  // Wherever it stands among bytes that are looked at eight at a time.
  for (std::size_t at = 1; at < 40; ++at) {
    std::string text = '"' + std::string(40, 'a') + '"';
    for (std::string_view bad : {"\xFF", "\xC3", "\xE2\x82"}) {
      std::string wrong = text;
      wrong.insert(at, bad);
      JsonSplit split = SplitJson(Bytes::Copy(wrong), JsonLimits{});
      EXPECT_EQ(split.verdict, JsonVerdict::kNotUtf8);
      EXPECT_EQ(split.error_at, at);
    }
  }
}

TEST(JsonBodyTest, AByteOrderMarkBeforeTheTextIsSkipped) {
  for (std::string_view body : {"\xEF\xBB\xBF[1,{}]", "\xEF\xBB\xBF [1,{}]"}) {
    JsonSplit split = SplitJson(Bytes::Copy(body), JsonLimits{});
    EXPECT_EQ(split.verdict, JsonVerdict::kValid);
    ASSERT_EQ(split.messages.size(), 2u);
    EXPECT_EQ(split.messages[0].view(), "1");
  }
  // Anywhere else it is none, and alone it is no JSON.
  for (const char* bad : {"\xEF\xBB\xBF", "\xEF\xBB\xBF\xEF\xBB\xBF[]", "[\xEF\xBB\xBF]"}) {
    EXPECT_EQ(VerdictOn(bad), JsonVerdict::kInvalid) << bad;
  }
}

// Mutated documents: our verdict is simdjson's, save for numbers and surrogates that it can't hold,
// which the documents here don't have.
TEST(JsonBodyTest, AgreesWithSimdjsonOnMutatedDocuments) {
  constexpr std::string_view kSeeds[] = {
      "[{\"id\":17,\"name\":\"x\\ty\",\"tags\":[true,false,null],\"n\":-1.5e2},[],{}]",
      "{\"a\":{\"b\":[1,2,{\"c\":\"\\u00e9\"}]},\"d\":0.25}", "[1,2,3,\"four\",[5,[6]]]"};
  constexpr std::string_view kAlphabet = "{}[],:\"\\0123.eE+-tfnu \n";
  uint64_t seed = 20241009;
  Random random(seed);
  simdjson::dom::parser parser;
  int valid = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text(kSeeds[random.Below(std::size(kSeeds))]);
    for (uint64_t edits = random.Below(3); edits > 0; --edits) {
      std::size_t at = random.Below(text.size());
      char c = kAlphabet[random.Below(kAlphabet.size())];
      if (random.OneIn(3)) {
        text.erase(at, 1);
      } else if (random.OneIn(2)) {
        text.insert(at, 1, c);
      } else {
        text[at] = c;
      }
    }
    simdjson::error_code error = parser.parse(text).error();
    if (error == simdjson::NUMBER_ERROR && text.find_first_of("eE") != std::string::npos) continue;
    bool ours = VerdictOn(text) == JsonVerdict::kValid;
    if (ours) ++valid;
    ASSERT_EQ(ours, error == simdjson::SUCCESS)
        << "seed=" << seed << " text=" << text << " " << simdjson::error_message(error);
  }
  EXPECT_GT(valid, 50'000);
}

// What SplitJson cuts out of an array is what simdjson finds in it.
TEST(JsonBodyTest, ElementsAreSimdjsonsElements) {
  std::string text = "[ 1 , \"a,]\\\"[\" , {\"x\":[1,{\"y\":\"}\"}]} ,\t[ [ ] ] , -2.5 ]";
  Texts ours = SplitValid(text);
  simdjson::dom::parser parser;
  simdjson::dom::array array = parser.parse(text).get_array();
  ASSERT_EQ(array.size(), ours.size());
  std::size_t i = 0;
  for (simdjson::dom::element element : array) {
    simdjson::dom::parser single;
    EXPECT_EQ(simdjson::minify(single.parse(ours[i])), simdjson::minify(element));
    ++i;
  }
}

}  // namespace
}  // namespace ursula::protocol
