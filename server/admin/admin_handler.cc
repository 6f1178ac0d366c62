#include "server/admin/admin_handler.h"

#include <utility>

#include "server/admin/metrics.h"
#include "server/admin/opening_text.h"
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

}  // namespace

void AdminHandler::OnRequest(http::Exchange* exchange) {
  const protocol::Request& request = exchange->request();
  if (request.method == protocol::Method::kPost && request.path() == "/clock/step") {
    return StepClock(exchange);
  }
  exchange->Reply(Answer(request));
}

// A browser says where a page comes from: none is to move a server's time.
void AdminHandler::StepClock(http::Exchange* exchange) {
  if (exchange->request().headers.Find("Origin").has_value()) {
    return exchange->Reply(protocol::ErrorResponse(403, "FORBIDDEN", "not from a page"));
  }
  if (!serving()) return exchange->Reply(Text(503, Readiness().ToString() + "\n"));
  view_->engine->StepClock([exchange](Result<ClockReply> stepped) {
    if (!stepped.ok()) return exchange->Reply(Text(503, stepped.status().ToString() + "\n"));
    exchange->Reply(Text(200, "moved by " + std::to_string(stepped->moved_ms) + " ms at most\n"));
  });
}

std::string AdminHandler::Warnings() const {
  constexpr uint64_t kAheadMs = 10'000;
  std::string warnings = view_->peers ? UnconnectedText(view_->peers()) : std::string();
  if (!serving()) return warnings;
  const uint64_t ahead_ms = view_->engine->Stats().clock_ahead_ms;
  if (ahead_ms <= kAheadMs) return warnings;
  return warnings + "warning: the streams' time is " + std::to_string(ahead_ms / 1000) +
         " s ahead of this node's clock; once the clock is right: POST /clock/step\n";
}

Status AdminHandler::Readiness() const {
  if (view_->stopping.load()) return Status(StatusCode::kUnavailable, "the server is stopping");
  if (!serving()) {
    return Status(StatusCode::kUnavailable,
                  "recovering: " + OpeningText(view_->opening->Progress()));
  }
  Status ready = view_->engine->Ready();
  if (!view_->peers || ready.code() == StatusCode::kIoError) return ready;
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
  return view;
}

protocol::Response AdminHandler::Metrics() const {
  MetricsInput input;
  if (serving()) {
    input.engine = view_->engine->Stats();
    input.http = view_->http_stats();
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
  if (request.method != protocol::Method::kGet && request.method != protocol::Method::kHead) {
    auto response = protocol::ErrorResponse(405, "METHOD_NOT_ALLOWED", "only GET and HEAD");
    response.headers.Set("Allow", "GET, HEAD");
    return response;
  }
  std::string_view path = request.path();
  if (path == "/healthz") return Text(200, "ok\n");
  if (path == "/readyz") {
    Status ready = Readiness();
    return ready.ok() ? Text(200, "ready\n" + Warnings())
                      : Text(503, ready.ToString() + "\n" + Warnings());
  }
  if (path == "/cluster") {
    protocol::Response response = Text(200, ClusterJson(Cluster()));
    response.headers.Set("Content-Type", "application/json");
    return response;
  }
  if (path == "/metrics") return Metrics();
  return protocol::ErrorResponse(404, "NOT_FOUND",
                                 "try /healthz, /readyz, /metrics, /cluster or POST /clock/step");
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
