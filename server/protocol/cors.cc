#include "server/protocol/cors.h"

#include <algorithm>

#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::string_view kMethods = "GET, HEAD, PUT, POST, DELETE, OPTIONS";
constexpr std::string_view kHeaders =
    "accept, authorization, baggage, cache-control, content-type, if-match, if-none-match, "
    "last-event-id, producer-epoch, producer-id, producer-seq, stream-closed, "
    "stream-expires-at, stream-fork-offset, stream-fork-sub-offset, stream-forked-from, "
    "stream-incarnation, stream-seq, stream-ttl, traceparent, tracestate, x-request-id";

}  // namespace

std::string OriginLines(const CorsConfig& config, const Request& request) {
  std::string lines;
  std::optional<std::string_view> origin = request.headers.Find("Origin");
  // As configured, not as sent.
  auto found = std::find(config.origins.begin(), config.origins.end(), origin.value_or(""));
  if (found != config.origins.end()) {
    lines += "Access-Control-Allow-Origin: " + *found + "\r\n";
    lines += "Access-Control-Allow-Credentials: true\r\n";
  }
  return lines + "Vary: Origin\r\n";
}

Response PreflightResponse(const CorsConfig& config, const Request& request) {
  std::string headers(kHeaders);
  for (const std::string& header : config.headers) headers += ", " + header;
  Response response;
  response.status = 204;
  response.headers = {
      {"Allow", kMethods},
      {"Access-Control-Allow-Methods", kMethods},
      {"Access-Control-Allow-Headers", headers},
      {"Access-Control-Max-Age", "86400"},
      {"Cache-Control", "no-store"},
  };
  std::optional<std::string_view> asked =
      request.headers.Find("Access-Control-Request-Private-Network");
  if (config.private_network && asked == "true") {
    response.headers.Add("Access-Control-Allow-Private-Network", "true");
  }
  return response;
}

}  // namespace ursula::protocol
