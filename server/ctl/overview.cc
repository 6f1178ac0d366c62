#include "server/ctl/overview.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "server/config/values.h"

namespace ursula::ctl {
namespace {

using Stage = MemberSeen::Stage;

constexpr std::size_t kNamedMax = 8;

std::string Name(uint64_t node) { return "node " + std::to_string(node); }

// What to do, by TroubleSeen::reason.
struct TroubleText {
  std::string_view reason = {};
  std::string_view what = {};
  std::string_view remedy = {};
};
constexpr std::array<TroubleText, 3> kTroubles = {{
    {"away", "doesn't answer",
     "start it, or mend the network; gone for ever: start it with an "
     "empty directory"},
    {"behind", "is far behind", "it catches up by itself if its disk and network can"},
    {"not_whole", "lacks some of the data", "it fetches that from the others; look at its log"},
}};
constexpr TroubleText kOtherTrouble = {"", "isn't well", "its log and theirs say more"};

const TroubleText& TextOf(std::string_view reason) {
  const auto found = std::ranges::find(kTroubles, reason, &TroubleText::reason);
  return found == kTroubles.end() ? kOtherTrouble : *found;
}

void AddGroups(const NodeView& view, std::map<uint32_t, GroupRow>* rows) {
  for (const GroupSeen& seen : view.groups) {
    GroupRow& row = (*rows)[seen.group];
    row.group = seen.group;
    if (seen.term > row.term) {
      row.term = seen.term;
      row.leader = 0;  // An older term's, as these.
      row.voters_missing = 0;
      row.troubles.clear();
    }
    if (seen.term == row.term && row.leader == 0) row.leader = seen.leader;
    row.applied[view.node] = seen.applied;
    if (seen.leader == view.node && seen.term == row.term) {
      row.voters_missing = seen.voters_missing;
      row.troubles = seen.troubles;
    }
    row.applied_max = std::max(row.applied_max, seen.applied);
  }
}

void AddToNodes(const GroupRow& row, std::map<uint64_t, NodeRow>* nodes) {
  for (const auto& [node, applied] : row.applied) {
    NodeRow& of_node = (*nodes)[node];
    // A server that is alone has no number, and leads what it has.
    if (row.leader != 0 && (row.leader == node || node == 0)) ++of_node.groups_led;
    const uint64_t lag = row.applied_max - applied;
    if (lag == 0) continue;
    ++of_node.groups_behind;
    of_node.lag_entries += lag;
    if (lag <= of_node.worst_lag) continue;
    of_node.worst_lag = lag;
    of_node.worst_group = row.group;
  }
}

void AddLevel(const NodeView& view, uint64_t leader, Overview* overview) {
  if (view.cluster_id != overview->cluster_id || view.feature_level < overview->feature_level) {
    return;
  }
  const bool first = view.feature_level > overview->feature_level;
  overview->feature_level = view.feature_level;
  if (first || (leader != 0 && view.node == leader)) {
    overview->feature_level_waits_for = view.feature_level_waits_for;
  }
}

void AddHttpAddresses(const Survey& survey, Overview* overview) {
  for (const NodeSeen& seen : survey) {
    if (!seen.view || seen.view->cluster_id != overview->cluster_id) continue;
    for (const PeerSeen& peer : seen.view->peers) {
      if (!peer.http_address.empty()) overview->http_addresses[peer.node] = peer.http_address;
    }
  }
  for (const NodeSeen& seen : survey) {  // Its own word, also that there is none.
    if (seen.view) overview->http_addresses[seen.node] = seen.view->http_address;
  }
}

class Judge {
 public:
  explicit Judge(Overview* overview) : overview_(*overview) {}

  // That one which is no member is away, or not ready, is no harm to the cluster.
  void Look(const NodeSeen& seen) {
    const bool of_it = !seen.view || seen.view->cluster_id.empty() ||
                       seen.view->cluster_id == overview_.cluster_id;
    if (of_it && overview_.members.IsOutside(seen.node)) return;
    if (!seen.view) {
      const char* const code =
          seen.code == StatusCode::kFailedPrecondition ? "secret" : "unreachable";
      return Say(code, seen.node, seen.problem);
    }
    const NodeView& view = *seen.view;
    const std::string who = view.node == 0 ? server::FormatHostPort(seen.admin) : Name(view.node);
    if (!view.ready) {
      std::string why = view.opening.empty() ? "it doesn't say why" : view.opening;
      if (!view.reasons.empty()) why = view.reasons.front();
      Say("not_ready", view.node, who + " isn't ready: " + why);
    }
    for (const std::string& warning : view.warnings) {
      Say("warning", view.node, who + ": " + warning);
    }
    if (view.cluster_id.empty() || view.cluster_id == overview_.cluster_id) return;
    Say("other_cluster", view.node,
        who + " is of cluster " + view.cluster_id + ", others of " + overview_.cluster_id +
            ": name the nodes of one cluster with --admin");
  }

