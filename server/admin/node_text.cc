#include "server/admin/node_text.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "server/protocol/errors.h"
#include "server/protocol/text.h"

namespace ursula::admin {
namespace {

using Kind = MemberChange::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 4> kChanges = {{
    {"add", Kind::kAdd},
    {"remove", Kind::kRemove},
    {"cordon", Kind::kCordon},
    {"uncordon", Kind::kUncordon},
}};

std::string Number(uint64_t number) { return std::to_string(number); }
std::string Name(NodeId node) { return "node " + Number(static_cast<uint64_t>(node)); }

std::string_view NameOf(Kind kind) {
  for (const auto& [name, one] : kChanges) {
    if (one == kind) return name;
  }
  return "";
}

protocol::Response Taken(const MemberChange& change, const MemberReply& reply) {
  protocol::Response response;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body.push_back(
      Bytes::Take("{\"node\":" + Number(static_cast<uint64_t>(change.node)) + ",\"change\":\"" +
                  std::string(NameOf(change.kind)) + "\",\"outcome\":\"" +
                  (reply.outcome == MemberOutcome::kIsSo ? "is_so" : "accepted") + "\"}\n"));
  return response;
}

protocol::Response Undecided(const Status& status, NodeId asked) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return protocol::ErrorResponse(400, "INVALID_REQUEST", status.message());
    case StatusCode::kFailedPrecondition:
      if (static_cast<uint64_t>(asked) != 0) break;  // It stops, or is no member any more.
      return protocol::ErrorResponse(409, "NO_CLUSTER",
                                     status.message() +
                                         ": start it with --node-id and --peers to make it one of "
                                         "several");
    case StatusCode::kOutcomeUnknown:
      return protocol::ErrorResponse(504, "OUTCOME_UNKNOWN",
                                     status.message() + ": the same may be asked again");
    default:
      break;
  }
  return protocol::ErrorResponse(503, "UNAVAILABLE", status.message());
}

}  // namespace

Result<MemberChange> ParseNodeChange(std::string_view query) {
  const protocol::Query parameters(query);
  std::string node_text, change_text;
  std::optional<uint64_t> node;
  std::optional<Kind> kind;
  if (parameters.Find("node", &node_text) == protocol::Query::Presence::kOnce) {
    node = protocol::ParseCanonicalNumber(node_text, UINT64_MAX);
  }
  if (parameters.Find("change", &change_text) == protocol::Query::Presence::kOnce) {
    for (const auto& [name, one] : kChanges) {
      if (name == change_text) kind = one;
    }
  }
  if (!node || *node == 0 || !kind || parameters.too_many()) {
    return Status(StatusCode::kInvalidArgument,
                  "say which node and what becomes of it: /cluster/node?node=4&change=add, or "
                  "remove, cordon, uncordon");
  }
  return MemberChange{*kind, NodeId{*node}};
}

protocol::Response NodeResponse(const MemberChange& change, NodeId asked,
                                const Result<MemberReply>& reply) {
  if (!reply.ok()) return Undecided(reply.status(), asked);
  auto refuse = [](int status, std::string_view code, const std::string& message) {
    return protocol::ErrorResponse(status, code, message);
  };
  switch (reply->outcome) {
    case MemberOutcome::kIsMember:
      return refuse(
          409, "IS_MEMBER",
          Name(change.node) + " is a member, or on its way to be one: see members of /cluster");
    case MemberOutcome::kIsNoMember:
      return refuse(
          404, "NO_MEMBER",
          Name(change.node) + " is no member: see members of /cluster for those that there are");
    case MemberOutcome::kTooMany:
      return refuse(409, "TOO_MANY_NODES",
                    "a cluster has at most " + Number(MemberReply::kNodesMax) +
                        " nodes, those that may join included: remove another one first");
    case MemberOutcome::kLast:
      return refuse(409, "LAST_NODE",
                    "no other node is a member for good, and none would be left: add one, and ask "
                    "again once it is a member");
    case MemberOutcome::kOtherChange:
      return refuse(409, "OTHER_CHANGE",
                    Name(change.node) +
                        " is leaving, or another change came in between: see members of /cluster, "
                        "and ask again");
    case MemberOutcome::kAccepted:
    case MemberOutcome::kIsSo:
      break;
  }
  return Taken(change, *reply);
}

}  // namespace ursula::admin
