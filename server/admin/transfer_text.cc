#include "server/admin/transfer_text.h"

#include <optional>

#include "server/protocol/errors.h"
#include "server/protocol/text.h"

namespace ursula::admin {
namespace {

constexpr uint64_t kGroupMax = UINT32_MAX;

std::string Number(uint64_t number) { return std::to_string(number); }
std::string Name(NodeId node) { return "node " + Number(static_cast<uint64_t>(node)); }
std::string Name(GroupId group) { return "group " + Number(static_cast<uint32_t>(group)); }

std::string NotLeader(const TransferRequest& request, NodeId asked, NodeId leader) {
  if (static_cast<uint64_t>(leader) == 0) {
    return Name(request.group) + " has no leader now: ask again once it has one";
  }
  if (leader == asked) {
    return Name(asked) + " leads " + Name(request.group) +
           " since a moment ago and isn't ready yet: ask again in a second";
  }
  return Name(leader) + " leads " + Name(request.group) + ", not " + Name(asked) + ": ask it";
}

protocol::Response Begun(const TransferRequest& request, const TransferReply& reply) {
  protocol::Response response;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body.push_back(
      Bytes::Take("{\"group\":" + Number(static_cast<uint32_t>(request.group)) +
                  ",\"to\":" + Number(static_cast<uint64_t>(request.to)) +
                  ",\"leader\":" + Number(static_cast<uint64_t>(reply.leader)) + ",\"outcome\":\"" +
                  (reply.outcome == TransferOutcome::kLeads ? "leads" : "begun") + "\"}\n"));
  return response;
}

}  // namespace

Result<TransferRequest> ParseTransfer(std::string_view query) {
  const protocol::Query parameters(query);
  auto number = [&](std::string_view name, uint64_t max) -> std::optional<uint64_t> {
    std::string text;
    if (parameters.Find(name, &text) != protocol::Query::Presence::kOnce) return std::nullopt;
    return protocol::ParseCanonicalNumber(text, max);
  };
  const std::optional<uint64_t> group = number("group", kGroupMax);
  const std::optional<uint64_t> to = number("to", UINT64_MAX);
  if (!group || !to || *to == 0 || parameters.too_many()) {
    return Status(StatusCode::kInvalidArgument,
                  "say which group and to which node: /cluster/transfer?group=3&to=2");
  }
  return TransferRequest{GroupId{static_cast<uint32_t>(*group)}, NodeId{*to}};
}

protocol::Response TransferResponse(const TransferRequest& request, NodeId asked,
                                    const Result<TransferReply>& reply) {
  auto refuse = [](int status, std::string_view code, const std::string& message) {
    return protocol::ErrorResponse(status, code, message);
  };
  if (!reply.ok()) {
    const Status& status = reply.status();
    if (status.code() == StatusCode::kInvalidArgument) {
      return refuse(404, "NO_SUCH_GROUP", status.message());
    }
    return refuse(503, "UNAVAILABLE", status.message());
  }
  switch (reply->outcome) {
    case TransferOutcome::kNotLeader:
      return refuse(409, "NOT_LEADER", NotLeader(request, asked, reply->leader));
    case TransferOutcome::kHandsOver:
      return refuse(409, "HANDS_OVER",
                    Name(request.group) + " is being handed over already: ask again in a second");
    case TransferOutcome::kNoVoter:
      return refuse(409, "NO_VOTER",
                    Name(request.to) + " has no vote in " + Name(request.group) +
                        ", so it can't lead it: name a node that has one");
    case TransferOutcome::kNotThere:
      return refuse(409, "NOT_THERE",
                    Name(request.to) +
                        " hasn't been heard of lately: start it, or see /readyz for "
                        "why it isn't connected");
    case TransferOutcome::kBehind:
      return refuse(409, "BEHIND",
                    Name(request.to) + " lacks too much of " + Name(request.group) +
                        ": ask again once it has caught up");
    case TransferOutcome::kBegun:
    case TransferOutcome::kLeads:
      break;
  }
  return Begun(request, *reply);
}

}  // namespace ursula::admin
