#include "server/protocol/request_mapping.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/protocol/response_mapping.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

constexpr const char* kPath = "/v1/stream/s";
constexpr const char* kZero = "0000000000000000_0000000000000000";
constexpr const char* kTen = "0000000000000000_0000000000000010";

Action Put(std::initializer_list<Header> headers, std::string_view body = {}) {
  return Map(MakeRequest(Method::kPut, kPath, headers, body));
}
Action Post(std::initializer_list<Header> headers, std::string_view body = {}) {
  return Map(MakeRequest(Method::kPost, kPath, headers, body));
}
Action Get(std::string_view query, std::initializer_list<Header> headers = {}) {
  return Map(MakeRequest(Method::kGet, std::string(kPath) + std::string(query), headers));
}

std::vector<std::string> Texts(const std::vector<Bytes>& messages) {
  std::vector<std::string> texts;
  for (const Bytes& message : messages) texts.emplace_back(message.view());
  return texts;
}

// ---- routes and methods
// --------------------------------------------------------------------------

TEST(MapRequestTest, BucketsAndLists) {
  auto create = Take<CreateBucketAction>(Map(MakeRequest(Method::kPut, "/demo")));
  EXPECT_EQ(create.bucket, "demo");
  EXPECT_EQ(create.location, "http://example:4437/demo");
  EXPECT_EQ(Take<GetBucketAction>(Map(MakeRequest(Method::kHead, "/demo"))).bucket, "demo");
  EXPECT_EQ(Take<DeleteBucketAction>(Map(MakeRequest(Method::kDelete, "/demo"))).bucket, "demo");
  auto list = Take<ListAction>(
      Map(MakeRequest(Method::kGet, "/demo/streams?prefix=a%2Fb&cursor=c&limit=7&x=y")));
  EXPECT_EQ(list.request.bucket, "demo");
  EXPECT_EQ(list.request.prefix, "a/b");
  EXPECT_EQ(list.request.after, "c");
  EXPECT_EQ(list.request.limit, 7u);
  EXPECT_EQ(Take<ListAction>(Map(MakeRequest(Method::kGet, "/demo/streams"))).request.limit, 100u);
  for (const char* bad : {"limit=0", "limit=1001", "limit=x", "limit=", "limit=1&limit=2",
                          "prefix=%z", "cursor=a&cursor=b"}) {
    EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, std::string("/demo/streams?") + bad))),
              "400 INVALID_QUERY")
        << bad;
  }
}

TEST(MapRequestTest, WrongMethodsNameTheAllowedOnes) {
  Response response = Take<Response>(Map(MakeRequest(Method::kOther, kPath)));
  EXPECT_EQ(ErrorOf(response), "405 METHOD_NOT_ALLOWED");
  EXPECT_EQ(HeaderOf(response, "Allow"), "GET, HEAD, PUT, POST, DELETE, OPTIONS");
  response = Take<Response>(Map(MakeRequest(Method::kPost, "/demo")));
  EXPECT_EQ(ErrorOf(response), "405 METHOD_NOT_ALLOWED");
  EXPECT_EQ(HeaderOf(response, "Allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kPut, "/demo/streams"))), "405 METHOD_NOT_ALLOWED");
}

TEST(MapRequestTest, PathsWithoutAResource) {
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, "/"))), "404 NOT_FOUND");
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, "/demo/a/b/c"))), "404 NOT_FOUND");
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, "/metrics"))), "404 RESERVED_NAME");
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kPut, "/metrics"))), "400 RESERVED_NAME");
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kPut, "/AB"))), "400 INVALID_BUCKET");
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, "/v1/stream/a%00"))), "400 INVALID_STREAM_NAME");
}

// Rule 29: OPTIONS on any stream path, present or not, names if-none-match.
TEST(MapRequestTest, Rule29PreflightOnAnyPath) {
  for (const char* path : {kPath, "/demo/x", "/", "*", "/v1/stream/%zz"}) {
    Response response = Take<Response>(Map(MakeRequest(Method::kOptions, path)));
    EXPECT_EQ(response.status, 204);
    std::string allowed = HeaderOf(response, "Access-Control-Allow-Headers");
    for (const char* name :
         {"if-match", "if-none-match", "stream-incarnation", "content-type", "authorization",
          "last-event-id", "stream-ttl", "stream-expires-at", "stream-closed", "stream-seq",
          "stream-forked-from", "stream-fork-offset", "stream-fork-sub-offset", "producer-id",
          "producer-epoch", "producer-seq"}) {
      EXPECT_NE(allowed.find(name), std::string::npos) << name;
    }
  }
}

