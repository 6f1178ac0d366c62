// server/protocol/routes.h
//
// Paths to resources. Two namespaces that never alias: /v1/stream/<path…>, whose streams live in
// the built-in bucket kUpstreamBucket and may hold '/' in their names (further roots may be named
// for the same streams); and /{bucket}, /{bucket}/streams, /{bucket}/[{affinity}/]{stream}.
//
// Percent-encoding is decoded exactly once. Refused with 400: bad escapes, control characters,
// bytes that are not UTF-8, empty, "." and ".." segments, names over 1024 bytes.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ursula/types.h"

namespace ursula::protocol {

inline constexpr std::size_t kStreamNameBytesMax = 1024;  // Affinity, '/' and name together.

enum class RouteKind : uint8_t {
  kBucket,      // stream.bucket is set.
  kStreamList,  // stream.bucket is set.
  kStream,      // stream is set.
  kBatch,       // stream.bucket is set: of the streams that a batch appends to.
  kReserved,    // A name kept for the server's own use.
  kUnknown,     // No such resource can exist.
  kInvalid,     // The path breaks a rule; see `code` and `message`.
};

struct Route {
  RouteKind kind = RouteKind::kUnknown;
  StreamId stream = {};
  std::string_view code = {};  // kInvalid and kReserved: the error code (static storage).
  std::string_view message = {};
};

// `path`: raw, without the query. `more_roots`: ProtocolConfig::stream_roots; no bucket has the
// name that one of them begins with.
Route ParsePath(std::string_view path, std::span<const std::string> more_roots = {});

// The stream of `bucket` that a batch names, as a listing has it: "name" or "affinity/name", and in
// kUpstreamBucket any name. Not percent-encoded. kStream, kReserved or kInvalid.
Route ParseStreamName(std::string_view bucket, std::string_view name);

bool IsBucketName(std::string_view name);  // ^[a-z0-9_-]{4,64}$ and not reserved.

}  // namespace ursula::protocol
