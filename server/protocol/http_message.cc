#include "server/protocol/http_message.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace ursula::protocol {
namespace {

// The headers that every response carries. Any origin may read: a server without accounts has no
// ambient authority (no cookies) that a page could borrow.
constexpr std::string_view kCommonHeaders =
    "X-Content-Type-Options: nosniff\r\n"
    "Cross-Origin-Resource-Policy: cross-origin\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Expose-Headers: Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, "
    "Stream-Cursor, Stream-TTL, Stream-Expires-At, Stream-SSE-Data-Encoding, Stream-Incarnation, "
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

constexpr std::size_t kCommonCount = 6;  // Headers of a request or a response.
constexpr std::size_t kTargetBytesKept = 256;

bool SameName(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  // Most names of one size differ in their last letters: "Producer-Seq", "Content-Type".
  if (!a.empty() && (a.back() | 0x20) != (b.back() | 0x20)) return false;
  return absl::EqualsIgnoreCase(A(a), A(b));
}

bool EndsLine(char c) { return c == '\r' || c == '\n' || c == '\0'; }

// A byte that would end the line early is dropped: a value can never add a header.
void AppendClean(std::string* out, std::string_view text) {
  if (std::none_of(text.begin(), text.end(), EndsLine)) {
    out->append(text);
    return;
  }
  std::copy_if(text.begin(), text.end(), std::back_inserter(*out),
               [](char c) { return !EndsLine(c); });
}

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

void Headers::Add(std::string_view name, std::string_view value) {
  if (list_.capacity() == 0) list_.reserve(kCommonCount);
  list_.emplace_back(std::string(name), std::string(value));
}

void Headers::Set(std::string_view name, std::string_view value) {
  Remove(name);
  Add(name, value);
}

void Headers::Remove(std::string_view name) {
  std::erase_if(list_, [&](const Header& header) { return SameName(header.name, name); });
}

void Headers::Clear() {
  if (list_.capacity() > kCommonCount) list_ = {};
  list_.clear();
}

const std::string* Headers::Find(std::string_view name) const {
  for (const Header& header : list_) {
    if (SameName(header.name, name)) return &header.value;
  }
  return nullptr;
}

std::size_t Headers::Count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(list_.begin(), list_.end(),
                    [&](const Header& header) { return SameName(header.name, name); }));
}

std::string Headers::Joined(std::string_view name) const {
  std::string joined;
  for (const Header& header : list_) {
    if (!SameName(header.name, name)) continue;
    if (!joined.empty()) joined += ", ";
    joined += header.value;
  }
  return joined;
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

std::string SerializeHead(const Response& response, Framing framing, std::string_view more_lines) {
  std::string out;
  out.reserve(1024);
  absl::StrAppend(&out, "HTTP/1.1 ", response.status, " ", A(ReasonPhrase(response.status)),
                  "\r\n");
  for (const Header& header : response.headers.list()) {
    AppendClean(&out, header.name);
    out += ": ";
    AppendClean(&out, header.value);
    out += "\r\n";
  }
  out += kCommonHeaders;
  if (!HasNoBodyByStatus(response.status)) {
    if (framing == Framing::kLength) {
      absl::StrAppend(&out, "Content-Length: ", response.body_bytes(), "\r\n");
    } else if (framing == Framing::kChunked) {
      out += "Transfer-Encoding: chunked\r\n";
    }
  }
  out += more_lines;
  out += "\r\n";
  return out;
}

std::string_view ReasonPhrase(int status) {
  for (const NamedStatus& named : kStatuses) {
    if (named.status == status) return named.phrase;
  }
  return {};
}

}  // namespace ursula::protocol
