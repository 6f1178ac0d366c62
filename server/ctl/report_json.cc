#include <algorithm>

#include "server/config/values.h"
#include "server/ctl/json_text.h"
#include "server/ctl/report.h"

namespace ursula::ctl {
namespace {

const char* NameOf(Transfer::State state) {
  switch (state) {
    case Transfer::State::kDone:
      return "done";
    case Transfer::State::kLeads:
      return "led_already";
    case Transfer::State::kRefused:
      return "refused";
    case Transfer::State::kLate:
    case Transfer::State::kPending:
      break;
  }
  return "late";
}

// Of a server that is alone, too, for there is nobody else: null.
void PutNode(uint64_t node, JsonWriter* out) {
  if (node == 0) {
    out->Null();
  } else {
    out->Number(node);
  }
}

void PutSentences(const char* name, const std::vector<std::string>& sentences, JsonWriter* out) {
  out->Name(name).Begin('[');
  for (const std::string& sentence : sentences) out->Text(sentence);
  out->End(']');
}

// Whether all is well, and why not.
void PutHealth(const Overview& overview, JsonWriter* out) {
  out->Name("healthy").Flag(overview.reasons.empty());
  out->Name("reasons").Begin('[');
  for (const Reason& reason : overview.reasons) {
    out->Begin('{').Name("code").Text(reason.code).Name("node");
    PutNode(reason.node, out);
    out->Name("text").Text(reason.text).End('}');
  }
  out->End(']');
}

const char* NameOf(NodeChange::State state) {
  switch (state) {
    case NodeChange::State::kDone:
      return "done";
    case NodeChange::State::kWasSo:
      return "was_so";
    case NodeChange::State::kRefused:
      return "refused";
    case NodeChange::State::kLate:
    case NodeChange::State::kPending:
      break;
  }
  return "late";
}

void PutMembers(const Members& members, JsonWriter* out) {
  out->Name("members").Begin('[');
  for (const MemberSeen& member : members.all) {
    out->Begin('{').Name("node").Number(member.node);
    out->Name("stage").Text(NameOf(member.stage));
    out->Name("cordoned").Flag(member.cordoned).End('}');
  }
  out->End(']');
}

void PutLevel(const Overview& overview, JsonWriter* out) {
  out->Name("feature_level").Number(overview.feature_level);
  out->Name("feature_level_waits_for").Text(overview.feature_level_waits_for);
}

void PutLag(const NodeRow& row, JsonWriter* out) {
  out->Name("groups_behind").Number(row.groups_behind);
  out->Name("lag_entries").Number(row.lag_entries);
  out->Name("worst_lag").Number(row.worst_lag);
  out->Name("worst_group");
  if (row.worst_group) {
    out->Number(*row.worst_group);
  } else {
    out->Null();
  }
}

void PutWho(const NodeSeen& seen, JsonWriter* out) {
  out->Name("node");
  PutNode(seen.node, out);
  out->Name("admin").Text(seen.admin.port == 0 ? "" : server::FormatHostPort(seen.admin));
  out->Name("answers").Flag(seen.view.has_value());
  out->Name("problem").Text(seen.problem);
}

}  // namespace

std::string StatusJson(const Survey& survey, const Overview& overview) {
  JsonWriter out;
  out.Begin('{').Name("cluster_id").Text(overview.cluster_id);
  PutHealth(overview, &out);
  out.Name("groups").Number(overview.groups.size());
  out.Name("groups_without_leader")
      .Number(std::ranges::count(overview.groups, uint64_t{0}, &GroupRow::leader));
  out.Name("nodes").Begin('[');
  for (const NodeSeen& seen : survey) {
    out.Begin('{');
    PutWho(seen, &out);
    const auto clients = overview.http_addresses.find(seen.node);
    out.Name("http_address").Text(clients == overview.http_addresses.end() ? "" : clients->second);
    if (seen.view) {
      const NodeRow& row = overview.nodes.at(seen.node);
      out.Name("version").Text(seen.view->version);
      out.Name("cluster_id").Text(seen.view->cluster_id);
      out.Name("ready").Flag(seen.view->ready);
      PutSentences("reasons", seen.view->reasons, &out);
      PutSentences("warnings", seen.view->warnings, &out);
      out.Name("groups_led").Number(row.groups_led);
      PutLag(row, &out);
      out.Name("feature_level").Number(seen.view->feature_level);
      out.Name("feature_level_max").Number(seen.view->feature_level_max);
    }
    out.End('}');
  }
  out.End(']');
  PutMembers(overview.members, &out);
  PutLevel(overview, &out);
  return out.End('}').Take();
}

std::string GroupsJson(const Overview& overview) {
  JsonWriter out;
  out.Begin('{').Name("groups").Begin('[');
  for (const GroupRow& row : overview.groups) {
    out.Begin('{').Name("group").Number(row.group).Name("leader");
    PutNode(row.leader, &out);
    out.Name("term").Number(row.term).Name("replicas").Begin('[');
    for (const auto& [node, applied] : row.applied) {
      out.Begin('{').Name("node");
      PutNode(node, &out);
      out.Name("applied").Number(applied).Name("lag").Number(row.applied_max - applied).End('}');
    }
    out.End(']').End('}');
  }
  return out.End(']').End('}').Take();
}

std::string LeadersJson(const Overview& overview) {
  std::map<uint64_t, std::vector<uint32_t>> led;
  for (const GroupRow& row : overview.groups) led[row.leader].push_back(row.group);
  JsonWriter out;
  auto put = [&out](const std::vector<uint32_t>& groups) {
    out.Begin('[');
    for (uint32_t group : groups) out.Number(group);
    out.End(']');
  };
  out.Begin('{').Name("leaders").Begin('[');
  for (const auto& [node, groups] : led) {
    if (node == 0) continue;
    out.Begin('{').Name("node").Number(node).Name("groups");
    put(groups);
    out.End('}');
  }
  out.End(']').Name("without_leader");
  put(led[0]);
  return out.End('}').Take();
}

std::string LagJson(const Survey& survey, const Overview& overview) {
  JsonWriter out;
  out.Begin('{').Name("nodes").Begin('[');
  for (const NodeSeen& seen : survey) {
    out.Begin('{');
    PutWho(seen, &out);
    if (seen.view) PutLag(overview.nodes.at(seen.node), &out);
    out.End('}');
  }
  return out.End(']').End('}').Take();
}

std::string HealthJson(const Overview& overview) {
  JsonWriter out;
  out.Begin('{');
  PutHealth(overview, &out);
  PutMembers(overview.members, &out);
  PutLevel(overview, &out);
  return out.End('}').Take();
}

std::string TransfersJson(const std::vector<Transfer>& transfers) {
  JsonWriter out;
  std::size_t done = 0;
  out.Begin('{').Name("transfers").Begin('[');
  for (const Transfer& transfer : transfers) {
    const bool leads =
        transfer.state == Transfer::State::kDone || transfer.state == Transfer::State::kLeads;
    if (leads) ++done;
    out.Begin('{').Name("group").Number(transfer.group).Name("from");
    PutNode(transfer.from, &out);
    out.Name("to").Number(transfer.to);
    out.Name("outcome").Text(NameOf(transfer.state));
    out.Name("code").Text(leads ? "" : transfer.code);
    out.Name("text").Text(leads ? "" : transfer.text).End('}');
  }
  out.End(']').Name("done").Number(done);
  return out.Name("failed").Number(transfers.size() - done).End('}').Take();
}

std::string NodeChangesJson(const std::vector<NodeChange>& changes) {
  JsonWriter out;
  std::size_t done = 0;
  out.Begin('{').Name("changes").Begin('[');
  for (const NodeChange& change : changes) {
    const bool is_so =
        change.state == NodeChange::State::kDone || change.state == NodeChange::State::kWasSo;
    if (is_so) ++done;
    out.Begin('{').Name("node").Number(change.node).Name("change").Text(NameOf(change.kind));
    out.Name("outcome").Text(NameOf(change.state));
    out.Name("code").Text(is_so ? "" : change.code);
    out.Name("text").Text(is_so ? "" : change.text).End('}');
  }
  out.End(']').Name("done").Number(done);
  return out.Name("failed").Number(changes.size() - done).End('}').Take();
}

std::string ClockJson(const server::HostPort& admin, int64_t moved_ms) {
  JsonWriter out;
  out.Begin('{').Name("admin").Text(server::FormatHostPort(admin));
  return out.Name("moved_ms").Number(moved_ms).End('}').Take();
}

std::string FailureJson(const std::string& code, const std::string& message) {
  JsonWriter out;
  out.Begin('{').Name("error").Begin('{').Name("code").Text(code).Name("message").Text(message);
  return out.End('}').End('}').Take();
}

}  // namespace ursula::ctl
