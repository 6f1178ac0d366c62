#include "server/protocol/response_mapping.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

constexpr const char* kTen = "0000000000000000_0000000000000010";
constexpr const char* kIncarnation = "0000000000000abc";
constexpr const char* kStateTag = "\"s-0000000000000abc-a.t\"";
constexpr const char* kClosedTag = "\"s-0000000000000abc-a.c\"";
const ProtocolConfig kConfig;

AppendReply Appended(Outcome outcome) {
  AppendReply reply;
  reply.outcome = outcome;
  reply.tail = Offset{10};
  reply.incarnation = 0xabc;
  return reply;
}

AppendAction ProducerAppend(bool has_body) {
  AppendAction action;
  action.has_body = has_body;
  action.producer_sequence = 9;
  return action;
}

// ---- engine that could not decide
// ----------------------------------------------------------------

TEST(StatusResponseTest, RetryAfterOnlyWhereNothingWasApplied) {
  struct Case {
    StatusCode code;
    const char* error;
    bool retry;
  };
  for (const Case& c : {Case{StatusCode::kInvalidArgument, "400 INVALID_ARGUMENT", false},
                        Case{StatusCode::kFailedPrecondition, "503 STOPPING", true},
                        Case{StatusCode::kUnavailable, "503 UNAVAILABLE", true},
                        Case{StatusCode::kResourceExhausted, "503 OVERLOADED", true},
                        Case{StatusCode::kBehind, "503 BEHIND", true},
                        Case{StatusCode::kStorageFull, "507 STORAGE_FULL", true},
                        Case{StatusCode::kCancelled, "503 STOPPING", true},
                        Case{StatusCode::kOutcomeUnknown, "504 OUTCOME_UNKNOWN", false},
                        Case{StatusCode::kDataLoss, "500 DATA_LOSS", false},
                        Case{StatusCode::kIoError, "500 IO_ERROR", false},
                        Case{StatusCode::kInternal, "500 INTERNAL", false}}) {
    Response response = StatusResponse(Status(c.code, "secret/file"), kConfig);
    EXPECT_EQ(ErrorOf(response), c.error);
    EXPECT_EQ(HeaderOf(response, "Retry-After"), c.retry ? "1" : "(none)") << c.error;
    EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-store");
    bool tells = c.code == StatusCode::kInvalidArgument;
    EXPECT_EQ(BodyOf(response.body).find("secret/file") != std::string::npos, tells);
  }
}

TEST(StreamOutcomeTest, EveryReplyToAWriteSaysWhatHasBecomeOfIt) {
  auto word = [](const Response& response) { return HeaderOf(response, "Stream-Outcome"); };
  struct Case {
    StatusCode code;
    const char* word;
  };
  for (const Case& c :
       {Case{StatusCode::kInvalidArgument, "refused"},
        Case{StatusCode::kFailedPrecondition, "not-proposed"},
        Case{StatusCode::kUnavailable, "not-proposed"},
        Case{StatusCode::kResourceExhausted, "not-proposed"},
        Case{StatusCode::kStorageFull, "not-proposed"},
        Case{StatusCode::kCancelled, "not-proposed"}, Case{StatusCode::kOutcomeUnknown, "unknown"},
        Case{StatusCode::kDataLoss, "unknown"}, Case{StatusCode::kIoError, "unknown"},
        Case{StatusCode::kInternal, "unknown"}}) {
    const Status status(c.code, "");
    EXPECT_EQ(word(MapAppendReply(AppendAction(), status, kConfig)), c.word);
    EXPECT_EQ(word(MapCreateReply(CreateAction(), status, kConfig)), c.word);
    EXPECT_EQ(word(MapDeleteReply(DeleteAction(), status, kConfig)), c.word);
    EXPECT_EQ(word(MapBucketReply(CreateBucketAction(), status, kConfig)), c.word);
    EXPECT_EQ(word(MapBucketReply(DeleteBucketAction(), status, kConfig)), c.word);
    // Only of what was surely not proposed it is said that it may be sent again.
    const Response response = MapAppendReply(AppendAction(), status, kConfig);
    EXPECT_EQ(HeaderOf(response, "Retry-After") == "1", word(response) == "not-proposed");
  }
  EXPECT_EQ(word(MapAppendReply(AppendAction(), Appended(Outcome::kOk), kConfig)), "applied");
  for (Outcome outcome : {Outcome::kDuplicate, Outcome::kExisted}) {
    EXPECT_EQ(word(MapAppendReply(AppendAction(), Appended(outcome), kConfig)), "duplicate");
  }
  for (Outcome outcome : {Outcome::kNotFound, Outcome::kClosed, Outcome::kPreconditionFailed,
                          Outcome::kProducerGap, Outcome::kProducerStale}) {
    EXPECT_EQ(word(MapAppendReply(AppendAction(), Appended(outcome), kConfig)), "refused");
  }
  EXPECT_EQ(word(MapCreateReply(CreateAction(), CreateReply{Outcome::kExisted, {}}, kConfig)),
            "duplicate");
  EXPECT_EQ(word(MapCreateReply(CreateAction(), CreateReply{Outcome::kConflict, {}}, kConfig)),
            "refused");
  EXPECT_EQ(word(MapDeleteReply(DeleteAction(), DeleteReply{}, kConfig)), "applied");
  EXPECT_EQ(word(MapHeadReply(HeadAction(), HeadReply{}, kConfig)), "(none)");
}

