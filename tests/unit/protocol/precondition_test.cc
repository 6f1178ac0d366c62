#include "server/protocol/precondition.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/protocol/response_mapping.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

constexpr const char* kPath = "/v1/stream/s";
constexpr const char* kOffset = "0000000000000000_0000000000000016";
constexpr const char* kIncarnation = "0000000000000abc";
constexpr const char* kStateTag = "\"s-0000000000000abc-10.t\"";
constexpr const char* kReadTag = "\"abc-3-10.tl-gzip\"";
constexpr const char* kPageTag = "\"abc-3-10.p\"";

const StateMatch kState = {0xabc, Offset{16}, false};
const StateMatch kNone = {.incarnation = 0};
const ProtocolConfig kConfig;

using Matches = std::vector<StateMatch>;
using HeaderList = std::initializer_list<Header>;

Precondition OfPost(HeaderList headers) {
  Request request = MakeRequest(Method::kPost, kPath, headers, "x");
  request.headers.Add("Content-Type", "text/plain");
  return Take<AppendAction>(Map(request)).request.condition;
}
Precondition OfPut(HeaderList headers) {
  return Take<CreateAction>(Map(MakeRequest(Method::kPut, kPath, headers))).request.condition;
}
Precondition OfDelete(HeaderList headers) {
  return Take<DeleteAction>(Map(MakeRequest(Method::kDelete, kPath, headers))).request.condition;
}
std::string Refused(Method method, HeaderList headers) {
  Request request = MakeRequest(method, kPath, headers, method == Method::kPost ? "x" : "");
  if (method == Method::kPost) request.headers.Add("Content-Type", "text/plain");
  return ErrorOf(Map(request));
}

// ---- grammar -----------------------------------------------------------------------------------

TEST(TakeConditionsTest, NoneByDefault) {
  EXPECT_TRUE(OfPost({}).empty());
  EXPECT_TRUE(OfPut({}).empty());
  EXPECT_TRUE(OfDelete({}).empty());
  EXPECT_TRUE(Take<ReadAction>(Map(MakeRequest(Method::kGet, kPath))).conditions.empty());
}

TEST(TakeConditionsTest, AStarIsAboutExistence) {
  for (auto of : {OfPost, OfPut, OfDelete}) {
    Precondition condition = of({{"If-Match", " * "}});
    EXPECT_EQ(condition, Precondition{.exists = true});
    EXPECT_EQ(of({{"if-none-match", "*"}}), Precondition{.absent = true});
  }
}

TEST(TakeConditionsTest, ListsOverSeveralLinesAreOneList) {
  EXPECT_EQ(OfPut({{"If-Match", std::string("\"x\" ,,\t, ") + kStateTag + ","},
                   {"If-Match", "\"abc-0-20.c\""}})
                .any_of,
            (Matches{kState, {0xabc, Offset{32}, true}}));
  EXPECT_EQ(OfPut({{"If-None-Match", kReadTag}, {"If-None-Match", "\"abc-0-20.c\""}}).none_of,
            (Matches{kState, {0xabc, Offset{32}, true}}));
}

TEST(TakeConditionsTest, TagsMayHoldCommasAndHighBytes) {
  std::string list = std::string("\"a,b\", \"\xc3\xa4\\\", \"\", ") + kStateTag;
  EXPECT_EQ(OfDelete({{"If-Match", list}}).any_of, Matches{kState});
}