  void LookAtGroups() {
    std::size_t count = 0;
    std::string named;
    for (const GroupRow& row : overview_.groups) {
      if (row.leader != 0) continue;
      if (++count > kNamedMax) continue;
      named += (count == 1 ? "" : ", ") + std::to_string(row.group);
    }
    if (count == 0) return;
    Say("group_without_leader", 0,
        std::to_string(count) + " of " + std::to_string(overview_.groups.size()) +
            " groups have no leader: " + named + (count > kNamedMax ? " and more" : "") +
            ": a majority of the nodes must run and reach each other");
  }

  void LookAtLag() {
    for (const auto& [node, row] : overview_.nodes) {
      if (row.worst_lag <= kLagMax || overview_.members.IsOutside(node)) continue;
      Say("behind", node,
          Name(node) + " is behind in " + std::to_string(row.groups_behind) + " groups, by " +
              std::to_string(row.worst_lag) + " entries in group " +
              std::to_string(row.worst_group.value_or(0)) +
              ": it catches up by itself if its disk and network can; look at its log");
    }
  }

  // As the groups' leaders say: one failure less than there could be is survived.
  void LookAtReplicas() {
    uint64_t lack = 0;
    std::map<std::pair<uint64_t, std::string>, uint64_t> troubled;  // By node and reason: groups.
    for (const GroupRow& row : overview_.groups) {
      lack += row.voters_missing != 0 ? 1 : 0;
      for (const TroubleSeen& trouble : row.troubles) ++troubled[{trouble.node, trouble.reason}];
    }
    const std::string of_all = " of " + std::to_string(overview_.groups.size()) + " groups ";
    if (lack != 0) {
      Say("under_replicated", 0,
          std::to_string(lack) + of_all +
              "have fewer voters than the cluster is to have: they come by themselves while the "
              "nodes that join are there");
    }
    for (const auto& [who, count] : troubled) {
      const auto& [node, reason] = who;
      const TroubleText& text = TextOf(reason);
      Say("under_replicated", node,
          Name(node) + "'s replica in " + std::to_string(count) + of_all + std::string(text.what) +
              ": " + std::string(text.remedy));
    }
  }

  // Who joins may be in a lost directory's place, and who leaves votes in some groups still: with
  // another node stopped a majority may be gone.
  void LookAtMembers() {
    const std::vector<MemberSeen>& all = overview_.members.all;
    const auto voters = std::ranges::count(all, Stage::kMember, &MemberSeen::stage) +
                        std::ranges::count(all, Stage::kJoining, &MemberSeen::stage);
    const auto moving = std::ranges::count(all, Stage::kJoining, &MemberSeen::stage) +
                        std::ranges::count(all, Stage::kLeaving, &MemberSeen::stage);
    // One that would make an even number of voters holds everything and waits for another one,
    // maybe for days, and no group needs it. What nodes say doesn't tell whether it is whole, nor
    // whether an even number is so already and it came in a lost directory's place: both pass as
    // waiting.
    const bool waits_for_another = moving == 1 && voters % 2 == 0;
    for (const MemberSeen& member : all) {
      const std::string wait = ": wait until that has come about before you stop another node";
      if (member.stage == Stage::kLeaving) {
        Say("node_leaving", member.node, Name(member.node) + " is leaving" + wait);
      } else if (member.stage == Stage::kJoining && !waits_for_another) {
        Say("node_joining", member.node, Name(member.node) + " is joining" + wait);
      }
    }
  }

 private:
  void Say(std::string code, uint64_t node, std::string text) {
    overview_.reasons.push_back({std::move(code), node, std::move(text)});
  }

  Overview& overview_;
};

}  // namespace

Overview Summarize(const Survey& survey) {
  Overview overview;
  std::map<uint32_t, GroupRow> rows;
  for (const NodeSeen& seen : survey) {
    if (!seen.view) continue;
    if (overview.cluster_id.empty()) overview.cluster_id = seen.view->cluster_id;
    ++overview.answered;
    overview.nodes[seen.view->node];
    if (seen.view->cluster_id == overview.cluster_id) AddGroups(*seen.view, &rows);
  }
  for (auto& [group, row] : rows) {
    AddToNodes(row, &overview.nodes);
    overview.groups.push_back(std::move(row));
  }
  const bool has_first = !overview.groups.empty() && overview.groups.front().group == 0;
  const uint64_t leader = has_first ? overview.groups.front().leader : 0;
  overview.members = MembersOf(survey, overview.cluster_id, leader);
  for (const NodeSeen& seen : survey) {
    if (seen.view) AddLevel(*seen.view, leader, &overview);
  }
  AddHttpAddresses(survey, &overview);
  Judge judge(&overview);
  for (const NodeSeen& seen : survey) judge.Look(seen);
  judge.LookAtGroups();
  judge.LookAtLag();
  judge.LookAtReplicas();
  judge.LookAtMembers();
  return overview;
}

const Reason* OtherCluster(const Overview& overview) {
  const auto found =
      std::ranges::find(overview.reasons, std::string_view("other_cluster"), &Reason::code);
  return found == overview.reasons.end() ? nullptr : &*found;
}

}  // namespace ursula::ctl