TEST(StreamOutcomeTest, AWriteThatNoEngineWasAskedForHasOneToo) {
  auto word = [](Method method, int status) {
    return std::string(OutcomeWithoutEngine(method, ErrorResponse(status, "X", "x")));
  };
  for (Method method : {Method::kPut, Method::kPost, Method::kDelete}) {
    for (int status : {400, 404, 405, 413, 414, 415, 417, 431, 505}) {
      EXPECT_EQ(word(method, status), "refused") << status;
    }
    for (int status : {408, 503, 507}) EXPECT_EQ(word(method, status), "not-proposed") << status;
    for (int status : {204, 500}) EXPECT_EQ(word(method, status), "") << status;
  }
  for (Method method : {Method::kGet, Method::kHead, Method::kOptions, Method::kOther}) {
    EXPECT_EQ(word(method, 503), "");
  }
  const Response said = MapAppendReply(AppendAction(), Status(StatusCode::kInternal, ""), kConfig);
  EXPECT_EQ(OutcomeWithoutEngine(Method::kPost, said), "") << "it is said once";
}

TEST(ErrorResponseTest, BodyIsTheErrorObject) {
  Response response = ErrorResponse(400, "SOME_CODE", "say \"it\"");
  EXPECT_EQ(BodyOf(response.body),
            "{\"error\":{\"code\":\"SOME_CODE\",\"message\":\"say \\\"it\\\"\"}}");
  EXPECT_EQ(HeaderOf(response, "Content-Type"), "application/json");
  EXPECT_EQ(ErrorOf(OverloadedResponse("x", kConfig)), "503 OVERLOADED");
  EXPECT_EQ(HeaderOf(OverloadedResponse("x", kConfig), "Retry-After"), "1");
}

// ---- buckets
// -------------------------------------------------------------------------------------

TEST(BucketReplyTest, CreateGetDelete) {
  CreateBucketAction create{"demo", "http://h/demo"};
  Response response = MapBucketReply(create, BucketReply{Outcome::kOk}, kConfig);
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(HeaderOf(response, "Location"), "http://h/demo");
  EXPECT_EQ(MapBucketReply(create, BucketReply{Outcome::kExisted}, kConfig).status, 200);
  response = MapBucketReply(GetBucketAction{"demo"}, BucketReply{Outcome::kOk}, kConfig);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(BodyOf(response.body), "{\"bucket\":\"demo\"}");
  EXPECT_EQ(
      ErrorOf(MapBucketReply(GetBucketAction{}, BucketReply{Outcome::kBucketNotFound}, kConfig)),
      "404 BUCKET_NOT_FOUND");
  DeleteBucketAction remove;
  EXPECT_EQ(MapBucketReply(remove, BucketReply{Outcome::kOk}, kConfig).status, 204);
  EXPECT_EQ(ErrorOf(MapBucketReply(remove, BucketReply{Outcome::kBucketNotEmpty}, kConfig)),
            "409 BUCKET_NOT_EMPTY");
  EXPECT_EQ(ErrorOf(MapBucketReply(remove, BucketReply{Outcome::kBucketNotFound}, kConfig)),
            "404 BUCKET_NOT_FOUND");
}

