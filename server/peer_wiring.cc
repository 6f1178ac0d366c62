#include "server/peer_wiring.h"

#include <string_view>
#include <utility>

#include "lib/io/entropy.h"
#include "lib/io/runtime.h"
#include "server/config/cluster.h"
#include "server/config/values.h"
#include "server/log.h"

namespace ursula::server {

Result<std::unique_ptr<peer::PeerTransport>> StartPeers(const ServerConfig& config,
                                                        Runtime* runtime) {
  peer::PeerTransportOptions options;
  options.node = NodeId{config.node_id};
  options.core_count = runtime->core_count();
  options.listen = FormatHostPort(config.peer_listen);
  for (const auto& [node, address] : config.peers) {
    options.peers[NodeId{node}] = FormatHostPort(address);
  }
  while (options.incarnation == 0) options.incarnation = io::SystemEntropy();
  options.secret = config.cluster_secret;
  options.cluster_id = config.cluster_id;
  options.connections_max = config.peer_connections_max;
  options.post = [runtime](CoreId core, Function<void()> work) {
    io::LoopRuntime::Of(*runtime).loop(core).Post(std::move(work));
  };
  options.log = [](bool trouble, std::string_view sentence) {
    Log(trouble ? LogLevel::kWarning : LogLevel::kInfo, sentence);
  };
  return peer::NewPeerTransport(options);
}

ClusterOptions ClusterOf(const ServerConfig& config, Transport* transport) {
  ClusterOptions options;
  options.transport = transport;
  options.node = NodeId{config.node_id};
  for (uint64_t node : FoundersOf(config)) options.founders.push_back(NodeId{node});
  options.cluster_id = config.cluster_id;
  return options;
}

}  // namespace ursula::server
