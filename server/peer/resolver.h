// server/peer/resolver.h
//
// Names to addresses, for as long as somebody waits. The system's resolver can't be told to stop,
// nor by when it is to answer: it runs on a thread of its own, which nobody waits for in the end.

#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ursula/status.h"

namespace ursula::peer {

struct HostPort {
  std::string host = {};
  uint16_t port = 0;
};
// "name:1", "127.0.0.1:1", "[::1]:1".
Result<HostPort> ParseHostPort(const std::string& text);

struct SocketAddress {
  sockaddr_storage address = {};
  socklen_t size = 0;
};
using SocketAddresses = std::vector<SocketAddress>;

// On any thread, also after what it was given to has ended; may block for as long as it likes.
using ResolveFunction = std::function<Result<SocketAddresses>(const HostPort& at)>;

// The system's, which blocks. `to_listen`: an empty host is any address.
Result<SocketAddresses> ResolveNow(const HostPort& at, bool to_listen);

// One thread's. Invariant: at most one question of it is under way, however long that takes.
class Resolver {
 public:
  explicit Resolver(ResolveFunction resolve);  // Empty: the system's.

  // Blocks for `ms_max` at most; returns early once `stop` is readable. Numbers need no resolver. A
  // question that wasn't answered in time goes on, and its answer is the next call's.
  // REQUIRES: `at` is always the same.
  Result<SocketAddresses> Resolve(const HostPort& at, int ms_max, int stop);

 private:
  struct Question;

  const ResolveFunction resolve_;
  std::shared_ptr<Question> question_;  // Null: none is under way.
};

}  // namespace ursula::peer
