#include "server/http/stream_handler.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/http/stream_handler_rig.h"

namespace ursula::http {
namespace {

TEST_F(StreamHandlerTest, EachMethodReachesItsEngineCall) {
  EXPECT_EQ(StatusOf(Ask("PUT", "/demo")), 201);
  EXPECT_EQ(StatusOf(Ask("PUT", "/demo")), 200);
  EXPECT_EQ(StatusOf(Ask("GET", "/demo")), 200);
  EXPECT_EQ(StatusOf(Ask("PUT", "/demo/hello", "first ")), 201);
  EXPECT_EQ(StatusOf(Ask("POST", "/demo/hello", "second")), 204);
  EXPECT_EQ(BodyOf(Ask("GET", "/demo/hello?offset=-1")), "first second");
  EXPECT_EQ(StatusOf(Ask("HEAD", "/demo/hello")), 200);
  EXPECT_EQ(StatusOf(Ask("GET", "/demo/streams")), 200);
  EXPECT_EQ(StatusOf(Ask("OPTIONS", "/demo/hello")), 204);
  EXPECT_EQ(StatusOf(Ask("DELETE", "/demo/hello")), 204);
  EXPECT_EQ(StatusOf(Ask("GET", "/demo/hello")), 404);
  EXPECT_EQ(StatusOf(Ask("DELETE", "/demo")), 204);
  EXPECT_EQ(StatusOf(Ask("PATCH", "/demo/hello")), 405);
}

TEST_F(StreamHandlerTest, LargeStreamComesInPages) {
  config_.read_bytes_max = 1000;
  CreateText(kStream);
  Ask("POST", kStream, std::string(1500, 'x'));
  std::string first = Ask("GET", std::string(kStream) + "?offset=-1");
  EXPECT_EQ(BodyOf(first).size(), 1000u);
  EXPECT_NE(first.find("Stream-Next-Offset: 0000000000000000_0000000000001000.\r\n"),
            std::string::npos);
  EXPECT_EQ(first.find("Stream-Up-To-Date: true"), std::string::npos);
  std::string rest =
      Ask("GET", std::string(kStream) + "?offset=0000000000000000_0000000000001000.");
  EXPECT_EQ(BodyOf(rest).size(), 506u);
  EXPECT_NE(rest.find("Stream-Next-Offset: 0000000000000000_0000000000001506\r\n"),
            std::string::npos);
  EXPECT_NE(rest.find("Stream-Up-To-Date: true"), std::string::npos);
}

// "first ", "ab" and "\xC3": an offset of its own is exact, and one inside an append that a client
// made up stands for that append's start, however the stream is read.
TEST_F(StreamHandlerTest, AnOffsetInsideAnAppendIsExactOnlyWhereTheServerGaveIt) {
  config_.sse_read_bytes_max = 7;
  CreateText(kStream);
  Ask("POST", kStream, "ab");
  Ask("POST", kStream, "\xC3");
  const std::string made_up = "0000000000000000_0000000000000007";
  const std::string own = made_up + ".";
  const std::string target = std::string(kStream) + "?offset=";
  for (std::string live : {"", "&live=long-poll"}) {
    EXPECT_EQ(BodyOf(Ask("GET", target + made_up + live)), "ab\xC3");
    EXPECT_EQ(BodyOf(Ask("GET", target + own + live)), "b\xC3");
  }
  const std::string begins_at_6 = "retry:1000\nid:" + std::string(kTail6) + "\n\n";
  const std::string begins_at_7 = "retry:1000\nid:" + own + "\n\n";
  auto begins = [&](std::string_view offset, std::string_view headers = {}) {
    std::string events = Subscribe(target + std::string(offset), headers)->TakeReceived();
    const bool at_6 = events.find(begins_at_6) != std::string::npos;
    const bool at_7 = events.find(begins_at_7) != std::string::npos;
    const bool whole = events.find("\ndata:ab\n") != std::string::npos;
    EXPECT_TRUE(at_6 != at_7 && at_6 == whole) << events;
    // The byte that waits for more was an append: where it begins is inside all the same.
    EXPECT_NE(events.find("{\"streamNextOffset\":\"0000000000000000_0000000000000008.\""),
              std::string::npos)
        << events;
    return at_6 ? 6 : 7;
  };
  EXPECT_EQ(begins(made_up + "&live=sse"), 6);
  EXPECT_EQ(begins(own + "&live=sse"), 7);
  EXPECT_EQ(begins("-1&live=sse", "Last-Event-ID: " + made_up + "\r\n"), 6);
  EXPECT_EQ(begins("-1&live=sse", "Last-Event-ID: " + own + "\r\n"), 7);
  EXPECT_EQ(begins("-1&live=sse&lastEventId=" + own), 7);
  // A page of SSE that ends inside an append says so, and its end is where the next begins.
  std::string all = Subscribe(target + "-1&live=sse")->TakeReceived();
  EXPECT_NE(all.find("data:first a\nid:" + own + "\n"), std::string::npos) << all;
  EXPECT_NE(all.find("data:b\n"), std::string::npos) << all;
}

TEST_F(StreamHandlerTest, LongPollIsAnsweredByDataOrByItsTimeout) {
  config_.long_poll_ms = 500;
  CreateText(kStream);
  std::string target = std::string(kStream) + "?live=long-poll&offset=" + std::string(kTail6);
  auto peer = Subscribe(target);
  EXPECT_EQ(peer->received(), "");
  Ask("POST", kStream, "more");
  EXPECT_EQ(StatusOf(peer->received()), 200);
  EXPECT_EQ(BodyOf(peer->TakeReceived()), "more");

  auto idle = Subscribe(std::string(kStream) + "?live=long-poll&offset=now");
  rig().AdvanceMs(499);
  EXPECT_EQ(idle->received(), "");
  rig().AdvanceMs(2);
  EXPECT_EQ(StatusOf(idle->received()), 204);
  EXPECT_FALSE(idle->closed());
}

TEST_F(StreamHandlerTest, LongPollOfAClientThatLeftIsCancelled) {
  CreateText(kStream);
  auto left = Subscribe(std::string(kStream) + "?live=long-poll&offset=now");
  auto broken = Subscribe(std::string(kStream) + "?live=long-poll&offset=now");
  EXPECT_EQ(engine_->waiting(), 2u);
  left->End();
  broken->Break(ECONNRESET);
  EXPECT_EQ(engine_->waiting(), 0u);
  EXPECT_EQ(engine_->cancelled, 2u);
  EXPECT_TRUE(left->closed());
}

TEST_F(StreamHandlerTest, OthersAreServedWhileALargePageIsCompressed) {
  CreateText(kStream);
  Ask("POST", kStream, std::string(900'000, 'x'));
  auto reader = rig().Connect();
  Send(reader.get(), "GET", std::string(kStream) + "?offset=-1", {}, "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(reader->received(), "");
  EXPECT_EQ(StatusOf(Ask("POST", kStream, "y")), 204);
  EXPECT_EQ(reader->received(), "");
  rig().AdvanceMs(1);
  std::string page = reader->TakeReceived();
  EXPECT_EQ(StatusOf(page), 200);
  EXPECT_NE(page.find("Content-Encoding: gzip\r\n"), std::string::npos);
  EXPECT_NE(page.find("-gzip\"\r\n"), std::string::npos);  // The ETag.
  EXPECT_NE(page.find("Content-Length: " + std::to_string(BodyOf(page).size()) + "\r\n"),
            std::string::npos);
  EXPECT_LT(BodyOf(page).size(), 20'000u);
}

TEST_F(StreamHandlerTest, ClientThatLeavesEndsTheCompressionOfItsPage) {
  CreateText(kStream);
  Ask("POST", kStream, std::string(900'000, 'x'));
  auto left = rig().Connect();
  Send(left.get(), "GET", std::string(kStream) + "?offset=-1", {}, "Accept-Encoding: zstd\r\n");
  EXPECT_EQ(rig().server->counters().requests_open.Get(), 1u);
  left->Break(ECONNRESET);
  EXPECT_EQ(rig().server->counters().requests_open.Get(), 0u);
  EXPECT_TRUE(left->closed());
}

TEST_F(StreamHandlerTest, HalfClosedClientsGetTheirAnswers) {
  CreateText(kStream);
  auto poll = Subscribe(std::string(kStream) + "?live=long-poll&offset=now");
  poll->End();
  EXPECT_EQ(StatusOf(poll->received()), 204);
  EXPECT_NE(poll->received().find(kTail6), std::string::npos);
  EXPECT_TRUE(poll->closed());
  engine_->Hold();
  auto early = Subscribe(std::string(kStream) + "?live=sse&offset=-1");
  early->End();
  engine_->Release();
  rig().manual.RunUntilIdle();
  EXPECT_NE(early->received().find("data:first \n"), std::string::npos);
  EXPECT_TRUE(early->received().ends_with("0\r\n\r\n"));
  EXPECT_TRUE(early->closed());
}

TEST_F(StreamHandlerTest, AnEventSourceThatComesAgainToTheEndOfAClosedStreamIsToldToStop) {
  CreateText(kStream);
  auto writer = rig().Connect();
  Send(writer.get(), "POST", kStream, {}, "Stream-Closed: true\r\n");
  std::string target = std::string(kStream) + "?live=sse&offset=-1";
  EXPECT_EQ(StatusOf(Subscribe(target)->received()), 200);
  std::string id = "Last-Event-ID: " + std::string(kTail6) + "\r\n";
  EXPECT_EQ(StatusOf(Subscribe(target, id)->received()), 204);
  EXPECT_EQ(StatusOf(Subscribe(target + "&lastEventId=" + std::string(kTail6))->received()), 204);
  EXPECT_EQ(rig().server->counters().subscribers_open.Get(), 0u);
}

TEST_F(StreamHandlerTest, AConnectionThatStaysSaysForHowLong) {
  CreateText(kStream);
  std::string stays = Ask("GET", kStream);
  EXPECT_NE(stays.find("\r\nKeep-Alive: timeout=" +
                       std::to_string(rig().options.idle_timeout_ms / 1000) + "\r\n"),
            std::string::npos);
  auto peer = rig().Connect();
  Send(peer.get(), "GET", kStream, {}, "Connection: close\r\n");
  EXPECT_EQ(peer->received().find("Keep-Alive"), std::string::npos);
  EXPECT_NE(peer->received().find("\r\nDate: "), std::string::npos);
}

TEST_F(StreamHandlerTest, LongPollOfAHalfClosedClientIsAnsweredOnceItsDataIsThere) {
  CreateText(kStream);
  std::string target = std::string(kStream) + "?live=long-poll&offset=" + std::string(kTail6);
  auto peer = Subscribe(target, "Accept-Encoding: gzip\r\n");
  Ask("POST", kStream, std::string(900'000, 'x'));
  EXPECT_EQ(peer->received(), "");
  peer->End();
  EXPECT_FALSE(peer->closed());
  rig().AdvanceMs(1);
  EXPECT_EQ(StatusOf(peer->TakeReceived()), 200);
}

TEST_F(StreamHandlerTest, StoppingAnswersLongPollsAsIfTimedOut) {
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=long-poll&offset=now");
  rig().Stop();
  EXPECT_EQ(StatusOf(peer->received()), 204);
  EXPECT_NE(peer->received().find(kTail6), std::string::npos);
  EXPECT_TRUE(peer->closed());
}

TEST_F(StreamHandlerTest, SubscriberGetsWhatIsThereThenWhatComes) {
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=-1");
  std::string first = peer->TakeReceived();
  EXPECT_EQ(StatusOf(first), 200);
  EXPECT_NE(first.find("Content-Type: text/event-stream\r\n"), std::string::npos);
  EXPECT_NE(first.find("event: data\ndata:first \n"), std::string::npos);
  EXPECT_NE(first.find("event: control\ndata:{"), std::string::npos);
  EXPECT_NE(first.find(kTail6), std::string::npos);
  EXPECT_EQ(peer->sends(), 1u);
  Ask("POST", kStream, "more");
  std::string next = peer->TakeReceived();
  EXPECT_EQ(CountOf(next, "event: data"), 1u);
  EXPECT_EQ(CountOf(next, "event: control"), 1u);
  EXPECT_NE(next.find("data:more\n"), std::string::npos);
  EXPECT_EQ(peer->sends(), 2u);  // Data and control leave in one write.
  EXPECT_EQ(rig().server->counters().subscribers_open.Get(), 1u);
}

TEST_F(StreamHandlerTest, SubscriberToAnEmptyTailGetsAControlEventAtOnce) {
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=now");
  EXPECT_EQ(CountOf(peer->received(), "event: data"), 0u);
  EXPECT_EQ(CountOf(peer->received(), "event: control"), 1u);
  EXPECT_NE(peer->received().find("\"upToDate\":true"), std::string::npos);
}

TEST_F(StreamHandlerTest, SubscriberToAMissingStreamGetsThePlainError) {
  std::string answer = Subscribe("/v1/stream/none?live=sse&offset=-1")->TakeReceived();
  EXPECT_EQ(StatusOf(answer), 404);
  EXPECT_NE(answer.find("Content-Length: "), std::string::npos);
}

TEST_F(StreamHandlerTest, ClosingSendsTheLastDataThenEndsTheStream) {
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=now");
  peer->TakeReceived();
  auto writer = rig().Connect();
  Send(writer.get(), "POST", kStream, "end", "Stream-Closed: true\r\n");
  std::string last = peer->TakeReceived();
  EXPECT_NE(last.find("data:end\n"), std::string::npos);
  EXPECT_NE(last.find("\"streamClosed\":true"), std::string::npos);
  EXPECT_TRUE(last.ends_with("0\r\n\r\n"));
  EXPECT_EQ(engine_->waiting(), 0u);
  EXPECT_EQ(rig().server->counters().subscribers_open.Get(), 0u);
}

TEST_F(StreamHandlerTest, FrameIsEncodedOnceForAllSubscribersOfACore) {
  CreateText(kStream);
  std::vector<std::shared_ptr<FakePeer>> peers;
  for (int i = 0; i < 10; ++i) {
    peers.push_back(Subscribe(std::string(kStream) + "?live=sse&offset=now"));
    peers.back()->TakeReceived();
  }
  const CoreCounters& counters = rig().server->counters();
  uint64_t encoded = counters.frames_encoded.Get();
  uint64_t shared = counters.frames_shared.Get();
  Ask("POST", kStream, "more");
  EXPECT_EQ(counters.frames_encoded.Get(), encoded + 1);
  EXPECT_EQ(counters.frames_shared.Get(), shared + 9);
  std::string first = peers[0]->TakeReceived();
  EXPECT_NE(first.find("data:more"), std::string::npos);
  for (std::size_t i = 1; i < peers.size(); ++i) EXPECT_EQ(peers[i]->TakeReceived(), first);
}

TEST_F(StreamHandlerTest, HeartbeatsGoToIdleSubscribersOnly) {
  live_.heartbeat_ms = 1000;
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=now");
  peer->TakeReceived();
  rig().AdvanceMs(900);
  Ask("POST", kStream, "more");
  peer->TakeReceived();
  rig().AdvanceMs(900);
  EXPECT_EQ(peer->received(), "");
  rig().AdvanceMs(101);
  EXPECT_EQ(peer->TakeReceived(), "3\r\n:\n\n\r\n");
  rig().AdvanceMs(1000);
  EXPECT_EQ(peer->TakeReceived(), "3\r\n:\n\n\r\n");
}

TEST_F(StreamHandlerTest, RotationEndsWithAControlEvent) {
  live_.rotation_ms = 10'000;
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=now");
  peer->TakeReceived();
  rig().AdvanceMs(8'900);
  EXPECT_EQ(CountOf(peer->received(), "0\r\n\r\n"), 0u);
  rig().AdvanceMs(2'200);
  EXPECT_EQ(CountOf(peer->received(), "event: control"), 1u);
  EXPECT_NE(peer->received().find(kTail6), std::string::npos);
  EXPECT_TRUE(peer->received().ends_with("0\r\n\r\n"));
  EXPECT_EQ(engine_->waiting(), 0u);
}

TEST_F(StreamHandlerTest, StoppingEndsSubscribersWithAControlEvent) {
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=now");
  peer->TakeReceived();
  rig().Stop();
  EXPECT_EQ(CountOf(peer->received(), "event: control"), 1u);
  EXPECT_TRUE(peer->received().ends_with("0\r\n\r\n"));
  EXPECT_TRUE(peer->closed());
}

TEST_F(StreamHandlerTest, SubscriberThatLeftIsCancelled) {
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=now");
  EXPECT_EQ(engine_->waiting(), 1u);
  peer->End();
  EXPECT_EQ(engine_->waiting(), 0u);
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(rig().server->counters().requests_open.Get(), 0u);
}

TEST_F(StreamHandlerTest, SubscriberOfADeletedStreamIsLetGo) {
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=now");
  peer->TakeReceived();
  Ask("DELETE", kStream);
  EXPECT_EQ(peer->TakeReceived(), "0\r\n\r\n");
}

// ---- conditional requests
// ------------------------------------------------------------------------

// The value of a header, or "".
std::string ValueOf(std::string_view response, std::string_view name) {
  std::string start = "\r\n" + std::string(name) + ": ";
  std::size_t at = response.find(start);
  if (at == std::string_view::npos) return "";
  response.remove_prefix(at + start.size());
  return std::string(response.substr(0, response.find("\r\n")));
}

TEST_F(StreamHandlerTest, WritesHappenOnlyUnderTheirConditions) {
  std::string made = AskUnder("If-None-Match: *", "PUT", kStream, "first ");
  EXPECT_EQ(StatusOf(made), 201);
  EXPECT_EQ(StatusOf(AskUnder("If-None-Match: *", "PUT", kStream, "first ")), 412);
  std::string tag = ValueOf(made, "ETag");
  std::string second = AskUnder("If-Match: " + tag, "POST", kStream, "second");
  EXPECT_EQ(StatusOf(second), 204);
  std::string late = AskUnder("If-Match: " + tag, "POST", kStream, "late");
  EXPECT_EQ(StatusOf(late), 412);
  for (const char* name : {"ETag", "Stream-Next-Offset", "Stream-Incarnation"}) {
    EXPECT_NE(ValueOf(second, name), "") << name;
    EXPECT_EQ(ValueOf(late, name), ValueOf(second, name)) << name;
  }
  EXPECT_EQ(StatusOf(AskUnder("If-Match: " + std::string(kTail6), "POST", kStream, "late")), 412);
  EXPECT_EQ(StatusOf(AskUnder("If-Match: " + tag, "DELETE", kStream)), 412);
  EXPECT_EQ(BodyOf(Ask("GET", kStream)), "first second");
  EXPECT_EQ(StatusOf(AskUnder("If-Match: " + ValueOf(second, "ETag"), "DELETE", kStream)), 204);
  EXPECT_EQ(StatusOf(AskUnder("If-Match: *", "PUT", kStream, "first ")), 412);
}

TEST_F(StreamHandlerTest, BadBodiesYieldToTheStreamsOwnRefusals) {
  auto bad_json = [&](std::string_view more) {
    auto peer = rig().Connect();
    std::string head =
        "POST /v1/stream/j HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
    peer->Write(head + std::string(more) + "Content-Length: 1\r\n\r\n{");
    return StatusOf(peer->TakeReceived());
  };
  EXPECT_EQ(bad_json(""), 404);
  ASSERT_EQ(StatusOf(Ask("PUT", "/v1/stream/j")), 201);
  EXPECT_EQ(bad_json(""), 400);
  EXPECT_EQ(bad_json("Stream-Closed: true\r\nIf-Match: *\r\n"), 400);
  EXPECT_EQ(bad_json("If-Match: \"x\"\r\n"), 400);
  EXPECT_EQ(BodyOf(Ask("GET", "/v1/stream/j")), "");
  EXPECT_EQ(StatusOf(AskUnder("Stream-Closed: true", "POST", "/v1/stream/j")), 204);
  EXPECT_EQ(bad_json(""), 409);
}

TEST_F(StreamHandlerTest, ReadsOfAnotherIncarnationAre412) {
  CreateText(kStream);
  std::string old = "Stream-Incarnation: " + ValueOf(Ask("HEAD", kStream), "Stream-Incarnation");
  std::string queries[] = {"", "?offset=now", "?live=long-poll&offset=now",
                           "?live=long-poll&offset=-1", "?live=sse&offset=-1"};
  for (const std::string& query : queries) {
    std::string target = std::string(kStream) + query;
    auto peer = Subscribe(target, old + "\r\n");
    rig().AdvanceMs(config_.long_poll_ms + 1);
    std::string answer = peer->TakeReceived();
    EXPECT_LT(StatusOf(answer), 300) << query;
    EXPECT_EQ("Stream-Incarnation: " + ValueOf(answer, "Stream-Incarnation"), old) << query;
    peer->End();
  }
  Ask("DELETE", kStream);
  for (const std::string& query : queries) {
    EXPECT_EQ(StatusOf(AskUnder(old, "GET", std::string(kStream) + query)), 404) << query;
  }
  CreateText(kStream);
  std::string own = ValueOf(Ask("HEAD", kStream), "Stream-Incarnation");
  EXPECT_EQ(StatusOf(AskUnder(old, "HEAD", kStream)), 412);
  // An EventSource repeats its URL, with the header of how far it came: it stops.
  const std::string named = std::string(kStream) + "?live=sse&offset=-1&incarnation=";
  EXPECT_EQ(StatusOf(AskUnder("Last-Event-ID: " + std::string(kTail6), "GET",
                              named + old.substr(old.size() - 16))),
            412);
  auto events = Subscribe(named + own);
  EXPECT_NE(events->TakeReceived().find(",\"streamIncarnation\":\"" + own + "\"}\n"),
            std::string::npos);
  events->End();
  for (const std::string& query : queries) {
    // At once, a long poll and SSE before its head too.
    std::string answer = AskUnder(old, "GET", std::string(kStream) + query);
    EXPECT_EQ(StatusOf(answer), 412) << query;
    EXPECT_EQ(ValueOf(answer, "Stream-Incarnation"), own);
    EXPECT_EQ(ValueOf(answer, "Stream-Next-Offset"), kTail6);
    EXPECT_EQ(ValueOf(answer, "Content-Type"), "application/json");
  }
  EXPECT_EQ(engine_->waiting(), 0u);
}

TEST_F(StreamHandlerTest, LongPollsAreJudgedWhenTheyComeNotWhenTheirDataComes) {
  CreateText(kStream);
  std::string if_match = "If-Match: " + ValueOf(Ask("HEAD", kStream), "ETag") + "\r\n";
  for (std::string_view offset : {std::string_view("now"), kTail6}) {
    std::string target = std::string(kStream) + "?live=long-poll&offset=" + std::string(offset);
    auto peer = Subscribe(target, if_match);
    EXPECT_EQ(peer->received(), "");
    EXPECT_EQ(engine_->waiting(), 1u);
    Ask("POST", kStream, "more");
    std::string answer = peer->TakeReceived();
    EXPECT_EQ(StatusOf(answer), 200);
    EXPECT_EQ(BodyOf(answer), "more");
    EXPECT_EQ(StatusOf(Subscribe(target, if_match)->TakeReceived()), 412);
    EXPECT_EQ(engine_->waiting(), 0u);
    Ask("DELETE", kStream);
    CreateText(kStream);
    if_match = "If-Match: " + ValueOf(Ask("HEAD", kStream), "ETag") + "\r\n";
  }
  auto idle = Subscribe(std::string(kStream) + "?live=long-poll&offset=now", if_match);
  rig().AdvanceMs(config_.long_poll_ms + 1);
  EXPECT_EQ(StatusOf(idle->TakeReceived()), 204);
}

TEST_F(StreamHandlerTest, ConditionalLongPollsEndLikeOthers) {
  CreateText(kStream);
  std::string target = std::string(kStream) + "?live=long-poll&offset=now";
  auto left = Subscribe(target, "If-Match: *\r\n");
  EXPECT_EQ(engine_->waiting(), 1u);
  left->End();
  EXPECT_EQ(engine_->waiting(), 0u);
  // Past the tail there is nothing to wait for.
  std::string past =
      std::string(kStream) + "?live=long-poll&offset=0000000000000000_0000000000000009";
  EXPECT_EQ(StatusOf(Subscribe(past, "If-Match: *\r\n")->TakeReceived()), 204);
  EXPECT_EQ(StatusOf(Subscribe(target, "If-None-Match: *\r\n")->TakeReceived()), 304);
  auto closer = rig().Connect();
  Send(closer.get(), "POST", kStream, {}, "Stream-Closed: true\r\n");
  std::string closed = Subscribe(target, "If-Match: *\r\n")->TakeReceived();
  EXPECT_EQ(StatusOf(closed), 204);
  EXPECT_EQ(ValueOf(closed, "Stream-Closed"), "true");
}

TEST_F(StreamHandlerTest, SubscriberUnderAConditionThatFailsGetsThePlainError) {
  CreateText(kStream);
  std::string target = std::string(kStream) + "?live=sse&offset=-1";
  std::string answer = AskUnder("If-Match: \"x\"", "GET", target);
  EXPECT_EQ(StatusOf(answer), 412);
  EXPECT_NE(answer.find("PRECONDITION_FAILED"), std::string::npos);
  auto peer = Subscribe(target, "If-Match: *\r\n");
  EXPECT_NE(ValueOf(peer->received(), "Stream-Incarnation"), "");
  Ask("POST", kStream, "more");
  EXPECT_EQ(CountOf(peer->received(), "event: data"), 2u);
}

TEST_F(StreamHandlerTest, ReadOfAnotherIncarnationWhoseClientLeavesStillEnds) {
  CreateText(kStream);
  for (std::string_view query : {"", "?live=long-poll&offset=now", "?live=sse&offset=-1"}) {
    engine_->Hold();
    auto peer = Subscribe(std::string(kStream) + std::string(query),
                          "Stream-Incarnation: 00000000000000ff\r\n");
    EXPECT_EQ(engine_->held(), 1u);
    peer->Break(ECONNRESET);
    EXPECT_EQ(rig().server->counters().requests_open.Get(), 1u);
    engine_->Release();
    rig().manual.RunUntilIdle();
    EXPECT_EQ(rig().server->counters().requests_open.Get(), 0u) << query;
    EXPECT_EQ(peer->received(), "");
  }
}

TEST_F(StreamHandlerTest, SlowSubscriberCostsBoundedMemoryAndIsCutInTheEnd) {
  live_.unsent_bytes_max = 10'000;
  config_.sse_read_bytes_max = 1000;
  CreateText(kStream);
  auto peer = Subscribe(std::string(kStream) + "?live=sse&offset=now");
  peer->TakeReceived();
  peer->Stall();
  for (int i = 0; i < 100; ++i) Ask("POST", kStream, std::string(1000, '#'));
  EXPECT_EQ(engine_->waiting(), 0u);  // Nothing more is read for it.
  uint64_t made = rig().server->counters().frames_encoded.Get();
  EXPECT_LT(made, 20u);
  // It goes on where it stood, and misses nothing.
  peer->Unstall();
  EXPECT_EQ(CountOf(peer->received(), "#"), 100'000u);
  peer->Stall();
  Ask("POST", kStream, "y");
  rig().AdvanceMs(rig().options.send_timeout_ms + 1);
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(rig().server->counters().requests_open.Get(), 0u);
}

TEST_F(StreamHandlerTest, SubscriberOverHttpOnePointZeroGetsPlainFrames) {
  CreateText(kStream);
  auto peer = rig().Connect();
  peer->Write("GET /v1/stream/s?live=sse&offset=-1 HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(BodyOf(peer->received()).starts_with("retry:1000\nid:"));
  EXPECT_EQ(CountOf(BodyOf(peer->received()), "\n\nevent: data\n"), 1u);
  EXPECT_EQ(peer->received().find("chunked"), std::string::npos);
}

TEST_F(StreamHandlerTest, AppendUnderWayWhenItsClientLeavesStillEnds) {
  CreateText(kStream);
  engine_->Hold();
  auto peer = rig().Connect();
  Send(peer.get(), "POST", kStream, "more");
  EXPECT_EQ(engine_->held(), 1u);
  peer->Break(ECONNRESET);
  EXPECT_TRUE(peer->closed());
  engine_->Release();
  rig().manual.RunUntilIdle();
  EXPECT_EQ(BodyOf(Ask("GET", kStream)), "first more");
}

}  // namespace
}  // namespace ursula::http
