#include "server/peer/grpc_transport.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/peer_nodes.h"

namespace ursula::peer {
namespace {

using testing::FreePort;
using testing::PeerEvent;
using testing::PeerNode;

// Nodes 1 and 2.
class GrpcTransportTest : public ::testing::Test {
 protected:
  PeerNode& One(uint16_t cores = 1, const PeerNode::Change& change = {}) {
    one_ = std::make_unique<PeerNode>(1, cores, port_one_,
                                      std::map<uint64_t, uint16_t>{{2, port_two_}}, change);
    return *one_;
  }
  PeerNode& Two(uint16_t cores = 1, const PeerNode::Change& change = {}) {
    two_ = std::make_unique<PeerNode>(2, cores, port_two_,
                                      std::map<uint64_t, uint16_t>{{1, port_one_}}, change);
    return *two_;
  }
  void EndTwo() { two_.reset(); }

  const uint16_t port_one_ = FreePort();
  const uint16_t port_two_ = FreePort();
  std::unique_ptr<PeerNode> one_;
  std::unique_ptr<PeerNode> two_;
};

std::string Numbered(uint64_t number, std::size_t bytes = 0) {
  std::string text = std::to_string(number) + ":";
  text.resize(std::max(text.size(), bytes), static_cast<char>('a' + number % 26));
  return text;
}

TEST_F(GrpcTransportTest, FramesGoBothWaysOnBothChannels) {
  PeerNode& one = One();
  PeerNode& two = Two();
  one.SendSurely(0, 2, Channel::kControl, "to two, control");
  one.SendSurely(0, 2, Channel::kBulk, "to two, bulk");
  two.SendSurely(0, 1, Channel::kControl, "to one, control");
  two.SendSurely(0, 1, Channel::kBulk, "");
  two.AwaitFrames(2);
  one.AwaitFrames(2);
  EXPECT_EQ(two.frames(0, Channel::kControl), std::vector<std::string>{"to two, control"});
  EXPECT_EQ(two.frames(0, Channel::kBulk), std::vector<std::string>{"to two, bulk"});
  EXPECT_EQ(one.frames(0, Channel::kControl), std::vector<std::string>{"to one, control"});
  EXPECT_EQ(one.frames(0, Channel::kBulk), std::vector<std::string>{""});
}

TEST_F(GrpcTransportTest, CoresOfDifferingCountsAreFoldedOntoEachOther) {
  PeerNode& one = One(5);
  PeerNode& two = Two(2);
  for (uint16_t core = 0; core < 5; ++core) {
    one.SendSurely(core, 2, Channel::kControl, "from " + std::to_string(core));
  }
  for (uint16_t core = 0; core < 2; ++core) {
    two.SendSurely(core, 1, Channel::kBulk, "from " + std::to_string(core));
  }
  two.AwaitFrames(5);
  one.AwaitFrames(2);
  std::vector<std::string> even = two.frames(0, Channel::kControl);
  std::sort(even.begin(), even.end());
  EXPECT_EQ(even, (std::vector<std::string>{"from 0", "from 2", "from 4"}));
  EXPECT_EQ(two.frames(1, Channel::kControl).size(), 2u);
  EXPECT_EQ(one.frames(1, Channel::kBulk), std::vector<std::string>{"from 1"});
}

TEST_F(GrpcTransportTest, FramesOfAChannelComeInOrderAndNoneTwice) {
  constexpr uint64_t kFrames = 3000;
  const PeerNode::Change small_window = [](PeerTransportOptions* options) {
    options->window_bytes_max = 64 << 10;
    options->fragment_bytes_max = 20'000;
  };
  PeerNode& one = One(2, small_window);
  PeerNode& two = Two(2, small_window);
  std::vector<std::string> sent;
  for (uint64_t i = 0; i < kFrames; ++i) {
    sent.push_back(Numbered(i, i % 97 == 0 ? 50'000 : i % 300));
    for (uint16_t core = 0; core < 2; ++core) {
      one.SendSurely(core, 2, Channel::kBulk, sent.back());
      two.SendSurely(core, 1, Channel::kControl, sent.back());
    }
  }
  one.AwaitFrames(2 * kFrames);
  two.AwaitFrames(2 * kFrames);
  for (uint16_t core = 0; core < 2; ++core) {
    EXPECT_EQ(two.frames(core, Channel::kBulk), sent);
    EXPECT_EQ(one.frames(core, Channel::kControl), sent);
  }
  EXPECT_EQ(one.status(2).sent_frames, 2 * kFrames);
  EXPECT_EQ(one.status(2).received_frames, 2 * kFrames);
}

TEST_F(GrpcTransportTest, WhatIsSentWhileAPeerDoesNotTakeItIsBounded) {
  const PeerNode::Change small_window = [](PeerTransportOptions* options) {
    options->window_bytes_max = 1 << 20;
  };
  PeerNode& one = One(2, small_window);
  PeerNode& two = Two(2);
  std::mutex gate;
  std::unique_lock closed(gate);
  two.core(0).Post([&gate] { std::lock_guard wait(gate); });
  one.AwaitConnected(2);

  const std::string frame(100'000, 'x');
  uint64_t taken = 0;
  uint64_t pings = 0;
  std::size_t rooms = 0;
  std::size_t rooms_before = 0;
  do {
    rooms_before = rooms;
    while (one.Send(0, 2, Channel::kBulk, frame) == SendOutcome::kTaken) {
      // What gRPC and the sockets hold beside the window.
      ASSERT_LT(++taken, 1000u);
    }
    // Meanwhile other cores go on, on the same connection. What the sockets still take makes room.
    for (int i = 0; i < 100; ++i) {
      one.SendSurely(1, 2, Channel::kBulk, "ping");
      two.AwaitFrames(++pings);
      two.SendSurely(1, 1, Channel::kControl, "pong");
      one.AwaitFrames(pings);
    }
    rooms = one.event_count() - pings;
  } while (rooms != rooms_before);
  EXPECT_EQ(one.status(2).window_stalls, rooms + 1);
  EXPECT_LT(two.status(1).received_bytes, 10u << 20);
  EXPECT_EQ(one.Send(0, 2, Channel::kControl, "urgent"), SendOutcome::kTaken);

  one.Clear();
  two.Clear();
  closed.unlock();
  one.Await([](const std::vector<PeerEvent>& events) { return !events.empty(); });
  EXPECT_EQ(one.events().front().kind, PeerEvent::Kind::kRoom);
  EXPECT_EQ(one.events().front().channel, Channel::kBulk);
  two.AwaitFrames(taken + 1);
  EXPECT_EQ(one.Send(0, 2, Channel::kBulk, frame), SendOutcome::kTaken);
  two.AwaitFrames(taken + 2);
  EXPECT_EQ(one.event_count(), 1u);
}

TEST_F(GrpcTransportTest, LargeFramesDoNotKeepSmallOnesWaiting) {
  const PeerNode::Change large_window = [](PeerTransportOptions* options) {
    options->window_bytes_max = 256 << 20;
  };
  PeerNode& one = One(1, large_window);
  PeerNode& two = Two();
  one.AwaitConnected(2);
  Bytes large = Bytes::Take(std::string(20 << 20, 'x'));
  one.core(0).Run([&] {
    for (int i = 0; i < 5; ++i) {
      std::vector<Bytes> parts = {large.Slice(0, 7), large.Slice(7)};
      EXPECT_EQ(one.transport().Send(CoreId{0}, NodeId{2}, Channel::kBulk, std::move(parts)),
                SendOutcome::kTaken);
    }
    EXPECT_EQ(one.transport().Send(CoreId{0}, NodeId{2}, Channel::kControl, {Bytes::Copy("now")}),
              SendOutcome::kTaken);
  });
  two.AwaitFrames(6);
  const std::vector<PeerEvent> events = two.events();
  EXPECT_EQ(events.back().channel, Channel::kBulk);
  EXPECT_EQ(events.back().frame, large.view());
  // The sender's copy is let go.
  one.Stop();
}

TEST_F(GrpcTransportTest, WithoutASinkFramesAreDropped) {
  PeerNode& one = One();
  PeerNode& two = Two(2);
  two.Detach(0);
  one.SendSurely(0, 2, Channel::kControl, "to nobody");
  two.SendSurely(1, 1, Channel::kControl, "to somebody");
  one.AwaitFrames(1);
  // In order after it, on the same core.
  two.core(0).Run([] {});
  EXPECT_EQ(two.event_count(), 0u);
}

TEST_F(GrpcTransportTest, NobodyIsThereToSendTo) {
  PeerNode& one = One();
  EXPECT_EQ(one.Send(0, 2, Channel::kControl, "too early"), SendOutcome::kUnreachable);
  EXPECT_EQ(one.Send(0, 3, Channel::kControl, "to a stranger"), SendOutcome::kUnreachable);
  EXPECT_EQ(one.Send(0, 1, Channel::kControl, "to itself"), SendOutcome::kUnreachable);
  one.AwaitLog("can't reach");
  EXPECT_FALSE(one.status(2).connected);
  EXPECT_NE(one.status(2).refusal.find("Connection refused"), std::string::npos);
}

TEST_F(GrpcTransportTest, FramesAreSharedUntilTheyAreSent) {
  PeerNode& one = One();
  PeerNode& two = Two();
  one.AwaitConnected(2);
  auto owner = std::make_shared<std::string>(50'000, 'x');
  std::weak_ptr<std::string> watched = owner;
  const std::string_view view = *owner;
  one.Send(0, 2, Channel::kBulk, {Bytes(std::move(owner), view)});
  two.AwaitFrames(1);
  one.Stop();
  EXPECT_TRUE(watched.expired());
}

TEST_F(GrpcTransportTest, OptionsThatMakeNoSenseAreNamed) {
  PeerTransportOptions options;
  options.node = NodeId{1};
  options.incarnation = 1;
  options.listen = "127.0.0.1:0";
  options.post = [](CoreId, Function<void()>) {};
  EXPECT_TRUE([&] {
    auto made = NewPeerTransport(options);
    if (made.ok()) (*made)->Stop();
    return made.ok() && (*made)->port() != 0;
  }());
  const auto refused = [&](const std::function<void(PeerTransportOptions*)>& change) {
    PeerTransportOptions changed = options;
    change(&changed);
    return NewPeerTransport(changed).status().message();
  };
  EXPECT_NE(refused([](auto* o) { o->node = NodeId{0}; }).find("node"), std::string::npos);
  EXPECT_NE(refused([](auto* o) { o->core_count = 0; }).find("core_count"), std::string::npos);
  EXPECT_NE(refused([](auto* o) { o->incarnation = 0; }).find("incarnation"), std::string::npos);
  EXPECT_NE(refused([](auto* o) { o->listen = "here"; }).find("'here'"), std::string::npos);
  EXPECT_NE(refused([](auto* o) { o->listen = "a:b:1"; }).find("HOST:PORT"), std::string::npos);
  EXPECT_NE(refused([](auto* o) { o->peers[NodeId{2}] = "x:99999"; }).find("x:99999"),
            std::string::npos);
  PeerNode& one = One();
  EXPECT_NE(refused([&](auto* o) {
              o->listen = testing::Loopback(one.transport().port());
            }).find("can't listen"),
            std::string::npos);
}

}  // namespace
}  // namespace ursula::peer
