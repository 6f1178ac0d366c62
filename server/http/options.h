// server/http/options.h
//
// What a Server and its connections may be told. Every limit is bounded by server/config.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "server/http/request_parser.h"

namespace ursula::http {

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // 0: the kernel chooses.

  RequestLimits limits = {};
  uint64_t inflight_body_bytes_max = uint64_t{256} << 20;  // All connections together: 503.
  uint32_t connections_max = 100'000;                      // All cores together: 503.
  // At that limit a connection that waits between two requests ends for one that comes: for
  // listeners with few connections, whose clients come again by themselves.
  bool idle_gives_way = false;
  // Of each core, beyond those: they get an answer. With so many nothing more is accepted.
  uint32_t refused_connections_max = 256;

  int backlog = 4096;  // Connections of each core that wait to be accepted.

  uint64_t request_timeout_ms = 30'000;       // For a head, and for each pause in a body: 408.
  uint64_t body_bytes_per_second_min = 1024;  // Averaged over each request_timeout_ms; 0: none.
  uint64_t body_timeout_ms = 600'000;         // For a whole body: 408.
  uint64_t idle_timeout_ms = 75'000;          // Between requests: the connection ends.
  uint64_t send_timeout_ms = 30'000;          // Nothing of an answer taken for this long: cut off.
  uint64_t stop_timeout_ms = 10'000;  // For requests under way at Stop; then they are cut off.
  uint64_t stop_patience_ms = 5'000;  // For engine calls after that.
  // At Stop a connection between two requests is kept this long: what its client is sending just
  // then is answered, with the word that this was the last. A close would leave it without answer.
  uint64_t stop_idle_ms = 200;

  // Bytes of further requests kept while one is under way; then the socket isn't read.
  std::size_t pipelined_bytes_max = 64 << 10;
  // After a refusal what the client is still sending is read and thrown away, so that it gets to
  // see the answer (a close would reset the connection): this much, for this long.
  uint64_t drain_bytes_max = uint64_t{256} << 20;
  uint64_t drain_ms = 10'000;
};

}  // namespace ursula::http
