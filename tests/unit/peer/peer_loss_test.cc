// Connections that break, and processes that end.

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/peer/dial.h"
#include "server/peer/grpc_transport.h"
#include "tests/support/peer_nodes.h"
#include "tests/support/tcp_relay.h"

namespace ursula::peer {
namespace {

using testing::FreePort;
using testing::PeerEvent;
using testing::PeerNode;
using testing::TcpRelay;

class PeerLossTest : public ::testing::Test {
 protected:
  // Node 1 reaches node 2 by `wire_port_`, where a test may put a relay.
  void StartOne(uint16_t two_at) {
    one_ = std::make_unique<PeerNode>(1, 1, one_port_, std::map<uint64_t, uint16_t>{{2, two_at}});
  }
  void StartTwo() {
    two_ =
        std::make_unique<PeerNode>(2, 1, two_port_, std::map<uint64_t, uint16_t>{{1, one_port_}});
  }
  bool ToldEnded(PeerNode& node) {
    const std::vector<PeerEvent> events = node.events();
    return std::any_of(events.begin(), events.end(),
                       [](const PeerEvent& event) { return event.ended; });
  }

  const uint16_t one_port_ = FreePort();
  const uint16_t two_port_ = FreePort();
  const uint16_t wire_port_ = FreePort();
  std::unique_ptr<PeerNode> one_;
  std::unique_ptr<PeerNode> two_;
};

TEST_F(PeerLossTest, AProcessThatEndsIsKnownToHaveEndedAndItsSuccessorIsMet) {
  StartOne(two_port_);
  StartTwo();
  one_->SendSurely(0, 2, Channel::kControl, "first");
  two_->AwaitFrames(1);
  two_->SendSurely(0, 1, Channel::kControl, "of the first process");
  one_->AwaitFrames(1);
  const uint64_t first = one_->status(2).incarnation;
  two_.reset();
  one_->AwaitLost(2, true);
  EXPECT_EQ(one_->Send(0, 2, Channel::kControl, "gone"), SendOutcome::kUnreachable);

  one_->Clear();
  StartTwo();
  one_->AwaitConnected(2, 2);
  EXPECT_NE(one_->status(2).incarnation, first);
  one_->SendSurely(0, 2, Channel::kControl, "second");
  two_->AwaitFrames(1);
  two_->SendSurely(0, 1, Channel::kControl, "of the second process");
  one_->AwaitFrames(1);
  EXPECT_EQ(two_->frames(0, Channel::kControl), std::vector<std::string>{"second"});
  // It was told once.
  EXPECT_FALSE(ToldEnded(*one_));
}

TEST_F(PeerLossTest, ACutConnectionLosesAnEndOfWhatWasSentAndNothingComesTwice) {
  constexpr int kRounds = 5;
  constexpr int kFramesPerRound = 2000;
  TcpRelay relay(wire_port_, two_port_);
  StartOne(wire_port_);
  StartTwo();
  int next = 0;
  for (int round = 0; round < kRounds; ++round) {
    one_->AwaitConnected(2, static_cast<std::size_t>(round) + 1);
    // The connection is cut in the middle of them.
    const std::size_t before = one_->event_count();
    for (int i = 0; i < kFramesPerRound; ++i) {
      if (i == kFramesPerRound / 2) relay.Cut();
      one_->Send(0, 2, Channel::kBulk, std::to_string(next++) + std::string(300, ' '));
    }
    one_->Await([before](const std::vector<PeerEvent>& events) {
      return std::any_of(events.begin() + static_cast<std::ptrdiff_t>(before), events.end(),
                         [](const PeerEvent& e) { return e.kind == PeerEvent::Kind::kLost; });
    });
  }
  one_->AwaitConnected(2, kRounds + 1);
  one_->SendSurely(0, 2, Channel::kBulk, "end");
  two_->Await([](const std::vector<PeerEvent>& events) {
    return !events.empty() && events.back().frame == "end";
  });
  // Within a connection an end is lost, nothing else: a gap follows a loss.
  int last = -1;
  bool lost = true;
  for (const PeerEvent& event : two_->events()) {
    if (event.kind == PeerEvent::Kind::kLost) lost = true;
    if (event.kind != PeerEvent::Kind::kFrame || event.frame == "end") continue;
    const int number = std::stoi(event.frame);
    ASSERT_GT(number, last);
    if (number != last + 1) {
      ASSERT_TRUE(lost) << number << " after " << last;
    }
    lost = false;
    last = number;
  }
  EXPECT_GT(last, 0);
  // The process went on.
  EXPECT_FALSE(ToldEnded(*one_));
  EXPECT_FALSE(ToldEnded(*two_));
}

TEST_F(PeerLossTest, ADeadWireIsNoticedAndNobodyHasEnded) {
  TcpRelay relay(wire_port_, two_port_);
  StartOne(wire_port_);
  StartTwo();
  one_->SendSurely(0, 2, Channel::kControl, "first");
  two_->AwaitFrames(1);
  relay.set_dead(true);
  one_->AwaitLost(2, false);
  EXPECT_FALSE(one_->status(2).connected);
  EXPECT_FALSE(ToldEnded(*one_));
  // The other way goes on.
  two_->SendSurely(0, 1, Channel::kControl, "still here");
  one_->AwaitFrames(1);
  relay.Cut();
  relay.set_dead(false);
  one_->AwaitConnected(2, 2);
  one_->SendSurely(0, 2, Channel::kControl, "second");
  two_->AwaitFrames(2);
}

TEST_F(PeerLossTest, OnceStopHasReturnedNobodyIsCalled) {
  StartOne(two_port_);
  StartTwo();
  one_->AwaitConnected(2);
  // Frames wait on the core of node 2.
  std::mutex gate;
  std::unique_lock closed(gate);
  two_->core(0).Post([&gate] { std::lock_guard wait(gate); });
  const std::string frame(1 << 20, 'x');
  while (one_->Send(0, 2, Channel::kBulk, frame) == SendOutcome::kTaken) {
  }
  two_->Stop();
  // PeerNode checks that no event comes afterwards.
  closed.unlock();
  two_->core(0).Run([] {});
  one_->AwaitLost(2, true);
  EXPECT_EQ(two_->event_count(), 0u);
  EXPECT_EQ(two_->Send(0, 1, Channel::kControl, "late"), SendOutcome::kUnreachable);
}

// Four messages that wait on a core keep their stream from being read: nothing of it is under way.
TEST_F(PeerLossTest, AStopDoesNotWaitForFramesThatNobodyTakes) {
  StartOne(two_port_);
  StartTwo();
  one_->SendSurely(0, 2, Channel::kBulk, "first");
  two_->AwaitFrames(1);
  std::promise<void> gate;
  two_->core(0).Post([opened = gate.get_future().share()] { opened.wait(); });
  const std::string frame(600 << 10, 'x');  // No two in one message.
  // Both: if one ends, all of the session are closed.
  for (Channel channel : {Channel::kControl, Channel::kBulk}) {
    while (one_->Send(0, 2, channel, frame) != SendOutcome::kFull) {
    }
  }
  while (two_->status(1).received_frames < 1 + 4 + 4) std::this_thread::yield();
  two_->Stop();
  gate.set_value();
}

TEST_F(PeerLossTest, WhoAcceptsAndNeverAnswersIsGivenUp) {
  Result<Listener> silent = Listen(testing::Loopback(two_port_));
  ASSERT_TRUE(silent.ok());
  one_ = std::make_unique<PeerNode>(
      1, 1, one_port_, std::map<uint64_t, uint16_t>{{2, two_port_}},
      [](PeerTransportOptions* options) { options->handshake_ms_max = 200; });
  one_->AwaitRefused(2, "it accepts connections but doesn't answer the handshake");
  EXPECT_EQ(one_->Send(0, 2, Channel::kControl, "frame"), SendOutcome::kUnreachable);
  EXPECT_FALSE(ToldEnded(*one_));
}

}  // namespace
}  // namespace ursula::peer