TEST(ListReplyTest, NamesTheCursorOnlyWhenThereIsMore) {
  ListReply reply;
  reply.streams = {{"a", "text/plain", Offset{0}, false}, {"x/\"b", "a/b", Offset{10}, true}};
  reply.more = true;
  Response response = MapListReply(ListAction{}, reply, kConfig);
  EXPECT_EQ(BodyOf(response.body),
            "{\"streams\":[{\"path\":\"a\",\"content_type\":\"text/plain\",\"next_offset\":"
            "\"0000000000000000_0000000000000000\",\"closed\":false},{\"path\":\"x/\\\"b\","
            "\"content_type\":\"a/b\",\"next_offset\":\"0000000000000000_0000000000000010\","
            "\"closed\":true}],\"next_cursor\":\"x/\\\"b\"}");
  reply.more = false;
  reply.streams.clear();
  EXPECT_EQ(BodyOf(MapListReply(ListAction{}, reply, kConfig).body),
            "{\"streams\":[],\"next_cursor\":null}");
  reply.outcome = Outcome::kBucketNotFound;
  EXPECT_EQ(ErrorOf(MapListReply(ListAction{}, reply, kConfig)), "404 BUCKET_NOT_FOUND");
}

// ---- PUT, HEAD, DELETE
// ---------------------------------------------------------------------------

TEST(CreateReplyTest, NewAndSame) {
  CreateAction action;
  action.location = "http://h/v1/stream/s";
  CreateReply reply;
  reply.info.content_type = "Text/Plain; x=y";
  reply.info.tail = Offset{10};
  reply.info.closed = true;
  reply.info.incarnation = 0xabc;
  reply.info.lifetime.ttl_seconds = 60;
  Response response = MapCreateReply(action, reply, kConfig);
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(HeaderOf(response, "Location"), "http://h/v1/stream/s");
  EXPECT_EQ(HeaderOf(response, "Content-Type"), "Text/Plain; x=y");
  EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), kTen);
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "true");
  EXPECT_EQ(HeaderOf(response, "Stream-TTL"), "60");
  EXPECT_EQ(HeaderOf(response, "ETag"), kClosedTag);
  EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
  reply.outcome = Outcome::kExisted;
  response = MapCreateReply(action, reply, kConfig);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(HeaderOf(response, "Location"), "(none)");
  EXPECT_EQ(HeaderOf(response, "ETag"), kClosedTag);
}

TEST(CreateReplyTest, Refusals) {
  struct Case {
    Outcome outcome;
    const char* error;
  };
  for (const Case& c : {Case{Outcome::kConflict, "409 STREAM_CONFLICT"},
                        Case{Outcome::kSoftDeleted, "409 STREAM_DELETED"},
                        Case{Outcome::kBucketNotFound, "404 BUCKET_NOT_FOUND"},
                        Case{Outcome::kForkSourceNotFound, "404 FORK_SOURCE_NOT_FOUND"},
                        Case{Outcome::kForkSourceDeleted, "409 FORK_SOURCE_DELETED"},
                        Case{Outcome::kForkOffsetInvalid, "400 FORK_OFFSET_INVALID"},
                        Case{Outcome::kForkContentTypeMismatch, "409 FORK_CONTENT_TYPE_MISMATCH"},
                        Case{Outcome::kTooLarge, "413 APPEND_TOO_LARGE"}}) {
    CreateReply reply;
    reply.outcome = c.outcome;
    EXPECT_EQ(ErrorOf(MapCreateReply(CreateAction{}, reply, kConfig)), c.error);
    reply.info.incarnation = 0xabc;
    Response response = MapCreateReply(CreateAction{}, reply, kConfig);
    EXPECT_EQ(HeaderOf(response, "ETag"), "(none)");
    EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), "0000000000000abc");
  }
}

