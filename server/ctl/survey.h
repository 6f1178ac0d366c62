// server/ctl/survey.h
//
// Asks every node of a cluster for what it sees: those whose admin listeners were named, and those
// that they name as peers.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/config/server_config.h"
#include "server/ctl/admin_client.h"
#include "server/ctl/deadline.h"
#include "server/ctl/node_view.h"

namespace ursula::ctl {

struct NodeSeen {
  uint64_t node = 0;            // 0: not known, or a server that is alone.
  server::HostPort admin = {};  // Port 0: not known.
  std::optional<NodeView> view = {};
  std::string problem = {};           // Why there is no view.
  StatusCode code = StatusCode::kOk;  // Of the problem.
};

// In order of nodes, each once; those that are known by their address alone come last.
using Survey = std::vector<NodeSeen>;

// With more nobody is looked for, whoever is named: a cluster has five nodes.
inline constexpr std::size_t kSurveyNodesMax = 16;

// A node that none of the addresses is of is looked for where its peers' address and the layout of
// the nodes that are known say that its admin listener is: at the same distance from its peers'
// port. What answers there counts only if it says that it is that node, of the same cluster or of
// none yet.
Survey LookAtAll(AdminClient* client, const std::vector<server::HostPort>& addresses);

// Asks again who is known to be somewhere. After `end` (null: none) nobody more is asked, and who
// wasn't stays as it was seen.
void LookAgain(AdminClient* client, Survey* survey, const Deadline* end = nullptr);

// Asks all of them again, and looks for those that weren't found, or are named since. `end` as
// above.
void LookAround(AdminClient* client, Survey* survey, const Deadline* end = nullptr);

// None: it can't be said.
std::optional<server::HostPort> GuessAdmin(const server::HostPort& admin,
                                           const std::string& own_peer_address,
                                           const std::string& peer_address);

}  // namespace ursula::ctl
