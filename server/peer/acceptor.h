// server/peer/acceptor.h
//
// Accepts peers' connections and hands them to gRPC, of which it keeps count: gRPC bounds neither
// their number nor the time in which one has to say something.
//
// Invariant: at most `connections_max` are open. One without an open stream gives way to a newer
// one, and is closed after `handshake_ms_max`.

#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "server/peer/dial.h"

namespace ursula::peer {

struct AcceptorOptions {
  uint32_t connections_max = 64;
  uint32_t handshake_ms_max = 5000;
  std::function<void(int fd)> take = {};  // A new connection, to be owned.
  std::function<void(const std::string&)> log = {};
};

class Acceptor {
 public:
  Acceptor(Listener listener, AcceptorOptions options);
  ~Acceptor();  // REQUIRES: Stop() was called, or never Start().

  uint16_t port() const { return listener_.port; }
  bool Start();  // False: there is no thread to be had.
  // Nobody listens afterwards; what is open stays so.
  void Stop();
  // The connection of that name (as gRPC says it) has an open stream. Any thread.
  void OnEstablished(std::string_view name);

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection {
    Fd fd = {};  // A second one for the socket that gRPC has.
    std::string name = {};
    Clock::time_point accepted = {};
    bool established = false;
  };

  void Run();
  int PollMs();
  void Accept();
  bool MakeRoom();
  void CloseSilent();

  Listener listener_;
  const AcceptorOptions options_;
  Fd wake_;
  std::mutex mutex_;
  std::list<Connection> connections_;  // The oldest first.
  bool stopping_ = false;
  bool said_full_ = false;
  bool out_of_files_ = false;
  std::thread thread_;
};

}  // namespace ursula::peer
