#include "server/protocol/routes.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::string_view kUpstreamPrefix = "/v1/stream/";
constexpr std::string_view kReservedFirst[] = {"v1",      "healthz", "readyz",
                                               "metrics", "admin",   "console"};
constexpr std::string_view kUpstreamBatch = "__batch";
constexpr std::string_view kBucketBatch = "append-batch";
constexpr std::string_view kReservedLast[] = {kBucketBatch, "attrs",    "bootstrap",
                                              "retention",  "snapshot", "streams"};

Route Invalid(std::string_view code, std::string_view message) {
  Route route;
  route.kind = RouteKind::kInvalid;
  route.code = code;
  route.message = message;
  return route;
}

Route Reserved(std::string_view message = "this name is reserved") {
  Route route;
  route.kind = RouteKind::kReserved;
  route.code = "RESERVED_NAME";
  route.message = message;
  return route;
}

// What a client of another server's root asks for.
Route ReservedRoot() {
  return Reserved(
      "this path is reserved; streams are /v1/stream/NAME and, in a bucket, /BUCKET/STREAM");
}

bool IsReservedFirst(std::string_view segment) {
  return segment.starts_with('_') || std::find(std::begin(kReservedFirst), std::end(kReservedFirst),
                                               segment) != std::end(kReservedFirst);
}

bool IsReservedLast(std::string_view segment) {
  return segment.starts_with('$') || std::find(std::begin(kReservedLast), std::end(kReservedLast),
                                               segment) != std::end(kReservedLast);
}

bool MatchesBucketGrammar(std::string_view name) {
  if (name.size() < 4 || name.size() > 64) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

bool BeginsRoot(std::string_view segment, std::span<const std::string> roots) {
  return std::ranges::any_of(roots, [segment](std::string_view root) {
    return root.substr(1).starts_with(segment) && root[segment.size() + 1] == '/';
  });
}

using Segments = absl::InlinedVector<std::string_view, 4>;

Segments SplitAtSlashes(std::string_view text) {
  Segments segments;
  for (;;) {
    std::size_t slash = text.find('/');
    segments.push_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    text.remove_prefix(slash + 1);
  }
}

bool IsPlainSegment(std::string_view segment) {
  return !segment.empty() && segment != "." && segment != "..";
}

constexpr std::string_view kBadName = "INVALID_STREAM_NAME";

// Empty: it is fit to be a name or a part of one.
std::string_view WhyNoName(std::string_view name) {
  if (HasControlCharacter(name)) return "a stream name must not hold control characters";
  if (!IsUtf8(name)) return "a stream name must be UTF-8";
  if (name.size() > kStreamNameBytesMax) return "a stream name is at most 1024 bytes long";
  return {};
}

// Decoded once. Empty: `*why` says what is wrong.
std::optional<std::string> DecodeName(std::string_view raw, std::string_view* why) {
  std::optional<std::string> name = PercentDecode(raw, false);
  *why = name ? WhyNoName(*name) : "a '%' in the path is not followed by two hexadecimal digits";
  return why->empty() ? std::move(name) : std::nullopt;
}

Route BatchOf(std::string bucket) {
  Route route;
  route.kind = RouteKind::kBatch;
  route.stream.bucket = std::move(bucket);
  return route;
}

// REQUIRES: `name` is fit to be one.
Route UpstreamName(std::string name) {
  Segments segments = SplitAtSlashes(name);
  if (!std::all_of(segments.begin(), segments.end(), IsPlainSegment)) {
    return Invalid(kBadName, "a stream name must not hold empty, '.' or '..' segments");
  }
  if (segments.front() == "__ds") return Reserved();
  if (name == kUpstreamBatch) return BatchOf(kUpstreamBucket);
  Route route;
  route.kind = RouteKind::kStream;
  route.stream.bucket = kUpstreamBucket;
  route.stream.name = std::move(name);
  return route;
}

Route UpstreamRoute(std::string_view rest) {
  if (rest.empty()) return Invalid(kBadName, "a stream has a name: /v1/stream/NAME");
  std::string_view why;
  std::optional<std::string> name = DecodeName(rest, &why);
  if (!name) return Invalid(kBadName, why);
  return UpstreamName(std::move(*name));
}

// `names`: what follows the bucket, one or two, decoded.
Route NamesRoute(std::string bucket, std::vector<std::string> names) {
  std::size_t bytes = names.size() - 1;
  for (const std::string& name : names) {
    if (!IsPlainSegment(name) || name.find('/') != std::string::npos) {
      return Invalid(kBadName, "a stream name must not be empty, '.', '..' or hold a '/'");
    }
    bytes += name.size();
  }
  if (bytes > kStreamNameBytesMax) {
    return Invalid(kBadName, "a stream name is at most 1024 bytes long");
  }
  Route route;
  route.stream.bucket = std::move(bucket);
  if (names.size() == 1 && names.front() == "streams") {
    route.kind = RouteKind::kStreamList;
    return route;
  }
  if (names.size() == 1 && names.front() == kBucketBatch) return BatchOf(route.stream.bucket);
  if (IsReservedLast(names.back())) return Reserved();
  route.kind = RouteKind::kStream;
  route.stream.name = std::move(names.back());
  if (names.size() == 2) route.stream.affinity = std::move(names.front());
  return route;
}

// `segments`: what follows the bucket, one or two, raw.
Route BucketStreamRoute(std::string bucket, const Segments& segments) {
  std::vector<std::string> names;
  for (std::string_view segment : segments) {
    std::string_view why;
    std::optional<std::string> name = DecodeName(segment, &why);
    if (!name) return Invalid(kBadName, why);
    names.push_back(std::move(*name));
  }
  return NamesRoute(std::move(bucket), std::move(names));
}

}  // namespace

