// Reads that may be a little old: what a request says of that, and an answer.

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "server/protocol/entity_tag.h"
#include "server/protocol/request_mapping.h"
#include "server/protocol/response_mapping.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

constexpr const char* kPath = "/v1/stream/s";
constexpr const char* kStaleness = "Stream-Staleness-Ms";
const ProtocolConfig kConfig;
const ReplyContext kContext = {.now_ms = 1'800'000'000'000, .random = 0};

using HeaderList = std::initializer_list<Header>;

Action Get(const std::string& query, HeaderList headers = {}) {
  return Map(MakeRequest(Method::kGet, kPath + query, headers));
}
Action Head(const std::string& query, HeaderList headers = {}) {
  return Map(MakeRequest(Method::kHead, kPath + query, headers));
}

// A page of "abcd" of 4 to 8, with more behind it or at the tail.
ReadReply Page(bool at_tail) {
  ReadReply reply;
  reply.parts.push_back(Bytes::Copy("abcd"));
  reply.start = {4};
  reply.next = {8};
  reply.info.content_type = "text/plain";
  reply.info.tail = {at_tail ? 8u : 20u};
  reply.info.incarnation = 0xabc;
  reply.up_to_date = at_tail;
  reply.staleness_ms = 1234;
  return reply;
}

TEST(ConsistencyTest, AQueryAsksForIt) {
  auto local = Take<ReadAction>(Get("?offset=-1&consistency=local"));
  EXPECT_TRUE(local.local);
  EXPECT_EQ(local.request.consistency, Consistency::kLocal);
  EXPECT_EQ(local.request.staleness_ms_max, kStalenessMsDefault);
  auto bound = Take<ReadAction>(Get("?consistency=local&max_staleness_ms=250&live=sse&offset=now"));
  EXPECT_EQ(bound.request.staleness_ms_max, 250u);
  auto head = Take<HeadAction>(Head("?consistency=local&max_staleness_ms=3600000"));
  EXPECT_TRUE(head.local);
  EXPECT_EQ(head.request.consistency, Consistency::kLocal);
  EXPECT_EQ(head.request.staleness_ms_max, kStalenessMsMax);
  for (const char* query : {"", "?consistency=linearizable", "?max_staleness_ms=10"}) {
    auto read = Take<ReadAction>(Get(query));
    EXPECT_FALSE(read.local);
    EXPECT_EQ(read.request.consistency, Consistency::kLinearizable);
    EXPECT_EQ(Take<HeadAction>(Head(query)).request.consistency, Consistency::kLinearizable);
  }
}

TEST(ConsistencyTest, WhatIsMalformedIsRefusedOnceTheStreamIsThere) {
  for (const char* bad : {"?consistency=", "?consistency=Local", "?consistency=leader",
                          "?consistency=local&consistency=local"}) {
    EXPECT_EQ(ErrorOf(Get(bad)), "guarded 400 INVALID_CONSISTENCY") << bad;
    EXPECT_EQ(ErrorOf(Head(bad)), "guarded 400 INVALID_CONSISTENCY") << bad;
  }
  for (const char* bad : {"", "-1", "1.5", "3600001", "1&max_staleness_ms=1"}) {
    const std::string query = std::string("?consistency=local&max_staleness_ms=") + bad;
    EXPECT_EQ(ErrorOf(Get(query)), "guarded 400 INVALID_STALENESS") << bad;
    EXPECT_EQ(ErrorOf(Head(query)), "guarded 400 INVALID_STALENESS") << bad;
    const std::string alone = std::string("?max_staleness_ms=") + bad;
    EXPECT_EQ(ErrorOf(Get(alone)), "guarded 400 INVALID_STALENESS") << bad;
    EXPECT_EQ(ErrorOf(Head(alone)), "guarded 400 INVALID_STALENESS") << bad;
  }
  std::string many = "?a=1";
  for (int i = 0; i < 64; ++i) many += "&a=1";
  EXPECT_EQ(ErrorOf(Get(many + "&consistency=local")), "guarded 400 INVALID_QUERY");
  EXPECT_EQ(ErrorOf(Head(many + "&consistency=local")), "guarded 400 INVALID_QUERY");
}

