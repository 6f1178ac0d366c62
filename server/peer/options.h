// server/peer/options.h
//
// What a PeerTransport is made with, and what it tells about its peers.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "server/peer/cores.h"
#include "server/peer/resolver.h"
#include "ursula/types.h"

namespace ursula::peer {

struct PeerTransportOptions {
  NodeId node = {};                          // Who this is: above 0.
  uint16_t core_count = 1;                   // Up to kSenderCoresMax.
  std::string listen = {};                   // HOST:PORT; port 0 takes a free one.
  std::map<NodeId, std::string> peers = {};  // HOST:PORT of each; this node's own is ignored.
  uint64_t incarnation = 0;                  // Of this process: random, not 0.
  std::string secret = {};                   // Of the cluster. Empty: peers aren't authenticated.
  uint64_t cluster_id = 0;                   // 0: none yet. See PeerTransport::SetCluster.
  uint32_t group_count = 0;                  // 0: not known yet.
  // What this node can; peers below the cluster's level (Transport::OnFeatureLevel) are refused.
  uint32_t feature_level_max = kFeatureLevelMax;

  // Told to peers: where clients reach this node (empty: nothing is said); what its log takes of
  // one append (0: not known yet, see PeerTransport::SetAppendBytesMax).
  std::string http_address = {};
  uint64_t append_bytes_max = 0;

  uint32_t connections_max = 64;         // Incoming; each peer has two.
  uint32_t handshake_ms_max = 5000;      // From a connection to its first open stream.
  uint64_t window_bytes_max = 16 << 20;  // Taken and not yet sent: peer, core and channel.
  uint64_t fragment_bytes_max = 1 << 20;
  uint64_t frame_bytes_max = 300 << 20;
  uint64_t frame_bytes_wanted = 256 << 10;
  uint32_t thread_count = 0;  // For gRPC's events; 0: by core_count.

  ResolveFunction resolve = {};  // Peers' names; empty: the system's resolver.

  PostFunction post = {};
  // A sentence for the operator; `trouble`: something isn't as it should be. Any thread; not to
  // call the transport. May be empty.
  std::function<void(bool trouble, std::string_view)> log = {};
};

struct PeerStatus {
  NodeId node = {};
  std::string address = {};
  bool connected = false;          // Frames can be sent to it.
  bool connected_from = false;     // And from it.
  std::string refusal = {};        // Why there is no connection; empty if none was refused.
  std::string warning = {};        // What is wrong though it may connect; empty: nothing.
  uint64_t incarnation = 0;        // Of its process, where known.
  uint64_t cluster_id = 0;         // As it said, as the next four.
  std::string http_address = {};   // Empty: it doesn't say.
  uint64_t append_bytes_max = 0;   // 0: not known.
  uint32_t feature_level_max = 0;  // The highest that it can; 0: not known.
  uint32_t version = 0;            // Of the protocol, of the last connection; 0: there was none.
  uint64_t round_trip_us = 0;      // Of the handshake.
  int64_t clock_offset_ms = 0;     // Its wall clock less ours, at the handshake.
  uint64_t connects = 0;
  uint64_t sent_frames = 0;
  uint64_t sent_bytes = 0;
  uint64_t received_frames = 0;
  uint64_t received_bytes = 0;
  uint64_t window_stalls = 0;  // Sends that were told kFull.
  uint64_t bad_messages = 0;   // Each closed its stream.
};

}  // namespace ursula::peer
