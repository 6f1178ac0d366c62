#include "server/admin/admin_handler.h"

#include <optional>
#include <utility>

#include "server/admin/metrics.h"
#include "server/admin/node_text.h"
#include "server/admin/opening_text.h"
#include "server/admin/recovery_text.h"
#include "server/admin/transfer_text.h"
#include "server/protocol/errors.h"

namespace ursula::admin {
namespace {

protocol::Response Text(int status, std::string text) {
  protocol::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"}, {"Cache-Control", "no-store"}};
  response.body.push_back(Bytes::Take(std::move(text)));
  return response;
}

protocol::Response Json(std::string text) {
  protocol::Response response = Text(200, std::move(text));
  response.headers.Set("Content-Type", "application/json");
  return response;
}

}  // namespace

void AdminHandler::OnRequest(http::Exchange* exchange) {
  const protocol::Request& request = exchange->request();
  Pass pass;
  std::optional<protocol::Response> refusal =
      gate_.Refuse(request, exchange->loop().now_ns(), &pass);
  if (refusal) return exchange->Reply(std::move(*refusal));
  if (request.method == protocol::Method::kPost) return Change(exchange, std::move(pass));
  if (request.path() == "/cluster/recovery") return InspectRecovery(exchange, std::move(pass));
  Reply(exchange, pass, Answer(request));
}

void AdminHandler::Reply(http::Exchange* exchange, const Pass& pass,
                         protocol::Response response) const {
  gate_.Prove(pass, &response);
  exchange->Reply(std::move(response));
}

// ---- changes -----------------------------------------------------------------------------------

void AdminHandler::Change(http::Exchange* exchange, Pass pass) {
  const std::string_view path = exchange->request().path();
  const bool step = path == "/clock/step";
  const bool node = path == "/cluster/node";
  const bool recover = path == "/cluster/recover";
  if (!step && !node && !recover && path != "/cluster/transfer") {
    auto response = protocol::ErrorResponse(
        405, "METHOD_NOT_ALLOWED",
        "only /clock/step, /cluster/transfer, /cluster/node and /cluster/recover are there to POST "
        "to");
    response.headers.Set("Allow", "GET, HEAD");
    return Reply(exchange, pass, std::move(response));
  }
  if (!serving()) {
    return Reply(exchange, pass,
                 protocol::ErrorResponse(503, "UNAVAILABLE", Readiness().message()));
  }
  if (step) return StepClock(exchange, std::move(pass));
  if (node) return ChangeNode(exchange, std::move(pass));
  if (recover) return Recover(exchange, std::move(pass));
  Transfer(exchange, std::move(pass));
}

void AdminHandler::StepClock(http::Exchange* exchange, Pass pass) {
  view_->engine->StepClock([this, exchange, pass](Result<ClockReply> stepped) {
    if (!stepped.ok()) {
      return Reply(exchange, pass,
                   protocol::ErrorResponse(503, "UNAVAILABLE", stepped.status().message()));
    }
    Reply(exchange, pass, Json("{\"moved_ms\":" + std::to_string(stepped->moved_ms) + "}\n"));
  });
}

void AdminHandler::Transfer(http::Exchange* exchange, Pass pass) {
  Result<TransferRequest> wanted = ParseTransfer(exchange->request().query());
  if (!wanted.ok()) {
    return Reply(exchange, pass,
                 protocol::ErrorResponse(400, "INVALID_REQUEST", wanted.status().message()));
  }
  const TransferRequest request = *wanted;
  view_->engine->TransferLeader(
      request.group, request.to, [this, exchange, pass, request](Result<TransferReply> reply) {
        Reply(exchange, pass, TransferResponse(request, view_->node, reply));
      });
}

void AdminHandler::ChangeNode(http::Exchange* exchange, Pass pass) {
  Result<MemberChange> wanted = ParseNodeChange(exchange->request().query());
  if (!wanted.ok()) {
    return Reply(exchange, pass,
                 protocol::ErrorResponse(400, "INVALID_REQUEST", wanted.status().message()));
  }
  const MemberChange change = *wanted;
  view_->engine->ChangeMember(change, [this, exchange, pass, change](Result<MemberReply> reply) {
    Reply(exchange, pass, NodeResponse(change, view_->node, reply));
  });
}

void AdminHandler::Recover(http::Exchange* exchange, Pass pass) {
  Result<RecoveryPlan> plan = ParseRecovery(exchange->request().query());
  if (!plan.ok()) {
    return Reply(exchange, pass,
                 protocol::ErrorResponse(400, "INVALID_REQUEST", plan.status().message()));
  }
  NodeId there = {};
  if (view_->peers) there = LostButThere(*plan, view_->peers());
  if (there != NodeId{}) {
    return Reply(exchange, pass,
                 protocol::ErrorResponse(
                     409, "NODE_IS_THERE",
                     "node " + std::to_string(static_cast<uint64_t>(there)) +
                         " is called lost, and this node is connected to it: stop it first, and "
                         "for good"));
  }
  view_->engine->RecoverCluster(std::move(*plan),
                                [this, exchange, pass](Result<RecoveryReply> reply) {
                                  Reply(exchange, pass, RecoveryResponse(view_->node, reply));
                                });
}

void AdminHandler::InspectRecovery(http::Exchange* exchange, Pass pass) {
  if (!serving()) {
    return Reply(exchange, pass,
                 protocol::ErrorResponse(503, "UNAVAILABLE", Readiness().message()));
  }
  view_->engine->InspectRecovery([this, exchange, pass](Result<RecoveryStatus> status) {
    if (status.ok()) return Reply(exchange, pass, Json(RecoveryJson(*status)));
    Reply(exchange, pass, protocol::ErrorResponse(503, "UNAVAILABLE", status.status().message()));
  });
}

// ---- questions ---------------------------------------------------------------------------------

std::vector<std::string> AdminHandler::Warnings() const {
  constexpr uint64_t kAheadMs = 10'000;
  std::vector<std::string> warnings;
  const ClusterStatus cluster = serving() ? view_->engine->Cluster() : ClusterStatus();
  if (view_->peers) {
    warnings = PeerSentences(serving() ? PeersExpected(view_->peers(), cluster) : view_->peers());
  }
  if (!serving()) return warnings;
  if (cluster.rejoins) {
    warnings.push_back("this node's directory was found rotten, and what was in it is kept in " +
                       cluster.aside + ": the other nodes are taking this node in again");
  }
  const uint64_t ahead_ms = view_->engine->Stats().clock_ahead_ms;
  if (ahead_ms <= kAheadMs) return warnings;
  warnings.push_back(
      "the streams' time is " + std::to_string(ahead_ms / 1000) +
      " s ahead of this node's clock; once the clock is right: ursulactl clock step");
  return warnings;
}

Status AdminHandler::Readiness() const {
  if (view_->stopping.load()) return Status(StatusCode::kUnavailable, "the server is stopping");
  if (!serving()) {
    return Status(StatusCode::kUnavailable,
                  "recovering: " + OpeningText(view_->opening->Progress()));
  }
  Status ready = view_->engine->Ready();
  const bool for_good =
      ready.code() == StatusCode::kIoError || ready.code() == StatusCode::kFailedPrecondition;
  if (!view_->peers || for_good) return ready;
  std::string leaderless = LeaderlessText(view_->engine->Cluster());
  if (leaderless.empty()) return ready;
  return Status(StatusCode::kUnavailable, std::move(leaderless));
}

ClusterView AdminHandler::Cluster() const {
  ClusterView view;
  if (serving()) {
    view.status = view_->engine->Cluster();
  } else {
    view.opening = OpeningText(view_->opening->Progress());
  }
  view.status.node = view_->node;
  if (view_->peers) view.peers = view_->peers();
  view.version = view_->version;
  view.peer_address = view_->peer_address;
  view.http_address = view_->http_address;
  const Status ready = Readiness();
  view.ready = ready.ok();
  if (!ready.ok()) view.reasons.push_back(ready.message());
  view.warnings = Warnings();
  return view;
}

protocol::Response AdminHandler::Metrics() const {
  MetricsInput input;
  if (serving()) {
    input.engine = view_->engine->Stats();
    input.http = view_->http_stats();
    input.cluster = view_->engine->Cluster();
  }
  if (view_->peers) input.peers = view_->peers();
  input.process = ReadProcessStats(view_->start_seconds);
  input.ready = Readiness().ok();
  input.version = view_->version;
  protocol::Response response = Text(200, MetricsText(input));
  response.headers.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  return response;
}

protocol::Response AdminHandler::Answer(const protocol::Request& request) const {
  std::string_view path = request.path();
  if (path == "/healthz") return Text(200, "ok\n");
  if (path == "/readyz") {
    const Status ready = Readiness();
    std::string text = (ready.ok() ? "ready" : ready.ToString()) + "\n";
    for (const std::string& warning : Warnings()) text += "warning: " + warning + "\n";
    return Text(ready.ok() ? 200 : 503, std::move(text));
  }
  if (path == "/cluster") return Json(ClusterJson(Cluster()));
  if (path == "/metrics") return Metrics();
  return protocol::ErrorResponse(404, "NOT_FOUND", "try /healthz, /readyz, /metrics or /cluster");
}

Bytes AdminHandler::SerializeHead(const protocol::Request&, const protocol::Response& response,
                                  protocol::Framing framing, std::string_view more_lines) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                     std::string(protocol::ReasonPhrase(response.status)) + "\r\n";
  head += response.headers.text();
  head += "X-Content-Type-Options: nosniff\r\n";
  if (framing == protocol::Framing::kLength) {
    head += "Content-Length: " + std::to_string(response.body_bytes()) + "\r\n";
  }
  head += more_lines;
  return Bytes::Take(head + "\r\n");
}

}  // namespace ursula::admin
