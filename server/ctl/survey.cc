#include "server/ctl/survey.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "server/config/cluster.h"
#include "server/config/values.h"

namespace ursula::ctl {
namespace {

void Look(AdminClient* client, NodeSeen* seen) {
  seen->view.reset();
  seen->problem.clear();
  seen->code = StatusCode::kOk;
  const Result<AdminAnswer> answer = client->Ask(seen->admin, "GET", "/cluster");
  if (!answer.ok()) {
    seen->problem = answer.status().message();
    seen->code = answer.status().code();
    return;
  }
  if (answer->status == 200) seen->view = ParseNodeView(answer->body);
  if (seen->view) {
    seen->node = seen->view->node;
    return;
  }
  seen->code = StatusCode::kInternal;
  seen->problem =
      server::FormatHostPort(seen->admin) +
      ": what answers isn't an ursulad's admin listener, or one of another release: name an "
      "--admin-listen address with --admin";
}

struct Missing {
  std::string peer_address = {};
  std::vector<server::HostPort> guesses = {};
  std::string cluster_id = {};  // Of who names it; empty: that is of none yet.
};

bool IsNameless(const NodeSeen& seen) { return seen.node == 0 && !seen.view; }

// Nodes that somebody names as a peer and that aren't there yet.
std::map<uint64_t, Missing> MissingOf(Survey* survey) {
  std::map<uint64_t, Missing> missing;
  for (std::size_t i = 0; i < survey->size(); ++i) {
    const NodeSeen seen = (*survey)[i];
    if (!seen.view) continue;
    std::set<uint64_t> named;
    for (const PeerSeen& peer : seen.view->peers) {
      if (!named.insert(peer.node).second) continue;  // One place of each.
      if (std::ranges::find(*survey, peer.node, &NodeSeen::node) != survey->end()) continue;
      const auto guess = GuessAdmin(seen.admin, seen.view->peer_address, peer.address);
      const auto same =
          guess ? std::ranges::find(*survey, *guess, &NodeSeen::admin) : survey->end();
      if (same != survey->end() && IsNameless(*same)) {
        same->node = peer.node;
        missing.erase(peer.node);
        continue;
      }
      Missing& one = missing[peer.node];
      one.peer_address = peer.address;
      if (!seen.view->cluster_id.empty()) one.cluster_id = seen.view->cluster_id;
      if (!guess || same != survey->end()) continue;
      if (std::ranges::find(one.guesses, *guess) == one.guesses.end()) {
        one.guesses.push_back(*guess);
      }
    }
  }
  return missing;
}

// An address was named for each that is missing, and none of those answers.
bool AreNamed(const std::map<uint64_t, Missing>& missing, Survey* survey) {
  const auto nameless = static_cast<std::size_t>(std::ranges::count_if(*survey, IsNameless));
  if (missing.empty() || missing.size() > nameless) return false;
  if (missing.size() == 1 && nameless == 1) {
    std::ranges::find_if(*survey, IsNameless)->node = missing.begin()->first;
  }
  return true;
}

// One that recovers, or waits to be taken in, says of no cluster that it is its own.
bool IsOf(const std::string& cluster_id, const NodeView& view) {
  if (cluster_id.empty() || view.cluster_id == cluster_id) return true;
  return view.cluster_id.empty() && !view.opening.empty();
}

NodeSeen Find(AdminClient* client, uint64_t node, const Missing& missing, const Deadline* end) {
  NodeSeen found;
  found.node = node;
  std::string tried;
  for (const server::HostPort& guess : missing.guesses) {
    if (Passed(end)) break;
    NodeSeen one;
    one.admin = guess;
    Look(client, &one);
    if (one.view && one.node == node && IsOf(missing.cluster_id, *one.view)) return one;
    tried += (tried.empty() ? "" : ", ") + server::FormatHostPort(guess);
  }
  found.code = StatusCode::kUnavailable;
  found.problem = "node " + std::to_string(node) + " (peers reach it at " + missing.peer_address +
                  ") doesn't answer" + (tried.empty() ? "" : " at " + tried) +
                  ": start it, or name its --admin-listen address too, with --admin";
  return found;
}

void LookForMissing(AdminClient* client, Survey* survey, const Deadline* end) {
  const std::map<uint64_t, Missing> missing = MissingOf(survey);
  if (AreNamed(missing, survey)) return;
  for (const auto& [node, one] : missing) {
    if (survey->size() >= kSurveyNodesMax || Passed(end)) return;
    survey->push_back(Find(client, node, one, end));
  }
}

void Settle(Survey* survey) {
  std::ranges::sort(*survey, {}, [](const NodeSeen& seen) {
    return std::tuple(IsNameless(seen) ? UINT64_MAX : seen.node, seen.admin.host, seen.admin.port);
  });
  // One node by two addresses is one node.
  const auto same = std::ranges::unique(*survey, [](const NodeSeen& a, const NodeSeen& b) {
    return a.view && b.view && a.node != 0 && a.node == b.node &&
           a.view->cluster_id == b.view->cluster_id;
  });
  survey->erase(same.begin(), same.end());
}

}  // namespace

std::optional<server::HostPort> GuessAdmin(const server::HostPort& admin,
                                           const std::string& own_peer_address,
                                           const std::string& peer_address) {
  const auto own = server::ParsePeerAddress(own_peer_address);
  const auto peer = server::ParsePeerAddress(peer_address);
  if (!own || !peer) return std::nullopt;
  const int64_t port = int64_t{admin.port} - own->port + peer->port;
  if (port < 1 || port > UINT16_MAX) return std::nullopt;
  return server::HostPort{peer->host, static_cast<uint16_t>(port)};
}

Survey LookAtAll(AdminClient* client, const std::vector<server::HostPort>& addresses) {
  Survey survey;
  for (const server::HostPort& address : addresses) {
    NodeSeen& seen = survey.emplace_back();
    seen.admin = address;
    Look(client, &seen);
  }
  LookForMissing(client, &survey, nullptr);
  Settle(&survey);
  return survey;
}

void LookAgain(AdminClient* client, Survey* survey, const Deadline* end) {
  for (NodeSeen& seen : *survey) {
    if (Passed(end)) return;
    if (seen.admin.port != 0) Look(client, &seen);
  }
}

void LookAround(AdminClient* client, Survey* survey, const Deadline* end) {
  Survey found;
  for (NodeSeen& seen : *survey) {
    if (seen.admin.port != 0) found.push_back(std::move(seen));
  }
  LookAgain(client, &found, end);
  LookForMissing(client, &found, end);
  Settle(&found);
  *survey = std::move(found);
}

}  // namespace ursula::ctl
