// server/ctl/overview.h
//
// What the words of several nodes mean together: who leads, who is behind, and what is wrong. Pure.
// The nodes were asked one after the other, so that under load a lag of some entries is none.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/ctl/members.h"
#include "server/ctl/survey.h"

namespace ursula::ctl {

// In one group; more is a reason not to be healthy.
inline constexpr uint64_t kLagMax = 10'000;

struct GroupRow {
  uint32_t group = 0;
  uint64_t leader = 0;  // As the newest term's words say; 0: there is none.
  uint64_t term = 0;
  uint64_t applied_max = 0;
  std::map<uint64_t, uint64_t> applied = {};  // By node, of those that answered.
  uint64_t voters_missing = 0;                // As its leader says, if it answered.
  std::vector<TroubleSeen> troubles = {};
};

struct NodeRow {
  std::size_t groups_led = 0;
  std::size_t groups_behind = 0;
  uint64_t lag_entries = 0;  // All groups together.
  uint64_t worst_lag = 0;
  std::optional<uint32_t> worst_group = {};  // None: it is behind in none.
};

// Codes are stable: docs/operating/ursulactl.md.
struct Reason {
  std::string code = {};
  uint64_t node = 0;  // 0: of no single one.
  std::string text = {};
};

struct Overview {
  std::string cluster_id = {};
  std::size_t answered = 0;
  std::map<uint64_t, NodeRow> nodes = {};  // Of those that answered.
  std::vector<GroupRow> groups = {};       // By number.
  Members members = {};
  // By node: where clients reach it, as it says, or as others were told.
  std::map<uint64_t, std::string> http_addresses = {};
  // The feature level in force, as the node says that has heard of the highest; 0: none does. And
  // why it isn't raised, as group 0's leader says or else one of those.
  uint32_t feature_level = 0;
  std::string feature_level_waits_for = {};
  std::vector<Reason> reasons = {};  // Empty: healthy.
};

Overview Summarize(const Survey& survey);

// Why nothing may be changed: nodes of several clusters were asked, and which of them is meant
// can't be known. Null: they are of one.
const Reason* OtherCluster(const Overview& overview);

}  // namespace ursula::ctl
