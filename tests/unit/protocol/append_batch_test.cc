#include "server/protocol/append_batch.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/protocol/response_mapping.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

std::string Lines(std::initializer_list<std::string_view> lines) {
  std::string body;
  for (std::string_view line : lines) body.append(line).append("\n");
  return body;
}

// What comes of a body: an append as "bucket|affinity|name=content", a refusal as its error, and
// "end" or "broken ERROR" last.
std::vector<std::string> Read(std::string_view body, std::string bucket = kUpstreamBucket,
                              ProtocolConfig config = {}) {
  std::vector<std::string> read;
  BatchReader reader(&config, std::move(bucket), Bytes::Copy(body));
  for (;;) {
    BatchItem item;
    const BatchReader::Step step = reader.Next(&item);
    if (step == BatchReader::Step::kMore) continue;
    if (step == BatchReader::Step::kEnd) {
      read.push_back("end");
      return read;
    }
    if (step == BatchReader::Step::kBroken) {
      read.push_back("broken " + ErrorOf(std::get<Response>(item)));
      return read;
    }
    if (auto* refusal = std::get_if<Response>(&item)) {
      read.push_back(ErrorOf(*refusal));
      continue;
    }
    const AppendRequest& append = std::get<AppendAction>(item).request;
    std::string text = append.stream.bucket + "|" + append.stream.affinity + "|" +
                       append.stream.name + "=" + BodyOf(append.messages);
    if (append.close) text += " close";
    read.push_back(text);
  }
}

using Expected = std::vector<std::string>;

AppendAction Only(std::string_view line) {
  ProtocolConfig config;
  BatchReader reader(&config, kUpstreamBucket, Bytes::Copy(line));
  BatchItem item;
  EXPECT_EQ(reader.Next(&item), BatchReader::Step::kItem);
  if (auto* refusal = std::get_if<Response>(&item)) {
    ADD_FAILURE() << ErrorOf(*refusal) << BodyOf(refusal->body);
    return {};
  }
  return std::get<AppendAction>(std::move(item));
}

constexpr std::string_view kText = R"("content_type":"text/plain")";

std::string Item(std::string_view rest, std::string_view stream = "s") {
  return R"({"stream":")" + std::string(stream) + R"(",)" + std::string(kText) + "," +
         std::string(rest) + "}";
}

TEST(BatchReaderTest, ContentStandsInTheLineOrBehindIt) {
  std::string body = Item(R"("data":"plain")") + "\n" + Item(R"("bytes":5)") + "\na\nb?c\n";
  body[body.size() - 3] = '\0';
  body += Item(R"("data_base64":"AAEC")") + "\r\n\n \r\n" +
          R"({"stream":"j","json":{"a": [1, 2]}})"
          "\n" +
          R"({"stream":"j","json":[1,2],"content_type":"application/json; v=1"})"
          "\n" +
          R"({"stream":"c","close":true})";
  EXPECT_EQ(Read(body), (Expected{"v1||s=plain", std::string("v1||s=a\nb\0c", 11),
                                  std::string("v1||s=\0\1\2", 9), "v1||j={\"a\": [1, 2]}",
                                  "v1||j=12", "v1||c= close", "end"}));
}

TEST(BatchReaderTest, BytesAreTakenAsTheyAreWhateverTheyLookLike) {
  const std::string inner = Item(R"("data":"not an item")") + "\n";
  const std::string body = Item(R"("bytes":)" + std::to_string(inner.size())) + "\n" + inner +
                           "\n" + Item(R"("bytes":0,"close":true)") + "\n\n" +
                           Item(R"("bytes":2)") + "\nzz";  // The last needs no line feed.
  EXPECT_EQ(Read(body), (Expected{"v1||s=" + inner, "v1||s= close", "v1||s=zz", "end"}));
}

