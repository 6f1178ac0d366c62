// server/admin/admin_handler.h
//
// The admin listener's requests (docs/operating/admin.md): /healthz (the process answers), /readyz
// (it has recovered, can commit and is not stopping; else why, or how far it is), /metrics,
// /cluster (JSON: groups, members and peers), /cluster/recovery, POST /clock/step,
// /cluster/transfer, /cluster/node and /cluster/recover. Without the CORS headers of the client
// listener: pages of other origins have no business here.

#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "server/admin/cluster_text.h"
#include "server/admin/gate.h"
#include "server/http/counters.h"
#include "server/http/exchange.h"
#include "ursula/engine.h"
#include "ursula/function.h"

namespace ursula::admin {

// What the admin listener looks at. Outlives it; set up before it starts, but for what `serving`
// says is there.
struct AdminView {
  const Opening* opening = nullptr;
  double start_seconds = 0;  // When it began to serve, in Unix time.
  std::string version = {};
  GateOptions gate = {};
  std::string peer_address = {};  // Where this node's peers reach it.
  std::string http_address = {};  // Where clients do; empty: it isn't told.
  NodeId node = {};  // Who this is among several; 0: it is alone, and `peers` is empty.
  mutable Function<std::vector<PeerState>()> peers = {};
  // Recovered, and clients are listened for: what follows is there.
  std::atomic<bool> serving = false;
  StreamEngine* engine = nullptr;
  mutable Function<http::HttpStats()> http_stats = {};
  std::atomic<bool> stopping = false;
};

class AdminHandler final : public http::Handler {
 public:
  explicit AdminHandler(const AdminView* view) : view_(view), gate_(view->gate) {}

  void OnRequest(http::Exchange* exchange) override;
  Bytes SerializeHead(const protocol::Request&, const protocol::Response& response,
                      protocol::Framing framing, std::string_view more_lines) override;

 private:
  bool serving() const { return view_->serving.load(std::memory_order_acquire); }
  Status Readiness() const;
  ClusterView Cluster() const;
  protocol::Response Metrics() const;
  std::vector<std::string> Warnings() const;  // Sentences for people.
  void Change(http::Exchange* exchange, Pass pass);
  void StepClock(http::Exchange* exchange, Pass pass);
  void Transfer(http::Exchange* exchange, Pass pass);
  void ChangeNode(http::Exchange* exchange, Pass pass);
  void Recover(http::Exchange* exchange, Pass pass);
  void InspectRecovery(http::Exchange* exchange, Pass pass);
  void Reply(http::Exchange* exchange, const Pass& pass, protocol::Response response) const;
  protocol::Response Answer(const protocol::Request& request) const;

  const AdminView* const view_;
  Gate gate_;
};

}  // namespace ursula::admin
