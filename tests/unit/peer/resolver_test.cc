// Names of peers, and resolvers that don't answer.

#include "server/peer/resolver.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/peer/grpc_transport.h"
#include "tests/support/peer_nodes.h"

namespace ursula::peer {
namespace {

using testing::FreePort;
using testing::PeerNode;

// A resolver that answers once it is released: for others than the test, too, whose threads may
// outlive it.
class Held {
 public:
  ResolveFunction Function() {
    return [state = state_](const HostPort& at) -> Result<SocketAddresses> {
      std::unique_lock lock(state->mutex);
      ++state->asked;
      state->changed.notify_all();
      state->changed.wait(lock, [&] { return state->released; });
      lock.unlock();
      return ResolveNow({"127.0.0.1", at.port}, false);
    };
  }
  void AwaitAsked() {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->asked > 0; });
  }
  int asked() {
    std::lock_guard lock(state_->mutex);
    return state_->asked;
  }
  void Release() {
    std::lock_guard lock(state_->mutex);
    state_->released = true;
    state_->changed.notify_all();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int asked = 0;
    bool released = false;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

TEST(ResolverTest, NumbersNeedNoResolver) {
  Resolver resolver([](const HostPort&) -> Result<SocketAddresses> {
    ADD_FAILURE() << "it was asked";
    return Status(StatusCode::kInternal, "");
  });
  EXPECT_EQ(resolver.Resolve({"127.0.0.1", 5}, 1, -1)->size(), 1u);
  EXPECT_EQ(resolver.Resolve({"::1", 5}, 1, -1)->front().address.ss_family, AF_INET6);
}

TEST(ResolverTest, AQuestionThatTakesTooLongGoesOnAndIsNotAskedTwice) {
  Held held;
  Resolver resolver(held.Function());
  const HostPort at = {"peer.example", 7};
  for (int i = 0; i < 3; ++i) {
    Result<SocketAddresses> late = resolver.Resolve(at, 1, -1);
    ASSERT_FALSE(late.ok());
    EXPECT_NE(late.status().message().find("can't resolve peer.example: the resolver hasn't "
                                           "answered in 1 ms"),
              std::string::npos)
        << late.status().message();
  }
  held.AwaitAsked();
  EXPECT_EQ(held.asked(), 1);
  held.Release();
  EXPECT_TRUE(resolver.Resolve(at, 600'000, -1).ok());
  EXPECT_EQ(held.asked(), 1);
  EXPECT_TRUE(resolver.Resolve(at, 600'000, -1).ok());
  EXPECT_EQ(held.asked(), 2) << "names are resolved anew";
}

TEST(ResolverTest, WhoStopsDoesNotWait) {
  Held held;
  Resolver resolver(held.Function());
  const int stop = eventfd(1, EFD_CLOEXEC);
  Result<SocketAddresses> stopped = resolver.Resolve({"peer.example", 7}, 600'000, stop);
  EXPECT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.status().message(), "can't resolve peer.example: stopping");
  close(stop);
  held.Release();
}

TEST(ResolverTest, WhatTheSystemSaysOfANameIsTold) {
  Resolver resolver({});
  // Too long for any name: no server has to be asked.
  const Result<SocketAddresses> none = resolver.Resolve({std::string(300, 'x'), 1}, 600'000, -1);
  ASSERT_FALSE(none.ok());
  EXPECT_TRUE(none.status().message().starts_with("can't resolve xxx")) << none.status().message();
}

// The resolver answers only after the stop: one that waits for it never ends.
TEST(ResolverTest, ATransportStopsThoughANameIsNotResolved) {
  Held held;
  PeerNode node(1, 1, FreePort(), {{2, 1}}, [&held](PeerTransportOptions* options) {
    options->peers[NodeId{2}] = "peer.example:4439";
    options->resolve = held.Function();
  });
  held.AwaitAsked();
  node.Stop();
  EXPECT_EQ(held.asked(), 1);
  held.Release();
}

TEST(ResolverTest, AStartWaitsForNoNameAndTheOtherPeersAreReached) {
  Held held;
  const uint16_t one = FreePort();
  const uint16_t two = FreePort();
  PeerNode node(1, 1, one, {{2, two}, {3, 1}}, [&held](PeerTransportOptions* options) {
    options->peers[NodeId{3}] = "peer.example:4439";
    options->resolve = held.Function();
  });
  PeerNode other(2, 1, two, {{1, one}});
  held.AwaitAsked();
  node.AwaitConnected(2);
  node.AwaitRefused(3, "the resolver hasn't answered in 2000 ms");
  held.Release();
}

}  // namespace
}  // namespace ursula::peer