TEST(BatchReaderTest, StringsMeanTheirCharacters) {
  EXPECT_EQ(BodyOf(Only(Item(R"("data":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00é")"))
                       .request.messages),
            "\"\\/\b\f\n\r\tA\u00e9\u20ac\U0001F600é");
  EXPECT_EQ(BodyOf(Only(Item(R"("data":"one\ntwo\\\"\tthree \u0034 \r\nfive")")).request.messages),
            "one\ntwo\\\"\tthree 4 \r\nfive");
  for (const char* half : {R"("\ud83d")", R"("\ude00")", R"("\ud83d\u0041")", R"("\ud83dx")"}) {
    EXPECT_EQ(Read(Item("\"data\":" + std::string(half))), (Expected{"400 INVALID_ITEM", "end"}))
        << half;
  }
}

TEST(BatchReaderTest, FieldsMeanWhatTheirHeadersMean) {
  const AppendAction action = Only(Item(
      R"("data":"x","producer_id":" w ","producer_epoch":3,"producer_seq":9,"seq":"s1",)"
      R"("if_match":"*","if_none_match":"\"s-00000000000004d2-5.t\"","incarnation":"00000000000004d2",)"
      R"("close":true)"));
  const AppendRequest& append = action.request;
  EXPECT_EQ(append.producer, (Producer{"w", 3, 9}));
  EXPECT_EQ(action.producer_sequence, 9u);
  EXPECT_EQ(append.sequence, "s1");
  EXPECT_TRUE(append.condition.exists);
  EXPECT_EQ(append.condition.none_of.size(), 1u);
  EXPECT_EQ(append.condition.any_of.size(), 1u);
  EXPECT_TRUE(append.close);
  EXPECT_FALSE(Only(Item(R"("data":"x","close":false)")).request.close);
}

TEST(BatchReaderTest, AnItemIsRefusedAsItWouldBeAlone) {
  ProtocolConfig config;
  config.json_depth_max = 8;
  const std::string body = Lines(
      {R"({"stream":"s","data":"x"})", R"({"stream":"s"})", Item(R"("data":"x","seq":"")"),
       Item(R"("data":"x","producer_id":"p")"), Item(R"("data":"x","if_match":"what")"),
       Item(R"("data":"x","incarnation":"12")"), Item(R"("data":"x")", "a//b"),
       Item(R"("data":"x")", "__ds/a"), Item(R"("data":"x")", "__batch"),
       Item(R"("data":"x","producer_id":"p","producer_epoch":0,"producer_seq":9007199254740992)"),
       R"({"stream":"after","json":1})"});
  EXPECT_EQ(Read(body, kUpstreamBucket, config),
            (Expected{"400 CONTENT_TYPE_REQUIRED", "400 EMPTY_APPEND", "400 INVALID_STREAM_SEQ",
                      "400 INVALID_PRODUCER", "400 INVALID_PRECONDITION",
                      "400 INVALID_PRECONDITION", "400 INVALID_STREAM_NAME", "404 RESERVED_NAME",
                      "404 RESERVED_NAME", "400 INVALID_PRODUCER", "v1||after=1", "end"}));
  // What yields to the stream's own refusals still does.
  const AppendAction bad_json =
      Only(R"({"stream":"s","data":"{","content_type":"application/json"})");
  ASSERT_NE(bad_json.refusal, nullptr);
  EXPECT_EQ(ErrorOf(*bad_json.refusal), "400 INVALID_JSON");
}

TEST(BatchReaderTest, WhatNoItemSaysIsRefusedAndNeverIgnored) {
  for (std::string_view wrong :
       {R"("data":"x","data":"y")", R"("data":"x","json":1)", R"("data":"x","data_base64":"AA==")",
        R"("data":"x","seq":"a","seq":"b")", R"("data":"x","stream":"t")", R"("data":1)",
        R"("data":null)", R"("data_base64":"*")", R"("data":"x","close":"true")",
        R"("data":"x","close":1)", R"("data":"x","seq":7)", R"("data":"x","if_match":null)",
        R"("data":"x","producer_epoch":"1")", R"("data":"x","producer_seq":-1)",
        R"("data":"x","producer_seq":1.0)", R"("data":"x","seq":"a\r\nStream-Closed: true")",
        R"("data":"x","seq":"\u0000")"}) {
    EXPECT_EQ(Read(Lines({Item(wrong), Item(R"("data":"next")")})),
              (Expected{"400 INVALID_ITEM", "v1||s=next", "end"}))
        << wrong;
  }
  EXPECT_EQ(Read(Lines({R"({"data":"x"})", R"({})", R"({"stream":5,"data":"x"})"})),
            (Expected{"400 INVALID_ITEM", "400 INVALID_ITEM", "400 INVALID_ITEM", "end"}));
  EXPECT_EQ(Read(Item(R"("data":"x","seq":")" + std::string(9000, 'x') + "\"")),
            (Expected{"400 INVALID_ITEM", "end"}));
  // A refused item's bytes are passed over all the same.
  EXPECT_EQ(Read(Item(R"("bytes":3,"seq":1)") + "\n{}\n\n" + Item(R"("data":"x")")),
            (Expected{"400 INVALID_ITEM", "v1||s=x", "end"}));
  EXPECT_EQ(Read(Item(R"("data":"y","bytes":3)") + "\n{}\n\n" + Item(R"("data":"x")")),
            (Expected{"400 INVALID_ITEM", "v1||s=x", "end"}));
}

// One field is the length of what follows; misspelt, that would be taken for items.
TEST(BatchReaderTest, AFieldThatNoItemHasEndsTheBatch) {
  const std::string inner = Item(R"("data":"not an item")");
  for (std::string wrong :
       {std::string(R"("byte":)") + std::to_string(inner.size()), std::string(R"("Bytes":1)"),
        std::string(R"("byt\u0065s":1)"), std::string(R"("bytes":1,"wrong":1)"),
        std::string(R"("data":"x","if_macth":"*")"), std::string(R"("data":"x","\u0073eq":"a")"),
        R"("data":"x",")" + std::string(9000, 'x') + "\":1"}) {
    EXPECT_EQ(Read(Lines({Item(R"("data":"x")"), Item(wrong), inner})),
              (Expected{"v1||s=x", "broken 400 MALFORMED_BATCH"}))
        << wrong;
  }
  ProtocolConfig config;
  BatchReader reader(&config, kUpstreamBucket, Bytes::Copy(Item(R"("byte":3)") + "\n{}\n"));
  BatchItem item;
  ASSERT_EQ(reader.Next(&item), BatchReader::Step::kBroken);
  EXPECT_NE(BodyOf(std::get<Response>(item).body).find("no item has a field byte;"),
            std::string::npos);
}

TEST(BatchReaderTest, AnItemWithoutFieldsIsOneWhateverSpaceFollows) {
  EXPECT_EQ(Read("{} \n{}\r\n { } \t\r\n"),
            (Expected{"400 INVALID_ITEM", "400 INVALID_ITEM", "400 INVALID_ITEM", "end"}));
}

TEST(BatchReaderTest, EmptyLinesArePassedOverAFewAtATime) {
  ProtocolConfig config;
  const std::string empty(3 * BatchReader::kEmptyBytesMax, '\n');
  BatchReader reader(&config, kUpstreamBucket, Bytes::Copy(empty + Item(R"("data":"x")")));
  BatchItem item;
  for (uint64_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(reader.Next(&item), BatchReader::Step::kMore);
    EXPECT_EQ(reader.at(), i * BatchReader::kEmptyBytesMax);
  }
  EXPECT_EQ(reader.Next(&item), BatchReader::Step::kItem);
  EXPECT_EQ(reader.Next(&item), BatchReader::Step::kEnd);
  EXPECT_EQ(Read(empty), (Expected{"end"}));
  EXPECT_EQ(Read(empty + " \t\r"), (Expected{"end"}));
}

TEST(BatchReaderTest, Base64IsWholeAndOfOneAlphabet) {
  for (const char* good : {"AAEC", "AAE=", "AA==", "+/+/"}) {
    EXPECT_NE(Read(Item(R"("data_base64":")" + std::string(good) + "\""))[0], "400 INVALID_ITEM")
        << good;
  }
  for (const char* wrong :
       {"AAE", "AA", "A", "AA E", "AAEC ", "AA..", "AA=", "A===", "====", "AA==AA==", "-_-_"}) {
    EXPECT_EQ(Read(Item(R"("data_base64":")" + std::string(wrong) + "\"")),
              (Expected{"400 INVALID_ITEM", "end"}))
        << wrong;
  }
}