TEST(TakeConditionsTest, MalformedListsAreRefused) {
  for (const char* bad :
       {"x", "\"x", "x\"", "\"x\" \"y\"", "\"x\"y", "w/\"x\"", "W/ \"x\"", "W/x", "*, \"x\"",
        "\"x\", *", "**", "\"a b\"", "\"a\x7f\"", "abc-0-10.t", ";"}) {
    for (Method method : {Method::kPut, Method::kPost, Method::kDelete}) {
      EXPECT_EQ(Refused(method, {{"If-Match", bad}}), "400 INVALID_PRECONDITION") << bad;
      EXPECT_EQ(Refused(method, {{"If-None-Match", bad}}), "400 INVALID_PRECONDITION") << bad;
    }
    // A missing stream's 404 comes before.
    for (Method method : {Method::kGet, Method::kHead}) {
      EXPECT_EQ(Refused(method, {{"If-Match", bad}}), "guarded 400 INVALID_PRECONDITION") << bad;
    }
  }
  EXPECT_EQ(Refused(Method::kPut, {{"If-Match", "*"}, {"If-Match", "*"}}),
            "400 INVALID_PRECONDITION");
}

TEST(TakeConditionsTest, ListsHaveAtMost64Members) {
  std::string list = kStateTag;
  for (int i = 1; i < 64; ++i) list += ", \"x\"";
  EXPECT_EQ(OfPut({{"If-Match", list + " ,"}}).any_of, Matches{kState});
  EXPECT_EQ(Refused(Method::kPut, {{"If-Match", list + ", \"y\""}}), "400 INVALID_PRECONDITION");
  EXPECT_EQ(Refused(Method::kPost, {{"If-None-Match", list + ", \"y\""}}),
            "400 INVALID_PRECONDITION");
  std::string many;
  for (int i = 0; i < 64; ++i) many += std::string(kReadTag) + ",";
  EXPECT_EQ(OfPost({{"If-Match", many}}).any_of.size(), 64u);
}

TEST(TakeConditionsTest, OtherPreconditionsAreRefusedNeverIgnored) {
  for (const char* name : {"Stream-Record-Match", "stream-snapshot-match", "If",
                           "If-Schedule-Tag-"
                           "Match",
                           "IF-STATE"}) {
    for (Method method : {Method::kPut, Method::kPost, Method::kDelete}) {
      EXPECT_EQ(Refused(method, {{name, "1"}}), "400 NOT_SUPPORTED") << name;
    }
    EXPECT_EQ(Refused(Method::kGet, {{name, "1"}}), "guarded 400 NOT_SUPPORTED") << name;
    EXPECT_EQ(Refused(Method::kHead, {{name, "1"}}), "guarded 400 NOT_SUPPORTED") << name;
  }
}

// RFC 9110, 13.1.3 to 13.1.5: where there is no modification date and there are no ranges.
TEST(TakeConditionsTest, DatesAndRangesAreIgnored) {
  HeaderList dates = {{"If-Modified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"},
                      {"If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"},
                      {"If-Range", "\"x\""},
                      {"Iffy", "x"},
                      {"Stream-Matching", "x"}};
  EXPECT_TRUE(OfPost(dates).empty());
  EXPECT_TRUE(OfPut(dates).empty());
  EXPECT_TRUE(OfDelete(dates).empty());
  EXPECT_TRUE(Take<ReadAction>(Map(MakeRequest(Method::kGet, kPath, dates))).conditions.empty());
}

TEST(TakeConditionsTest, BucketsHaveNone) {
  for (const char* target : {"/demo", "/demo/streams"}) {
    for (const char* name : {"If-Match", "If-None-Match", "Stream-Incarnation", "If"}) {
      EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, target, {{name, "*"}}))), "400 NOT_SUPPORTED")
          << target << name;
    }
  }
  Take<GetBucketAction>(Map(MakeRequest(Method::kGet, "/demo", {{"If-Modified-Since", "x"}})));
}

