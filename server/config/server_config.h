// server/config/server_config.h
//
// Everything that can be set about ursulad. A value of this type that LoadConfig returned is valid:
// every number lies within the bounds of its option (options.cc).

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ursula/types.h"

namespace ursula::server {

struct HostPort {
  std::string host = {};  // A numeric IPv4 or IPv6 address, without brackets; of a peer, or a name.
  uint16_t port = 0;      // 0: the kernel chooses.
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

enum class LogFormat : uint8_t { kAuto, kJson, kText };  // kAuto: text on a terminal, else JSON.

struct ServerConfig {
  // Where it listens and what it calls itself.
  HostPort listen = {"127.0.0.1", 4437};
  HostPort admin_listen = {"127.0.0.1", 4438};
  bool admin = true;             // False: no admin listener (--admin-listen none).
  std::string public_url = {};   // Scheme and authority of Location; empty: the request's Host.
  bool trust_forwarded = false;  // Believe X-Forwarded-Proto and X-Forwarded-Host.
  bool allow_unauthenticated = false;
  // Paths that streams live below, besides /v1/stream/; each begins and ends with a slash.
  std::vector<std::string> stream_roots = {};

  // What pages of other origins may do.
  std::vector<std::string> cors_origins = {};  // Empty: any, without credentials.
  std::vector<std::string> cors_headers = {};  // Besides those of the protocol.
  bool cors_private_network = false;

  // Its place among several nodes. Without peers it is alone, and the others are as they stand.
  uint64_t node_id = 0;
  HostPort peer_listen = {};
  std::map<uint64_t, HostPort> peers = {};  // By node id; this node's own may be missing.
  uint64_t cluster_id = 0;                  // 0: whichever the directory's is, or a new one.
  std::string cluster_secret_file = {};
  std::string cluster_secret = {};  // What is in that file.
  uint32_t peer_connections_max = 64;
  uint64_t peer_window_bytes_max = uint64_t{16} << 20;
  HostPort advertise_http = {};  // Where clients reach it; empty: see HttpAddressOf.

  // What it keeps and where.
  std::string data_dir = "./ursula-data";
  bool memory = false;
  bool new_history = false;
  uint32_t feature_level_max = kFeatureLevelMax;
  uint32_t core_count = 0;        // 0: one for each CPU that this process may use.
  uint32_t raft_group_count = 0;  // 0: what the directory has, else cores x 4; with peers 64.
  bool pin_threads = false;
  uint32_t busy_poll_us = 200;
  uint32_t ring_entries = 1024;
  uint64_t hot_bytes_max = uint64_t{256} << 20;
  uint64_t wal_bytes_max = 0;                             // 0: the engine's default.
  uint64_t rejoin_bytes_per_second = uint64_t{64} << 20;  // 0: as fast as can be.
  uint64_t scrub_bytes_per_second = uint64_t{4} << 20;    // 0: never.
  uint32_t scrub_every_seconds = 24 * 60 * 60;
  bool rejoin_when_rotten = true;

  // Limits of what clients may ask for.
  uint64_t body_bytes_max = uint64_t{32} << 20;
  // JSON messages are stored with two bytes of separator each, which a body may lack.
  uint64_t message_bytes_max() const { return body_bytes_max + (uint64_t{1} << 20); }
  uint64_t inflight_body_bytes_max = uint64_t{256} << 20;
  uint64_t inflight_read_bytes_max = uint64_t{256} << 20;
  uint64_t kept_pages_bytes_max = uint64_t{32} << 20;  // All cores together; 0: none are kept.
  uint32_t connections_max = 100'000;
  uint64_t header_bytes_max = uint64_t{64} << 10;
  uint32_t header_count_max = 100;
  uint32_t batch_items_max = 10'000;
  uint64_t url_bytes_max = uint64_t{8} << 10;
  uint64_t read_bytes_max = uint64_t{1} << 20;
  uint64_t subscriber_buffer_bytes_max = uint64_t{4} << 20;

  // Time.
  uint64_t long_poll_timeout_ms = 25'000;
  uint64_t sse_heartbeat_ms = 15'000;
  uint64_t sse_rotation_ms = 60'000;
  uint64_t request_timeout_ms = 30'000;
  uint64_t body_bytes_per_second_min = 1024;
  uint64_t body_timeout_ms = 600'000;
  uint64_t idle_timeout_ms = 75'000;
  uint64_t shutdown_timeout_ms = 10'000;
  // Of a node of a cluster.
  uint64_t leader_timeout_ms = 5'000;
  uint64_t append_timeout_ms = 10'000;
  uint64_t read_timeout_ms = 5'000;

  // Logs.
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kAuto;
};

}  // namespace ursula::server
