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
  options.feature_level_max = config.feature_level_max;
  options.connections_max = config.peer_connections_max;
  options.window_bytes_max = config.peer_window_bytes_max;
  options.http_address = HttpAddressOf(config);
  options.append_bytes_max = config.message_bytes_max();
  options.post = [runtime](CoreId core, Function<void()> work) {
    io::LoopRuntime::Of(*runtime).loop(core).Post(std::move(work));
  };
  options.log = [](bool trouble, std::string_view sentence) {
    Log(trouble ? LogLevel::kWarning : LogLevel::kInfo, sentence);
  };
  return peer::NewPeerTransport(options);
}

std::vector<admin::PeerState> PeerStates(peer::PeerTransport* transport) {
  std::vector<admin::PeerState> states;
  for (peer::PeerStatus& status : transport->Peers()) {
    admin::PeerState state;
    state.node = status.node;
    state.address = std::move(status.address);
    state.connected = status.connected;
    state.connected_from = status.connected_from;
    state.refusal = std::move(status.refusal);
    state.warning = std::move(status.warning);
    state.http_address = std::move(status.http_address);
    state.append_bytes_max = status.append_bytes_max;
    state.incarnation = status.incarnation;
    state.cluster_id = status.cluster_id;
    state.feature_level_max = status.feature_level_max;
    state.protocol_version = status.version;
    state.round_trip_us = status.round_trip_us;
    state.clock_offset_ms = status.clock_offset_ms;
    state.connects = status.connects;
    state.sent_frames = status.sent_frames;
    state.sent_bytes = status.sent_bytes;
    state.received_frames = status.received_frames;
    state.received_bytes = status.received_bytes;
    state.window_stalls = status.window_stalls;
    state.bad_messages = status.bad_messages;
    states.push_back(std::move(state));
  }
  return states;
}

ClusterOptions ClusterOf(const ServerConfig& config, Transport* transport) {
  ClusterOptions options;
  options.transport = transport;
  options.node = NodeId{config.node_id};
  for (uint64_t node : FoundersOf(config)) options.founders.push_back(NodeId{node});
  options.cluster_id = config.cluster_id;
  options.window_bytes_max = config.peer_window_bytes_max;
  return options;
}

}  // namespace ursula::server