// An EventSource, an <img> or a beacon can send no headers.
TEST(TakeConditionsTest, TheIncarnationMayStandInTheQuery) {
  const std::string target = std::string(kPath) + "?incarnation=0000000000000ABC";
  const Precondition wanted = {.any_of = {{.incarnation = 0xabc}}};
  EXPECT_EQ(Take<CreateAction>(Map(MakeRequest(Method::kPut, target))).request.condition, wanted);
  EXPECT_EQ(Take<DeleteAction>(Map(MakeRequest(Method::kDelete, target))).request.condition,
            wanted);
  Request post = MakeRequest(Method::kPost, target, {{"Content-Type", "text/plain"}}, "x");
  EXPECT_EQ(Take<AppendAction>(Map(post)).request.condition, wanted);
  EXPECT_EQ(Take<HeadAction>(Map(MakeRequest(Method::kHead, target))).conditions.incarnation,
            0xabcu);
  for (const char* more :
       {"", "&offset=-1", "&offset=now&live=sse", "&offset=now&live=long-poll"}) {
    auto read = Take<ReadAction>(Map(MakeRequest(Method::kGet, target + more)));
    EXPECT_EQ(read.request.incarnation, 0xabcu) << more;
    EXPECT_EQ(read.conditions.incarnation, 0xabcu) << more;
  }
  auto both = Take<ReadAction>(
      Map(MakeRequest(Method::kGet, target, {{"Stream-Incarnation", kIncarnation}})));
  EXPECT_EQ(both.request.incarnation, 0xabcu);
}

TEST(TakeConditionsTest, AnIncarnationInTheQueryIsNeverIgnored) {
  for (const std::string bad :
       {"incarnation", "incarnation=", "incarnation=abc", "incarnation=000000000000zabc",
        "incarnation=0000000000000abc&incarnation=0000000000000abc", "incarnation=%zz"}) {
    const std::string target = std::string(kPath) + "?" + bad;
    for (Method method : {Method::kGet, Method::kHead}) {
      EXPECT_EQ(ErrorOf(Map(MakeRequest(method, target))), "guarded 400 INVALID_PRECONDITION");
    }
    for (Method method : {Method::kPut, Method::kDelete}) {
      EXPECT_EQ(ErrorOf(Map(MakeRequest(method, target))), "400 INVALID_PRECONDITION") << bad;
    }
  }
  const std::string query = "?incarnation=0000000000000abc";
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, kPath + query,
                                    {{"Stream-Incarnation", "0000000000000abd"}}))),
            "guarded 400 INVALID_PRECONDITION");
  for (const char* target : {"/demo", "/demo/streams"}) {
    EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, target + query))), "400 NOT_SUPPORTED");
  }
  Request batch = MakeRequest(Method::kPost, "/demo/append-batch" + query,
                              {{"Content-Type", "application/x-ndjson"}}, "{}\n");
  EXPECT_EQ(ErrorOf(Map(batch)), "400 NOT_SUPPORTED");
}

// ---- writes ------------------------------------------------------------------------------------

TEST(PreconditionOfTest, IfMatchComparesStrongly) {
  std::string weak = std::string("W/") + kStateTag;
  EXPECT_EQ(OfPut({{"If-Match", weak}}).any_of, Matches{kNone});
  EXPECT_EQ(OfPut({{"If-Match", weak + ", " + kReadTag}}).any_of, Matches{kState});
}

TEST(PreconditionOfTest, IfNoneMatchComparesWeakly) {
  EXPECT_EQ(OfPut({{"If-None-Match", std::string("W/") + kStateTag}}).none_of, Matches{kState});
  EXPECT_EQ(OfPost({{"If-None-Match", kReadTag}}).none_of, Matches{kState});
}

TEST(PreconditionOfTest, TagsThatNameNoStateMatchNothing) {
  for (const char* tag : {kPageTag, "\"x\"", ""}) {
    for (auto of : {OfPost, OfPut, OfDelete}) {
      EXPECT_EQ(of({{"If-Match", tag}}).any_of, Matches{kNone}) << tag;
      EXPECT_TRUE(of({{"If-None-Match", tag}}).empty()) << tag;
    }
  }
}

