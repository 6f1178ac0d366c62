#include "server/http/connection.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/http/connection_rig.h"

namespace ursula::http {
namespace {

TEST_F(ConnectionTest, KeepAliveServesOneRequestAfterTheOther) {
  auto peer = rig().Connect();
  for (int i = 0; i < 3; ++i) {
    peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    std::string response = peer->TakeReceived();
    EXPECT_EQ(StatusOf(response), 200);
    EXPECT_EQ(BodyOf(response), "/a hi");
    EXPECT_NE(response.find("Content-Length: 5\r\n"), std::string::npos);
    EXPECT_NE(response.find("Date: "), std::string::npos);
    EXPECT_NE(response.find("X-Request-Id: "), std::string::npos);
    EXPECT_EQ(response.find("Connection: "), std::string::npos);
  }
  EXPECT_FALSE(peer->closed());
  EXPECT_EQ(peer->sends(), 3u);  // Head and body leave in one write.
}

TEST_F(ConnectionTest, PipelinedRequestsAreAnsweredInOrderOneAtATime) {
  auto peer = rig().Connect();
  peer->Write(
      "GET /later1 HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET /later2 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(peer->received(), "");
  EXPECT_EQ(notes_.open.size(), 1u);
  Answer();
  EXPECT_NE(peer->received().find("/later1"), std::string::npos);
  EXPECT_NE(peer->received().find("/b"), std::string::npos);
  ASSERT_EQ(notes_.open.size(), 1u);
  Answer();
  EXPECT_LT(peer->received().find("/b"), peer->received().find("/later2"));
}

TEST_F(ConnectionTest, PipelinedBytesAreBoundedByNotReading) {
  options_.pipelined_bytes_max = 1000;
  auto peer = rig().Connect();
  std::string request =
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n" + std::string(900, 'x');
  peer->Write("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  peer->Write(request);
  EXPECT_FALSE(peer->paused());
  peer->Write(request);
  EXPECT_TRUE(peer->paused());
  Answer();
  EXPECT_FALSE(peer->paused());
  EXPECT_EQ(CountOf(peer->received(), "HTTP/1.1 200"), 3u);
}

TEST_F(ConnectionTest, HttpOnePointZeroClosesUnlessAskedNotTo) {
  auto peer = rig().Connect();
  peer->Write("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_EQ(StatusOf(peer->received()), 200);
  EXPECT_NE(peer->received().find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(peer->got_end());
  peer->End();
  EXPECT_TRUE(peer->closed());

  auto kept = rig().Connect();
  kept->Write("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(kept->received().find("Connection: keep-alive\r\n"), std::string::npos);
  EXPECT_FALSE(kept->closed());
}

// RFC 9112, 9.6: a close with bytes unread resets the connection, and the answer may be lost.
TEST_F(ConnectionTest, CloseComesInStagesAndWhatFollowsIsNotServed) {
  options_.drain_ms = 500;
  auto peer = rig().Connect();
  peer->Write(
      "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(peer->got_end());
  peer->Write("GET /c HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_FALSE(peer->closed());
  EXPECT_EQ(CountOf(peer->received(), "HTTP/1.1 200"), 1u);
  rig().AdvanceMs(501);
  EXPECT_TRUE(peer->closed());
}

TEST_F(ConnectionTest, StoppingDoesNotWaitForClientsToClose) {
  auto peer = rig().Connect();
  peer->Write("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_FALSE(peer->closed());
  rig().Stop();
  EXPECT_TRUE(peer->closed());
  EXPECT_TRUE(rig().stopped);
}

TEST_F(ConnectionTest, HeadGetsNoBody) {
  auto peer = rig().Connect();
  peer->Write("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(StatusOf(peer->received()), 200);
  EXPECT_EQ(BodyOf(peer->received()), "");
  EXPECT_FALSE(peer->closed());
}

TEST_F(ConnectionTest, ContinueIsSentWhenTheBodyWaitsForIt) {
  auto peer = rig().Connect();
  constexpr std::string_view kHead =
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  peer->Write(kHead);
  EXPECT_EQ(peer->TakeReceived(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer->Write("hi");
  EXPECT_EQ(StatusOf(peer->TakeReceived()), 200);
  peer->Write(std::string(kHead) + "hi");  // It did not wait: no interim answer.
  EXPECT_EQ(StatusOf(peer->TakeReceived()), 200);
}

TEST_F(ConnectionTest, UnknownExpectationIs417) {
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: tea\r\n\r\n");
  EXPECT_EQ(StatusOf(peer->received()), 417);
}

TEST_F(ConnectionTest, TooLargeIsAnsweredAndTheRestIsReadBeforeTheEnd) {
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n");
  EXPECT_EQ(StatusOf(peer->received()), 413);
  EXPECT_NE(peer->received().find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(peer->got_end());
  EXPECT_FALSE(peer->closed());
  std::string piece(1 << 20, 'x');
  for (int i = 0; i < 9; ++i) peer->Write(piece);
  EXPECT_FALSE(peer->closed());  // A close now would reset the connection.
  peer->End();
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(Refused(Refusal::kBodyTooLarge), 1u);
}

TEST_F(ConnectionTest, DrainingIsBoundedInBytesAndTime) {
  options_.drain_bytes_max = 1000;
  options_.drain_ms = 500;
  constexpr std::string_view kTooLarge =
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n";
  auto sender = rig().Connect();
  sender->Write(kTooLarge);
  sender->Write(std::string(1001, 'x'));
  EXPECT_TRUE(sender->closed());

  auto waiter = rig().Connect();
  waiter->Write(kTooLarge);
  rig().AdvanceMs(499);
  EXPECT_FALSE(waiter->closed());
  rig().AdvanceMs(2);
  EXPECT_TRUE(waiter->closed());
}

TEST_F(ConnectionTest, ChunkedBodyTooLargeIsAnsweredHalfWay) {
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n");
  peer->Write(std::string(2 << 20, 'x'));
  EXPECT_EQ(StatusOf(peer->received()), 413);
}

TEST_F(ConnectionTest, RefusalsOfTheHeadHaveTheirStatus) {
  const std::vector<std::pair<std::string, int>> cases = {
      {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(70'000, 'a') + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: h\r\nbroken\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 405},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
  };
  for (const auto& [bytes, status] : cases) {
    auto peer = rig().Connect();
    peer->Write(bytes);
    EXPECT_EQ(StatusOf(peer->received()), status) << bytes.substr(0, 60);
    EXPECT_NE(peer->received().find("\"error\""), std::string::npos);
    peer->End();
    EXPECT_TRUE(peer->closed());
    EXPECT_EQ(peer->received().find("Allow: ") != std::string::npos, status == 405);
  }
}

TEST_F(ConnectionTest, SlowHeadIs408HoweverItTrickles) {
  options_.request_timeout_ms = 1000;
  auto peer = rig().Connect();
  peer->Write("GET / HT");
  rig().AdvanceMs(900);
  peer->Write("TP/1.1\r\n");
  rig().AdvanceMs(99);
  EXPECT_EQ(peer->received(), "");
  rig().AdvanceMs(2);
  EXPECT_EQ(StatusOf(peer->received()), 408);
  EXPECT_EQ(Refused(Refusal::kTimeout), 1u);
}

TEST_F(ConnectionTest, BodyMayTakeLongButNotPauseLong) {
  options_.request_timeout_ms = 1000;
  options_.body_bytes_per_second_min = 0;
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    rig().AdvanceMs(900);
    peer->Write("x");
  }
  EXPECT_EQ(peer->received(), "");
  rig().AdvanceMs(1001);
  EXPECT_EQ(StatusOf(peer->received()), 408);
}

TEST_F(ConnectionTest, BodyThatTricklesIs408ThoughItNeverPauses) {
  options_.request_timeout_ms = 1000;
  options_.body_bytes_per_second_min = 10;
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n0123456789");
  for (int i = 0; i < 19; ++i) {  // Nine bytes in the second stretch: one too few.
    rig().AdvanceMs(100);
    if (i == 5 || i >= 10) peer->Write("x");
  }
  EXPECT_EQ(peer->received(), "");
  rig().AdvanceMs(101);
  EXPECT_EQ(StatusOf(peer->received()), 408);
  EXPECT_EQ(notes_.open.size(), 0u);
}

TEST_F(ConnectionTest, BodyAtTheLeastRateIsTakenHoweverLong) {
  options_.request_timeout_ms = 1000;
  options_.body_bytes_per_second_min = 10;
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
  for (int i = 0; i < 10; ++i) {
    rig().AdvanceMs(900);
    peer->Write("0123456789");
  }
  EXPECT_EQ(StatusOf(peer->received()), 200);
}

TEST_F(ConnectionTest, WholeBodyHasALimitTooSoThatWhatCameFastIsNotKeptLong) {
  options_.request_timeout_ms = 1000;
  options_.body_bytes_per_second_min = 10;
  options_.body_timeout_ms = 3500;
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
              std::string(99'000, 'x'));
  for (int i = 0; i < 3; ++i) {
    rig().AdvanceMs(999);
    peer->Write("0123456789");
  }
  EXPECT_EQ(peer->received(), "");
  rig().AdvanceMs(502);
  peer->Write("0123456789");
  EXPECT_EQ(peer->received(), "");
  rig().AdvanceMs(2);
  EXPECT_EQ(StatusOf(peer->received()), 408);
}

TEST_F(ConnectionTest, ChunkFramingIsNoProgressOfTheBody) {
  options_.request_timeout_ms = 1000;
  auto peer = rig().Connect();
  peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;");
  for (int i = 0; i < 9; ++i) {
    rig().AdvanceMs(100);
    peer->Write("x");
  }
  EXPECT_EQ(peer->received(), "");
  rig().AdvanceMs(101);
  EXPECT_EQ(StatusOf(peer->received()), 408);
}

TEST_F(ConnectionTest, PaceStartsAnewWithEachRequestOfAConnection) {
  options_.request_timeout_ms = 1000;
  options_.body_timeout_ms = 1500;
  auto peer = rig().Connect();
  for (int i = 0; i < 3; ++i) {
    peer->Write("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nh");
    rig().AdvanceMs(900);
    peer->Write("i");
    EXPECT_EQ(StatusOf(peer->TakeReceived()), 200);
    peer->Write("GET /slow");
    rig().AdvanceMs(900);
    peer->Write(" HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(StatusOf(peer->TakeReceived()), 200);
  }
}

TEST_F(ConnectionTest, IdleConnectionEndsSilently) {
  options_.idle_timeout_ms = 1000;
  auto peer = rig().Connect();
  peer->Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  peer->TakeReceived();
  rig().AdvanceMs(999);
  EXPECT_FALSE(peer->closed());
  rig().AdvanceMs(2);
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(peer->received(), "");
}

TEST_F(ConnectionTest, ConnectionsPastTheLimitGet503) {
  options_.connections_max = 2;
  auto first = rig().Connect();
  auto second = rig().Connect();
  auto third = rig().Connect();
  EXPECT_EQ(StatusOf(third->received()), 503);
  third->End();
  EXPECT_TRUE(third->closed());
  first->End();
  EXPECT_TRUE(first->closed());
  auto fourth = rig().Connect();
  fourth->Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(StatusOf(fourth->received()), 200);
  EXPECT_EQ(Refused(Refusal::kConnections), 1u);
}

TEST_F(ConnectionTest, AnIdleConnectionGivesWayWhereThatIsWanted) {
  options_.connections_max = 2;
  options_.idle_gives_way = true;
  auto asks = rig().Connect();
  asks->Write("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  auto idle = rig().Connect();
  for (int i = 0; i < 100; ++i) {
    auto next = rig().Connect();
    EXPECT_TRUE(idle->closed());
    next->Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(StatusOf(next->received()), 200);
    idle = next;
  }
  EXPECT_FALSE(asks->closed());
  EXPECT_TRUE(rig().net.accepting());
  // Who is in the middle of a request doesn't give way.
  idle->Write("GET /a HT");
  auto refused = rig().Connect();
  EXPECT_EQ(StatusOf(refused->received()), 503);
  EXPECT_FALSE(idle->closed());
  Answer();
  EXPECT_EQ(StatusOf(asks->received()), 200);
}

TEST_F(ConnectionTest, RefusedConnectionsAreBoundedByNotAccepting) {
  options_.connections_max = 1;
  options_.refused_connections_max = 2;
  auto admitted = rig().Connect();
  auto first = rig().Connect();
  EXPECT_TRUE(rig().net.accepting());
  auto second = rig().Connect();
  EXPECT_FALSE(rig().net.accepting());
  EXPECT_EQ(StatusOf(first->received()), 503);
  EXPECT_EQ(StatusOf(second->received()), 503);
  first->End();
  EXPECT_TRUE(rig().net.accepting());
}

TEST_F(ConnectionTest, HalfClosedClientStillGetsItsAnswers) {
  auto peer = rig().Connect();
  peer->Write("GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  peer->End();
  EXPECT_EQ(notes_.peer_ended, 1);
  EXPECT_FALSE(peer->closed());
  Answer();
  EXPECT_EQ(CountOf(peer->received(), "HTTP/1.1 200"), 2u);
  EXPECT_TRUE(peer->closed());
}

TEST_F(ConnectionTest, RequestWithoutItsEndIsAnsweredToAClientThatStillListens) {
  for (std::string_view half :
       {"GET / HT", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab"}) {
    auto peer = rig().Connect();
    peer->Write(half);
    peer->End();
    EXPECT_EQ(StatusOf(peer->received()), 400) << half;
    EXPECT_TRUE(peer->closed());
  }
}

TEST_F(ConnectionTest, BrokenClientIsToldToTheTaskAndTheExchangeOutlivesTheSocket) {
  auto peer = rig().Connect();
  peer->Write("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  peer->Break(ECONNRESET);
  EXPECT_EQ(notes_.gone, 1);
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(notes_.tasks, 1);
  Answer();  // The engine's completion comes later and finds everything alive.
  EXPECT_EQ(notes_.tasks, 0);
  EXPECT_EQ(peer->received(), "");
}

TEST_F(ConnectionTest, ReaderThatTakesNothingIsCutOff) {
  options_.send_timeout_ms = 1000;
  auto peer = rig().Connect();
  peer->Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  peer->TakeReceived();
  peer->Stall();
  peer->Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  rig().AdvanceMs(999);
  EXPECT_FALSE(peer->closed());
  rig().AdvanceMs(2);
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(Refused(Refusal::kSlowReader), 1u);
}

TEST_F(ConnectionTest, StreamLeavesInChunksAndTheConnectionGoesOn) {
  auto peer = rig().Connect();
  peer->Write("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  Exchange* exchange = TakeOpen();
  EXPECT_NE(peer->received().find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  peer->TakeReceived();
  exchange->Send(Chunk::Of("0123456789abcdef"));
  rig().manual.RunUntilIdle();
  EXPECT_EQ(peer->TakeReceived(), "10\r\n0123456789abcdef\r\n");
  EXPECT_EQ(notes_.drained, 2);
  exchange->EndStream();
  rig().manual.RunUntilIdle();
  EXPECT_EQ(peer->TakeReceived(), "0\r\n\r\n");
  peer->Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(StatusOf(peer->received()), 200);
}

TEST_F(ConnectionTest, StreamToHttpOnePointZeroEndsWithTheConnection) {
  auto peer = rig().Connect();
  peer->Write("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  Exchange* exchange = TakeOpen();
  exchange->Send(Chunk::Of("data"));
  exchange->EndStream();
  rig().manual.RunUntilIdle();
  EXPECT_EQ(BodyOf(peer->received()), "data");
  EXPECT_EQ(peer->received().find("chunked"), std::string::npos);
  EXPECT_TRUE(peer->got_end());
}

TEST_F(ConnectionTest, StoppingAnswersWhatWasOnItsWay) {
  auto used = rig().Connect();
  used->Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  used->TakeReceived();
  auto fresh = rig().Connect();
  rig().Stop();
  for (const auto& peer : {used, fresh}) {
    peer->Write("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(StatusOf(peer->received()), 200);
    EXPECT_NE(peer->received().find("Connection: close\r\n"), std::string::npos);
    EXPECT_TRUE(peer->closed());
  }
  EXPECT_TRUE(rig().stopped);
}

TEST_F(ConnectionTest, AnAnswerThatKeepsTheConnectionIsTrueWhileStoppingToo) {
  auto peer = rig().Connect();
  peer->Stall();
  peer->Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  rig().Stop();
  peer->Unstall();
  EXPECT_EQ(peer->TakeReceived().find("Connection: close\r\n"), std::string::npos);
  EXPECT_FALSE(peer->closed());
  peer->Write("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(StatusOf(peer->received()), 200);
  EXPECT_NE(peer->received().find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(peer->closed());
}

TEST_F(ConnectionTest, StoppingClosesIdleOnesAndFinishesTheOthers) {
  auto idle = rig().Connect();
  auto busy = rig().Connect();
  busy->Write("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  auto half = rig().Connect();
  half->Write("GET /a HTTP/1.1\r\n");
  rig().Stop();
  rig().AdvanceMs(options_.stop_idle_ms - 1);
  EXPECT_FALSE(idle->closed());
  rig().AdvanceMs(1);
  EXPECT_TRUE(idle->closed());
  EXPECT_FALSE(busy->closed());
  EXPECT_EQ(notes_.stopping, 1);
  EXPECT_FALSE(rig().net.accepting());
  half->Write("Host: h\r\n\r\n");
  EXPECT_EQ(StatusOf(half->received()), 200);
  EXPECT_NE(half->received().find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(half->closed());
  EXPECT_FALSE(rig().stopped);
  Answer();
  EXPECT_EQ(StatusOf(busy->received()), 200);
  EXPECT_TRUE(rig().stopped);
  EXPECT_TRUE(rig().all_gone);
}

TEST_F(ConnectionTest, StoppingCutsOffWhatDoesNotFinishInTime) {
  options_.stop_timeout_ms = 1000;
  auto busy = rig().Connect();
  busy->Write("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  Exchange* exchange = TakeOpen();
  rig().Stop();
  rig().AdvanceMs(1001);
  EXPECT_TRUE(busy->closed());
  EXPECT_EQ(notes_.gone, 1);
  EXPECT_FALSE(rig().stopped);
  exchange->Abandon();
  rig().manual.RunUntilIdle();
  EXPECT_TRUE(rig().stopped);
  EXPECT_TRUE(rig().all_gone);
}

TEST_F(ConnectionTest, AllThatWasPipelinedBeforeTheEndIsAnswered) {
  auto peer = rig().Connect();
  peer->Write("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  peer->Write("GET /b HTTP/1.1\r\nHost: h\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n");
  peer->End();
  Answer();
  EXPECT_EQ(CountOf(peer->received(), "HTTP/1.1 200"), 3u);
  EXPECT_TRUE(BodyOf(peer->received()).ends_with("/c "));
  EXPECT_TRUE(peer->closed());
}

}  // namespace
}  // namespace ursula::http
