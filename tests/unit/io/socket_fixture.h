// tests/unit/io/socket_fixture.h
//
// A server of sockets on a real loop, an echo if not told otherwise, and blocking clients for it.

#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lib/io/socket.h"
#include "tests/unit/io/real_loops.h"

namespace ursula::io {

// A blocking client of the test's own thread.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer = 0) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { close(fd_); }

  bool connected() const { return connected_; }
  void Write(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t put = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(put, 0);
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  void HalfClose() { shutdown(fd_, SHUT_WR); }
  void Reset() {  // RST in place of FIN.
    linger now = {1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd_);
    fd_ = -1;
  }
  // Up to `size` bytes; fewer when the stream ends.
  std::string Read(std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      ssize_t got = recv(fd_, bytes.data() + done, size - done, 0);
      if (got <= 0) break;
      done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }
  std::string ReadToEnd() {
    std::string all;
    for (std::string piece = Read(65536); !piece.empty(); piece = Read(65536)) all += piece;
    return all;
  }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
  bool connected_ = false;
};

class Server;

// One accepted connection; what it does with its bytes is the server's choice.
class Connection : public Receiver {
 public:
  Connection(Server* server, std::unique_ptr<Socket> s) : socket(std::move(s)), server_(server) {}
  void OnReceived(std::string_view bytes) override;
  void OnReceiveEnded(int error) override;
  void Flush();
  void OnSent(int64_t result);
  void Close();
  void OnClosed(int64_t result);

  std::unique_ptr<Socket> socket;
  std::string received;
  std::string unsent;
  std::string sending;
  int64_t last_send = 0;
  int ended_with = -1;
  bool ended = false;
  bool closing = false;
  Op send_op;
  Op close_op;

 private:
  Server* const server_;
};

// Everything in it belongs to the loop's thread but for the Countdowns.
class Server : public Acceptor {
 public:
  explicit Server(RealLoops* loops, ListenOptions options = {}) : loops_(loops) {
    loops_->Run([&] {
      auto opened = loops_->loop().Listen(options, this);
      if (opened.ok()) listener = std::move(*opened);
      status = opened.status();
    });
  }
  // Closes what is open and waits for it.
  ~Server() override {
    loops_->Run([&] {
      int open = 0;
      for (Connection& connection : connections) open += connection.socket != nullptr;
      all_closed = std::make_unique<Countdown>(open + 1);
      for (Connection& connection : connections) {
        if (!connection.closing) connection.Close();
      }
    });
    if (listener != nullptr) loops_->Do([&](Op* op) { listener->Close(op); });
    all_closed->Done();
    all_closed->Wait();
  }
  void OnAccepted(std::unique_ptr<Socket> socket) override {
    connections.emplace_back(this, std::move(socket));
    if (start_receiving) connections.back().socket->StartReceive(&connections.back());
    if (on_accepted) on_accepted(connections.back());
  }
  void OnAcceptFailed(int error) override {
    accept_failed_with = error;
    accept_failed.Done();
  }

  RealLoops* const loops_;
  Status status;
  std::unique_ptr<Listener> listener;
  std::list<Connection> connections;
  bool echo = true;
  bool start_receiving = true;
  int accept_failed_with = 0;
  Function<void(Connection&)> on_accepted;
  Function<void(Connection&)> on_received;
  Function<void(Connection&)> on_sent;
  Countdown accept_failed;
  Countdown first_closed;
  std::unique_ptr<Countdown> all_closed;  // Set when the server is about to go.
};

inline void Connection::OnReceived(std::string_view bytes) {
  received += bytes;
  if (server_->echo) {
    unsent += bytes;
    Flush();
  }
  if (server_->on_received) server_->on_received(*this);
}

inline void Connection::OnReceiveEnded(int error) {
  ended = true;
  ended_with = error;
  if (server_->echo && !send_op.pending() && !closing) Close();
}

inline void Connection::Flush() {
  if (send_op.pending() || unsent.empty() || closing) return;
  sending = std::exchange(unsent, {});
  // In three parts, one of them empty: gathers.
  std::string_view all = sending;
  std::string_view parts[] = {all.substr(0, all.size() / 2), {}, all.substr(all.size() / 2)};
  socket->Send(parts, send_op.Then<&Connection::OnSent>(this));
}

inline void Connection::OnSent(int64_t result) {
  last_send = result;
  if (server_->on_sent) server_->on_sent(*this);
  if (closing) return;
  if (result < 0) return Close();
  Flush();
  if (server_->echo && ended && !send_op.pending()) Close();
}

inline void Connection::Close() {
  closing = true;
  socket->Close(close_op.Then<&Connection::OnClosed>(this));
}

inline void Connection::OnClosed(int64_t result) {
  URSULA_CHECK(result == 0);
  socket.reset();
  server_->first_closed.Done();
  if (server_->all_closed != nullptr) server_->all_closed->Done();
}

inline std::string Pattern(std::size_t size, unsigned salt) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 31 + salt) ^ (i >> 8));
  return bytes;
}

}  // namespace ursula::io
