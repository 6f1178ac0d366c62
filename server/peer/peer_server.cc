#include "server/peer/peer_server.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/peer/channel_arguments.h"

namespace ursula::peer {
namespace {

// Streams whose handshake is under way. More are refused, and tried again by who dialled them.
constexpr uint32_t kHandshakesMax = 2048;
// A thread for each so many cores.
constexpr uint32_t kCoresPerPoller = 4;
constexpr uint32_t kPollersMax = 4;

}  // namespace

PeerServer::PeerServer(Roster* roster, Cores* cores, OpenCalls* open)
    : roster_(*roster),
      services_{.roster = roster, .cores = cores, .open = open, .reception = this} {}

Status PeerServer::Start() {
  const PeerTransportOptions& options = roster_.options();
  Result<Listener> listener = Listen(options.listen);
  if (!listener.ok()) return listener.status();

  grpc::ServerBuilder builder;
  using External = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  external_ = builder.experimental().AddExternalConnectionAcceptor(
      External::FROM_FD, grpc::InsecureServerCredentials());
  builder.RegisterAsyncGenericService(&service_);
  ForEachChannelArgument(options.fragment_bytes_max, [&](const char* name, int value) {
    builder.AddChannelArgument(name, value);
  });
  builder.AddChannelArgument("grpc.max_concurrent_streams", kStreamsPerConnectionMax);
  builder.AddChannelArgument("grpc.server_handshake_timeout_ms",
                             static_cast<int>(options.handshake_ms_max));
  uint32_t count = options.thread_count;
  if (count == 0) count = (options.core_count + kCoresPerPoller - 1) / kCoresPerPoller;
  for (uint32_t i = 0; i < std::clamp(count, 1u, kPollersMax); ++i) {
    pollers_.push_back(std::make_unique<Poller>(builder.AddCompletionQueue()));
  }
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    for (std::unique_ptr<Poller>& poller : pollers_) poller->Stop();
    return Status(StatusCode::kInternal, "gRPC's server doesn't start");
  }

  AcceptorOptions accept;
  accept.connections_max = options.connections_max;
  accept.handshake_ms_max = options.handshake_ms_max;
  accept.log = [this](const std::string& sentence) { roster_.Log(true, sentence); };
  accept.take = [this, listening = listener->fd.get()](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.listener_fd = listening;
    connection.fd = fd;
    external_->HandleNewConnection(&connection);
  };
  acceptor_ = std::make_unique<Acceptor>(std::move(*listener), std::move(accept));
  bool started = true;
  for (std::unique_ptr<Poller>& poller : pollers_) started = started && poller->Start();
  if (!started || !acceptor_->Start()) {
    acceptor_->Stop();
    server_->Shutdown(std::chrono::system_clock::now());
    Stop();
    return Status(StatusCode::kResourceExhausted, "no thread is to be had for the peers' port");
  }
  for (std::unique_ptr<Poller>& poller : pollers_) {
    std::make_shared<PeerStream>(services_)->Await(&service_, poller->queue());
  }
  return Status();
}

bool PeerServer::OnCalled(grpc::ServerCompletionQueue* queue) {
  if (!stopping_) std::make_shared<PeerStream>(services_)->Await(&service_, queue);
  if (handshakes_.fetch_add(1) < kHandshakesMax) return true;
  --handshakes_;
  return false;
}

void PeerServer::OnHandshakeEnded() { --handshakes_; }

void PeerServer::OnEstablished(std::string_view connection) {
  acceptor_->OnEstablished(connection);
}

void PeerServer::CloseAll() {
  stopping_ = true;
  acceptor_->Stop();
  server_->Shutdown(std::chrono::system_clock::now());
}

void PeerServer::Stop() {
  for (std::unique_ptr<Poller>& poller : pollers_) poller->Stop();
  server_.reset();
  external_.reset();
}

}  // namespace ursula::peer
