// server/ctl/node_view.h
//
// What a node says, from its JSON, which may be anything: members that are missing are as they
// stand here, members that aren't known are skipped, numbers and texts are bounded.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ursula/status.h"

namespace ursula::ctl {

inline constexpr std::size_t kGroupsMax = 65'536;
inline constexpr std::size_t kPeersMax = 64;
inline constexpr std::size_t kMembersMax = 64;
inline constexpr std::size_t kSentencesMax = 64;

// A voter's replica that its group can't count on.
struct TroubleSeen {
  uint64_t node = 0;
  std::string reason = {};  // "away", "behind", "not_whole", or a newer release's.
};

struct GroupSeen {
  uint32_t group = 0;
  uint64_t leader = 0;  // 0: of none.
  uint64_t term = 0;
  uint64_t applied = 0;
  uint64_t voters_missing = 0;  // As its leader says; others don't, nor what follows.
  std::vector<TroubleSeen> troubles = {};
};

struct PeerSeen {
  uint64_t node = 0;
  std::string address = {};       // Where it listens to peers.
  std::string http_address = {};  // Where clients reach it, as it said; empty: it didn't.
  bool connected = false;         // Both ways.
  std::string refusal = {};
};

struct MemberSeen {
  // kOther: of a newer release.
  enum class Stage : uint8_t { kMember, kJoining, kLeaving, kInvited, kOther };
  uint64_t node = 0;
  Stage stage = Stage::kOther;
  bool cordoned = false;
};
std::string_view NameOf(MemberSeen::Stage stage);

// GET /cluster.
struct NodeView {
  uint64_t node = 0;  // 0: it is alone.
  std::string cluster_id = {};
  std::string version = {};
  std::string peer_address = {};
  std::string http_address = {};  // Where clients reach it; empty: it doesn't say.
  bool ready = false;
  std::vector<std::string> reasons = {};
  std::vector<std::string> warnings = {};
  std::string opening = {};
  std::vector<GroupSeen> groups = {};    // By number, each once.
  std::vector<MemberSeen> members = {};  // By node, each once.
  uint64_t groups_settled = 0;
  std::string members_wait_for = {};
  uint32_t feature_level = 0;  // In force, as it knows; 0: of a release that doesn't say, as next.
  uint32_t feature_level_max = 0;            // That it can.
  std::string feature_level_waits_for = {};  // Why it isn't raised.
  std::vector<PeerSeen> peers = {};
};
std::optional<NodeView> ParseNodeView(std::string_view json);

// GET /cluster/recovery.
struct RecoveryGroupSeen {
  uint32_t group = 0;
  uint64_t term = 0;
  uint64_t last_term = 0;
  uint64_t last_index = 0;
  uint64_t commit = 0;
  uint64_t lacking_bytes = 0;
  std::vector<uint64_t> voters = {};
  std::vector<uint64_t> voters_outgoing = {};
};
struct RecoveryView {
  uint64_t node = 0;
  std::string cluster_id = {};
  std::string directory = {};
  uint64_t lives_before = 0;
  uint64_t number = 0;
  bool stored = false;
  std::string plan = {};  // A query; empty: none.
  std::vector<uint64_t> members = {};
  std::vector<RecoveryGroupSeen> groups = {};  // By number, each once.
};
std::optional<RecoveryView> ParseRecoveryView(std::string_view json);

// {"error":{"code":"…","message":"…"}}
struct ErrorSeen {
  std::string code = {};
  std::string message = {};
};
std::optional<ErrorSeen> ParseError(std::string_view json);

// POST /cluster/transfer and /cluster/node.
std::optional<std::string> ParseOutcome(std::string_view json);
std::optional<int64_t> ParseMoved(std::string_view json);  // POST /clock/step.

}  // namespace ursula::ctl
