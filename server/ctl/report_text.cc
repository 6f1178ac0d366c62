#include <algorithm>
#include <cstddef>

#include "server/config/values.h"
#include "server/ctl/report.h"

namespace ursula::ctl {
namespace {

std::string Number(uint64_t number) { return std::to_string(number); }
std::string NodeName(uint64_t node) { return node == 0 ? "-" : Number(node); }

// Columns as wide as what stands in them, two spaces apart; the last one as it is.
class Table {
 public:
  explicit Table(std::vector<std::string> heads) { Row(std::move(heads)); }

  void Row(std::vector<std::string> cells) {
    widths_.resize(std::max(widths_.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths_[i] = std::max(widths_[i], cells[i].size());
    }
    rows_.push_back(std::move(cells));
  }
  std::string Text() const {
    std::string text;
    for (const std::vector<std::string>& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        line += row[i];
        if (i + 1 < row.size()) line.append(widths_[i] + 2 - row[i].size(), ' ');
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

std::string StateOf(const NodeSeen& seen) {
  if (!seen.view) return seen.code == StatusCode::kUnavailable ? "unreachable" : "unknown";
  if (seen.view->ready) return "ready";
  return seen.view->opening.empty() ? "not ready" : "recovering";
}

// "member", "joining, cordoned", "no".
std::string MemberOf(const Members& members, uint64_t node) {
  if (members.all.empty() || node == 0) return "-";
  const MemberSeen* const member = members.Find(node);
  if (member == nullptr) return "no";
  return std::string(NameOf(member->stage)) + (member->cordoned ? ", cordoned" : "");
}

// "feature level 1: level 2 waits for node 3, ...\n"; empty: nobody says.
std::string LevelText(const Overview& overview) {
  if (overview.feature_level == 0) return {};
  const std::string& why = overview.feature_level_waits_for;
  return "feature level " + Number(overview.feature_level) + (why.empty() ? "" : ": " + why) + "\n";
}

// What each of them can.
std::string LevelsText(const Survey& survey) {
  std::string text;
  for (const NodeSeen& seen : survey) {
    if (!seen.view || seen.view->feature_level_max == 0) continue;
    const std::string who = seen.view->node == 0 ? "it" : "node " + Number(seen.view->node);
    text += (text.empty() ? "" : ", ") + who + " can " + Number(seen.view->feature_level_max);
  }
  return text.empty() ? text : "feature levels: " + text + "\n";
}

std::string_view DoneText(NodeChange::Kind kind) {
  switch (kind) {
    case NodeChange::Kind::kAdd:
      return "it is a member";
    case NodeChange::Kind::kRemove:
      return "it is no member any more: stop it, if it runs";
    case NodeChange::Kind::kCordon:
      return "it is to lead nothing: others take over what it leads";
    case NodeChange::Kind::kUncordon:
      return "it may lead again";
    case NodeChange::Kind::kDrain:
      break;
  }
  return "it leads nothing, until it is uncordoned";
}

std::string AddressOf(const NodeSeen& seen) {
  return seen.admin.port == 0 ? "-" : server::FormatHostPort(seen.admin);
}

std::string ClientsOf(const Overview& overview, uint64_t node) {
  const auto found = overview.http_addresses.find(node);
  return found == overview.http_addresses.end() || found->second.empty() ? "-" : found->second;
}

}  // namespace

std::string StatusText(const Survey& survey, const Overview& overview) {
  std::string text = overview.cluster_id.empty() ? "" : "cluster " + overview.cluster_id + ", ";
  text += Number(overview.groups.size()) + " groups; " + Number(overview.answered) + " of " +
          Number(survey.size()) + " nodes answer; " +
          (overview.reasons.empty() ? "healthy" : "not healthy") + "\n";
  const Members& members = overview.members;
  Table table({"NODE", "ADMIN", "CLIENTS", "STATE", "MEMBER", "LEADS", "BEHIND", "VERSION"});
  for (const NodeSeen& seen : survey) {
    if (!seen.view) {
      table.Row({NodeName(seen.node), AddressOf(seen), ClientsOf(overview, seen.node),
                 StateOf(seen), MemberOf(members, seen.node), "-", "-", "-"});
      continue;
    }
    const NodeRow& row = overview.nodes.at(seen.node);
    table.Row({NodeName(seen.node), AddressOf(seen), ClientsOf(overview, seen.node), StateOf(seen),
               MemberOf(members, seen.node), Number(row.groups_led), Number(row.lag_entries),
               seen.view->version});
  }
  for (const MemberSeen& member : members.all) {
    if (std::ranges::find(survey, member.node, &NodeSeen::node) != survey.end()) continue;
    table.Row({Number(member.node), "-", ClientsOf(overview, member.node), "-",
               MemberOf(members, member.node), "-", "-", "-"});
  }
  text += table.Text() + LevelText(overview) + LevelsText(survey);
  for (const Reason& reason : overview.reasons) text += reason.code + ": " + reason.text + "\n";
  return text;
}

std::string GroupsText(const Overview& overview) {
  std::vector<std::string> heads = {"GROUP", "LEADER", "TERM"};
  for (const auto& [node, row] : overview.nodes) heads.push_back("NODE " + NodeName(node));
  Table table(heads);
  for (const GroupRow& row : overview.groups) {
    std::vector<std::string> cells = {Number(row.group), NodeName(row.leader), Number(row.term)};
    for (const auto& [node, of_node] : overview.nodes) {
      const auto applied = row.applied.find(node);
      if (applied == row.applied.end()) {
        cells.emplace_back("-");
        continue;
      }
      const uint64_t lag = row.applied_max - applied->second;
      cells.push_back(Number(applied->second) + (lag == 0 ? "" : " (-" + Number(lag) + ")"));
    }
    table.Row(std::move(cells));
  }
  return table.Text();
}

std::string LeadersText(const Overview& overview) {
  std::map<uint64_t, std::vector<uint32_t>> led;
  for (const auto& [node, row] : overview.nodes) {
    if (node != 0) led[node];
  }
  for (const GroupRow& row : overview.groups) led[row.leader].push_back(row.group);
  Table table({"NODE", "LEADS", "GROUPS"});
  for (const auto& [node, groups] : led) {
    std::string named;
    for (uint32_t group : groups) named += (named.empty() ? "" : " ") + Number(group);
    table.Row({node == 0 ? "none" : Number(node), Number(groups.size()), named});
  }
  return table.Text();
}

std::string LagText(const Survey& survey, const Overview& overview) {
  Table table({"NODE", "GROUPS BEHIND", "ENTRIES", "MOST IN GROUP", "BY"});
  for (const NodeSeen& seen : survey) {
    if (!seen.view) {
      table.Row({NodeName(seen.node), "?", "?", "-", "-"});
      continue;
    }
    const NodeRow& row = overview.nodes.at(seen.node);
    table.Row({NodeName(seen.node), Number(row.groups_behind), Number(row.lag_entries),
               row.worst_group ? Number(*row.worst_group) : "-",
               row.worst_group ? Number(row.worst_lag) : "-"});
  }
  return table.Text();
}

std::string HealthText(const Overview& overview) {
  std::string text = overview.reasons.empty() ? "healthy\n" : "not healthy\n";
  for (const Reason& reason : overview.reasons) text += reason.code + ": " + reason.text + "\n";
  for (const MemberSeen& member : overview.members.all) {
    if (member.stage == MemberSeen::Stage::kMember && !member.cordoned) continue;
    text += "node " + Number(member.node) + ": " + MemberOf(overview.members, member.node) + "\n";
  }
  // Only where there is something to be done, or to come.
  if (!overview.feature_level_waits_for.empty()) text += LevelText(overview);
  return text;
}

std::string TransfersText(const std::vector<Transfer>& transfers) {
  if (transfers.empty()) return "nothing to hand over: the node leads no group\n";
  std::string text;
  for (const Transfer& transfer : transfers) {
    text += "group " + Number(transfer.group) + ": ";
    switch (transfer.state) {
      case Transfer::State::kDone:
        text += "led by node " + Number(transfer.to) + " now, before by " +
                (transfer.from == 0 ? "none" : "node " + Number(transfer.from));
        break;
      case Transfer::State::kLeads:
        text += "node " + Number(transfer.to) + " leads it already";
        break;
      case Transfer::State::kRefused:
      case Transfer::State::kLate:
      case Transfer::State::kPending:
        text += "not handed over: " + transfer.text;
        break;
    }
    text += "\n";
  }
  return text;
}

std::string NodeChangesText(const std::vector<NodeChange>& changes) {
  if (changes.empty()) return "nothing to do: the cluster has as many nodes\n";
  std::string text;
  for (const NodeChange& change : changes) {
    text += "node " + Number(change.node) + ": ";
    switch (change.state) {
      case NodeChange::State::kDone:
        text += DoneText(change.kind);
        break;
      case NodeChange::State::kWasSo:
        text += "already: " + std::string(DoneText(change.kind));
        break;
      case NodeChange::State::kRefused:
      case NodeChange::State::kLate:
      case NodeChange::State::kPending:
        text += "not done (" + std::string(NameOf(change.kind)) + "): " + change.text;
        break;
    }
    text += "\n";
  }
  return text;
}

std::string ClockText(const server::HostPort& admin, int64_t moved_ms) {
  return "the streams' time is that of " + server::FormatHostPort(admin) + "; it moved by " +
         std::to_string(moved_ms) + " ms at most\n";
}

}  // namespace ursula::ctl
