// server/daemon.h
//
// Daemon is ursulad put together from a ServerConfig: runtime, engine, client listener, admin
// listener. Start and Stop run on the main thread.

#pragma once

#include <memory>
#include <string>

#include "lib/io/port_lock.h"
#include "lib/io/runtime.h"
#include "server/admin/admin_handler.h"
#include "server/config/server_config.h"
#include "server/http/server.h"
#include "server/http/stream_handler.h"
#include "server/protocol/config.h"
#include "ursula/engine.h"
#include "ursula/runtime.h"
#include "ursula/status.h"

namespace ursula::server {

class Daemon {
 public:
  // `descriptors_max`: how many files and sockets the process may have open.
  Daemon(const ServerConfig& config, uint64_t descriptors_max);
  ~Daemon();  // REQUIRES: Stop has returned true, or Start failed or was never called.

  // A failure's message says what was asked for and what stood in the way.
  Status Start();
  std::string url() const;  // "http://127.0.0.1:4437".

  // Ready goes false, accepting stops, requests finish, live readers get a last control event, the
  // engine seals its logs. False: something did not finish in time.
  bool Stop();

 private:
  Status LockPorts();
  Status OpenEngine();
  http::HttpOptions ClientOptions() const;
  Status Listen();
  Status ListenAdmin();
  void StopEngine();

  const ServerConfig config_;
  const uint64_t descriptors_max_;
  protocol::ProtocolConfig protocol_;
  http::LiveOptions live_;
  http::SharedFrames frames_;
  // Destroyed in the order of need: connections refer to the runtime's loops.
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<StreamEngine> engine_;
  admin::AdminView admin_view_;
  std::unique_ptr<io::PortLock> client_port_;  // Until its server has it.
  std::unique_ptr<io::PortLock> admin_port_;
  std::unique_ptr<http::Server> clients_;
  std::unique_ptr<http::Server> admin_;
};

}  // namespace ursula::server
