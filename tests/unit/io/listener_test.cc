// Listeners and ports, on a real loop.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "lib/io/port_lock.h"
#include "lib/io/runtime.h"
#include "tests/unit/io/socket_fixture.h"

namespace ursula::io {
namespace {

// Takes the lock and lets it go.
StatusCode CodeOfLock(const std::string& host, uint16_t port) {
  return PortLock::Take(host, port).status().code();
}

TEST(ListenerTest, RefusesAPortInUseAndWhatIsNoAddress) {
  RealLoops loops;
  Server first(&loops);
  uint16_t port = first.listener->port();
  Server second(&loops, {.port = port});
  EXPECT_EQ(second.status.code(), StatusCode::kFailedPrecondition);
  Server third(&loops, {.host = "localhost"});
  EXPECT_EQ(third.status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOfLock("127.0.0.1", port), StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOfLock("nowhere", 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOfLock("192.0.2.1", 0), StatusCode::kInvalidArgument);
}

TEST(ListenerTest, ALockedPortIsItsHoldersAndCanBeListenedOn) {
  RealLoops loops;
  auto lock = PortLock::Take("127.0.0.1", 0);
  ASSERT_TRUE(lock.ok()) << lock.status().ToString();
  const uint16_t port = (*lock)->port();
  auto expect_held = [&] {
    for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
      EXPECT_EQ(CodeOfLock(host, port), StatusCode::kFailedPrecondition) << host;
    }
    EXPECT_EQ(CodeOfLock("127.0.0.2", port), StatusCode::kOk) << "which doesn't overlap";
  };
  expect_held();
  ASSERT_TRUE((*lock)->Share().ok());
  expect_held();
  {
    Server first(&loops, {.port = port, .reuse_port = true});
    EXPECT_TRUE(first.status.ok()) << first.status.ToString();
    Server second(&loops, {.port = port, .reuse_port = true});
    EXPECT_TRUE(second.status.ok()) << second.status.ToString();
    expect_held();
  }
  expect_held();
  lock->reset();
  EXPECT_EQ(CodeOfLock("127.0.0.1", port), StatusCode::kOk);
}

// Two that are past the bind at once: one may go on.
TEST(ListenerTest, OfManyThatLockAPortAtOnceOneHasIt) {
  constexpr int kThreads = 4;
  for (int round = 0; round < 2000; ++round) {
    uint16_t port = 0;
    {
      auto chosen = PortLock::Take("127.0.0.1", 0);
      ASSERT_TRUE(chosen.ok());
      port = (*chosen)->port();
    }
    std::barrier start(kThreads);
    std::unique_ptr<PortLock> locks[kThreads];
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        start.arrive_and_wait();
        auto lock = PortLock::Take(i % 2 == 0 ? "127.0.0.1" : "0.0.0.0", port);
        if (lock.ok()) locks[i] = std::move(*lock);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(std::ranges::count_if(locks, [](auto& lock) { return lock != nullptr; }), 1);
  }
}

TEST(ListenerTest, AFreedPortWithOldConnectionsCanBeLockedAndListenedOn) {
  RealLoops loops;
  uint16_t port = 0;
  {
    Server server(&loops);
    port = server.listener->port();
    loops.Run([&] {
      server.on_received = [](Connection& connection) { connection.Close(); };
      server.echo = false;
    });
    Client client(port);
    client.Write("x");
    client.ReadToEnd();  // The server closed first: TIME_WAIT is its.
  }
  EXPECT_EQ(CodeOfLock("127.0.0.1", port), StatusCode::kOk);
  Server again(&loops, {.port = port});
  EXPECT_TRUE(again.status.ok()) << again.status.ToString();
}

TEST(ListenerTest, CoresShareAPortWhenAsked) {
  RealLoops loops;
  Server first(&loops, {.reuse_port = true});
  ASSERT_TRUE(first.status.ok());
  Server second(&loops, {.port = first.listener->port(), .reuse_port = true});
  EXPECT_TRUE(second.status.ok()) << second.status.ToString();
}

TEST(ListenerTest, ListensOnIpv6) {
  RealLoops loops;
  Server server(&loops, {.host = "[::1]"});
  if (!server.status.ok()) GTEST_SKIP() << "no IPv6 here: " << server.status.ToString();
  EXPECT_NE(server.listener->port(), 0);
}

TEST(ListenerTest, AcceptedSocketsSendWithoutDelay) {
  RealLoops loops;
  Server server(&loops);
  int delay_off = 0;
  Countdown accepted;
  loops.Run([&] {
    server.on_accepted = [&](Connection&) {
      // The accepted descriptor is not ours to see: find it by what it is.
      for (int fd = 3; fd < 256; ++fd) {
        int listening = 1;
        socklen_t size = sizeof listening;
        sockaddr_in peer = {};
        socklen_t peer_size = sizeof peer;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening != 0)
          continue;
        sockaddr_in local = {};
        socklen_t local_size = sizeof local;
        getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size);
        if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) continue;
        if (ntohs(local.sin_port) != server.listener->port()) continue;
        size = sizeof delay_off;
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &delay_off, &size);
      }
      accepted.Done();
    };
  });
  Client client(server.listener->port());
  accepted.Wait();
  EXPECT_EQ(delay_off, 1);
}

TEST(ListenerTest, APausedListenerLeavesTheBacklogAndResumeTakesIt) {
  RealLoops loops;
  Server server(&loops);
  loops.Run([&] { server.listener->Pause(); });
  // The cancel goes out with the turn; an answer to a second message comes after it.
  loops.Run([] {});
  loops.Run([] {});
  Client client(server.listener->port());
  EXPECT_TRUE(client.connected());  // By the backlog.
  client.Write("hello");
  client.HalfClose();
  loops.Run([&] { EXPECT_TRUE(server.connections.empty()); });
  loops.Run([&] { server.listener->Resume(); });
  EXPECT_EQ(client.ReadToEnd(), "hello");
}

TEST(ListenerTest, AcceptingGoesOnAfterDescriptorsRanOut) {
  RealLoops loops;
  int client_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);  // The lowest that was free.
  rlimit before = {};
  getrlimit(RLIMIT_NOFILE, &before);
  // Room for the listener and no more. Before Listen: the kernel notes the limit with the request.
  rlimit one_more = before;
  one_more.rlim_cur = static_cast<rlim_t>(client_fd + 2);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &one_more), 0);
  Server server(&loops);
  ASSERT_TRUE(server.status.ok()) << server.status.ToString();
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.listener->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(client_fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  server.accept_failed.Wait();
  setrlimit(RLIMIT_NOFILE, &before);
  loops.Run([&] { EXPECT_EQ(server.accept_failed_with, EMFILE); });
  EXPECT_EQ(send(client_fd, "hello", 5, MSG_NOSIGNAL), 5);
  char answer[5] = {};
  EXPECT_EQ(recv(client_fd, answer, 5, MSG_WAITALL), 5);
  EXPECT_EQ(std::string_view(answer, 5), "hello");
  close(client_fd);
}

}  // namespace
}  // namespace ursula::io
