#include "server/admin/recovery_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "server/protocol/errors.h"
#include "server/protocol/text.h"

namespace ursula::admin {
namespace {

constexpr std::size_t kNodesMax = 16;
constexpr uint64_t kNumberMax = UINT64_MAX;

std::string Number(uint64_t number) { return std::to_string(number); }
uint64_t Raw(NodeId node) { return static_cast<uint64_t>(node); }
std::string Name(NodeId node) { return "node " + Number(Raw(node)); }

std::string Hex(uint64_t id) {
  protocol::ShortText text;
  text.AppendHex(id, 16);
  return std::string(text.view());
}

std::vector<std::string_view> Parts(std::string_view text, char between) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(between);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Takes a query's values, or says that one isn't of its form.
class Values {
 public:
  explicit Values(std::string_view query) : query_(query), ok_(!query_.too_many()) {}

  uint64_t Decimal(std::string_view name) {
    return Keep(protocol::ParseCanonicalNumber(Text(name), kNumberMax));
  }
  uint64_t Id(std::string_view name) { return Keep(protocol::ParseHex(Text(name))); }
  std::vector<NodeId> Nodes(std::string_view name) {
    std::vector<NodeId> nodes;
    for (std::string_view part : List(name)) {
      nodes.push_back(NodeId{Keep(protocol::ParseCanonicalNumber(part, kNumberMax))});
    }
    return nodes;
  }
  std::vector<RecoveryPlan::Survivor> Survivors(std::string_view name) {
    std::vector<RecoveryPlan::Survivor> survivors;
    for (std::string_view part : List(name)) {
      const std::vector<std::string_view> fields = Parts(part, '-');
      ok_ = ok_ && fields.size() == 3;
      if (!ok_) return {};
      RecoveryPlan::Survivor& survivor = survivors.emplace_back();
      survivor.node = NodeId{Keep(protocol::ParseCanonicalNumber(fields[0], kNumberMax))};
      survivor.directory = Keep(protocol::ParseHex(fields[1]));
      survivor.lives_before = Keep(protocol::ParseCanonicalNumber(fields[2], kNumberMax));
    }
    return survivors;
  }
  bool ok() const { return ok_; }

 private:
  std::string_view Text(std::string_view name) {
    text_.clear();
    if (query_.Find(name, &text_) != protocol::Query::Presence::kOnce) ok_ = false;
    return text_;
  }
  std::vector<std::string_view> List(std::string_view name) {
    std::vector<std::string_view> parts = Parts(Text(name), ',');
    ok_ = ok_ && parts.size() <= kNodesMax;
    if (!ok_) parts.clear();
    return parts;
  }
  uint64_t Keep(std::optional<uint64_t> value) {
    ok_ = ok_ && value.has_value();
    return value.value_or(0);
  }