// Rule 34: replies to a fork never name its source.
TEST(CreateReplyTest, Rule34ForkRepliesDoNotNameTheSource) {
  CreateAction action;
  action.request.fork = ForkPoint{StreamId{"v1", "", "a"}, Offset{3}, 1};
  Response response = MapCreateReply(action, CreateReply{}, kConfig);
  for (std::size_t i = 0; i < response.headers.size(); ++i) {
    const Header header = response.headers.at(i);
    EXPECT_EQ(header.name.find("Fork"), std::string::npos);
  }
}

// Rules 23 and 30: HEAD tells the window, and is never stored.
TEST(HeadReplyTest, Rule23And30HeadTellsTheWindowAndIsNotStored) {
  HeadReply reply;
  reply.info.content_type = "application/json";
  reply.info.tail = Offset{10};
  reply.info.lifetime.ttl_seconds = 3600;
  reply.info.incarnation = 0xabc;
  Response response = MapHeadReply(HeadAction{}, reply, kConfig);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-store");
  EXPECT_EQ(HeaderOf(response, "Stream-TTL"), "3600");
  EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), kTen);
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "(none)");
  EXPECT_EQ(HeaderOf(response, "ETag"), kStateTag);
  EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
  reply.info.lifetime = Lifetime{};
  reply.info.lifetime.expires_at_ms = 1'728'432'000'000;
  EXPECT_EQ(HeaderOf(MapHeadReply(HeadAction{}, reply, kConfig), "Stream-Expires-At"),
            "2024-10-09T00:00:00.000Z");
  reply.info.lifetime.expires_at_text = "2024-10-09T02:00:00+02:00";
  EXPECT_EQ(HeaderOf(MapHeadReply(HeadAction{}, reply, kConfig), "Stream-Expires-At"),
            "2024-10-09T02:00:00+02:00");
  reply.outcome = Outcome::kSoftDeleted;
  EXPECT_EQ(ErrorOf(MapHeadReply(HeadAction{}, reply, kConfig)), "410 STREAM_DELETED");
}

TEST(DeleteReplyTest, Outcomes) {
  DeleteReply deleted;
  deleted.info.incarnation = 0xabc;
  Response response = MapDeleteReply(DeleteAction{}, deleted, kConfig);
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
  EXPECT_EQ(HeaderOf(response, "ETag"), "(none)");
  EXPECT_EQ(
      ErrorOf(MapDeleteReply(DeleteAction{}, DeleteReply{.outcome = Outcome::kNotFound}, kConfig)),
      "404 STREAM_NOT_FOUND");
  EXPECT_EQ(ErrorOf(MapDeleteReply(DeleteAction{}, DeleteReply{.outcome = Outcome::kSoftDeleted},
                                   kConfig)),
            "410 STREAM_DELETED");
}

// Of a stream that is kept for its forks, too, one can tell which it was.
TEST(DeletedStreamTest, SaysWhichItWas) {
  const ProtocolConfig config;
  StreamInfo info;
  info.incarnation = 0xabc;
  ReadReply read;
  read.outcome = Outcome::kSoftDeleted;
  read.info = info;
  const HeadReply head{.outcome = Outcome::kSoftDeleted, .info = info};
  GuardedRefusal guarded;
  guarded.refusal = ErrorResponse(400, "INVALID_OFFSET", "");
  for (const Response& response :
       {MapReadReply(ReadAction{}, read, ReplyContext{}, config),
        MapMissedRead(ReadAction{}, head, config), MapHeadReply(HeadAction{}, head, config),
        MapGuardedRefusal(guarded, head, config),
        MapDeleteReply(DeleteAction{}, DeleteReply{.outcome = Outcome::kSoftDeleted, .info = info},
                       config)}) {
    EXPECT_EQ(ErrorOf(response), "410 STREAM_DELETED");
    EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
  }
}

// ---- POST
// ----------------------------------------------------------------------------------------

// Rule 11.
TEST(AppendReplyTest, Rule11StatusTellsNewFromDuplicate) {
  AppendAction plain;
  plain.has_body = true;
  EXPECT_EQ(MapAppendReply(plain, Appended(Outcome::kOk), kConfig).status, 204);
  EXPECT_EQ(MapAppendReply(ProducerAppend(true), Appended(Outcome::kOk), kConfig).status, 200);
  EXPECT_EQ(MapAppendReply(ProducerAppend(true), Appended(Outcome::kDuplicate), kConfig).status,
            204);
  EXPECT_EQ(MapAppendReply(ProducerAppend(false), Appended(Outcome::kOk), kConfig).status, 204);
}

