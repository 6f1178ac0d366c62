// server/protocol/config.h
//
// What the mapping between HTTP and the engine may be told: limits, and how this server is named
// from outside. Checked once at start; the mapping believes it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ursula::protocol {

// Which pages may use this server from a browser, and how (docs/PROTOCOL.md, "On every response").
struct CorsConfig {
  std::vector<std::string> origins = {};  // Empty: any, without credentials. Else these, with.
  std::vector<std::string> headers = {};  // That requests may have besides those of the protocol.
  bool private_network = false;           // Public pages too, while the server is in a private one.
};

struct ProtocolConfig {
  // Scheme, authority and optional path prefix that clients reach this server under, without a
  // slash at the end. Empty: "http://" and the request's Host.
  std::string public_url = {};
  // Believe X-Forwarded-Proto, -Host and -Prefix. Only behind a proxy that sets them.
  bool trust_forwarded = false;
  // The authority for a request that names no host (HTTP/1.0): "127.0.0.1:4437".
  std::string fallback_host = "localhost";
  // Further paths that streams live below, besides /v1/stream/: each begins and ends with a slash.
  std::vector<std::string> stream_roots = {};
  CorsConfig cors = {};

  uint64_t body_bytes_max = uint64_t{32} << 20;       // A request body; above: 413.
  std::size_t json_messages_max = 262'144;            // Messages in one JSON body; above: 413.
  std::size_t json_depth_max = 512;                   // Nesting of one JSON body; above: 400.
  std::size_t batch_items_max = 10'000;               // Appends in one batch; above: 413.
  std::size_t header_value_bytes_max = 1024;          // Content-Type, Stream-Seq, Producer-Id.
  uint64_t read_bytes_max = uint64_t{1} << 20;        // One page of a catch-up or long-poll read.
  uint64_t sse_read_bytes_max = uint64_t{256} << 10;  // One SSE data event, before encoding.
  uint64_t long_poll_ms = 25'000;
  std::size_t compress_bytes_min = 1024;  // Smaller bodies are sent as they are.
  uint32_t retry_after_seconds = 1;       // On 503 where nothing was applied.
};

}  // namespace ursula::protocol
