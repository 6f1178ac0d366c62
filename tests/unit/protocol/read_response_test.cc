// Catch-up and long-poll replies; entity tags.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/protocol/entity_tag.h"
#include "server/protocol/response_mapping.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

const ProtocolConfig kConfig;
const ReplyContext kContext{1'728'432'000'000 + 20'000 * 7, 5};

ReadReply Reply(std::string_view content_type, std::vector<Bytes> parts, bool up_to_date = true) {
  ReadReply reply;
  reply.info.content_type = content_type;
  reply.info.incarnation = 0xabc;
  for (const Bytes& part : parts) reply.next.bytes += part.size();
  reply.info.tail = up_to_date ? reply.next : Offset{reply.next.bytes + 100};
  reply.parts = std::move(parts);
  reply.up_to_date = up_to_date;
  return reply;
}

ReadAction IfNoneMatch(std::string_view list) {
  return Take<ReadAction>(
      Map(MakeRequest(Method::kGet, "/v1/stream/s", {{"If-None-Match", std::string(list)}})));
}

ReadReply Text(std::string_view text, bool up_to_date = true) {
  return Reply("text/plain",
               text.empty() ? std::vector<Bytes>{} : std::vector<Bytes>{Bytes::Copy(text)},
               up_to_date);
}

Response Answer(const ReadAction& action, const ReadReply& reply) {
  return MapReadReply(action, reply, kContext, kConfig);
}

TEST(ReadReplyTest, TailOfAnOpenStream) {
  Response response = Answer(ReadAction{}, Text("hello"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(BodyOf(response.body), "hello");
  EXPECT_EQ(HeaderOf(response, "Content-Type"), "text/plain");
  EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), "0000000000000000_0000000000000005");
  EXPECT_EQ(HeaderOf(response, "Stream-Up-To-Date"), "true");
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "(none)");
  EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-cache");
  EXPECT_EQ(HeaderOf(response, "Vary"), "Accept-Encoding, Stream-Incarnation");
  EXPECT_EQ(HeaderOf(response, "Stream-Cursor"), "(none)");
  EXPECT_EQ(HeaderOf(response, "ETag"), "\"abc-0-5.t\"");
}

TEST(ReadReplyTest, NoCacheKeepsAPageBeyondItsStreamsEnd) {
  ReadReply page = Text("hello", false);
  auto control = [&] { return HeaderOf(Answer(ReadAction{}, page), "Cache-Control"); };
  page.info.lifetime.ttl_seconds = 0;
  EXPECT_EQ(control(), "public, max-age=0");
  page.info.lifetime.ttl_seconds = 7;
  EXPECT_EQ(control(), "public, max-age=7");
  page.info.lifetime.ttl_seconds = 100;
  EXPECT_EQ(control(), "public, max-age=60, stale-while-revalidate=40");
  page.info.lifetime.ttl_seconds = 9007199254740;
  EXPECT_EQ(control(), "public, max-age=60, stale-while-revalidate=300");
  page.info.lifetime = {};
  page.info.lifetime.expires_at_ms = kContext.now_ms + 1999;
  EXPECT_EQ(control(), "public, max-age=1");
  page.info.lifetime.expires_at_ms = kContext.now_ms - 5000;
  EXPECT_EQ(control(), "public, max-age=0");
}

TEST(ReadReplyTest, AnEventSourceThatHadAllOfAClosedStreamIsToldToStop) {
  ReadAction action;
  action.live = LiveMode::kSse;
  ReadReply end = Text("");
  end.info.closed = true;
  EXPECT_FALSE(EndOfEvents(action, end));
  action.reconnects = true;
  std::optional<Response> response = EndOfEvents(action, end);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 204);
  EXPECT_EQ(HeaderOf(*response, "Stream-Closed"), "true");
  ReadReply rest = Text("rest");
  rest.info.closed = true;
  EXPECT_FALSE(EndOfEvents(action, rest));
  end.info.closed = false;
  EXPECT_FALSE(EndOfEvents(action, end));
}

