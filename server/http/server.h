// server/http/server.h
//
// Server listens with one CoreServer on each core of a runtime, all on one port. Started, stopped
// and destroyed by one thread that is no core; Stats may be asked for from anywhere.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/io/port_lock.h"
#include "lib/io/runtime.h"
#include "server/http/core_server.h"
#include "server/http/counters.h"
#include "server/http/exchange.h"
#include "server/http/options.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::http {

// What a handler may use of the core it serves; outlives it.
struct HandlerCore {
  io::Loop* loop = nullptr;
  CoreCounters* counters = nullptr;
  uint16_t port = 0;  // What the server listens on, once every core has its handler.
};
using HandlerFactory = Function<std::unique_ptr<Handler>(const HandlerCore& core)>;

class Server {
 public:
  // Listens on `cores` (all of the runtime if empty). kFailedPrecondition: the port is in use.
  // The runtime is borrowed and outlives this. `port_lock` is that of the options' address where
  // the caller has taken it before; else this takes it.
  static Result<std::unique_ptr<Server>> Start(io::LoopRuntime* runtime, HttpOptions options,
                                               std::span<const CoreId> cores,
                                               HandlerFactory factory,
                                               std::unique_ptr<io::PortLock> port_lock = nullptr);
  // REQUIRES: Stop has returned true, or the runtime's loops no longer run.
  ~Server();

  uint16_t port() const { return port_; }
  HttpStats Stats() const;

  // Blocks until every connection is gone: requests under way finish within stop_timeout_ms, then
  // they are cut off. False: an engine call still keeps one, stop_patience_ms later.
  bool Stop();

 private:
  explicit Server(HttpOptions options) : options_(std::move(options)) {}
  Status Listen(io::LoopRuntime* runtime, std::span<const CoreId> cores, HandlerFactory* factory);

  HttpOptions options_;
  SharedUse shared_;
  uint16_t port_ = 0;
  std::unique_ptr<io::PortLock> port_lock_;  // Until Stop has returned true.
  struct Core {
    io::Loop* loop = nullptr;
    std::unique_ptr<CoreServer> server;
    bool listening = false;
  };
  std::vector<Core> cores_;
};

}  // namespace ursula::http