bool IsBucketName(std::string_view name) {
  return MatchesBucketGrammar(name) && !IsReservedFirst(name);
}

Route ParsePath(std::string_view path, std::span<const std::string> more_roots) {
  if (path.starts_with(kUpstreamPrefix)) return UpstreamRoute(path.substr(kUpstreamPrefix.size()));
  for (const std::string& root : more_roots) {
    if (path.starts_with(root)) return UpstreamRoute(path.substr(root.size()));
  }
  if (path.size() < 2 || path.front() != '/') return {};
  Segments segments = SplitAtSlashes(path.substr(1));
  std::optional<std::string> bucket = PercentDecode(segments.front(), false);
  if (bucket && (IsReservedFirst(*bucket) || BeginsRoot(*bucket, more_roots))) {
    return ReservedRoot();
  }
  if (!bucket || !MatchesBucketGrammar(*bucket)) {
    return Invalid("INVALID_BUCKET",
                   "a bucket name is 4 to 64 of a-z, 0-9, '_' and '-'; streams that need no bucket "
                   "are /v1/stream/NAME");
  }
  segments.erase(segments.begin());
  if (segments.empty()) {
    Route route;
    route.kind = RouteKind::kBucket;
    route.stream.bucket = std::move(*bucket);
    return route;
  }
  if (segments.size() > 2) {
    bool reserved = IsReservedLast(segments.back()) && segments.size() == 3;
    return reserved ? Reserved() : Route{};
  }
  return BucketStreamRoute(std::move(*bucket), segments);
}

Route ParseStreamName(std::string_view bucket, std::string_view name) {
  const std::string_view why = WhyNoName(name);
  if (!why.empty()) return Invalid(kBadName, why);
  Route route;
  if (bucket == kUpstreamBucket) {
    route = UpstreamName(std::string(name));
  } else {
    Segments segments = SplitAtSlashes(name);
    if (segments.size() > 2) {
      return Invalid(kBadName, "a stream of a bucket is named NAME or AFFINITY/NAME");
    }
    route = NamesRoute(std::string(bucket), {segments.begin(), segments.end()});
  }
  return route.kind == RouteKind::kStream || route.kind == RouteKind::kInvalid ? route : Reserved();
}

}  // namespace ursula::protocol