TEST(PreconditionOfTest, OnPostIfMatchTakesOffsetsQuotedOrBare) {
  StateMatch at = {.tail = Offset{16}};
  std::string quoted = std::string("\"") + kOffset + "\"";
  EXPECT_EQ(OfPost({{"If-Match", kOffset}}).any_of, Matches{at});
  EXPECT_EQ(OfPost({{"If-Match", quoted}}).any_of, Matches{at});
  EXPECT_EQ(OfPost({{"If-Match", std::string(kOffset) + "," + kStateTag + " , " + quoted}}).any_of,
            (Matches{at, kState, at}));
  EXPECT_EQ(OfPost({{"If-Match", "W/" + quoted}}).any_of, Matches{kNone});
  for (const char* bad : {"16", "now", "-1", "0000000000000000_000000000000001",
                          "0000000000000001_0000000000000016"}) {
    EXPECT_EQ(Refused(Method::kPost, {{"If-Match", bad}}), "400 INVALID_PRECONDITION") << bad;
  }
  // Elsewhere an offset is no entity tag, and a quoted one is a tag of nothing.
  EXPECT_EQ(Refused(Method::kPost, {{"If-None-Match", kOffset}}), "400 INVALID_PRECONDITION");
  EXPECT_TRUE(OfPost({{"If-None-Match", quoted}}).empty());
  EXPECT_EQ(Refused(Method::kDelete, {{"If-Match", kOffset}}), "400 INVALID_PRECONDITION");
  EXPECT_EQ(OfDelete({{"If-Match", quoted}}).any_of, Matches{kNone});
}

TEST(PreconditionOfTest, StreamIncarnationHoldsTogetherWithIfMatch) {
  Header own = {"Stream-Incarnation", kIncarnation};
  Header other = {"Stream-Incarnation", "0000000000000abd"};
  for (auto of : {OfPost, OfPut, OfDelete}) {
    EXPECT_EQ(of({own}).any_of, (Matches{{.incarnation = 0xabc}}));
    EXPECT_EQ(of({own, {"If-Match", kStateTag}}).any_of, Matches{kState});
    EXPECT_EQ(of({other, {"If-Match", kStateTag}}).any_of, Matches{kNone});
    EXPECT_EQ(of({own, {"If-Match", "\"x\""}}).any_of, Matches{kNone});
    Precondition condition = of({own, {"If-Match", "*"}});
    EXPECT_TRUE(condition.exists);
    EXPECT_EQ(condition.any_of, (Matches{{.incarnation = 0xabc}}));
  }
  EXPECT_EQ(OfPost({own, {"If-Match", kOffset}}).any_of,
            (Matches{{.incarnation = 0xabc, .tail = Offset{16}}}));
}

TEST(PreconditionOfTest, StreamIncarnationIsSixteenDigitsOnce) {
  for (Method method : {Method::kPut, Method::kPost, Method::kDelete}) {
    EXPECT_EQ(Refused(method, {{"Stream-Incarnation", "abc"}}), "400 INVALID_PRECONDITION");
    EXPECT_EQ(Refused(method, {{"Stream-Incarnation", ""}}), "400 INVALID_PRECONDITION");
    EXPECT_EQ(Refused(method,
                      {{"Stream-Incarnation", kIncarnation}, {"Stream-Incarnation", kIncarnation}}),
              "400 REPEATED_HEADER");
  }
  EXPECT_EQ(Refused(Method::kGet, {{"Stream-Incarnation", "abc"}}),
            "guarded 400 INVALID_PRECONDITION");
}