TEST(BatchReaderTest, WhatCannotBeTakenApartEndsTheBatch) {
  const std::string good = Item(R"("data":"x")");
  ProtocolConfig config;
  config.json_depth_max = 4;
  for (std::string broken : {std::string("x"),
                             std::string("[]"),
                             std::string("{"),
                             std::string("{}{}"),
                             std::string(R"({"stream":"s",})"),
                             std::string(R"({"stream" "s"})"),
                             std::string(R"({stream:"s"})"),
                             std::string(R"({1:"s"})"),
                             std::string("{\"stream\":\"\xff\"}"),
                             std::string("{\"stream\":\"a\x01\"}"),
                             std::string(R"({"stream":"s","json":[[[[[1]]]]]})"),
                             Item(R"("bytes":-1)"),
                             Item(R"("bytes":"3")"),
                             Item(R"("bytes":03)"),
                             Item(R"("bytes":1e2)"),
                             Item(R"("bytes":1,"bytes":1)"),
                             Item(R"("bytes":"x","data":"y")"),
                             Item(R"("bytes":99999)"),
                             Item(R"("bytes":9007199254740993)"),
                             Item(R"("bytes":1)"),
                             Item(R"("bytes":18446744073709551615)")}) {
    EXPECT_EQ(Read(Lines({good, broken, good}), kUpstreamBucket, config),
              (Expected{"v1||s=x", "broken 400 MALFORMED_BATCH"}))
        << broken;
  }
}

