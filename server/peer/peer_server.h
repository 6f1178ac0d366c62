// server/peer/peer_server.h
//
// gRPC's server and the pollers, behind our own acceptor.

#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "server/peer/acceptor.h"
#include "server/peer/incoming_stream.h"
#include "server/peer/roster.h"
#include "server/peer/rpc.h"
#include "ursula/status.h"

namespace ursula::peer {

class PeerServer final : private Reception {
 public:
  // All are borrowed and outlive it.
  PeerServer(Roster* roster, Cores* cores, OpenCalls* open);
  ~PeerServer() override = default;  // REQUIRES: Stop() was called if Start() was.

  Status Start();
  uint16_t port() const { return acceptor_->port(); }
  std::vector<std::unique_ptr<Poller>>* pollers() { return &pollers_; }

  // Nobody is accepted, and every stream that came in ends soon.
  void CloseAll();
  // REQUIRES: no stream is open.
  void Stop();

 private:
  bool OnCalled(grpc::ServerCompletionQueue* queue) override;
  void OnHandshakeEnded() override;
  void OnEstablished(std::string_view connection) override;

  Roster& roster_;
  const PeerStream::Services services_;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> external_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<Poller>> pollers_;
  std::unique_ptr<Acceptor> acceptor_;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint32_t> handshakes_ = 0;
};

}  // namespace ursula::peer
