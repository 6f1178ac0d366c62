// server/admin/cluster_text.h
//
// The cluster as this node sees it: JSON for programs (/cluster), sentences for people (/readyz).

#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ursula/stats.h"
#include "ursula/types.h"

namespace ursula::admin {

// Another node, and what went between it and this one since this one's start.
struct PeerState {
  NodeId node = {};
  std::string address = {};
  bool connected = false;       // It can be sent to.
  bool connected_from = false;  // It can send.
  std::string refusal = {};     // Why not; empty if nothing was refused.
  std::string warning = {};     // What is wrong besides; empty: nothing.
  uint64_t incarnation = 0;     // Of its process; 0: not met yet.
  uint64_t cluster_id = 0;      // As it said; 0: it knows of none.
  // As it said when it connected; empty, 0: not known.
  std::string http_address = {};  // Where clients reach it.
  uint64_t append_bytes_max = 0;  // What its log takes of one append.
  uint32_t feature_level_max = 0;
  uint32_t protocol_version = 0;  // That the two speak.
  uint64_t round_trip_us = 0;     // Of the handshake.
  int64_t clock_offset_ms = 0;    // Its wall clock less ours.
  uint64_t connects = 0;
  uint64_t sent_frames = 0;
  uint64_t sent_bytes = 0;
  uint64_t received_frames = 0;
  uint64_t received_bytes = 0;
  uint64_t window_stalls = 0;  // Times that its window was full.
  uint64_t bad_messages = 0;
};

struct ClusterView {
  std::string version = {};
  std::string peer_address = {};  // Where this node's peers reach it; empty: it has none.
  std::string http_address = {};  // Where clients do; empty: it isn't told.
  bool ready = false;
  std::vector<std::string> reasons = {};   // Why it isn't.
  std::vector<std::string> warnings = {};  // What is wrong besides.
  std::string opening = {};                // How far the opening is; empty: it has ended.
  ClusterStatus status = {};
  std::vector<PeerState> peers = {};
};

const char* NameOf(MemberStatus::Stage stage);  // As it stands in JSON and metrics.
const char* NameOf(DiskState disk);             // As it stands in JSON.

inline constexpr std::array<ReplicaTrouble::Kind, 3> kTroubleKinds = {
    ReplicaTrouble::Kind::kAway, ReplicaTrouble::Kind::kBehind, ReplicaTrouble::Kind::kNotWhole};
const char* NameOf(ReplicaTrouble::Kind kind);  // The same.

// How many voters a group lacks: as many are to be as the cluster has nodes, or one less where that
// is even. 0: none, or another node leads the group.
uint32_t VotersMissing(const GroupStatus& group, const ClusterStatus& status);

struct ReplicaCounts {
  uint64_t groups = 0;                                       // Led here, that one of these is of:
  uint64_t missing = 0;                                      // voters that they lack,
  std::array<uint64_t, kTroubleKinds.size()> troubles = {};  // and by ReplicaTrouble::Kind.
};
ReplicaCounts CountReplicas(const ClusterStatus& status);

std::string ClusterJson(const ClusterView& view);

// "2 of 64 groups have no leader: 3, 17". Empty: all have one. Names 8 at most.
std::string LeaderlessText(const ClusterStatus& status);

// Those of the peers that a connection is to be with: not one that is no member of the cluster, or
// may only join. All of them, as long as it isn't known who the members are.
std::vector<PeerState> PeersExpected(std::vector<PeerState> peers, const ClusterStatus& status);

// What is wrong with them: "node 3 isn't connected: can't reach 10.0.0.3:4439: Connection refused",
// for each that isn't; and PeerState::warning.
std::vector<std::string> PeerSentences(const std::vector<PeerState>& peers);

}  // namespace ursula::admin
