// Many subscribers of one stream: who gets what, when, and who waits for whom.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/live_hub.h"
#include "tests/unit/http/stream_handler_rig.h"

namespace ursula::http {
namespace {

using testing::FakePeer;

class SseSubscribersTest : public StreamHandlerTest {
 protected:
  void SubscribeAtTail(std::size_t count, std::string_view query = {}) {
    for (std::size_t i = 0; i < count; ++i) {
      peers_.push_back(
          Subscribe(std::string(kStream) + "?live=sse&offset=now" + std::string(query)));
      peers_.back()->TakeReceived();
    }
  }
  // Idle turns included, in which the clock moves on.
  void RunOn() {
    for (int i = 0; i < 100; ++i) {
      ++rig().manual.clock().now_ns;
      rig().manual.RunUntilIdle();
    }
  }
  std::size_t Served(std::string_view data) const {
    std::size_t count = 0;
    for (const auto& peer : peers_) count += CountOf(peer->received(), data);
    return count;
  }

  std::vector<std::shared_ptr<FakePeer>> peers_;
};

TEST_F(SseSubscribersTest, OneEngineReadWaitsForAll) {
  CreateText(kStream);
  SubscribeAtTail(100);
  EXPECT_EQ(engine_->waiting(), 1u);
  const uint64_t reads = engine_->reads;
  Ask("POST", kStream, "more");
  RunOn();
  EXPECT_EQ(Served("data:more\n"), 100u);
  EXPECT_EQ(engine_->reads, reads + 1);
  EXPECT_EQ(engine_->waiting(), 1u);
}

TEST_F(SseSubscribersTest, TheWritersAnswerLeavesATurnBeforeTheFirstFrame) {
  CreateText(kStream);
  SubscribeAtTail(10);
  auto writer = rig().Connect();
  std::vector<std::pair<bool, std::size_t>> seen;  // After each turn: answered, frames.
  Function<void()> look;
  look = [&] {
    seen.emplace_back(!writer->received().empty(), Served("data:more\n"));
    if (seen.size() < 50) rig().manual.Post([&] { look(); });
  };
  rig().manual.Post([&] { look(); });
  Send(writer.get(), "POST", kStream, "more");
  ASSERT_EQ(seen.size(), 50u);
  EXPECT_EQ(seen.back().second, 10u);
  for (std::size_t i = 1; i < seen.size(); ++i) {
    EXPECT_TRUE(seen[i].second == 0 || seen[i - 1].first) << i;
  }
}

TEST_F(SseSubscribersTest, FramesGoOutInSlices) {
  CreateText(kStream);
  SubscribeAtTail(3 * LiveHub::kTurnMembersMax);
  Ask("POST", kStream, "more");  // Until time has to go on.
  EXPECT_EQ(Served("data:more\n"), LiveHub::kTurnMembersMax);
  EXPECT_EQ(StatusOf(Ask("HEAD", kStream)), 200);  // Others are served meanwhile.
  RunOn();
  EXPECT_EQ(Served("data:more\n"), peers_.size());
}

TEST_F(SseSubscribersTest, ASlowOneFallsOffAndLosesNothingAndTheOthersDontWait) {
  live_.unsent_bytes_max = 10'000;
  config_.sse_read_bytes_max = 1000;
  CreateText(kStream);
  SubscribeAtTail(3);
  peers_[1]->Stall();
  for (int i = 0; i < 100; ++i) {
    Ask("POST", kStream, std::string(1000, '#'));
    RunOn();
  }
  EXPECT_EQ(CountOf(peers_[0]->received(), "#"), 100'000u);
  EXPECT_EQ(CountOf(peers_[2]->received(), "#"), 100'000u);
  const uint64_t reads = engine_->reads;
  peers_[1]->Unstall();
  RunOn();
  EXPECT_GT(engine_->reads, reads + 80);  // What it missed nobody has kept for it.
  EXPECT_EQ(CountOf(peers_[1]->received(), "#"), 100'000u);
  Ask("POST", kStream, "end");
  RunOn();
  EXPECT_EQ(Served("data:end\n"), 3u);
  EXPECT_EQ(engine_->waiting(), 1u);
}

TEST_F(SseSubscribersTest, EachMayHaveACursorOfItsOwn) {
  CreateText(kStream);
  SubscribeAtTail(2);
  SubscribeAtTail(1, "&cursor=99999999999");
  Ask("POST", kStream, "more");
  RunOn();
  EXPECT_EQ(Served("data:more\n"), 3u);
  EXPECT_EQ(peers_[0]->received(), peers_[1]->received());
  EXPECT_NE(peers_[0]->received(), peers_[2]->received());
  EXPECT_NE(peers_[2]->received().find("\"streamCursor\":\"1000000000"), std::string::npos);
}

TEST_F(SseSubscribersTest, WhoWantsOffsetsInEventsHasFramesOfItsOwn) {
  AskUnder("Content-Type: application/json", "PUT", kStream);
  SubscribeAtTail(2);
  SubscribeAtTail(2, "&state_offsets=true");
  SubscribeAtTail(1);
  Ask("POST", kStream, "{\"headers\":{\"operation\":\"insert\"}},\n");
  RunOn();
  EXPECT_EQ(Served("data:[{\"headers\":{\"operation\":\"insert\"}}]\n"), 3u);
  EXPECT_EQ(Served("data:[{\"headers\":{\"operation\":\"insert\",\"offset\":"
                   "\"0000000000000000_0000000000000036\"}}]\n"),
            2u);
  EXPECT_EQ(engine_->waiting(), 1u);
}

TEST_F(SseSubscribersTest, ACharacterThatComesInTwoAppendsComesWholeToAll) {
  CreateText(kStream);
  SubscribeAtTail(3);
  Ask("POST", kStream, "\xc3");
  RunOn();
  EXPECT_EQ(Served("event: data"), 0u);
  SubscribeAtTail(1);
  Ask("POST", kStream, "\xa9");
  RunOn();
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(CountOf(peers_[i]->received(), "data:\xc3\xa9\n"), 1u) << i;
  }
  EXPECT_EQ(CountOf(peers_[3]->received(), "data:\xa9\n"), 1u);  // Came in between.
  Ask("POST", kStream, "next");
  RunOn();
  EXPECT_EQ(Served("data:next\n"), 4u);
  EXPECT_EQ(engine_->waiting(), 1u);  // All hang on one read again.
}

TEST_F(SseSubscribersTest, WhoHalfClosesWhileAFrameWaitsForItGetsItAndTheEnd) {
  CreateText(kStream);
  SubscribeAtTail(2 * LiveHub::kTurnMembersMax);
  Ask("POST", kStream, "more");
  FakePeer& last = *peers_.back();
  EXPECT_EQ(last.received(), "");
  last.End();
  RunOn();
  EXPECT_EQ(CountOf(last.received(), "data:more\n"), 1u);
  EXPECT_TRUE(last.received().ends_with("0\r\n\r\n"));
}

TEST_F(SseSubscribersTest, StoppingWaitsForTheFramesThatAreOnTheirWay) {
  CreateText(kStream);
  SubscribeAtTail(2 * LiveHub::kTurnMembersMax);
  Ask("POST", kStream, "more");
  rig().Stop();
  RunOn();
  EXPECT_EQ(Served("data:more\n"), peers_.size());
  for (const auto& peer : peers_) {
    EXPECT_TRUE(peer->received().ends_with("0\r\n\r\n"));
    EXPECT_TRUE(peer->closed());
  }
}

TEST_F(SseSubscribersTest, AllMayLeaveWhileFramesWaitForThem) {
  CreateText(kStream);
  SubscribeAtTail(2 * LiveHub::kTurnMembersMax);
  Ask("POST", kStream, "more");
  for (const auto& peer : peers_) peer->Break(104);
  RunOn();
  EXPECT_EQ(engine_->waiting(), 0u);
  EXPECT_EQ(rig().server->counters().subscribers_open.Get(), 0u);
}

}  // namespace
}  // namespace ursula::http