TEST(MapRequestTest, NeedsOneFitHost) {
  Request request = MakeRequest(Method::kGet, kPath);
  request.headers.Remove("Host");
  EXPECT_EQ(ErrorOf(Map(request)), "400 INVALID_HOST");
  request.version_minor = 0;
  Take<ReadAction>(Map(request));
  request.headers.Add("Host", "a");
  request.headers.Add("Host", "b");
  EXPECT_EQ(ErrorOf(Map(request)), "400 REPEATED_HEADER");
  request.headers.Set("Host", "a/b");
  EXPECT_EQ(ErrorOf(Map(request)), "400 INVALID_HOST");
  request.headers.Set("Host", "");
  Take<ReadAction>(Map(request));
  request.version_minor = 1;
  EXPECT_EQ(ErrorOf(Map(request)), "400 INVALID_HOST");
  request.method = Method::kOptions;
  EXPECT_EQ(ErrorOf(Map(request)), "400 INVALID_HOST");
}

// RFC 9112, 3.2.2.
TEST(MapRequestTest, AuthorityOfTheTargetBeatsHost) {
  Request request = MakeRequest(Method::kPut, "http://other.example:81/v1/stream/s?x=1");
  EXPECT_EQ(Take<CreateAction>(Map(request)).location, "http://other.example:81/v1/stream/s");
  request.headers.Set("Host", "a/b");
  EXPECT_EQ(ErrorOf(Map(request)), "400 INVALID_HOST");
}

TEST(MapRequestTest, BodiesAreBounded) {
  ProtocolConfig config;
  config.body_bytes_max = 3;
  Request request = MakeRequest(Method::kPost, kPath, {{"Content-Type", "a/b"}}, "1234");
  EXPECT_EQ(ErrorOf(MapRequest(request, config)), "413 PAYLOAD_TOO_LARGE");
  request = MakeRequest(Method::kPost, kPath,
                        {{"Content-Type", "a/b"}, {"Content-Encoding", "gzip"}}, "1");
  EXPECT_EQ(ErrorOf(Map(request)), "415 UNSUPPORTED_CONTENT_ENCODING");
  const Response coded = Take<Response>(Map(request));
  EXPECT_EQ(HeaderOf(coded, "Accept-Encoding"), "identity");
  EXPECT_NE(BodyOf(coded.body).find("(identity): send it uncompressed"), std::string::npos);
}

TEST(MapRequestTest, AQueryWithTooManyParametersIsRefused) {
  std::string query = "?";
  for (int i = 0; i < 64; ++i) query += "x=1&";
  EXPECT_EQ(ErrorOf(Get(query + "offset=-1")), "guarded 400 INVALID_QUERY");
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kHead, kPath + query + "consistency=bogus"))),
            "guarded 400 INVALID_QUERY");
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kGet, "/demo/streams" + query + "limit=1"))),
            "400 INVALID_QUERY");
  for (Method method : {Method::kPut, Method::kPost, Method::kDelete}) {
    EXPECT_EQ(ErrorOf(Map(MakeRequest(method, kPath + query + "x=1"))), "400 INVALID_QUERY");
  }
  for (Method method : {Method::kPut, Method::kGet, Method::kDelete}) {
    EXPECT_EQ(ErrorOf(Map(MakeRequest(method, "/demo" + query + "x=1"))), "400 INVALID_QUERY");
  }
  EXPECT_EQ(ErrorOf(Map(MakeRequest(Method::kPost, "/demo/append-batch" + query + "x=1"))),
            "400 INVALID_QUERY");
  Take<DeleteAction>(Map(MakeRequest(Method::kDelete, kPath + query)));  // 64 are fine.
}

// ---- PUT
// -----------------------------------------------------------------------------------------

TEST(MapCreateTest, CarriesAllOfTheRequest) {
  auto action = Take<CreateAction>(Put({{"Content-Type", "Text/Plain; charset=utf-8"},
                                        {"Stream-TTL", "60"},
                                        {"Stream-Closed", "TRUE"},
                                        {"Stream-Seq", "a1"}},
                                       "hello"));
  EXPECT_EQ(action.request.stream, (StreamId{"v1", "", "s"}));
  EXPECT_EQ(action.request.content_type, "Text/Plain; charset=utf-8");
  EXPECT_EQ(action.request.lifetime.ttl_seconds, 60u);
  EXPECT_TRUE(action.request.closed);
  EXPECT_EQ(action.request.sequence, "a1");
  EXPECT_EQ(Texts(action.request.messages), std::vector<std::string>{"hello"});
  EXPECT_FALSE(action.needs_source_type);
}

