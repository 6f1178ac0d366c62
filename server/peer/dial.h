// server/peer/dial.h
//
// Addresses and TCP connections of our own, which gRPC is given: so that a refused one is told from
// one that nobody answers, names are resolved anew each time, and no proxy takes part.

#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <utility>

#include "server/peer/resolver.h"
#include "ursula/status.h"

namespace ursula::peer {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Dialled {
  Fd fd = {};
  bool refused = false;  // The host answered that nobody listens.
  std::string error = {};
};
// Blocks for `ms_max` at most for its name, and for each of its addresses; returns early once
// `stop` is readable.
Dialled Dial(const std::string& address, int ms_max, int stop, Resolver* resolver);

struct Listener {
  Fd fd = {};
  uint16_t port = 0;
};
Result<Listener> Listen(const std::string& address);

// TCP_NODELAY, and what ends a connection whose packets nobody acknowledges for 4 s.
void SetSocketOptions(int fd);

// The address as gRPC names it ("ipv4:1.2.3.4:5").
std::string PeerName(const sockaddr_storage& address);

}  // namespace ursula::peer
