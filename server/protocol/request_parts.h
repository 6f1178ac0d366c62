// server/protocol/request_parts.h
//
// The parts of MapRequest, one per method on a stream. Private to this folder.

#pragma once

#include "server/protocol/config.h"
#include "server/protocol/http_message.h"
#include "server/protocol/request_headers.h"
#include "server/protocol/request_mapping.h"
#include "ursula/types.h"

namespace ursula::protocol {

Action MapCreate(const Request& request, const ProtocolConfig& config, StreamId stream);
Action MapAppend(const Request& request, const ProtocolConfig& config, StreamId stream);
Action MapHead(const Request& request, StreamId stream);
Action MapRead(const Request& request, const ProtocolConfig& config, StreamId stream);

}  // namespace ursula::protocol