// Nothing that is answered in another way than it was asked for.
TEST(ConsistencyTest, WhatIsOnlyLinearizableRefusesAnythingElse) {
  struct Case {
    Method method;
    const char* path;
  };
  const Case cases[] = {
      {Method::kGet, "/bucket/streams"},
      {Method::kHead, "/bucket/streams"},
      {Method::kGet, "/bucket"},
      {Method::kHead, "/bucket"},
      {Method::kPut, "/bucket"},
      {Method::kDelete, "/bucket"},
      {Method::kPut, kPath},
      {Method::kPost, kPath},
      {Method::kDelete, kPath},
      {Method::kPost, "/v1/stream/__batch"},
      {Method::kPost, "/bucket/append-batch"},
  };
  for (const Case& one : cases) {
    const std::string path = one.path;
    auto ask = [&](const std::string& query) {
      return ErrorOf(
          Map(MakeRequest(one.method, path + query, {{"Content-Type", "application/x-ndjson"}})));
    };
    for (const char* bad : {"?consistency=local", "?consistency=", "?consistency=strong",
                            "?limit=1&consistency=local&max_staleness_ms=5",
                            "?consistency=linearizable&consistency=local"}) {
      EXPECT_EQ(ask(bad), "400 INVALID_CONSISTENCY") << path << bad;
    }
    EXPECT_NE(ask("?consistency=linearizable"), "400 INVALID_CONSISTENCY") << path;
    EXPECT_EQ(ask("?consistency=linearizable"), ask("")) << path;
  }
  // A preflight has the URL of what it is about.
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kOptions, "/bucket/streams?consistency=local"))),
            "204");
}

TEST(ConsistencyTest, EveryAnswerOfThatKindSaysHowOldItIs) {
  auto local = Take<ReadAction>(Get("?offset=-1&consistency=local"));
  EXPECT_EQ(HeaderOf(MapReadReply(local, Page(true), kContext, kConfig), kStaleness), "1234");
  EXPECT_EQ(HeaderOf(SseHead(local, Page(true)), kStaleness), "1234");
  auto poll = Take<ReadAction>(Get("?offset=now&live=long-poll&consistency=local"));
  ReadReply nothing = Page(true);
  nothing.parts.clear();
  nothing.start = nothing.next;
  Response response = MapReadReply(poll, nothing, kContext, kConfig);
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(HeaderOf(response, kStaleness), "1234");
  auto again =
      Take<ReadAction>(Get("?offset=-1&consistency=local", {{"If-None-Match", "\"abc-4-8.t\""}}));
  response = MapReadReply(again, Page(true), kContext, kConfig);
  EXPECT_EQ(response.status, 304);
  EXPECT_EQ(HeaderOf(response, kStaleness), "1234");
  HeadReply head;
  head.info = Page(true).info;
  head.staleness_ms = 77;
  auto heading = Take<HeadAction>(Head("?consistency=local"));
  EXPECT_EQ(HeaderOf(MapHeadReply(heading, head, kConfig), kStaleness), "77");
}

TEST(ConsistencyTest, NoOtherAnswerDoes) {
  auto read = Take<ReadAction>(Get("?offset=-1"));
  EXPECT_EQ(HeaderOf(MapReadReply(read, Page(true), kContext, kConfig), kStaleness), "(none)");
  EXPECT_EQ(HeaderOf(SseHead(read, Page(true)), kStaleness), "(none)");
  auto local = Take<ReadAction>(Get("?offset=-1&consistency=local"));
  ReadReply missing;
  missing.outcome = Outcome::kNotFound;
  EXPECT_EQ(HeaderOf(MapReadReply(local, missing, kContext, kConfig), kStaleness), "(none)");
}

TEST(ConsistencyTest, BytesHaveOneTagHoweverOldTheAnswer) {
  auto read = Take<ReadAction>(Get("?offset=-1"));
  auto local = Take<ReadAction>(Get("?offset=-1&consistency=local"));
  for (bool at_tail : {false, true}) {
    Response one = MapReadReply(read, Page(at_tail), kContext, kConfig);
    Response other = MapReadReply(local, Page(at_tail), kContext, kConfig);
    EXPECT_EQ(HeaderOf(one, "ETag"), HeaderOf(other, "ETag"));
    EXPECT_EQ(HeaderOf(one, "Cache-Control"), HeaderOf(other, "Cache-Control"));
  }
}