TEST(MapCreateTest, AnAbsentOrInvalidTypeIsLeftToTheEngine) {
  EXPECT_EQ(Take<CreateAction>(Put({})).request.content_type, "");
  for (const char* bad : {"", "text", "/", "a/", "/b", "a b/c", "a/b c"}) {
    EXPECT_EQ(Take<CreateAction>(Put({{"Content-Type", bad}})).request.content_type, "") << bad;
  }
}

// Rule 31: Location is absolute and ends with the request's path.
TEST(MapCreateTest, Rule31LocationIsAbsoluteAndEndsWithThePath) {
  Request request = MakeRequest(Method::kPut, "/v1/stream/a%20b?x=1");
  EXPECT_EQ(Take<CreateAction>(Map(request)).location, "http://example:4437/v1/stream/a%20b");
  ProtocolConfig config;
  request.headers.Add("X-Forwarded-Proto", "https");
  request.headers.Add("X-Forwarded-Host", "public.example, proxy");
  request.headers.Add("X-Forwarded-Prefix", "/ds");
  EXPECT_EQ(Take<CreateAction>(MapRequest(request, config)).location,
            "http://example:4437/v1/stream/a%20b");
  config.trust_forwarded = true;
  EXPECT_EQ(Take<CreateAction>(MapRequest(request, config)).location,
            "https://public.example/ds/v1/stream/a%20b");
  request.headers.Set("X-Forwarded-Proto", "javascript");
  request.headers.Set("X-Forwarded-Host", "a/b");
  request.headers.Set("X-Forwarded-Prefix", "x");
  EXPECT_EQ(Take<CreateAction>(MapRequest(request, config)).location,
            "http://example:4437/v1/stream/a%20b");
  config.public_url = "https://p.example:8443/base/";
  EXPECT_EQ(Take<CreateAction>(MapRequest(request, config)).location,
            "https://p.example:8443/base/v1/stream/a%20b");
}

TEST(MapCreateTest, APartOfAStreamCanNotBePut) {
  EXPECT_EQ(ErrorOf(Put({{"Content-Range", "bytes 0-1/2"}}, "ab")), "400 NOT_SUPPORTED");
  EXPECT_EQ(ErrorOf(Put({{"content-range", ""}})), "400 NOT_SUPPORTED");
}

TEST(MapCreateTest, ATabIsWhiteSpaceInAContentType) {
  EXPECT_EQ(Take<CreateAction>(Put({{"Content-Type", "text/plain;\tcharset=utf-8"}}))
                .request.content_type,
            "text/plain;\tcharset=utf-8");
  EXPECT_EQ(Take<CreateAction>(Put({{"Content-Type", "text/plain;\x01"}})).request.content_type,
            "");
}

TEST(MapCreateTest, ClosedAndNotClosedAtOnceIsRefused) {
  EXPECT_EQ(ErrorOf(Put({{"Stream-Closed", "false"}, {"Stream-Closed", "true"}})),
            "400 REPEATED_HEADER");
  EXPECT_EQ(ErrorOf(Post({{"Stream-Closed", "false"}, {"Stream-Closed", "true"}})),
            "400 REPEATED_HEADER");
  for (const char* joined : {"false, true", "true, true", "true,", ",true"}) {
    EXPECT_EQ(ErrorOf(Put({{"Stream-Closed", joined}})), "400 REPEATED_HEADER") << joined;
    EXPECT_EQ(ErrorOf(Post({{"Stream-Closed", joined}}, "x")), "400 REPEATED_HEADER") << joined;
  }
  EXPECT_FALSE(Take<CreateAction>(Put({{"Stream-Closed", "false"}})).request.closed);
}

