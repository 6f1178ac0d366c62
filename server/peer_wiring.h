// server/peer_wiring.h
//
// A node's way to its peers, from its configuration.

#pragma once

#include <memory>
#include <vector>

#include "server/admin/cluster_text.h"
#include "server/config/server_config.h"
#include "server/peer/grpc_transport.h"
#include "ursula/env.h"
#include "ursula/runtime.h"
#include "ursula/status.h"

namespace ursula::server {

// REQUIRES: the config has peers. Listens and dials from now on; refusals are logged. `runtime`
// outlives what is returned, which must be stopped after the engine.
Result<std::unique_ptr<peer::PeerTransport>> StartPeers(const ServerConfig& config,
                                                        Runtime* runtime);

// What the admin listener shows of them. Any thread.
std::vector<admin::PeerState> PeerStates(peer::PeerTransport* transport);

// `transport` outlives the engine that is opened with it.
ClusterOptions ClusterOf(const ServerConfig& config, Transport* transport);

}  // namespace ursula::server
