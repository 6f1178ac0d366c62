// server/admin/metrics.h
//
// The server's metrics in Prometheus' text format.

#pragma once

#include <string>
#include <vector>

#include "server/admin/cluster_text.h"
#include "server/admin/process_stats.h"
#include "server/http/counters.h"
#include "ursula/stats.h"

namespace ursula::admin {

struct MetricsInput {
  EngineStats engine = {};
  http::HttpStats http = {};
  ProcessStats process = {};
  std::vector<PeerState> peers = {};  // Of a node of a cluster, as the next.
  ClusterStatus cluster = {};
  bool ready = false;
  std::string version = {};
};

std::string MetricsText(const MetricsInput& input);

}  // namespace ursula::admin