TEST(AppendReplyTest, SuccessNamesTheStateAfterIt) {
  for (Outcome outcome : {Outcome::kOk, Outcome::kDuplicate}) {
    AppendReply reply = Appended(outcome);
    Response response = MapAppendReply(ProducerAppend(true), reply, kConfig);
    EXPECT_EQ(HeaderOf(response, "ETag"), kStateTag);
    EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
    reply.closed = true;
    EXPECT_EQ(HeaderOf(MapAppendReply(ProducerAppend(true), reply, kConfig), "ETag"), kClosedTag);
  }
}

// Rule 14: on duplicates Producer-Seq is the highest accepted.
TEST(AppendReplyTest, Rule14DuplicatesTellTheHighestSequence) {
  AppendReply reply = Appended(Outcome::kDuplicate);
  reply.producer_epoch = 3;
  reply.producer_sequence = 12;
  reply.closed = true;
  Response response = MapAppendReply(ProducerAppend(true), reply, kConfig);
  EXPECT_EQ(HeaderOf(response, "Producer-Epoch"), "3");
  EXPECT_EQ(HeaderOf(response, "Producer-Seq"), "12");
  EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), kTen);
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "true");
  EXPECT_EQ(HeaderOf(MapAppendReply(AppendAction{}, reply, kConfig), "Producer-Seq"), "(none)");
}

TEST(AppendReplyTest, ProducerRefusals) {
  AppendReply reply = Appended(Outcome::kProducerStale);
  reply.producer_epoch = 5;
  Response response = MapAppendReply(ProducerAppend(true), reply, kConfig);
  EXPECT_EQ(ErrorOf(response), "403 PRODUCER_EPOCH_STALE");
  EXPECT_EQ(HeaderOf(response, "Producer-Epoch"), "5");
  // Rule 12: a gap names what was expected and what came.
  reply = Appended(Outcome::kProducerGap);
  reply.producer_expected_sequence = 4;
  response = MapAppendReply(ProducerAppend(true), reply, kConfig);
  EXPECT_EQ(ErrorOf(response), "409 PRODUCER_SEQUENCE_GAP");
  EXPECT_EQ(HeaderOf(response, "Producer-Expected-Seq"), "4");
  EXPECT_EQ(HeaderOf(response, "Producer-Received-Seq"), "9");
  EXPECT_EQ(ErrorOf(MapAppendReply(ProducerAppend(true), Appended(Outcome::kProducerEpochStart),
                                   kConfig)),
            "400 PRODUCER_EPOCH_START");
}

// Rule 20.
TEST(AppendReplyTest, Rule20ClosedTellsTheFinalOffset) {
  Response response = MapAppendReply(AppendAction{}, Appended(Outcome::kClosed), kConfig);
  EXPECT_EQ(ErrorOf(response), "409 STREAM_CLOSED");
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "true");
  EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), kTen);
}

TEST(AppendReplyTest, OtherRefusals) {
  struct Case {
    Outcome outcome;
    const char* error;
  };
  for (const Case& c : {Case{Outcome::kNotFound, "404 STREAM_NOT_FOUND"},
                        Case{Outcome::kSoftDeleted, "410 STREAM_DELETED"},
                        Case{Outcome::kBucketNotFound, "404 BUCKET_NOT_FOUND"},
                        Case{Outcome::kContentTypeMismatch, "409 CONTENT_TYPE_MISMATCH"},
                        Case{Outcome::kSequenceConflict, "409 SEQUENCE_CONFLICT"},
                        Case{Outcome::kTooLarge, "413 APPEND_TOO_LARGE"}}) {
    Response response = MapAppendReply(AppendAction{}, Appended(c.outcome), kConfig);
    EXPECT_EQ(ErrorOf(response), c.error);
    EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
    EXPECT_EQ(HeaderOf(response, "ETag"), "(none)");
  }
  Status unknown(StatusCode::kOutcomeUnknown, "");
  EXPECT_EQ(ErrorOf(MapAppendReply(AppendAction{}, unknown, kConfig)), "504 OUTCOME_UNKNOWN");
  // Clients look for these words.
  Response conflict = MapAppendReply(AppendAction{}, Appended(Outcome::kSequenceConflict), kConfig);
  EXPECT_NE(BodyOf(conflict.body).find("\"message\":\"Sequence conflict"), std::string::npos);
}