TEST(BatchReaderTest, ItemsBeyondTheMostEndIt) {
  ProtocolConfig config;
  config.batch_items_max = 2;
  const std::string good = Item(R"("data":"x")");
  EXPECT_EQ(Read(Lines({good, good}), kUpstreamBucket, config),
            (Expected{"v1||s=x", "v1||s=x", "end"}));
  EXPECT_EQ(Read(Lines({good, "{}", good}), kUpstreamBucket, config),
            (Expected{"v1||s=x", "400 INVALID_ITEM", "broken 413 TOO_MANY_ITEMS"}));
  EXPECT_EQ(Read(""), (Expected{"end"}));
  EXPECT_EQ(Read("\n \r\n"), (Expected{"end"}));
}

TEST(BatchReaderTest, StreamsOfABucketAreNamedAsListingsNameThem) {
  EXPECT_EQ(Read(Lines({Item(R"("data":"x")", "name"), Item(R"("data":"x")", "group/name"),
                        Item(R"("data":"x")", "a/b/c"), Item(R"("data":"x")", "snapshot"),
                        Item(R"("data":"x")", "a/$x"), Item(R"("data":"x")", "streams"),
                        Item(R"("data":"x")", "append-batch"), Item(R"("data":"x")", ""),
                        Item(R"("data":"x")", "a/.."), Item(R"("data":"x")", "%2f"),
                        Item(R"("data":"x")", std::string(1025, 'n')),
                        Item(R"("data":"x")", R"(a\u0007)")}),
                 "docs"),
            (Expected{"docs||name=x", "docs|group|name=x", "400 INVALID_STREAM_NAME",
                      "404 RESERVED_NAME", "404 RESERVED_NAME", "404 RESERVED_NAME",
                      "404 RESERVED_NAME", "400 INVALID_STREAM_NAME", "400 INVALID_STREAM_NAME",
                      "docs||%2f=x", "400 INVALID_STREAM_NAME", "400 INVALID_STREAM_NAME", "end"}));
}

std::string LineOf(const AppendAction& action, const Result<AppendReply>& reply) {
  std::string line;
  AppendBatchLine(&line, 7, MapAppendReply(action, reply, ProtocolConfig{}));
  return line;
}