// A read may not have renewed it, and nobody knows here how much of it is left.
TEST(ConsistencyTest, NoCacheKeepsAnOldAnswerOfAStreamThatMayHaveExpired) {
  ReadReply page = Page(false);
  page.info.lifetime.ttl_seconds = 3600;
  auto read = Take<ReadAction>(Get("?offset=-1"));
  auto local = Take<ReadAction>(Get("?offset=-1&consistency=local"));
  EXPECT_TRUE(
      HeaderOf(MapReadReply(read, page, kContext, kConfig), "Cache-Control").starts_with("public"));
  EXPECT_EQ(HeaderOf(MapReadReply(local, page, kContext, kConfig), "Cache-Control"), "no-cache");
}

TEST(ConsistencyTest, WhoKnowsMoreIsNotToldLess) {
  struct Case {
    const char* tag;
    bool more;
  };
  for (const Case& c :
       {Case{"\"abc-4-8.t\"", false}, Case{"\"abc-0-8.p\"", false}, Case{"\"abc-4-9.t\"", true},
        Case{"\"abc-4-9.p\"", true}, Case{"W/\"abc-4-9.tl-gzip\"", true},
        Case{"\"abc-4-8.c\"", true}, Case{"\"def-4-8.t\"", true},
        Case{"\"s-0000000000000abc-8.t\"", false}, Case{"\"s-0000000000000abc-9.t\"", true},
        Case{"\"other\"", false}, Case{"\"other\", \"abc-4-9.t\"", true}, Case{"*", false}}) {
    auto read = Take<ReadAction>(Get("?consistency=local", {{"If-None-Match", c.tag}}));
    auto head = Take<HeadAction>(Head("?consistency=local", {{"If-None-Match", c.tag}}));
    HeadReply known;
    known.info = Page(true).info;
    EXPECT_EQ(WantsNewer(&read, Page(true)), c.more) << c.tag;
    EXPECT_EQ(WantsNewer(&head, known), c.more) << c.tag;
    EXPECT_EQ(read.request.staleness_ms_max, c.more ? 0 : kStalenessMsDefault);
    EXPECT_EQ(head.request.staleness_ms_max, c.more ? 0 : kStalenessMsDefault);
    // Once: its answer is of now.
    EXPECT_FALSE(WantsNewer(&read, Page(true)) && c.more);
    EXPECT_FALSE(WantsNewer(&head, known) && c.more);
  }
  auto other = Take<ReadAction>(Get("", {{"If-None-Match", "\"abc-4-9.t\""}}));
  EXPECT_FALSE(WantsNewer(&other, Page(true)));
}

TEST(ConsistencyTest, WhatIsComparedIsOfNow) {
  auto read = Take<ReadAction>(Get("?consistency=local", {{"If-Match", "\"abc-4-8.t\""}}));
  EXPECT_EQ(read.request.staleness_ms_max, 0u);
  EXPECT_TRUE(read.local);
  auto head = Take<HeadAction>(Head("?consistency=local", {{"If-Match", "*"}}));
  EXPECT_EQ(head.request.staleness_ms_max, 0u);
}

TEST(ConsistencyTest, ATagSaysHowFarItWent) {
  std::optional<StreamState> known = KnownBy("\"abc-4-9.p\"");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->incarnation, 0xabcu);
  EXPECT_EQ(known->tail.bytes, 9u);
  EXPECT_FALSE(known->closed);
  EXPECT_TRUE(KnownBy("\"abc-4-9.cl-zstd\"")->closed);
  EXPECT_EQ(KnownBy("\"s-0000000000000abc-9.c\"")->tail.bytes, 9u);
  for (const char* other : {"", "\"", "\"\"", "\"abc-4-9\"", "\"abc-4-9.x\"", "\"abc-4-09.t\"",
                            "\"s-0000000000000abc-9.p\"", "\"abc-4-9.t-br\""}) {
    EXPECT_FALSE(KnownBy(other)) << other;
  }
}

}  // namespace
}  // namespace ursula::protocol