TEST(LimitsTest, AreToldWithTheirNumberAndAdvice) {
  const std::string producers = BodyOf(OutcomeResponse(Outcome::kTooManyProducers).body);
  for (const char* words : {"65536 producers", "7 days", "a higher epoch"}) {
    EXPECT_NE(producers.find(words), std::string::npos) << words;
  }
  const std::string depth = BodyOf(OutcomeResponse(Outcome::kForkTooDeep).body);
  for (const char* words : {"256 sources", "fork from"}) {
    EXPECT_NE(depth.find(words), std::string::npos) << words;
  }
}

// ---- guarded refusals
// ----------------------------------------------------------------------------

TEST(GuardedRefusalTest, Rule26TheStreamsOwnRefusalComesFirst) {
  GuardedRefusal guarded;
  guarded.refusal = ErrorResponse(400, "INVALID_OFFSET", "");
  HeadReply head;
  EXPECT_EQ(ErrorOf(MapGuardedRefusal(guarded, head, kConfig)), "400 INVALID_OFFSET");
  head.outcome = Outcome::kNotFound;
  EXPECT_EQ(ErrorOf(MapGuardedRefusal(guarded, head, kConfig)), "404 STREAM_NOT_FOUND");
  head.outcome = Outcome::kOk;
  head.info.closed = true;
  head.info.incarnation = 0xabc;
  Response response = MapGuardedRefusal(guarded, head, kConfig);
  EXPECT_EQ(ErrorOf(response), "400 INVALID_OFFSET");
  EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
}

TEST(AppendReplyTest, ABadBodyIsToldWhenTheStreamRefusesNothingElse) {
  AppendAction action = ProducerAppend(true);
  action.refusal = std::make_unique<Response>(ErrorResponse(400, "INVALID_JSON", ""));
  Response response = MapAppendReply(action, Appended(Outcome::kPreconditionFailed), kConfig);
  EXPECT_EQ(ErrorOf(response), "400 INVALID_JSON");
  EXPECT_EQ(HeaderOf(response, "Stream-Incarnation"), kIncarnation);
  EXPECT_EQ(MapAppendReply(action, Appended(Outcome::kDuplicate), kConfig).status, 204);
  for (Outcome outcome :
       {Outcome::kNotFound, Outcome::kClosed, Outcome::kContentTypeMismatch,
        Outcome::kProducerStale, Outcome::kProducerGap, Outcome::kSequenceConflict}) {
    EXPECT_EQ(ErrorOf(MapAppendReply(action, Appended(outcome), kConfig)),
              ErrorOf(MapAppendReply(ProducerAppend(true), Appended(outcome), kConfig)));
  }
}

// ---- cursors
// -------------------------------------------------------------------------------------

TEST(NextCursorTest, CountsTwentySecondIntervals) {
  EXPECT_EQ(NextCursor({}, ReplyContext{1'728'432'000'000, 0}), 0u);
  EXPECT_EQ(NextCursor({}, ReplyContext{1'728'432'000'000 + 20'000 * 7 + 19'999, 0}), 7u);
  EXPECT_EQ(NextCursor({}, ReplyContext{0, 0}), 0u);
  EXPECT_EQ(NextCursor(3, ReplyContext{1'728'432'000'000 + 20'000 * 7, 0}), 7u);
}

TEST(NextCursorTest, AClientThatIsAsFarIsMovedOn) {
  for (uint64_t random : {uint64_t{0}, uint64_t{1}, uint64_t{3599}, ~uint64_t{0}}) {
    ReplyContext context{1'728'432'000'000 + 20'000 * 7, random};
    uint64_t same = NextCursor(7, context);
    EXPECT_GT(same, 7u);
    EXPECT_LE(same, 7u + 180u);
    EXPECT_GT(NextCursor(1000, context), 1000u);
  }
}

}  // namespace
}  // namespace ursula::protocol
