#include "server/protocol/http_message.h"

#include <string>
#include <string_view>

#include "lib/base/check.h"
#include "lib/base/join_bytes.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

// The headers that every response carries, whoever asks.
constexpr std::string_view kCommonHeaders =
    "X-Content-Type-Options: nosniff\r\n"
    "Cross-Origin-Resource-Policy: cross-origin\r\n"
    "Access-Control-Expose-Headers: Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, "
    "Stream-Cursor, Stream-TTL, Stream-Expires-At, Stream-SSE-Data-Encoding, Stream-Incarnation, "
    "Stream-Outcome, Stream-Staleness-Ms, "
    "Producer-Epoch, Producer-Seq, Producer-Expected-Seq, Producer-Received-Seq, ETag, Location, "
    "Allow, "
    "Retry-After, Content-Encoding, X-Request-Id, Date\r\n";

struct NamedStatus {
  int status;
  std::string_view phrase;
};
constexpr NamedStatus kStatuses[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

constexpr std::size_t kTargetBytesKept = 256;

bool HasNoBodyByStatus(int status) { return status == 204 || status == 304 || status < 200; }

// The part of a request target from the path on.
std::string_view FromPath(std::string_view target) {
  if (target.empty() || target.front() == '/') return target;
  std::size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) return target;
  std::size_t path = target.find_first_of("/?", scheme + 3);
  return path == std::string_view::npos ? std::string_view("/") : target.substr(path);
}

}  // namespace

Method MethodFromName(std::string_view name) {
  if (name == "GET") return Method::kGet;
  if (name == "HEAD") return Method::kHead;
  if (name == "POST") return Method::kPost;
  if (name == "PUT") return Method::kPut;
  if (name == "DELETE") return Method::kDelete;
  if (name == "OPTIONS") return Method::kOptions;
  return Method::kOther;
}

void Request::Clear() {
  method = Method::kGet;
  if (target.capacity() > kTargetBytesKept) target = {};
  target.clear();
  headers.Clear();
  body = {};
  version_minor = 1;
}

std::string_view Request::path() const {
  std::string_view rest = FromPath(target);
  return rest.substr(0, rest.find('?'));
}

std::string_view Request::query() const {
  std::string_view rest = FromPath(target);
  std::size_t mark = rest.find('?');
  return mark == std::string_view::npos ? std::string_view() : rest.substr(mark + 1);
}

std::string_view Request::authority() const {
  std::string_view text = target;
  std::size_t scheme = text.starts_with('/') ? std::string_view::npos : text.find("://");
  if (scheme == std::string_view::npos) return {};
  text.remove_prefix(scheme + 3);
  return text.substr(0, text.find_first_of("/?"));
}

std::size_t Response::body_bytes() const {
  std::size_t bytes = 0;
  for (const Bytes& part : body) bytes += part.size();
  return bytes;
}

bool SendsBody(const Response& response, Framing framing) {
  return framing != Framing::kHead && !HasNoBodyByStatus(response.status);
}

Bytes SerializeHead(const Response& response, Framing framing, std::string_view more_lines,
                    std::string_view origin_lines) {
  URSULA_CHECK(response.status >= 0);
  ShortText status, length;
  status.AppendDecimal(static_cast<uint64_t>(response.status), 3);
  std::string_view length_name, length_end;
  if (!HasNoBodyByStatus(response.status)) {
    if (framing == Framing::kLength) {
      length_name = "Content-Length: ";
      length.AppendDecimal(response.body_bytes(), 1);
      length_end = "\r\n";
    } else if (framing == Framing::kChunked) {
      length_name = "Transfer-Encoding: chunked\r\n";
    }
  }
  return JoinBytes({"HTTP/1.1 ", status.view(), " ", ReasonPhrase(response.status), "\r\n",
                    response.headers.text(), origin_lines, kCommonHeaders, length_name,
                    length.view(), length_end, more_lines, "\r\n"});
}

std::string_view ReasonPhrase(int status) {
  for (const NamedStatus& named : kStatuses) {
    if (named.status == status) return named.phrase;
  }
  return {};
}

}  // namespace ursula::protocol
