// server/admin/node_text.h
//
// POST /cluster/node?node=N&change=C: what is asked for, and what came of it as an answer.

#pragma once

#include <string_view>

#include "server/protocol/http_message.h"
#include "ursula/engine.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::admin {

// `query`: raw, without '?'. kInvalidArgument, with a sentence.
Result<MemberChange> ParseNodeChange(std::string_view query);

// 200 with JSON, or an error whose code says what stood in the way. `asked`: the node that was; 0:
// a server that is alone.
protocol::Response NodeResponse(const MemberChange& change, NodeId asked,
                                const Result<MemberReply>& reply);

}  // namespace ursula::admin