// Rule 22.
TEST(MapCreateTest, Rule22TtlGrammar) {
  EXPECT_EQ(Take<CreateAction>(Put({{"Stream-TTL", "0"}})).request.lifetime.ttl_seconds, 0u);
  for (const char* bad : {"00060", "+60", "60.5", "1e3", "abc", "-1", ""}) {
    EXPECT_EQ(ErrorOf(Put({{"Stream-TTL", bad}})), "400 INVALID_TTL") << bad;
  }
  for (const char* large : {"9007199254741", "9007199254740991", "99999999999999999999999"}) {
    EXPECT_EQ(ErrorOf(Put({{"Stream-TTL", large}})), "400 TTL_TOO_LARGE") << large;
  }
  EXPECT_EQ(Take<CreateAction>(Put({{"Stream-TTL", "9007199254740"}})).request.lifetime.ttl_seconds,
            9007199254740u);
  EXPECT_EQ(ErrorOf(Put({{"Stream-TTL", "1"}, {"Stream-Expires-At", "2030-01-01T00:00:00Z"}})),
            "400 LIFETIME_CONFLICT");
  EXPECT_EQ(ErrorOf(Put({{"Stream-TTL", "1"}, {"Stream-TTL", "1"}})), "400 REPEATED_HEADER");
}

// Rule 23.
TEST(MapCreateTest, Rule23ExpiresAtIsKeptAsWritten) {
  auto action = Take<CreateAction>(Put({{"Stream-Expires-At", "2024-10-09T00:00:00.250+00:00"}}));
  EXPECT_EQ(action.request.lifetime.expires_at_ms, 1'728'432'000'250);
  EXPECT_EQ(action.request.lifetime.expires_at_text, "2024-10-09T00:00:00.250+00:00");
  EXPECT_EQ(ErrorOf(Put({{"Stream-Expires-At", "tomorrow"}})), "400 INVALID_EXPIRES_AT");
}

TEST(MapCreateTest, JsonBodiesAreSplitAndAnEmptyArrayIsFine) {
  Header json{"Content-Type", "application/json; charset=utf-8"};
  EXPECT_EQ(Texts(Take<CreateAction>(Put({json}, "[1,{\"a\":2}]")).request.messages),
            (std::vector<std::string>{"1", "{\"a\":2}"}));
  EXPECT_TRUE(Take<CreateAction>(Put({json}, "[]")).request.messages.empty());
  EXPECT_TRUE(Take<CreateAction>(Put({json}, "")).request.messages.empty());
  EXPECT_EQ(ErrorOf(Put({json}, "{")), "400 INVALID_JSON");
}

TEST(MapCreateTest, PresenceHeadersCountOnlyWhenTrue) {
  for (const char* value : {"false", "1", "yes", "truee", ""}) {
    EXPECT_FALSE(Take<CreateAction>(Put({{"Stream-Closed", value}})).request.closed) << value;
  }
  EXPECT_TRUE(Take<CreateAction>(Put({{"stream-closed", "True"}})).request.closed);
}

// ---- forks
// ---------------------------------------------------------------------------------------

TEST(MapForkTest, SourcesInBothNamespaces) {
  auto action = Take<CreateAction>(Put({{"Stream-Forked-From", "/v1/stream/a/b"},
                                        {"Stream-Fork-Offset", kTen},
                                        {"Stream-Fork-Sub-Offset", "3"}}));
  ASSERT_TRUE(action.request.fork.has_value());
  EXPECT_EQ(action.request.fork->source, (StreamId{"v1", "", "a/b"}));
  EXPECT_EQ(action.request.fork->offset, Offset{10});
  EXPECT_EQ(action.request.fork->sub_offset, 3u);
  action = Take<CreateAction>(Put({{"Stream-Forked-From", "/demo/x/y"}}));
  EXPECT_EQ(action.request.fork->source, (StreamId{"demo", "x", "y"}));
  EXPECT_FALSE(action.request.fork->offset.has_value());
  for (const char* bad : {"", "a", "/demo", "/v1/stream/", "/demo/streams", "http://h/v1/stream/a",
                          "/v1/stream/../a"}) {
    EXPECT_EQ(ErrorOf(Put({{"Stream-Forked-From", bad}})), "400 INVALID_FORK") << bad;
  }
}

TEST(MapForkTest, SourcesMayCarryThePublicPrefix) {
  ProtocolConfig config;
  config.public_url = "https://h/base";
  Request request = MakeRequest(Method::kPut, kPath, {{"Stream-Forked-From", "/base/v1/stream/a"}});
  EXPECT_EQ(Take<CreateAction>(MapRequest(request, config)).request.fork->source.name, "a");
  request = MakeRequest(Method::kPut, kPath, {{"Stream-Forked-From", "/v1/stream/a"}});
  EXPECT_EQ(Take<CreateAction>(MapRequest(request, config)).request.fork->source.name, "a");
}