  const protocol::Query query_;
  std::string text_;  // The last one's.
  bool ok_;
};

template <class Items, class Append>
std::string Joined(const Items& items, Append append) {
  std::string text;
  for (const auto& item : items) {
    if (!text.empty()) text += ',';
    text += append(item);
  }
  return text;
}

std::string NodesJson(const std::vector<NodeId>& nodes) {
  return '[' + Joined(nodes, [](NodeId node) { return Number(Raw(node)); }) + ']';
}

std::string GroupJson(const RecoveryGroup& group) {
  return "{\"group\":" + Number(static_cast<uint32_t>(group.group)) +
         ",\"has_leader\":" + (group.has_leader ? "true" : "false") +
         ",\"term\":" + Number(group.term) + ",\"last_term\":" + Number(group.last_term) +
         ",\"last_index\":" + Number(group.last_index) + ",\"commit\":" + Number(group.commit) +
         ",\"lacking_bytes\":" + Number(group.lacking_bytes) +
         ",\"voters\":" + NodesJson(group.voters) +
         ",\"voters_outgoing\":" + NodesJson(group.voters_outgoing) + "}";
}

}  // namespace

std::string RecoveryQuery(const RecoveryPlan& plan) {
  const auto survivor = [](const RecoveryPlan::Survivor& one) {
    return Number(Raw(one.node)) + "-" + Hex(one.directory) + "-" + Number(one.lives_before);
  };
  return "number=" + Number(plan.number) + "&before=" + Hex(plan.cluster_before) +
         "&cluster=" + Hex(plan.cluster_id) + "&history=" + Hex(plan.history_id) +
         "&term=" + Number(plan.term) + "&survivors=" + Joined(plan.survivors, survivor) +
         "&lost=" + Joined(plan.lost, [](NodeId node) { return Number(Raw(node)); });
}

Result<RecoveryPlan> ParseRecovery(std::string_view query) {
  Values values(query);
  RecoveryPlan plan;
  plan.number = values.Decimal("number");
  plan.cluster_before = values.Id("before");
  plan.cluster_id = values.Id("cluster");
  plan.history_id = values.Id("history");
  plan.term = values.Decimal("term");
  plan.survivors = values.Survivors("survivors");
  plan.lost = values.Nodes("lost");
  if (values.ok()) return plan;
  return Status(StatusCode::kInvalidArgument,
                "this is no plan of a recovery: ursulactl recover makes one");
}

std::string RecoveryJson(const RecoveryStatus& status) {
  std::string json = "{\"node\":" + Number(Raw(status.node)) + ",\"cluster_id\":\"" +
                     Hex(status.cluster_id) + "\",\"directory\":\"" + Hex(status.directory) +
                     "\",\"lives_before\":" + Number(status.lives_before) +
                     ",\"number\":" + Number(status.number) +
                     ",\"stored\":" + (status.stored ? "true" : "false") + ",\"plan\":\"" +
                     (status.plan ? RecoveryQuery(*status.plan) : "") +
                     "\",\"members\":" + NodesJson(status.members) + ",\"groups\":[";
  json += Joined(status.groups, GroupJson);
  return json + "]}\n";
}

NodeId LostButThere(const RecoveryPlan& plan, const std::vector<PeerState>& peers) {
  for (const PeerState& peer : peers) {
    const bool lost = std::ranges::find(plan.lost, peer.node) != plan.lost.end();
    if (lost && (peer.connected || peer.connected_from)) return peer.node;
  }
  return {};
}

protocol::Response RecoveryResponse(NodeId asked, const Result<RecoveryReply>& reply) {
  auto refuse = [](int status, std::string_view code, const std::string& message) {
    return protocol::ErrorResponse(status, code, message);
  };
  if (!reply.ok()) {
    const Status& status = reply.status();
    if (status.code() == StatusCode::kInvalidArgument) {
      return refuse(400, "INVALID_REQUEST", status.message());
    }
    if (status.code() == StatusCode::kIoError) {
      return refuse(503, "UNAVAILABLE", "the plan can't be stored: " + status.message());
    }
    return refuse(503, "UNAVAILABLE", status.message());
  }
  switch (reply->outcome) {
    case RecoveryOutcome::kNotNeeded:
      return refuse(409, "NOT_NEEDED",
                    "the survivors have a majority of every group: they need no recovery");
    case RecoveryOutcome::kOtherPlan:
      return refuse(409, "OTHER_PLAN",
                    Name(asked) + " holds another plan: restart it, and ask again");
    case RecoveryOutcome::kTerm:
      return refuse(409, "OTHER_TERM",
                    "elections have gone on at " + Name(asked) +
                        " since it was looked at: ask "
                        "again");
    case RecoveryOutcome::kStored:
    case RecoveryOutcome::kIsSo:
      break;
  }
  protocol::Response response;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body.push_back(
      Bytes::Take("{\"node\":" + Number(Raw(asked)) + ",\"outcome\":\"" +
                  (reply->outcome == RecoveryOutcome::kIsSo ? "is_so" : "stored") + "\"}\n"));
  return response;
}

}  // namespace ursula::admin
