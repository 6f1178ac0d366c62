#include "lib/io/socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/io/socket_fixture.h"

namespace ursula::io {
namespace {

TEST(SocketTest, EchoesOnTwoHundredConnectionsThatHalfClose) {
  RealLoops loops;
  Server server(&loops);
  ASSERT_TRUE(server.status.ok()) << server.status.ToString();
  std::vector<std::unique_ptr<Client>> clients;
  for (unsigned i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<Client>(server.listener->port()));
    ASSERT_TRUE(clients.back()->connected());
    clients.back()->Write(Pattern(100 + 37 * i, i));
  }
  for (unsigned i = 0; i < 200; ++i) {
    clients[i]->HalfClose();
    EXPECT_EQ(clients[i]->ReadToEnd(), Pattern(100 + 37 * i, i)) << i;
  }
  loops.Run([&] {
    EXPECT_EQ(server.connections.size(), 200u);
    for (Connection& connection : server.connections) EXPECT_EQ(connection.ended_with, 0);
  });
}

TEST(SocketTest, MoreBytesThanAllReceiveBuffersArriveInOrder) {
  RealLoops loops;
  Server server(&loops);
  loops.Run([&] { server.echo = false; });
  constexpr std::size_t kSize = 12 << 20;  // The loop's buffers hold 8 MiB.
  std::string sent = Pattern(kSize, 7);
  Countdown ended;
  loops.Run([&] {
    server.on_received = [&](Connection& connection) {
      if (connection.received.size() == kSize) ended.Done();
    };
  });
  Client client(server.listener->port());
  client.Write(sent);
  ended.Wait();
  loops.Run([&] { EXPECT_TRUE(server.connections.front().received == sent); });
}

TEST(SocketTest, ALargeSendReachesASlowReaderWhole) {
  RealLoops loops;
  Server server(&loops);
  loops.Run([&] { server.echo = false; });
  std::string large = Pattern(12 << 20, 3);
  loops.Run([&] {
    server.on_accepted = [&](Connection& connection) {
      connection.unsent = large;
      connection.Flush();
      connection.socket->ShutdownSend();  // Waits for the send.
    };
  });
  Client client(server.listener->port(), 4096);
  std::string got;
  for (std::size_t piece = 1; got.size() < large.size(); piece = piece * 2 + 1) {
    std::string bytes = client.Read(std::min<std::size_t>(piece, 1 << 20));
    if (bytes.empty()) break;
    got += bytes;
  }
  EXPECT_TRUE(got == large);
  EXPECT_TRUE(client.Read(1).empty());  // The FIN.
  loops.Run(
      [&] { EXPECT_EQ(server.connections.front().last_send, static_cast<int64_t>(large.size())); });
}

TEST(SocketTest, CloseCancelsASendUnderWay) {
  RealLoops loops;
  Server server(&loops);
  loops.Run([&] { server.echo = false; });
  std::string large = Pattern(24 << 20, 3);
  Countdown sending;
  loops.Run([&] {
    server.on_accepted = [&](Connection& connection) {
      connection.unsent = large;
      connection.Flush();
      sending.Done();
    };
  });
  Client client(server.listener->port(), 4096);
  sending.Wait();
  EXPECT_EQ(client.Read(100), large.substr(0, 100));
  loops.Run([&] { server.connections.front().Close(); });
  server.first_closed.Wait();
  loops.Run([&] {
    EXPECT_EQ(server.connections.front().last_send, -ECANCELED);
    EXPECT_FALSE(server.connections.front().ended);
  });
}

TEST(SocketTest, CloseInsideEachCallbackIsFine) {
  RealLoops loops;
  {
    Server server(&loops);
    loops.Run([&] { server.on_accepted = [](Connection& connection) { connection.Close(); }; });
    EXPECT_EQ(Client(server.listener->port()).ReadToEnd(), "");
  }
  {
    Server server(&loops);
    loops.Run([&] {
      server.echo = false;
      server.on_received = [](Connection& connection) {
        if (!connection.closing) connection.Close();
      };
    });
    Client client(server.listener->port());
    client.Write("x");
    EXPECT_EQ(client.ReadToEnd(), "");
  }
  {
    Server server(&loops);
    loops.Run([&] { server.on_sent = [](Connection& connection) { connection.Close(); }; });
    Client client(server.listener->port());
    client.Write("hello");
    EXPECT_EQ(client.ReadToEnd(), "hello");
  }
}

TEST(SocketTest, NothingIsReceivedBeforeStartAndAllAfterwards) {
  RealLoops loops;
  Server server(&loops);
  loops.Run([&] { server.start_receiving = false; });
  Countdown accepted;
  loops.Run([&] { server.on_accepted = [&](Connection&) { accepted.Done(); }; });
  Client client(server.listener->port());
  client.Write("early");
  accepted.Wait();
  loops.Run([&] {
    Connection& connection = server.connections.front();
    EXPECT_EQ(connection.received, "");
    EXPECT_EQ(connection.socket->peer().substr(0, 10), "127.0.0.1:");
    connection.socket->StartReceive(&connection);
  });
  EXPECT_EQ(client.Read(5), "early");
}

// A paused socket leaves bytes with the kernel, whose buffers then stop the sender.
TEST(SocketTest, PauseHoldsBytesBackAndResumeLosesNone) {
  RealLoops loops;
  Server server(&loops);
  loops.Run([&] { server.echo = false; });
  constexpr std::size_t kSize = 12 << 20;
  Countdown all, first;
  loops.Run([&] {
    server.on_received = [&](Connection& connection) {
      first.Done();
      if (connection.received.size() == kSize) all.Done();
      // Pause at every piece; resume by a detour, in the same turn or a later one.
      connection.socket->PauseReceive();
      loops.loop().Post([&] { connection.socket->ResumeReceive(); });
    };
  });
  Client client(server.listener->port());
  std::string sent = Pattern(kSize, 5);
  client.Write(sent);
  all.Wait();
  loops.Run([&] { EXPECT_TRUE(server.connections.front().received == sent); });
}

TEST(SocketTest, APausedSocketStopsItsSender) {
  RealLoops loops;
  Server server(&loops);
  loops.Run([&] { server.echo = false; });
  Countdown first;
  loops.Run([&] {
    server.on_received = [&](Connection& connection) {
      connection.socket->PauseReceive();
      first.Done();
    };
  });
  Client client(server.listener->port());
  client.Write("x");
  first.Wait();
  timeval patience = {0, 200'000};
  setsockopt(client.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::string block(1 << 20, 'y');
  std::size_t sent = 0;
  while (sent < (std::size_t{256} << 20)) {
    ssize_t put = send(client.fd(), block.data(), block.size(), MSG_NOSIGNAL);
    if (put <= 0) break;
    sent += static_cast<std::size_t>(put);
  }
  EXPECT_LT(sent, std::size_t{64} << 20);
  loops.Run([&] {
    // The kernel had handed over some before the pause.
    EXPECT_LT(server.connections.front().received.size(), std::size_t{8} << 20);
  });
}

TEST(SocketTest, AResetEndsReceivingWithItsError) {
  RealLoops loops;
  Server server(&loops);
  loops.Run([&] { server.echo = false; });
  Countdown got;
  loops.Run([&] { server.on_received = [&](Connection&) { got.Done(); }; });
  Client client(server.listener->port());
  client.Write("x");
  got.Wait();
  client.Reset();
  while (true) {  // Each look is a turn of the loop; the RST is on its way.
    bool ended = false;
    loops.Run([&] { ended = server.connections.front().ended; });
    if (ended) break;
  }
  loops.Run([&] { EXPECT_EQ(server.connections.front().ended_with, ECONNRESET); });
}

TEST(SocketTest, SendToAPeerThatIsGoneFails) {
  RealLoops loops;
  Server server(&loops);
  Countdown sent;
  loops.Run([&] {
    server.echo = false;
    server.start_receiving = false;
    server.on_sent = [&](Connection&) { sent.Done(); };
  });
  Countdown accepted;
  loops.Run([&] { server.on_accepted = [&](Connection&) { accepted.Done(); }; });
  Client client(server.listener->port());
  accepted.Wait();
  client.Reset();
  loops.Run([&] {
    server.connections.front().unsent = Pattern(12 << 20, 1);
    server.connections.front().Flush();
  });
  sent.Wait();
  loops.Run([&] {
    int64_t result = server.connections.front().last_send;
    EXPECT_TRUE(result == -ECONNRESET || result == -EPIPE) << result;
  });
}

// One connection that goes from loop to loop: what came is in `received`, in the order in which it
// was sent.
struct Wanderer final : Receiver {
  Wanderer(RealLoops* on, std::size_t until) : loops(on), size(until) {}
  void OnReceived(std::string_view bytes) override {
    EXPECT_TRUE(here().InLoop());
    received += bytes;
    GoOnSoon();
  }
  void OnReceiveEnded(int error) override {
    EXPECT_EQ(error, 0);
    ended = true;
    GoOnSoon();
  }
  void GoOnSoon() {
    if (op.pending() || closing) return;
    if (!ended && received.size() < size)
      return socket->Release(op.Then<&Wanderer::OnReleased>(this));
    closing = true;
    socket->Close(op.Then<&Wanderer::OnClosed>(this));
  }
  void OnReleased(int64_t descriptor) {
    EXPECT_GE(descriptor, 0);
    socket.reset();
    core = 1 - core;
    ++releases;
    here().Post([this, descriptor] {
      socket = here().Adopt(static_cast<int>(descriptor));
      socket->StartReceive(this);
    });
  }
  void OnClosed(int64_t) {
    socket.reset();
    closed.Done();
  }
  Loop& here() { return loops->loop(core); }

  RealLoops* const loops;
  const std::size_t size;
  std::unique_ptr<Socket> socket;
  uint16_t core = 0;
  std::string received;
  int releases = 0;
  bool ended = false;
  bool closing = false;
  Op op;
  Countdown closed;
};

TEST(SocketTest, LosesNothingOnItsWayToAnotherLoop) {
  RealLoops loops(2);
  const std::string sent = Pattern(4 << 20, 5);
  Wanderer wanderer(&loops, sent.size());
  struct Taker final : Acceptor {
    explicit Taker(Wanderer* taker) : wanderer(taker) {}
    void OnAccepted(std::unique_ptr<Socket> socket) override {
      wanderer->socket = std::move(socket);
      wanderer->socket->StartReceive(wanderer);
    }
    void OnAcceptFailed(int) override {}
    Wanderer* const wanderer;
  } taker(&wanderer);
  std::unique_ptr<Listener> listeners[2];
  for (const uint16_t core : std::initializer_list<uint16_t>{0, 1}) {
    loops.Run([&] { listeners[core] = std::move(*loops.loop(core).Listen({}, &taker)); }, core);
  }
  Client client(listeners[0]->port());
  client.Write(sent);
  client.HalfClose();
  wanderer.closed.Wait();
  EXPECT_TRUE(wanderer.received == sent);
  EXPECT_GE(wanderer.releases, 2);
  EXPECT_EQ(client.Read(1), "");
  for (const uint16_t core : std::initializer_list<uint16_t>{0, 1})
    loops.Do([&](Op* op) { listeners[core]->Close(op); }, core);
}

}  // namespace
}  // namespace ursula::io