TEST(MapRequestTest, StreamsHaveFurtherRoots) {
  ProtocolConfig config;
  config.stream_roots = {"/streams/"};
  Request request =
      MakeRequest(Method::kPut, "/streams/a/b", {{"Stream-Forked-From", "/streams/c"}});
  auto action = Take<CreateAction>(MapRequest(request, config));
  EXPECT_EQ(action.request.stream, (StreamId{kUpstreamBucket, "", "a/b"}));
  EXPECT_EQ(action.location, "http://example:4437/streams/a/b");
  EXPECT_EQ(action.request.fork->source, (StreamId{kUpstreamBucket, "", "c"}));
  EXPECT_EQ(ErrorOf(MapRequest(MakeRequest(Method::kPut, "/streams"), config)),
            "400 RESERVED_NAME");
  // Wherever a client looks for them in vain, it is told where they are.
  for (const char* path : {"/", "/a/b/c/d", "/x", "/Some/stream", "/v1", "/v1/streams/x",
                           "/v1/stream", "/v1/stream/", "/_streams/x", "/admin/x"}) {
    for (Method method : {Method::kGet, Method::kPut, Method::kPost}) {
      Response response = Take<Response>(Map(MakeRequest(method, path)));
      EXPECT_NE(BodyOf(response.body).find("/v1/stream/NAME"), std::string::npos) << path;
    }
  }
  EXPECT_NE(BodyOf(OutcomeResponse(Outcome::kBucketNotFound).body).find("/v1/stream/NAME"),
            std::string::npos);
}

// Rule 2: the zero token is a position, the token of nines is malformed.
TEST(MapForkTest, Rule02ForgedOffsets) {
  Header from{"Stream-Forked-From", "/v1/stream/a"};
  auto action = Take<CreateAction>(Put({from, {"Stream-Fork-Offset", kZero}}));
  EXPECT_EQ(action.request.fork->offset, Offset{0});
  for (const char* bad : {"9999999999999999_9999999999999999", "", "now", "-1", "junk"}) {
    EXPECT_EQ(ErrorOf(Put({from, {"Stream-Fork-Offset", bad}})), "400 INVALID_FORK") << bad;
  }
}

TEST(MapForkTest, SubOffsetGrammarAndCompanions) {
  Header from{"Stream-Forked-From", "/v1/stream/a"};
  Header at{"Stream-Fork-Offset", kZero};
  for (const char* bad : {"-1", "abc", "1.5", "05", "+1", ""}) {
    EXPECT_EQ(ErrorOf(Put({from, at, {"Stream-Fork-Sub-Offset", bad}})), "400 INVALID_FORK") << bad;
  }
  EXPECT_EQ(ErrorOf(Put({{"Stream-Fork-Sub-Offset", "0"}})), "400 INVALID_FORK");
  EXPECT_EQ(ErrorOf(Put({from, {"Stream-Fork-Sub-Offset", "1"}})), "400 INVALID_FORK");
  auto action = Take<CreateAction>(Put({from, {"Stream-Fork-Sub-Offset", "0"}}));
  EXPECT_EQ(action.request.fork->sub_offset, 0u);
}

