#include "server/admin/gate.h"

#include <string_view>
#include <utility>

#include "server/protocol/errors.h"

namespace ursula::admin {
namespace {

using protocol::Method;

bool IsForAll(const protocol::Request& request) {
  if (request.method != Method::kGet && request.method != Method::kHead) return false;
  const std::string_view path = request.path();
  return path == "/healthz" || path == "/readyz" || path == "/metrics";
}

std::string_view NameOf(Method method) {
  if (method == Method::kPost) return "POST";
  return method == Method::kHead ? "HEAD" : "GET";
}

protocol::Response Forbidden(std::string_view why) {
  return protocol::ErrorResponse(403, "FORBIDDEN", why);
}

}  // namespace

std::optional<protocol::Response> Gate::Refuse(const protocol::Request& request, uint64_t now_ns,
                                               Pass* pass) {
  if (IsForAll(request)) return std::nullopt;
  const bool changes = request.method == Method::kPost;
  if (!changes && request.method != Method::kGet && request.method != Method::kHead) {
    auto response = protocol::ErrorResponse(405, "METHOD_NOT_ALLOWED", "only GET, HEAD and POST");
    response.headers.Set("Allow", "GET, HEAD, POST");
    return response;
  }
  // A browser says where a page comes from: none is to move a server's time or its leaders.
  if (changes && request.headers.Find("Origin").has_value()) return Forbidden("not from a page");
  if (options_.secret.empty()) {
    if (!changes || !options_.reachable) return std::nullopt;
    return Forbidden(
        "others than this machine reach this address, and without a secret it can't be known who "
        "asks: give the server a --cluster-secret-file, or an --admin-listen on 127.0.0.1");
  }
  const std::optional<std::string_view> authorization = request.headers.Find("Authorization");
  if (!authorization) return Challenge("prove that you know the cluster's secret", now_ns);
  const auto credentials = auth::ParseCredentials(*authorization);
  if (!credentials) return Challenge("the Authorization header isn't of this form", now_ns);
  if (!nonces_.IsFresh(credentials->nonce, now_ns)) {
    return Challenge("this nonce was used, has expired, or is another server's", now_ns);
  }
  const auth::Challenge challenge = {static_cast<uint64_t>(options_.node), credentials->nonce};
  const std::string mac = auth::RequestMac(
      options_.secret, challenge, {NameOf(request.method), request.target, request.body.view()});
  if (!auth::SameMac(mac, credentials->mac)) {
    return Challenge("the proof is wrong: this node has another secret", now_ns);
  }
  if (!nonces_.Use(credentials->nonce, now_ns)) {
    auto response = protocol::ErrorResponse(
        429, "TOO_MANY_REQUESTS", "too many proven requests in half a minute; ask again later");
    response.headers.Set("Retry-After", "30");
    return response;
  }
  pass->proven = challenge;
  return std::nullopt;
}

protocol::Response Gate::Challenge(const char* message, uint64_t now_ns) const {
  auto response = protocol::ErrorResponse(401, "UNAUTHENTICATED", message);
  response.headers.Set(
      "WWW-Authenticate",
      auth::FormatChallenge({static_cast<uint64_t>(options_.node), nonces_.Issue(now_ns)}));
  return response;
}

void Gate::Prove(const Pass& pass, protocol::Response* response) const {
  if (!pass.proven) return;
  std::string body;
  for (const Bytes& part : response->body) body += part.view();
  response->headers.Set(auth::kProofHeader,
                        auth::AnswerMac(options_.secret, *pass.proven, response->status, body));
}

}  // namespace ursula::admin
