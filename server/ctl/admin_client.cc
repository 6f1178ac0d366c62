#include "server/ctl/admin_client.h"

#include <cstddef>
#include <optional>

#include "server/auth/admin_auth.h"
#include "server/config/values.h"

namespace ursula::ctl {
namespace {

Status Secret(const server::HostPort& address, std::string_view what) {
  return Status(StatusCode::kFailedPrecondition,
                server::FormatHostPort(address) + ": " + std::string(what));
}

// What a listener says before it looks at who asks, or instead of that.
bool IsBusy(const HttpResponse& response) {
  if (response.headers.Find(auth::kProofHeader).has_value()) return false;
  return response.status == 408 || response.status == 429 || response.status == 503;
}

Status Busy(const server::HostPort& address, int status) {
  return Status(StatusCode::kUnavailable, server::FormatHostPort(address) + ": it is too busy (" +
                                              std::to_string(status) +
                                              "): ask again in half a minute");
}

}  // namespace

Result<HttpResponse> AdminClient::Send(const server::HostPort& address, std::string_view method,
                                       std::string_view target, const std::string& more_lines) {
  const std::string name = server::FormatHostPort(address);
  std::string request(method);
  request.append(" ").append(target);
  request += " HTTP/1.1\r\nHost: " + name + "\r\nUser-Agent: ursulactl\r\n";
  if (method == "POST") request += "Content-Length: 0\r\n";
  Result<HttpResponse> response =
      call_(address, request + more_lines + "Connection: close\r\n\r\n");
  if (response.ok()) return response;
  const std::string why = CleanText(response.status().message());
  if (response.status().code() == StatusCode::kUnavailable) {
    return Status(StatusCode::kUnavailable,
                  "can't reach " + name + ": " + why +
                      ": start ursulad there, or name its --admin-listen address with --admin");
  }
  return Status(StatusCode::kInternal,
                name + ": " + why + ": name the --admin-listen address of an ursulad with --admin");
}

Result<AdminAnswer> AdminClient::Ask(const server::HostPort& address, std::string_view method,
                                     std::string_view target) {
  Result<HttpResponse> response = Send(address, method, target, "");
  if (!response.ok()) return response.status();
  if (response->status != 401) {
    if (!secret_.empty()) {
      if (IsBusy(*response)) return Busy(address, response->status);
      return Secret(address,
                    "it doesn't ask for the cluster's secret: give it the same "
                    "--cluster-secret-file, or leave it out here if it has none");
    }
    return AdminAnswer{response->status, std::move(response->body)};
  }
  const auto challenge =
      auth::ParseChallenge(response->headers.Find("WWW-Authenticate").value_or(""));
  if (!challenge) {
    return Status(StatusCode::kInternal,
                  server::FormatHostPort(address) +
                      ": it asks for something else than the cluster's secret: name the "
                      "--admin-listen address of an ursulad with --admin");
  }
  if (secret_.empty()) {
    return Secret(address,
                  "it asks for the cluster's secret: name its file with "
                  "--cluster-secret-file");
  }
  const std::string mac = auth::RequestMac(secret_, *challenge, {method, target, ""});
  response = Send(address, method, target,
                  "Authorization: " + auth::FormatCredentials({challenge->nonce, mac}) + "\r\n");
  if (!response.ok()) return response.status();
  if (response->status == 401) {
    return Secret(address,
                  "it has another secret: name the file of its cluster's with "
                  "--cluster-secret-file");
  }
  if (IsBusy(*response)) return Busy(address, response->status);
  const std::string proof = auth::AnswerMac(secret_, *challenge, response->status, response->body);
  if (!auth::SameMac(response->headers.Find(auth::kProofHeader).value_or(""), proof)) {
    return Secret(address,
                  "its answer isn't proven: whoever answers doesn't know the cluster's "
                  "secret; don't believe it");
  }
  return AdminAnswer{response->status, std::move(response->body)};
}

std::string CleanText(std::string_view text) {
  constexpr std::size_t kCharactersMax = 300;
  std::string clean;
  for (char c : text.substr(0, kCharactersMax)) clean.push_back(c >= ' ' && c <= '~' ? c : '?');
  return clean;
}

}  // namespace ursula::ctl
