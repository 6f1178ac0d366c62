#include "server/protocol/request_headers.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "server/protocol/authority.h"
#include "server/protocol/errors.h"
#include "server/protocol/json_body.h"
#include "server/protocol/negotiation.h"
#include "server/protocol/text.h"
#include "server/protocol/timestamp.h"

namespace ursula::protocol {
namespace {

// Seconds whose milliseconds still are an exact number everywhere.
constexpr uint64_t kTtlSecondsMax = kJavaScriptIntegerMax / 1000;

Response BadProducer(std::string_view message) {
  return ErrorResponse(400, "INVALID_PRODUCER", message);
}

Response Repeated(std::string_view name) {
  return ErrorResponse(400, "REPEATED_HEADER", absl::StrCat(A(name), " may stand only once"));
}

// The first proxy's word: the client's side of the chain.
std::string FirstMember(const Request& request, std::string_view name) {
  std::string_view value = request.headers.Find(name).value_or("");
  return std::string(TrimSpace(value.substr(0, value.find(','))));
}

bool IsPathPrefix(std::string_view text) {
  return text.size() <= 256 && text.starts_with('/') && !text.ends_with('/') &&
         !HasControlCharacter(text) && text.find_first_of(" \"<>?#\\") == std::string_view::npos;
}

void ApplyForwarded(const Request& request, std::string* host, PublicBase* base) {
  std::string scheme = AsciiLower(FirstMember(request, "X-Forwarded-Proto"));
  if (scheme == "https" || scheme == "http") base->origin = scheme + "://";
  std::string forwarded_host = FirstMember(request, "X-Forwarded-Host");
  if (IsAuthority(forwarded_host)) *host = std::move(forwarded_host);
  std::string prefix = FirstMember(request, "X-Forwarded-Prefix");
  if (IsPathPrefix(prefix)) base->prefix = std::move(prefix);
}

PublicBase SplitUrl(std::string_view url) {
  PublicBase base;
  std::size_t scheme = url.find("://");
  std::size_t host = scheme == std::string_view::npos ? 0 : scheme + 3;
  std::size_t slash = url.find('/', host);
  base.origin = url.substr(0, slash);
  if (slash != std::string_view::npos) base.prefix = url.substr(slash);
  while (base.prefix.ends_with('/')) base.prefix.pop_back();
  return base;
}

// An empty Host is for URLs without an authority; http has none.
bool IsNoHost(const Request& request, const std::optional<std::string_view>& host) {
  return !host || (host->empty() && request.version_minor == 0);
}

// Of any size.
bool IsCanonicalNumber(std::string_view text) {
  return !text.empty() && !(text.size() > 1 && text.front() == '0') &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool HasControlBesidesTab(std::string_view text) {
  for (; !text.empty(); text.remove_prefix(1)) {
    if (text.front() != '\t' && HasControlCharacter(text.substr(0, 1))) return true;
  }
  return false;
}

}  // namespace

Refusal TakeHeader(const Request& request, std::string_view name,
                   std::optional<std::string_view>* value) {
  std::optional<std::string_view> first = request.headers.Find(name);
  if (!first) return std::nullopt;
  if (request.headers.Count(name) > 1) {
    return Repeated(name);
  }
  *value = first;
  return std::nullopt;
}

Refusal TakeClose(const Request& request, bool* close) {
  std::optional<std::string_view> value;
  if (Refusal refusal = TakeHeader(request, "Stream-Closed", &value)) return refusal;
  // A proxy may have joined two lines (RFC 9110, 5.3).
  if (value && value->find(',') != std::string_view::npos) return Repeated("Stream-Closed");
  *close = IsTrueIgnoringCase(value.value_or(""));
  return std::nullopt;
}

bool IsContentType(std::string_view type) {
  std::string_view media = TrimSpace(type.substr(0, type.find(';')));
  std::size_t slash = media.find('/');
  if (slash == std::string_view::npos || HasControlBesidesTab(type)) return false;
  return IsToken(media.substr(0, slash)) && IsToken(media.substr(slash + 1));
}

Refusal TakeContentType(const Request& request, const ProtocolConfig& config, std::string* type) {
  std::optional<std::string_view> value;
  if (Refusal refusal = TakeHeader(request, "Content-Type", &value)) return refusal;
  if (value && value->size() > config.header_value_bytes_max) {
    return ErrorResponse(400, "INVALID_CONTENT_TYPE", "the Content-Type is too long");
  }
  *type = value.value_or("");
  return std::nullopt;
}

Refusal TakeSequence(const Request& request, const ProtocolConfig& config, std::string* sequence) {
  std::optional<std::string_view> value;
  if (Refusal refusal = TakeHeader(request, "Stream-Seq", &value)) return refusal;
  if (!value) return std::nullopt;
  if (value->empty() || value->size() > config.header_value_bytes_max) {
    return ErrorResponse(400, "INVALID_STREAM_SEQ", "Stream-Seq is empty or too long");
  }
  *sequence = *value;
  return std::nullopt;
}

Refusal TakeProducer(const Request& request, const ProtocolConfig& config,
                     std::optional<Producer>* producer) {
  std::optional<std::string_view> id, epoch, sequence;
  if (Refusal refusal = TakeHeader(request, "Producer-Id", &id)) return refusal;
  if (Refusal refusal = TakeHeader(request, "Producer-Epoch", &epoch)) return refusal;
  if (Refusal refusal = TakeHeader(request, "Producer-Seq", &sequence)) return refusal;
  if (!id && !epoch && !sequence) return std::nullopt;
  if (!id || !epoch || !sequence) {
    return BadProducer("Producer-Id, Producer-Epoch and Producer-Seq come together");
  }
  if (id->empty() || id->size() > config.header_value_bytes_max) {
    return BadProducer("Producer-Id is empty or too long");
  }
  std::optional<uint64_t> epoch_number = ParseDigits(*epoch, kJavaScriptIntegerMax);
  std::optional<uint64_t> sequence_number = ParseDigits(*sequence, kJavaScriptIntegerMax);
  if (!epoch_number || !sequence_number) {
    return BadProducer("Producer-Epoch and Producer-Seq are digits, at most 2^53-1");
  }
  *producer = Producer{std::string(*id), *epoch_number, *sequence_number};
  return std::nullopt;
}

Refusal TakeLifetime(const Request& request, Lifetime* lifetime) {
  std::optional<std::string_view> ttl, expires_at;
  if (Refusal refusal = TakeHeader(request, "Stream-TTL", &ttl)) return refusal;
  if (Refusal refusal = TakeHeader(request, "Stream-Expires-At", &expires_at)) return refusal;
  if (ttl && expires_at) {
    return ErrorResponse(400, "LIFETIME_CONFLICT",
                         "Stream-TTL and Stream-Expires-At exclude each other");
  }
  if (ttl) {
    lifetime->ttl_seconds = ParseCanonicalNumber(*ttl, kTtlSecondsMax);
    if (!lifetime->ttl_seconds && IsCanonicalNumber(*ttl)) {
      return ErrorResponse(400, "TTL_TOO_LARGE",
                           absl::StrCat("Stream-TTL is at most ", kTtlSecondsMax, " seconds"));
    }
    if (!lifetime->ttl_seconds) {
      return ErrorResponse(400, "INVALID_TTL", "Stream-TTL is seconds, in plain digits");
    }
  }
  if (expires_at) {
    lifetime->expires_at_ms = ParseTimestamp(*expires_at);
    if (!lifetime->expires_at_ms) {
      return ErrorResponse(400, "INVALID_EXPIRES_AT", "Stream-Expires-At is not RFC 3339");
    }
    lifetime->expires_at_text = *expires_at;
  }
  return std::nullopt;
}

Refusal CheckWhole(const Request& request) {
  if (request.headers.Count("Content-Range") == 0) return std::nullopt;
  return ErrorResponse(400, "NOT_SUPPORTED",
                       "a part of a stream can't be put: leave Content-Range out, or append");
}

Refusal CheckContentCoding(const Request& request) {
  std::string coding = AsciiLower(request.headers.Joined("Content-Encoding"));
  if (coding.empty() || coding == "identity" || request.body.empty()) return std::nullopt;
  Response refusal = ErrorResponse(415, "UNSUPPORTED_CONTENT_ENCODING",
                                   "a body is taken as it is (identity): send it uncompressed");
  refusal.headers.Add("Accept-Encoding", "identity");  // RFC 9110, 12.5.3.
  return refusal;
}

Refusal SplitBody(const Bytes& body, std::string_view content_type, const ProtocolConfig& config,
                  std::vector<Bytes>* messages) {
  if (body.empty()) return std::nullopt;
  if (!IsJson(content_type)) {
    messages->push_back(body);
    return std::nullopt;
  }
  JsonLimits limits{config.json_depth_max, config.json_messages_max};
  JsonSplit split = SplitJson(body, limits);
  switch (split.verdict) {
    case JsonVerdict::kValid:
      *messages = std::move(split.messages);
      return std::nullopt;
    case JsonVerdict::kInvalid:
      return ErrorResponse(400, "INVALID_JSON",
                           absl::StrCat("the body is not JSON, at byte ", split.error_at));
    case JsonVerdict::kNotUtf8:
      return ErrorResponse(400, "INVALID_JSON",
                           absl::StrCat("JSON is UTF-8, which the body isn't at byte ",
                                        split.error_at, " (counted from 0)"));
    case JsonVerdict::kTooDeep:
      return ErrorResponse(400, "JSON_TOO_DEEP",
                           absl::StrCat("JSON nests at most ", limits.depth_max, " levels"));
    case JsonVerdict::kTooManyMessages:
      return ErrorResponse(413, "TOO_MANY_MESSAGES",
                           absl::StrCat("a body holds at most ", limits.messages_max, " messages"));
  }
  return std::nullopt;
}

Refusal CheckHost(const Request& request) {
  std::optional<std::string_view> host;
  if (Refusal refusal = TakeHeader(request, "Host", &host)) return refusal;
  bool fit = IsNoHost(request, host) ? request.version_minor == 0 : IsAuthority(*host);
  if (fit) return std::nullopt;
  return ErrorResponse(400, "INVALID_HOST", "the request needs one Host header: host or host:port");
}

PublicBase PublicBaseOf(const Request& request, const ProtocolConfig& config) {
  if (!config.public_url.empty()) return SplitUrl(config.public_url);
  std::optional<std::string_view> host;
  TakeHeader(request, "Host", &host);
  // RFC 9112, 3.2.2: the target's authority counts, whatever Host says.
  std::string authority(request.authority());
  if (authority.empty()) authority = IsNoHost(request, host) ? config.fallback_host : *host;
  PublicBase base;
  base.origin = "http://";
  if (config.trust_forwarded) ApplyForwarded(request, &authority, &base);
  base.origin += authority;
  return base;
}

}  // namespace ursula::protocol