TEST(ReadReplyTest, OnlyFullPagesMayBeKept) {
  Response response = Answer(ReadAction{}, Text("hello", false));
  EXPECT_EQ(HeaderOf(response, "Cache-Control"), "public, max-age=60, stale-while-revalidate=300");
  EXPECT_EQ(HeaderOf(response, "Stream-Up-To-Date"), "(none)");
  ReadReply closed = Text("hello", false);
  closed.info.closed = true;
  EXPECT_EQ(HeaderOf(Answer(ReadAction{}, closed), "Stream-Closed"), "(none)");
  closed.up_to_date = true;
  response = Answer(ReadAction{}, closed);
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "true");
  EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-cache");
}

// Rule 27.
TEST(ReadReplyTest, APageThatEndsInsideAnAppendSaysSo) {
  ReadReply page = Text("hello", false);
  page.cut = true;
  for (LiveMode live : {LiveMode::kNone, LiveMode::kLongPoll}) {
    ReadAction action;
    action.live = live;
    EXPECT_EQ(HeaderOf(Answer(action, page), "Stream-Next-Offset"),
              "0000000000000000_0000000000000005.");
  }
}

// Some clients make text of each page by itself.
TEST(ReadReplyTest, APageOfTextEndsAtACharacter) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z\xFF";
  for (std::string_view type : {"text/plain; charset=utf-8", "application/octet-stream"}) {
    const bool at_characters = type.starts_with("text/");
    for (std::size_t page = 1; page <= text.size(); ++page) {
      for (std::size_t first = 0; first <= page; ++first) {
        ReadReply reply = Reply(
            type,
            {Bytes::Copy(text.substr(0, first)), Bytes::Copy(text.substr(first, page - first))},
            false);
        reply.cut = true;
        EndAtCharacter(&reply);
        const std::string kept = BodyOf(reply.parts);
        EXPECT_EQ(kept, text.substr(0, kept.size()));
        EXPECT_EQ(reply.next.bytes, kept.size());
        std::size_t whole = page;
        while (at_characters && whole < text.size() && (text[whole] & 0xc0) == 0x80) --whole;
        EXPECT_EQ(kept.size(), whole) << page;
      }
    }
  }
  // Nothing but a part of one: it is sent, so that reading goes on. An append's end is no cut.
  ReadReply part = Text("\xC3", false);
  part.cut = true;
  EndAtCharacter(&part);
  EXPECT_EQ(BodyOf(part.parts), "\xC3");
  ReadReply end = Text("a\xC3", false);
  EndAtCharacter(&end);
  EXPECT_EQ(BodyOf(end.parts), "a\xC3");
}

TEST(ReadReplyTest, Rule27NowIsEmptyAndNeverStored) {
  ReadAction now;
  now.from_now = true;
  Response response = Answer(now, Text(""));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(BodyOf(response.body), "");
  EXPECT_EQ(HeaderOf(response, "Stream-Up-To-Date"), "true");
  EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-store");
  EXPECT_EQ(HeaderOf(response, "ETag"), "(none)");
  EXPECT_EQ(BodyOf(Answer(now, Reply("application/json", {})).body), "[]");
}

TEST(ReadReplyTest, JsonIsOneArrayWithoutTheStoredLineEnds) {
  Bytes stored = Bytes::Copy("{\"a\":1},\n2,\n");
  Response response = Answer(ReadAction{}, Reply("application/json; x=y", {stored}));
  EXPECT_EQ(BodyOf(response.body), "[{\"a\":1},2]");
  EXPECT_EQ(HeaderOf(response, "Content-Type"), "application/json; x=y");
  EXPECT_EQ(HeaderOf(response, "Vary"), "Accept, Accept-Encoding, Stream-Incarnation");
}

