// Connections that move to the core that does what they ask for: two cores' servers in virtual
// time, on one loop, so that each step of a move can be met.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.h"
#include "server/http/core_server.h"
#include "tests/support/fake_net.h"
#include "tests/support/manual_loop.h"
#include "tests/unit/http/http_rig.h"

namespace ursula::http {
namespace {

// Answers "CORE target body", where CORE is the one that answers; the target's last digit is the
// core that it is served on.
class PlaceHandler final : public Handler {
 public:
  void OnRequest(Exchange* exchange) override {
    const std::string& target = exchange->request().target;
    exchange->ServedOn(CoreId{static_cast<uint16_t>(target.back() - '0')});
    protocol::Response response;
    std::string text = std::to_string(Raw(exchange->loop().core())) + " " + target + " ";
    text += exchange->request().body.view();
    response.body = {Bytes::Take(text + ";")};
    exchange->Reply(std::move(response));
  }
};

struct TestCore {
  TestCore(testing::ManualLoop* manual, CoreId id, const HttpOptions& options, SharedUse* shared)
      : net(manual, id), server(&net, &options, shared) {
    server.SetHandler(std::make_unique<PlaceHandler>());
  }
  void Stop() {
    server.Stop([this](bool gone) {
      stopped = true;
      all_gone = gone;
    });
  }
  testing::FakeNetLoop net;
  CoreServer server;
  bool stopped = false;
  bool all_gone = false;
};

class MovingTest : public ::testing::Test {
 protected:
  MovingTest() {
    for (TestCore* core : {&zero_, &one_}) {
      core->server.SetAll({&zero_.server, &one_.server});
      EXPECT_TRUE(core->server.Listen(0).ok());
    }
  }
  ~MovingTest() override {
    if (!stop_called_) Stop();
    EXPECT_TRUE(manual_.RunUntil([this] { return zero_.stopped && one_.stopped; }, 60'000 * kMs));
    EXPECT_TRUE(zero_.all_gone && one_.all_gone);
    EXPECT_EQ(shared_.connections.load(), 0u);
    EXPECT_EQ(shared_.body_bytes.load(), 0u);
    for (TestCore* core : {&zero_, &one_}) {
      EXPECT_EQ(core->server.counters().connections_open.Get(), 0u);
      EXPECT_EQ(core->server.counters().requests_open.Get(), 0u);
    }
  }
  void Stop() {
    stop_called_ = true;
    zero_.Stop();
    one_.Stop();
  }
  static std::string Request(int core, std::string_view body = "") {
    return "POST /" + std::to_string(core) +
           " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
  }
  // Asks once and gives the core that answered, or -1.
  int Ask(testing::FakePeer* peer, int core) {
    peer->TakeReceived();
    peer->Write(Request(core));
    const std::string body = BodyOf(peer->received());
    return body.empty() ? -1 : body[0] - '0';
  }
  uint64_t moved() {
    return zero_.server.counters().connections_moved.Get() +
           one_.server.counters().connections_moved.Get();
  }

  static constexpr int kBefore = 16;
  testing::ManualLoop manual_;
  HttpOptions options_;
  SharedUse shared_;
  TestCore zero_{&manual_, CoreId{0}, options_, &shared_};
  TestCore one_{&manual_, CoreId{1}, options_, &shared_};
  bool stop_called_ = false;
};

TEST_F(MovingTest, ToTheCoreThatItsRequestsAreFor) {
  auto peer = zero_.net.Connect();
  for (int i = 0; i < kBefore; ++i) EXPECT_EQ(Ask(peer.get(), 1), 0) << i;
  EXPECT_EQ(moved(), 1u);
  EXPECT_EQ(Ask(peer.get(), 1), 1);
  EXPECT_EQ(zero_.server.counters().connections_open.Get(), 0u);
  EXPECT_EQ(one_.server.counters().connections_open.Get(), 1u);
  EXPECT_EQ(shared_.connections.load(), 1u);
  // And back.
  for (int i = 0; i < kBefore; ++i) EXPECT_EQ(Ask(peer.get(), 0), 1) << i;
  EXPECT_EQ(Ask(peer.get(), 0), 0);
  EXPECT_EQ(moved(), 2u);
  EXPECT_EQ(zero_.server.counters().connections_accepted.Get(), 1u);
  EXPECT_EQ(one_.server.counters().connections_accepted.Get(), 0u);
}

TEST_F(MovingTest, OneThatAsksForMoreThanOneCoresStays) {
  auto peer = zero_.net.Connect();
  for (int i = 0; i < 10 * kBefore; ++i) EXPECT_EQ(Ask(peer.get(), i % kBefore == 0 ? 0 : 1), 0);
  // A core that isn't there.
  for (int i = 0; i < 2 * kBefore; ++i) EXPECT_EQ(Ask(peer.get(), 7), 0);
  EXPECT_EQ(moved(), 0u);
}

TEST_F(MovingTest, WhatComesMeanwhileIsAnsweredInOrder) {
  // At each point between two of a request's bytes, and with a FIN behind it or without.
  const std::string two = Request(1, "first") + Request(1, "second");
  for (std::size_t cut = 0; cut <= two.size(); ++cut) {
    for (bool end : {false, true}) {
      auto peer = zero_.net.Connect();
      const uint64_t moved_before = moved();
      for (int i = 0; i < kBefore - 1; ++i) ASSERT_EQ(Ask(peer.get(), 1), 0);
      peer->TakeReceived();
      peer->WriteSoon(Request(1) + two.substr(0, cut));
      for (std::size_t at = cut; at < two.size(); ++at) {
        peer->WriteSoon(two.substr(at, 1));
        manual_.RunTurn();
      }
      if (end) peer->EndSoon();
      manual_.RunUntilIdle();
      const std::string got = peer->TakeReceived();
      EXPECT_EQ(CountOf(got, "HTTP/1.1 200"), 3u) << cut << got;
      EXPECT_LT(got.find("first;"), got.find("second;")) << cut << got;
      EXPECT_NE(got.find("second;"), std::string::npos) << cut << got;
      EXPECT_EQ(peer->got_end(), end) << cut;
      // A client that has ended asks for nothing more: it needs no move, but may be in one.
      if (!end) {
        EXPECT_EQ(moved(), moved_before + 1) << cut;
        EXPECT_EQ(Ask(peer.get(), 1), 1);
        peer->End();
      }
      EXPECT_TRUE(peer->closed()) << cut;
    }
  }
}

TEST_F(MovingTest, OneThatFailsMeanwhileIsClosed) {
  auto peer = zero_.net.Connect();
  for (int i = 0; i < kBefore - 1; ++i) ASSERT_EQ(Ask(peer.get(), 1), 0);
  peer->WriteSoon(Request(1));
  while (zero_.server.counters().connections_open.Get() == 1 && peer->received().empty()) {
    manual_.RunTurn();
  }
  peer->Break(104);  // ECONNRESET.
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(shared_.connections.load(), 0u);
}

TEST_F(MovingTest, NotWhereThereAreManyMore) {
  std::vector<std::shared_ptr<testing::FakePeer>> others;
  for (int i = 0; i < 10; ++i) others.push_back(one_.net.Connect());
  auto peer = zero_.net.Connect();
  for (int i = 0; i < 3 * kBefore; ++i) EXPECT_EQ(Ask(peer.get(), 1), 0);
  EXPECT_EQ(moved(), 0u);
  others.resize(4);
  for (auto& other : others) other->End();
  others.clear();
  EXPECT_EQ(one_.server.counters().connections_open.Get(), 6u);
  // Enough on its own side make it even.
  for (int i = 0; i < 3; ++i) others.push_back(zero_.net.Connect());
  for (int i = 0; i < kBefore; ++i) Ask(peer.get(), 1);
  EXPECT_EQ(moved(), 1u);
}

TEST_F(MovingTest, ACoreThatStopsSendsItBack) {
  auto peer = zero_.net.Connect();
  for (int i = 0; i < kBefore - 1; ++i) ASSERT_EQ(Ask(peer.get(), 1), 0);
  one_.Stop();
  manual_.RunUntilIdle();
  EXPECT_TRUE(one_.stopped && one_.all_gone);
  for (int i = 0; i < 3 * kBefore; ++i) EXPECT_EQ(Ask(peer.get(), 1), 0);
  EXPECT_EQ(moved(), 0u);
  zero_.Stop();
  stop_called_ = true;
}

TEST_F(MovingTest, AStopMeetsEachStepOfIt) {
  // After so many turns; at some of them the connection belongs to neither.
  for (int turns = 0; turns < 8; ++turns) {
    for (bool zero_first : {true, false}) {
      testing::ManualLoop manual;
      SharedUse shared;
      TestCore zero(&manual, CoreId{0}, options_, &shared);
      TestCore one(&manual, CoreId{1}, options_, &shared);
      for (TestCore* core : {&zero, &one}) {
        core->server.SetAll({&zero.server, &one.server});
        ASSERT_TRUE(core->server.Listen(0).ok());
      }
      auto peer = zero.net.Connect();
      for (int i = 0; i < kBefore - 1; ++i) peer->Write(Request(1));
      peer->TakeReceived();
      peer->WriteSoon(Request(1));
      for (int i = 0; i < turns; ++i) manual.RunTurn();
      (zero_first ? zero : one).Stop();
      (zero_first ? one : zero).Stop();
      peer->WriteSoon(Request(1, "asked meanwhile"));
      EXPECT_TRUE(manual.RunUntil([&] { return zero.stopped && one.stopped; }, 60'000 * kMs));
      EXPECT_TRUE(zero.all_gone && one.all_gone);
      EXPECT_TRUE(peer->closed());
      EXPECT_EQ(shared.connections.load(), 0u);
      // What was sent at the stop is answered too, as on a connection that stays.
      EXPECT_EQ(CountOf(peer->received(), "HTTP/1.1 200"), 2u) << turns << peer->received();
    }
  }
}

TEST_F(MovingTest, OneThatComesBackAfterTheCutIsCutToo) {
  HttpOptions options;
  options.stop_timeout_ms = 0;
  options.stop_patience_ms = 10;
  options.stop_idle_ms = 1000;
  for (int turns = 0; turns < 8; ++turns) {
    testing::ManualLoop manual;
    SharedUse shared;
    TestCore zero(&manual, CoreId{0}, options, &shared);
    TestCore one(&manual, CoreId{1}, options, &shared);
    for (TestCore* core : {&zero, &one}) {
      core->server.SetAll({&zero.server, &one.server});
      ASSERT_TRUE(core->server.Listen(0).ok());
    }
    auto peer = zero.net.Connect();
    for (int i = 0; i < kBefore - 1; ++i) peer->Write(Request(1));
    peer->WriteSoon(Request(1));
    for (int i = 0; i < turns; ++i) manual.RunTurn();
    zero.Stop();
    one.Stop();
    EXPECT_TRUE(manual.RunUntil([&] { return zero.stopped && one.stopped; }, 500 * kMs)) << turns;
    EXPECT_TRUE(zero.all_gone && one.all_gone) << turns;
    manual.RunUntilIdle();
    EXPECT_TRUE(peer->closed()) << turns;
    manual.RunUntil([&] { return shared.connections.load() == 0; }, 60'000 * kMs);
  }
}

}  // namespace
}  // namespace ursula::http
