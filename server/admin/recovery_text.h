// server/admin/recovery_text.h
//
// GET /cluster/recovery: what a node could be recovered from. POST /cluster/recover?PLAN: the plan
// that it is to go by, and what came of it as an answer.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/admin/cluster_text.h"
#include "server/protocol/http_message.h"
#include "ursula/engine.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::admin {

// A plan as a query, and back: of equal plans the same text. kInvalidArgument, with a sentence.
std::string RecoveryQuery(const RecoveryPlan& plan);
Result<RecoveryPlan> ParseRecovery(std::string_view query);

std::string RecoveryJson(const RecoveryStatus& status);

// A node that the plan calls lost, and that this one is connected to; 0: none is.
NodeId LostButThere(const RecoveryPlan& plan, const std::vector<PeerState>& peers);

// 200 with JSON, or an error whose code says what stood in the way. `asked`: the node that was.
protocol::Response RecoveryResponse(NodeId asked, const Result<RecoveryReply>& reply);

}  // namespace ursula::admin
