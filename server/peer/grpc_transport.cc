#include "server/peer/grpc_transport.h"

#include <atomic>
#include <map>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "server/peer/dial.h"
#include "server/peer/library_log.h"
#include "server/peer/peer_link.h"
#include "server/peer/peer_server.h"
#include "server/peer/roster.h"

namespace ursula::peer {
namespace {

constexpr uint64_t kFragmentBytesLimit = 64 << 20;

class GrpcTransport final : public PeerTransport {
 public:
  explicit GrpcTransport(const PeerTransportOptions& options)
      : cores_(options.core_count, options.post),
        roster_(options, &cores_),
        library_log_([this](const std::string& line) { roster_.Log(true, line); }),
        server_(&roster_, &cores_, &open_) {}
  ~GrpcTransport() override { URSULA_CHECK(stopped_ || !started_); }

  Status Start() {
    Status started = server_.Start();
    if (!started.ok()) return started;
    started_ = true;
    const OutgoingStream::Services services{.roster = &roster_, .cores = &cores_, .open = &open_};
    for (const auto& [node, address] : roster_.options().peers) {
      if (node == roster_.options().node) continue;
      links_[node] = std::make_unique<PeerLink>(services, node, server_.pollers());
    }
    for (auto& [node, link] : links_) {
      if (link->Start()) continue;
      Stop();
      return Status(StatusCode::kResourceExhausted, "no thread is to be had for a peer");
    }
    return Status();
  }

  void Attach(CoreId core, FrameSink* sink) override { cores_.Attach(core, sink); }
  void Detach(CoreId core) override { cores_.Detach(core); }
  SendOutcome Send(CoreId core, NodeId to, Channel channel, std::vector<Bytes> frame) override {
    URSULA_CHECK(Raw(core) < cores_.count());
    auto found = links_.find(to);
    if (found == links_.end()) return SendOutcome::kUnreachable;
    return found->second->Send(core, channel, std::move(frame));
  }
  uint64_t frame_bytes_wanted() const override { return roster_.options().frame_bytes_wanted; }

  uint16_t port() const override { return server_.port(); }
  void SetCluster(uint64_t cluster_id, uint32_t group_count) override {
    for (NodeId peer : roster_.SetCluster(cluster_id, group_count)) {
      links_.at(peer)->Redial("the cluster is known now");
    }
  }
  void SetAppendBytesMax(uint64_t bytes) override {
    if (!roster_.SetAppendBytesMax(bytes)) return;
    for (auto& [node, link] : links_) link->Redial("its limits are known now");
  }
  void OnFeatureLevel(uint32_t level) override { roster_.SetFeatureLevel(level); }
  std::vector<PeerStatus> Peers() override { return roster_.Statuses(); }

  void Stop() override {
    if (!started_ || stopped_) return;
    stopped_ = true;
    cores_.Stop();
    for (auto& [node, link] : links_) link->BeginStop();
    server_.CloseAll();
    roster_.Stop();
    for (auto& [node, link] : links_) link->Join();
    open_.AwaitNone();
    server_.Stop();
  }

 private:
  Cores cores_;
  Roster roster_;
  LibraryLog library_log_;
  OpenCalls open_;
  PeerServer server_;
  std::map<NodeId, std::unique_ptr<PeerLink>> links_;  // Made at the start.
  bool started_ = false;
  bool stopped_ = false;
};

Status Check(const PeerTransportOptions& options) {
  const auto bad = [](const std::string& what) {
    return Status(StatusCode::kInvalidArgument, what);
  };
  if (Raw(options.node) == 0) return bad("node: ids are above 0");
  if (options.core_count == 0 || options.core_count > kSenderCoresMax / 2) {
    return bad("core_count: 1 to " + std::to_string(kSenderCoresMax / 2));
  }
  if (options.incarnation == 0) return bad("incarnation: draw it at random");
  if (!options.post) return bad("post: is missing");
  if (options.connections_max == 0) return bad("connections_max: at least 1");
  if (options.fragment_bytes_max == 0 || options.fragment_bytes_max > kFragmentBytesLimit) {
    return bad("fragment_bytes_max: 1 to " + std::to_string(kFragmentBytesLimit));
  }
  for (const auto& [node, address] : options.peers) {
    Result<HostPort> parsed = ParseHostPort(address);
    if (!parsed.ok()) return parsed.status();
    if (Raw(node) == 0) return bad("peers: ids are above 0");
  }
  return ParseHostPort(options.listen).status();
}

}  // namespace

Result<std::unique_ptr<PeerTransport>> NewPeerTransport(const PeerTransportOptions& options) {
  if (Status checked = Check(options); !checked.ok()) return checked;
  auto transport = std::make_unique<GrpcTransport>(options);
  if (Status started = transport->Start(); !started.ok()) return started;
  return std::unique_ptr<PeerTransport>(std::move(transport));
}

}  // namespace ursula::peer