TEST(ReadReplyTest, JsonTerminatorsMayBeSplitOverParts) {
  auto parts = [](std::initializer_list<const char*> texts) {
    std::vector<Bytes> list;
    for (const char* text : texts) list.push_back(Bytes::Copy(text));
    return Reply("application/json", list);
  };
  EXPECT_EQ(BodyOf(Answer(ReadAction{}, parts({"1,\n2", ",\n"})).body), "[1,2]");
  EXPECT_EQ(BodyOf(Answer(ReadAction{}, parts({"1,", "\n"})).body), "[1]");
  EXPECT_EQ(BodyOf(Answer(ReadAction{}, parts({"1", ",", "", "\n"})).body), "[1]");
  EXPECT_EQ(BodyOf(Answer(ReadAction{}, parts({})).body), "[]");
  for (auto broken : {"1,\n2", "1,\n2,", "1\n", ",\n2\n"}) {
    EXPECT_EQ(ErrorOf(Answer(ReadAction{}, parts({broken}))), "500 DATA_LOSS") << broken;
  }
}

TEST(ReadReplyTest, NdjsonWhenAsked) {
  ReadAction action;
  action.ndjson = true;
  std::vector<Bytes> parts = {Bytes::Static("{\"a\":\"x,\"},"), Bytes::Static("\n2,\n3"),
                              Bytes::Static(",\n")};
  Response response = Answer(action, Reply("application/json", parts));
  EXPECT_EQ(BodyOf(response.body), "{\"a\":\"x,\"}\n2\n3\n");
  EXPECT_EQ(HeaderOf(response, "Content-Type"), "application/x-ndjson");
  EXPECT_NE(HeaderOf(response, "ETag"),
            HeaderOf(Answer(ReadAction{}, Reply("application/json", parts)), "ETag"));
  EXPECT_EQ(BodyOf(Answer(action, Reply("application/json", {})).body), "");
  EXPECT_EQ(HeaderOf(Answer(action, Text("x")), "Content-Type"), "text/plain");
}

// Rule 28.
TEST(ReadReplyTest, Rule28MatchingTagsGive304) {
  std::string tag = HeaderOf(Answer(ReadAction{}, Text("hello")), "ETag");
  for (const std::string& list :
       {tag, "W/" + tag, "\"x\", " + tag, "\"a\",\"b\" ," + tag + ",\"c\"", std::string(" * ")}) {
    Response response = Answer(IfNoneMatch(list), Text("hello"));
    EXPECT_EQ(response.status, 304) << list;
    EXPECT_TRUE(response.body.empty());
    EXPECT_EQ(HeaderOf(response, "ETag"), tag);
    EXPECT_EQ(HeaderOf(response, "Content-Type"), "(none)");
    EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), "0000000000000000_0000000000000005");
    EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-cache");
  }
  for (const char* list : {"\"x\"", "", "\"*\"", "\"abc-0-5.c\"", "\"abc-0-6.t\""}) {
    EXPECT_EQ(Answer(IfNoneMatch(list), Text("hello")).status, 200) << list;
  }
}

TEST(ReadReplyTest, Rule28TagsChangeWithDataCloseAndIncarnation) {
  ReadReply reply = Text("hello");
  std::vector<std::string> tags = {HeaderOf(Answer(ReadAction{}, reply), "ETag")};
  reply.info.closed = true;
  tags.push_back(HeaderOf(Answer(ReadAction{}, reply), "ETag"));
  reply.info.incarnation = 0xabd;
  tags.push_back(HeaderOf(Answer(ReadAction{}, reply), "ETag"));
  tags.push_back(HeaderOf(Answer(ReadAction{}, Text("hello!")), "ETag"));
  tags.push_back(HeaderOf(Answer(ReadAction{}, Text("hello", false)), "ETag"));
  for (std::size_t i = 0; i < tags.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(tags[i], tags[j]);
  }
}

TEST(ReadReplyTest, TagsOfCodedBodiesMatchToo) {
  std::string tag = HeaderOf(Answer(ReadAction{}, Text("hello")), "ETag");
  std::string coded = CodedEntityTag(tag, ContentCoding::kGzip);
  Response response = Answer(IfNoneMatch(coded), Text("hello"));
  EXPECT_EQ(response.status, 304);
  EXPECT_EQ(HeaderOf(response, "ETag"), coded);
}

