// server/admin/transfer_text.h
//
// POST /cluster/transfer?group=G&to=N: what is asked for, and what came of it as an answer.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/protocol/http_message.h"
#include "ursula/engine.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::admin {

struct TransferRequest {
  GroupId group = {};
  NodeId to = {};
};

// `query`: raw, without '?'. kInvalidArgument, with a sentence.
Result<TransferRequest> ParseTransfer(std::string_view query);

// 200 with JSON, or an error whose code says what stood in the way. `asked`: the node that was.
protocol::Response TransferResponse(const TransferRequest& request, NodeId asked,
                                    const Result<TransferReply>& reply);

}  // namespace ursula::admin