TEST(MapForkTest, ABodyWithoutATypeWaitsForTheSources) {
  Header from{"Stream-Forked-From", "/v1/stream/a"};
  auto action = Take<CreateAction>(Put({from}, "[1,2]"));
  EXPECT_TRUE(action.needs_source_type);
  EXPECT_FALSE(action.request.json_checked);
  HeadReply source;
  source.info.content_type = "application/json";
  source.info.incarnation = 7;
  auto json = action;
  EXPECT_FALSE(FinishFork(&json, source, ProtocolConfig{}).has_value());
  EXPECT_EQ(Texts(json.request.messages), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(json.request.source_incarnation, 7u);
  EXPECT_TRUE(json.request.json_checked);
  source.info.content_type = "text/plain";
  auto text = action;
  EXPECT_FALSE(FinishFork(&text, source, ProtocolConfig{}).has_value());
  EXPECT_EQ(Texts(text.request.messages), std::vector<std::string>{"[1,2]"});
  auto bad = Take<CreateAction>(Put({from}, "{"));
  source.info.content_type = "application/json";
  EXPECT_EQ(ErrorOf(*FinishFork(&bad, source, ProtocolConfig{})), "400 INVALID_JSON");
  // The fork may be there though its source has gone: Create tells, and makes none.
  for (Outcome gone : {Outcome::kNotFound, Outcome::kSoftDeleted}) {
    source.outcome = gone;
    auto repeated = action;
    EXPECT_FALSE(FinishFork(&repeated, source, ProtocolConfig{}).has_value());
    EXPECT_EQ(repeated.request.source_incarnation, 0u);
    EXPECT_TRUE(repeated.request.messages.empty());
  }
  EXPECT_FALSE(Take<CreateAction>(Put({from})).needs_source_type);
  EXPECT_FALSE(Take<CreateAction>(Put({from, {"Content-Type", "a/b"}}, "x")).needs_source_type);
}

// ---- POST
// ----------------------------------------------------------------------------------------

TEST(MapAppendTest, CarriesAllOfTheRequest) {
  auto action = Take<AppendAction>(Post({{"Content-Type", "text/plain"},
                                         {"Stream-Seq", "09"},
                                         {"Producer-Id", "p"},
                                         {"Producer-Epoch", "2"},
                                         {"Producer-Seq", "7"}},
                                        "data"));
  EXPECT_EQ(action.request.stream, (StreamId{"v1", "", "s"}));
  EXPECT_EQ(action.request.content_type, "text/plain");
  EXPECT_EQ(action.request.sequence, "09");
  EXPECT_EQ(action.request.producer, (Producer{"p", 2, 7}));
  EXPECT_EQ(Texts(action.request.messages), std::vector<std::string>{"data"});
  EXPECT_TRUE(action.has_body);
  EXPECT_EQ(action.producer_sequence, 7u);
  EXPECT_FALSE(action.request.close);
}

// Rule 15.
TEST(MapAppendTest, Rule15ProducerHeadersComeTogetherAndAreNumbers) {
  Header type{"Content-Type", "a/b"};
  Header id{"Producer-Id", "p"}, epoch{"Producer-Epoch", "0"}, sequence{"Producer-Seq", "0"};
  EXPECT_EQ(ErrorOf(Post({type, id}, "x")), "400 INVALID_PRODUCER");
  EXPECT_EQ(ErrorOf(Post({type, id, epoch}, "x")), "400 INVALID_PRODUCER");
  EXPECT_EQ(ErrorOf(Post({type, epoch, sequence}, "x")), "400 INVALID_PRODUCER");
  EXPECT_EQ(ErrorOf(Post({type, {"Producer-Id", ""}, epoch, sequence}, "x")),
            "400 INVALID_PRODUCER");
  for (const char* bad : {"1abc", "0xyz", "1e3", "-1", "9007199254740992", ""}) {
    EXPECT_EQ(ErrorOf(Post({type, id, {"Producer-Epoch", bad}, sequence}, "x")),
              "400 INVALID_PRODUCER");
    EXPECT_EQ(ErrorOf(Post({type, id, epoch, {"Producer-Seq", bad}}, "x")), "400 INVALID_PRODUCER");
  }
  auto action =
      Take<AppendAction>(Post({type, id, epoch, {"Producer-Seq", "9007199254740991"}}, "x"));
  EXPECT_EQ(action.request.producer->sequence, (uint64_t{1} << 53) - 1);
}

// Rule 18.
TEST(MapAppendTest, Rule18NeedsABodyAndAType) {
  EXPECT_EQ(ErrorOf(Post({}, "x")), "400 CONTENT_TYPE_REQUIRED");
  EXPECT_EQ(ErrorOf(Post({{"Content-Type", ""}}, "x")), "400 CONTENT_TYPE_REQUIRED");
  EXPECT_EQ(ErrorOf(Post({{"Content-Type", "a/b"}})), "400 EMPTY_APPEND");
  EXPECT_EQ(ErrorOf(Post({{"Producer-Id", "p"}, {"Producer-Epoch", "0"}, {"Producer-Seq", "0"}})),
            "400 EMPTY_APPEND");
}

// Rule 19.
TEST(MapAppendTest, Rule19CloseOnlyIgnoresTheType) {
  auto action = Take<AppendAction>(Post({{"Stream-Closed", "true"}, {"Content-Type", "x/y"}}));
  EXPECT_TRUE(action.request.close);
  EXPECT_FALSE(action.has_body);
  EXPECT_EQ(action.request.content_type, "");
  EXPECT_TRUE(action.request.messages.empty());
}

TEST(MapAppendTest, JsonIsSplitAndItsMistakesYieldToTheStreams) {
  Header json{"Content-Type", "application/json"};
  EXPECT_EQ(Texts(Take<AppendAction>(Post({json}, "[1,[2]]")).request.messages),
            (std::vector<std::string>{"1", "[2]"}));
  EXPECT_EQ(Take<AppendAction>(Post({json}, "[1]")).refusal, nullptr);
  EXPECT_TRUE(Take<AppendAction>(Post({json}, "[1]")).request.json_checked) << "and not twice";
  EXPECT_TRUE(Take<CreateAction>(Put({json}, "[1]")).request.json_checked);
  struct Case {
    std::string body;
    const char* error;
  };
  for (const Case& c : {Case{"{bad", "400 INVALID_JSON"}, Case{"[]", "400 EMPTY_JSON_ARRAY"},
                        Case{std::string(600, '['), "400 JSON_TOO_DEEP"}}) {
    for (const char* close : {"true", "false"}) {
      auto action = Take<AppendAction>(
          Post({json, {"Stream-Closed", close}, {"If-Match", "*"}, {"Stream-Seq", "7"}}, c.body));
      ASSERT_NE(action.refusal, nullptr) << c.body;
      EXPECT_EQ(ErrorOf(*action.refusal), c.error);
      EXPECT_EQ(action.request.stream.name, "s");
      EXPECT_EQ(action.request.content_type, "application/json");
      EXPECT_EQ(action.request.sequence, "7");
      EXPECT_TRUE(action.has_body);
      // What goes in the body's place is under a condition that no stream meets.
      EXPECT_EQ(action.request.messages.size(), 1u);
      EXPECT_EQ(action.request.condition, (Precondition{.any_of = {{.incarnation = 0}}}));
    }
  }
}

TEST(MapAppendTest, StreamSeqIsOpaqueButNotEmpty) {
  Header type{"Content-Type", "a/b"};
  EXPECT_EQ(ErrorOf(Post({type, {"Stream-Seq", ""}}, "x")), "400 INVALID_STREAM_SEQ");
  EXPECT_EQ(ErrorOf(Post({type, {"Stream-Seq", std::string(1025, 'a')}}, "x")),
            "400 INVALID_STREAM_SEQ");
}

// ---- GET, HEAD, DELETE
// ---------------------------------------------------------------------------

TEST(MapReadTest, OffsetsOfAllKinds) {
  EXPECT_EQ(Take<ReadAction>(Get("")).request.from, Offset{0});
  EXPECT_EQ(Take<ReadAction>(Get("?offset=-1")).request.from, Offset{0});
  EXPECT_EQ(Take<ReadAction>(Get(std::string("?offset=") + kTen)).request.from, Offset{10});
  EXPECT_TRUE(Take<ReadAction>(Get("")).request.from_append_start);
  EXPECT_TRUE(Take<ReadAction>(Get(std::string("?offset=") + kTen)).request.from_append_start);
  auto inside = Take<ReadAction>(Get(std::string("?offset=") + kTen + "."));
  EXPECT_EQ(inside.request.from, Offset{10});
  EXPECT_FALSE(inside.request.from_append_start);
  auto now = Take<ReadAction>(Get("?offset=now"));
  EXPECT_TRUE(now.request.from_tail);
  EXPECT_TRUE(now.from_now);
  EXPECT_EQ(now.request.wait_ms, 0u);
  EXPECT_TRUE(now.request.touch);
  Take<ReadAction>(Get("?unknown=1&also=%zz"));
}

// Rule 25.
TEST(MapReadTest, Rule25MalformedOffsetsAreRefusedOnAStreamThatIsThere) {
  for (const char* bad :
       {"?offset=", "?offset=-1&offset=-1", "?offset=a%20b", "?offset=a,b", "?offset=a/b",
        "?offset=..", "?offset=%00", "?offset=a%0D%0Ab", "?offset=%zz", "?offset",
        "?offset=not-a-valid-offset-format", "?offset=9999999999999999_9999999999999999",
        "?offset=NOW", "?offset=-2"}) {
    EXPECT_EQ(ErrorOf(Get(bad)), "guarded 400 INVALID_OFFSET") << bad;
  }
}

// Rule 26.
TEST(MapReadTest, Rule26LiveReadsNeedAnOffset) {
  EXPECT_EQ(ErrorOf(Get("?live=long-poll")), "guarded 400 OFFSET_REQUIRED");
  EXPECT_EQ(ErrorOf(Get("?live=sse")), "guarded 400 OFFSET_REQUIRED");
  EXPECT_EQ(ErrorOf(Get("?live=sse&offset=")), "guarded 400 INVALID_OFFSET");
  for (const char* bad :
       {"?offset=-1&live=", "?offset=-1&live=websocket", "?offset=-1&live=sse&live=sse"}) {
    EXPECT_EQ(ErrorOf(Get(bad)), "guarded 400 INVALID_LIVE") << bad;
  }
}

TEST(MapReadTest, LiveModesAndCursors) {
  ProtocolConfig config;
  auto poll = Take<ReadAction>(Get("?offset=now&live=long-poll&cursor=42"));
  EXPECT_EQ(poll.live, LiveMode::kLongPoll);
  EXPECT_EQ(poll.request.wait_ms, config.long_poll_ms);
  EXPECT_EQ(poll.request.bytes_max, config.read_bytes_max);
  EXPECT_EQ(poll.cursor, 42u);
  auto sse = Take<ReadAction>(Get("?offset=-1&live=sse&cursor=garbage"));
  EXPECT_EQ(sse.live, LiveMode::kSse);
  EXPECT_EQ(sse.request.wait_ms, 0u);
  EXPECT_EQ(sse.request.bytes_max, config.sse_read_bytes_max);
  EXPECT_FALSE(sse.cursor.has_value());
}

TEST(MapReadTest, LastEventIdWinsOverTheOffsetOfAnSseUrl) {
  EXPECT_EQ(Take<ReadAction>(Get("?offset=-1&live=sse", {{"Last-Event-ID", kTen}})).request.from,
            Offset{10});
  auto from_now = Take<ReadAction>(Get("?offset=now&live=sse", {{"Last-Event-ID", kTen}}));
  EXPECT_FALSE(from_now.request.from_tail);
  EXPECT_EQ(Take<ReadAction>(Get("?live=sse", {{"Last-Event-ID", kTen}})).request.from, Offset{10});
  EXPECT_EQ(Take<ReadAction>(Get("?offset=-1&live=sse", {{"Last-Event-ID", ""}})).request.from,
            Offset{0});
  std::string query = std::string("?offset=-1&live=sse&lastEventId=") + kTen;
  auto polyfill = Take<ReadAction>(Get(query));
  EXPECT_EQ(polyfill.request.from, Offset{10});
  EXPECT_TRUE(polyfill.reconnects);
  EXPECT_EQ(Take<ReadAction>(Get(query, {{"Last-Event-ID", kZero}})).request.from, Offset{0});
  EXPECT_FALSE(Take<ReadAction>(Get("?offset=-1&live=sse&lastEventId=")).reconnects);
  EXPECT_EQ(ErrorOf(Get(query + "&lastEventId=x")), "guarded 400 INVALID_OFFSET");
  EXPECT_EQ(ErrorOf(Get("?offset=-1&live=sse", {{"Last-Event-ID", "7"}})),
            "guarded 400 INVALID_OFFSET");
  EXPECT_EQ(Take<ReadAction>(Get("?offset=-1", {{"Last-Event-ID", kTen}})).request.from, Offset{0});
}

TEST(MapReadTest, NegotiationGoesAlong) {
  auto action = Take<ReadAction>(Get("", {{"Accept", "application/x-ndjson"},
                                          {"Accept-Encoding", "gzip"},
                                          {"If-None-Match", "\"a\""},
                                          {"If-None-Match", "\"b\""}}));
  EXPECT_TRUE(action.ndjson);
  EXPECT_EQ(action.coding, ContentCoding::kGzip);
  ASSERT_TRUE(action.conditions.none_match.has_value());
  ASSERT_EQ(action.conditions.none_match->tags.size(), 2u);
  EXPECT_EQ(action.conditions.none_match->tags[1].tag, "\"b\"");
}

TEST(MapRequestTest, HeadAndDeleteNameTheStream) {
  EXPECT_EQ(Take<HeadAction>(Map(MakeRequest(Method::kHead, "/demo/a/b"))).request.stream,
            (StreamId{"demo", "a", "b"}));
  EXPECT_EQ(Take<DeleteAction>(Map(MakeRequest(Method::kDelete, kPath))).request.stream,
            (StreamId{"v1", "", "s"}));
}

}  // namespace
}  // namespace ursula::protocol