TEST(LongPollTest, DataAtOnceWithACursor) {
  ReadAction action;
  action.live = LiveMode::kLongPoll;
  Response response = Answer(action, Text("hello"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(HeaderOf(response, "Stream-Cursor"), "7");
  action.cursor = 7;
  EXPECT_EQ(HeaderOf(Answer(action, Text("hello")), "Stream-Cursor"), "8");
}

TEST(LongPollTest, NothingYetIs204) {
  ReadAction action;
  action.live = LiveMode::kLongPoll;
  action.from_now = true;
  Response response = Answer(action, Reply("application/json", {}));
  EXPECT_EQ(response.status, 204);
  EXPECT_TRUE(response.body.empty());
  EXPECT_EQ(HeaderOf(response, "Stream-Up-To-Date"), "true");
  EXPECT_EQ(HeaderOf(response, "Stream-Next-Offset"), "0000000000000000_0000000000000000");
  EXPECT_EQ(HeaderOf(response, "Stream-Cursor"), "7");
  EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-store");
  EXPECT_EQ(HeaderOf(response, "ETag"), "(none)");
}

TEST(LongPollTest, NowWithDataIsAnOrdinary200) {
  ReadAction action;
  action.live = LiveMode::kLongPoll;
  action.from_now = true;
  Response response = Answer(action, Text("new"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(BodyOf(response.body), "new");
}

// Rule 9: data and close together are one 200.
TEST(LongPollTest, Rule09DataAndCloseTogether) {
  ReadAction action;
  action.live = LiveMode::kLongPoll;
  ReadReply reply = Text("last");
  reply.info.closed = true;
  Response response = Answer(action, reply);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(BodyOf(response.body), "last");
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "true");
  EXPECT_EQ(HeaderOf(response, "Stream-Cursor"), "(none)");
  reply = Text("");
  reply.info.closed = true;
  response = Answer(action, reply);
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(HeaderOf(response, "Stream-Closed"), "true");
  EXPECT_EQ(HeaderOf(response, "Stream-Up-To-Date"), "true");
}

TEST(ReadReplyTest, Refusals) {
  struct Case {
    Outcome outcome;
    const char* error;
  };
  for (const Case& c : {Case{Outcome::kNotFound, "404 STREAM_NOT_FOUND"},
                        Case{Outcome::kSoftDeleted, "410 STREAM_DELETED"},
                        Case{Outcome::kBucketNotFound, "404 BUCKET_NOT_FOUND"},
                        Case{Outcome::kOffsetInvalid, "400 INVALID_OFFSET"},
                        Case{Outcome::kGone, "410 OFFSET_GONE"}}) {
    ReadReply reply;
    reply.outcome = c.outcome;
    EXPECT_EQ(ErrorOf(Answer(ReadAction{}, reply)), c.error);
  }
}

// Rule 6: the type is exact, and nothing between may keep or change the events.
TEST(SseHeadTest, Rule06ExactTypeAndNoCache) {
  ReadReply first;
  StreamInfo& info = first.info;
  info.content_type = "text/plain";
  Response response = SseHead(ReadAction{}, first);
  EXPECT_EQ(HeaderOf(response, "Content-Type"), "text/event-stream");
  EXPECT_NE(HeaderOf(response, "Cache-Control").find("no-cache"), std::string::npos);
  EXPECT_EQ(HeaderOf(response, "X-Accel-Buffering"), "no");
  EXPECT_EQ(HeaderOf(response, "Stream-SSE-Data-Encoding"), "(none)");
  info.content_type = "application/json";
  EXPECT_EQ(HeaderOf(SseHead(ReadAction{}, first), "Stream-SSE-Data-Encoding"), "(none)");
  info.content_type = "application/octet-stream";
  EXPECT_EQ(HeaderOf(SseHead(ReadAction{}, first), "Stream-SSE-Data-Encoding"), "base64");
}

}  // namespace
}  // namespace ursula::protocol