TEST(PreconditionOfTest, RefusedWritesTellTheStateThatThereIs) {
  AppendReply append;
  append.outcome = Outcome::kPreconditionFailed;
  append.tail = Offset{16};
  append.incarnation = 0xabc;
  Response response = MapAppendReply(AppendAction{}, append, kConfig);
  EXPECT_EQ(ErrorOf(response), "412 PRECONDITION_FAILED");
  EXPECT_EQ(HeaderOf(response, "ETag"), kStateTag);
  EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), kOffset);
  EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "(none)");

  StreamInfo info;
  info.incarnation = 0xabc;
  info.tail = Offset{16};
  info.closed = true;
  for (const Response& refused :
       {MapCreateReply(CreateAction{}, CreateReply{Outcome::kPreconditionFailed, info}, kConfig),
        MapDeleteReply(DeleteAction{}, DeleteReply{Outcome::kPreconditionFailed, info}, kConfig)}) {
    EXPECT_EQ(ErrorOf(refused), "412 PRECONDITION_FAILED");
    EXPECT_EQ(HeaderOf(refused, "ETag"), "\"s-0000000000000abc-10.c\"");
    EXPECT_EQ(HeaderOf(refused, "Stream-Next-Offset"), kOffset);
    EXPECT_EQ(HeaderOf(refused, "Stream-Closed"), "true");
    EXPECT_EQ(HeaderOf(refused, "Stream-Incarnation"), kIncarnation);
  }
  // If-Match on a name that no stream has.
  response =
      MapCreateReply(CreateAction{}, CreateReply{.outcome = Outcome::kPreconditionFailed}, kConfig);
  EXPECT_EQ(ErrorOf(response), "412 PRECONDITION_FAILED");
  for (const char* name : {"ETag", "Stream-Next-Offset", "Stream-Incarnation"}) {
    EXPECT_EQ(HeaderOf(response, name), "(none)");
  }
}

// ---- HEAD --------------------------------------------------------------------------------------

HeadReply Found() {
  HeadReply reply;
  reply.info.content_type = "text/plain";
  reply.info.incarnation = 0xabc;
  reply.info.tail = Offset{16};
  return reply;
}

Response Head(HeaderList headers, const HeadReply& reply = Found()) {
  return MapHeadReply(Take<HeadAction>(Map(MakeRequest(Method::kHead, kPath, headers))), reply,
                      kConfig);
}

TEST(ConditionalHeadTest, IfMatch) {
  std::string list = std::string("\"x\", ") + kStateTag;
  for (const char* holds : {"*", kStateTag, kReadTag, list.c_str()}) {
    EXPECT_EQ(Head({{"If-Match", holds}}).status, 200) << holds;
  }
  std::string weak = std::string("W/") + kStateTag;
  for (const char* fails : {"", "\"x\"", kPageTag, weak.c_str(), "\"s-0000000000000abc-11.t\"",
                            "\"s-0000000000000abc-10.c\"", "\"s-0000000000000abd-10.t\""}) {
    Response response = Head({{"If-Match", fails}});
    EXPECT_EQ(ErrorOf(response), "412 PRECONDITION_FAILED") << fails;
    EXPECT_EQ(HeaderOf(response, "ETag"), kStateTag);
    EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), kOffset);
  }
}

TEST(ConditionalHeadTest, IfNoneMatchIs304) {
  for (const char* same : {"*", kStateTag, kReadTag}) {
    Response response = Head({{"If-None-Match", same}});
    EXPECT_EQ(response.status, 304) << same;
    EXPECT_EQ(HeaderOf(response, "ETag"), same[0] == '*' ? kStateTag : same);
    EXPECT_EQ(HeaderOf(response, "Content-Type"), "(none)");
    EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
  }
  EXPECT_EQ(Head({{"If-None-Match", std::string("W/") + kStateTag}}).status, 304);
  for (const char* other : {"", "\"x\"", kPageTag, "\"s-0000000000000abc-11.t\""}) {
    Response response = Head({{"If-None-Match", other}});
    EXPECT_EQ(response.status, 200) << other;
    EXPECT_EQ(HeaderOf(response, "ETag"), kStateTag);
  }
  // RFC 9110, 13.2.2: If-Match is asked first.
  EXPECT_EQ(Head({{"If-None-Match", "*"}, {"If-Match", "\"x\""}}).status, 412);
}