TEST(BatchLineTest, SaysWhatTheAnswerAloneWouldSay) {
  AppendAction action;
  AppendReply reply;
  reply.tail = {1234};
  reply.incarnation = 0x9c4;
  EXPECT_EQ(
      LineOf(action, reply),
      "{\"index\":7,\"status\":204,\"outcome\":\"applied\","
      "\"next_offset\":\"0000000000000000_0000000000001234\","
      "\"etag\":\"\\\"s-00000000000009c4-4d2.t\\\"\",\"incarnation\":\"00000000000009c4\"}\n");
  reply.outcome = Outcome::kDuplicate;
  reply.closed = true;
  reply.producer_epoch = 3;
  reply.producer_sequence = 9;
  action.producer_sequence = 8;
  EXPECT_EQ(LineOf(action, reply),
            "{\"index\":7,\"status\":204,\"outcome\":\"duplicate\","
            "\"next_offset\":\"0000000000000000_0000000000001234\",\"closed\":true,"
            "\"etag\":\"\\\"s-00000000000009c4-4d2.c\\\"\",\"incarnation\":\"00000000000009c4\","
            "\"producer_epoch\":3,\"producer_seq\":9}\n");
  reply.outcome = Outcome::kProducerGap;
  reply.producer_expected_sequence = 5;
  EXPECT_EQ(LineOf(action, reply),
            "{\"index\":7,\"status\":409,\"outcome\":\"refused\","
            "\"incarnation\":\"00000000000009c4\",\"producer_expected_seq\":5,"
            "\"producer_received_seq\":8,\"error\":{\"code\":\"PRODUCER_SEQUENCE_GAP\","
            "\"message\":\"Producer-Seq skips a number\"}}\n");
  const std::string unavailable = LineOf(action, Status(StatusCode::kUnavailable, "x"));
  EXPECT_TRUE(unavailable.starts_with(
      "{\"index\":7,\"status\":503,\"outcome\":\"not-proposed\",\"retry_after\":1,\"error\":"))
      << unavailable;
  const std::string unknown = LineOf(action, Status(StatusCode::kOutcomeUnknown, "x"));
  EXPECT_TRUE(unknown.starts_with("{\"index\":7,\"status\":504,\"outcome\":\"unknown\",\"error\":"))
      << unknown;
  std::string rest;
  AppendBatchRest(&rest, 3, EmptyBatchResponse());
  EXPECT_TRUE(
      rest.starts_with("{\"index\":3,\"rest\":true,\"status\":400,\"outcome\":\"refused\","))
      << rest;
}

TEST(BatchRequestTest, IsAPostOfLinesThatSaysNothingOfItems) {
  const Header lines = {"Content-Type", "Application/X-NDJSON; charset=utf-8"};
  for (const char* path : {"/v1/stream/__batch", "/demo/append-batch"}) {
    const auto action =
        Take<AppendBatchAction>(Map(MakeRequest(Method::kPost, path, {lines}, "x")));
    EXPECT_EQ(action.bucket, path[1] == 'v' ? "v1" : "demo");
    EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kPut, path, {lines}, "x"))), "400 RESERVED_NAME");
    for (Method method : {Method::kGet, Method::kHead, Method::kDelete}) {
      const Action other = Map(MakeRequest(method, path));
      EXPECT_EQ(ErrorOf(other), "405 METHOD_NOT_ALLOWED");
      EXPECT_EQ(HeaderOf(std::get<Response>(other), "Allow"), "POST, OPTIONS");
    }
    EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kPost, path, {}, "x"))), "400 CONTENT_TYPE_REQUIRED");
    const Action text =
        Map(MakeRequest(Method::kPost, path, {{"Content-Type", "text/plain"}}, "x"));
    EXPECT_EQ(ErrorOf(text), "415 UNSUPPORTED_MEDIA_TYPE");
    EXPECT_NE(BodyOf(std::get<Response>(text).body).find("send it as application/x-ndjson"),
              std::string::npos);
    EXPECT_EQ(
        ErrorOf(Map(MakeRequest(Method::kPost, path, {lines, {"Content-Encoding", "gzip"}}, "x"))),
        "415 UNSUPPORTED_CONTENT_ENCODING");
    for (const char* of_items : {"Producer-Id", "Producer-Seq", "Stream-Seq", "Stream-Closed",
                                 "If-Match", "If-None-Match", "Stream-Incarnation"}) {
      EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kPost, path, {lines, {of_items, "1"}}, "x"))),
                "400 NOT_SUPPORTED")
          << of_items;
    }
  }
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kPost, "/demo/a/append-batch", {lines}, "x"))),
            "404 RESERVED_NAME");
  EXPECT_EQ(Take<AppendAction>(Map(MakeRequest(Method::kPost, "/v1/stream/a/__batch",
                                               {{"Content-Type", "text/plain"}}, "x")))
                .request.stream.name,
            "a/__batch");
}

}  // namespace
}  // namespace ursula::protocol
