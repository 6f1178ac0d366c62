// server/daemon.h
//
// Daemon is ursulad put together from a ServerConfig: runtime, admin listener, peers, engine,
// client listener. Its calls run on the main thread.

#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "lib/io/port_lock.h"
#include "lib/io/runtime.h"
#include "server/admin/admin_handler.h"
#include "server/config/server_config.h"
#include "server/http/server.h"
#include "server/http/stream_handler.h"
#include "server/peer/grpc_transport.h"
#include "server/protocol/config.h"
#include "server/recovery_report.h"
#include "server/service_manager.h"
#include "server/watchdog.h"
#include "ursula/engine.h"
#include "ursula/runtime.h"
#include "ursula/status.h"

namespace ursula::server {

class Daemon {
 public:
  // `descriptors_max`: how many files and sockets the process may have open. The others outlive it.
  Daemon(const ServerConfig& config, uint64_t descriptors_max, Opening* opening,
         const ServiceManager* manager);
  ~Daemon();  // REQUIRES: Stop has returned true, or it doesn't serve.

  // In this order; a failure ends it, and its message says what was asked for and what stood in the
  // way.
  Status Begin();    // Takes the ports, starts the cores, answers probes.
  Status Recover();  // Opens the engine: takes as long as that takes. kCancelled: by `opening`.
  Status Serve();    // Lets clients in.
  std::string url() const;  // "http://127.0.0.1:4437".

  // Ready goes false, accepting stops, requests finish, live readers get a last control event, the
  // engine seals its logs. False: something did not finish in time.
  bool Stop();
  // What it waits for. From any thread, and from a signal's handler.
  const char* stopping() const { return stopping_; }

 private:
  Status LockPorts();
  Status StartRuntime();
  Status ListenToPeers();
  Status OpenEngine();
  http::HttpOptions ClientOptions() const;
  Status Listen();
  Status ListenAdmin();
  void StopEngine();
  void StopPeers();

  const ServerConfig config_;
  const uint64_t descriptors_max_;
  Opening& opening_;
  const ServiceManager& manager_;
  protocol::ProtocolConfig protocol_;
  http::LiveOptions live_;
  http::SharedFrames frames_;
  // Destroyed in the order of need: connections refer to the runtime's loops.
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<peer::PeerTransport> peers_;  // Null: this node is alone.
  std::unique_ptr<StreamEngine> engine_;
  std::unique_ptr<RecoveryReport> report_;
  std::unique_ptr<Watchdog> watchdog_;
  admin::AdminView admin_view_;
  std::unique_ptr<io::PortLock> client_port_;  // Until its server has it.
  std::unique_ptr<io::PortLock> admin_port_;
  std::atomic<const char*> stopping_ = "clients";
  std::unique_ptr<http::Server> clients_;
  std::unique_ptr<http::Server> admin_;
};

}  // namespace ursula::server