TEST(ConditionalHeadTest, AMissingStreamIs404UnderAnyCondition) {
  HeadReply missing;
  missing.outcome = Outcome::kNotFound;
  EXPECT_EQ(ErrorOf(Head({{"If-Match", "\"x\""}, {"Stream-Incarnation", kIncarnation}}, missing)),
            "404 STREAM_NOT_FOUND");
  missing.outcome = Outcome::kSoftDeleted;
  EXPECT_EQ(ErrorOf(Head({{"If-None-Match", "*"}}, missing)), "410 STREAM_DELETED");
}

TEST(ConditionalHeadTest, StreamIncarnation) {
  EXPECT_EQ(Head({{"Stream-Incarnation", "0000000000000ABC"}}).status, 200);
  EXPECT_EQ(Head({{"Stream-Incarnation", "0000000000000abd"}}).status, 412);
  EXPECT_EQ(Head({{"Stream-Incarnation", "0000000000000000"}}).status, 412);
}

// ---- GET ---------------------------------------------------------------------------------------

const ReplyContext kContext{1'728'432'000'000, 5};

// Bytes 3 to 16 of a stream of 16.
ReadReply Tail() {
  ReadReply reply;
  reply.info = Found().info;
  reply.start = Offset{3};
  reply.next = Offset{16};
  reply.parts = {Bytes::Static("thirteen byte")};
  reply.up_to_date = true;
  return reply;
}

ReadAction Reading(HeaderList headers, std::string_view query = "") {
  return Take<ReadAction>(
      Map(MakeRequest(Method::kGet, std::string(kPath) + std::string(query), headers)));
}

Response Get(HeaderList headers, const ReadReply& reply = Tail(), std::string_view query = "") {
  return MapReadReply(Reading(headers, query), reply, kContext, kConfig);
}

TEST(ConditionalGetTest, IfMatchIsJudgedAgainstTheReply) {
  for (const char* holds : {"*", kStateTag, kReadTag, "\"abc-3-10.t\"", "\"abc-3-10.t-zstd\""}) {
    Response response = Get({{"If-Match", holds}});
    EXPECT_EQ(response.status, 200) << holds;
    EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
  }
  for (const char* fails : {"", "\"x\"", kPageTag, "W/\"abc-3-10.t\"", "\"abc-3-10.c\"",
                            "\"s-0000000000000abc-f.c\""}) {
    Response response = Get({{"If-Match", fails}});
    EXPECT_EQ(ErrorOf(response), "412 PRECONDITION_FAILED") << fails;
    EXPECT_EQ(HeaderOf(response, "ETag"), kStateTag);
    EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), kOffset);
    EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-store");
  }
  // A page's own tag is that of what is read.
  ReadReply page = Tail();
  page.info.tail = Offset{100};
  page.up_to_date = false;
  EXPECT_EQ(Get({{"If-Match", kPageTag}}, page).status, 200);
  EXPECT_EQ(Get({{"If-Match", "\"abc-3-10.t\""}}, page).status, 412);
}

TEST(ConditionalGetTest, AStatesTagIsNeverThatOfARead) {
  EXPECT_EQ(Get({{"If-None-Match", kStateTag}}).status, 200);
  EXPECT_EQ(Get({{"If-None-Match", "\"abc-3-10.t\""}}).status, 304);
  EXPECT_EQ(Get({{"If-None-Match", "\"abd-3-10.t\""}}).status, 200);
}

TEST(ConditionalGetTest, IfMatchIsAskedBeforeIfNoneMatch) {
  EXPECT_EQ(Get({{"If-None-Match", "*"}, {"If-Match", "\"x\""}}).status, 412);
  EXPECT_EQ(Get({{"If-None-Match", "*"}, {"If-Match", kStateTag}}).status, 304);
}

TEST(ConditionalGetTest, RefusalsOfTheStreamComeFirst) {
  ReadReply reply;
  for (Outcome outcome : {Outcome::kNotFound, Outcome::kSoftDeleted, Outcome::kOffsetInvalid}) {
    reply.outcome = outcome;
    EXPECT_NE(Get({{"If-Match", "\"x\""}, {"If-None-Match", "*"}}, reply).status, 412);
    EXPECT_NE(Get({{"If-Match", "\"x\""}, {"If-None-Match", "*"}}, reply).status, 304);
  }
}

TEST(ConditionalGetTest, WhatHasNoTagIsNotModifiedOnlyForAStar) {
  ReadReply empty = Tail();
  empty.parts.clear();
  empty.start = empty.next;
  for (const char* query : {"?offset=now", "?offset=now&live=long-poll"}) {
    EXPECT_EQ(Get({{"If-None-Match", "\"abc-10-10.t\""}}, empty, query).status,
              query[11] == '&' ? 204 : 200);
    Response response = Get({{"If-None-Match", "*"}}, empty, query);
    EXPECT_EQ(response.status, 304);
    EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-store");
    EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), kOffset);
  }
}

TEST(ConditionalGetTest, SseIsRefusedBeforeItsHead) {
  const char* query = "?offset=-1&live=sse";
  auto refusal = [&](HeaderList headers) {
    return RefuseRead(Reading(headers, query), Tail(), kContext, kConfig);
  };
  EXPECT_EQ(refusal({}), std::nullopt);
  EXPECT_EQ(refusal({{"If-Match", kStateTag}}), std::nullopt);
  EXPECT_EQ(refusal({{"If-None-Match", "\"abc-3-10.t\""}}), std::nullopt);
  EXPECT_EQ(ErrorOf(*refusal({{"If-Match", "\"x\""}})), "412 PRECONDITION_FAILED");
  EXPECT_EQ(refusal({{"If-None-Match", "*"}})->status, 304);
  EXPECT_EQ(HeaderOf(SseHead(Reading({}, query), Tail()), "Stream-Incarnation"), kIncarnation);
}

TEST(ConditionalGetTest, CachesKeepPagesOfEachIncarnationApart) {
  EXPECT_EQ(HeaderOf(Get({}), "Vary"), "Accept-Encoding, Stream-Incarnation");
}

TEST(ConditionalGetTest, TheEngineLooksForTheIncarnationAsked) {
  ReadAction action = Reading({{"Stream-Incarnation", kIncarnation}});
  EXPECT_EQ(action.request.incarnation, 0xabcu);
  EXPECT_FALSE(Reading({}).request.incarnation.has_value());
  ReadReply missing;
  missing.outcome = Outcome::kNotFound;
  EXPECT_TRUE(MissedIncarnation(action, missing));
  EXPECT_FALSE(MissedIncarnation(action, Tail()));
  EXPECT_FALSE(MissedIncarnation(action, Status(StatusCode::kUnavailable, "")));
  EXPECT_FALSE(MissedIncarnation(Reading({}), missing));

  HeadReply head = Found();
  head.info.incarnation = 0xabd;
  Response response = MapMissedRead(action, head, kConfig);
  EXPECT_EQ(ErrorOf(response), "412 PRECONDITION_FAILED");
  EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), "0000000000000abd");
  head.outcome = Outcome::kNotFound;
  EXPECT_EQ(ErrorOf(MapMissedRead(action, head, kConfig)), "404 STREAM_NOT_FOUND");
  head.outcome = Outcome::kSoftDeleted;
  EXPECT_EQ(ErrorOf(MapMissedRead(action, head, kConfig)), "410 STREAM_DELETED");
  // It was made again, and is gone by now: there is none.
  EXPECT_EQ(ErrorOf(MapMissedRead(action, Found(), kConfig)), "404 STREAM_NOT_FOUND");
}

}  // namespace
}  // namespace ursula::protocol
