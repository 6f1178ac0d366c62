// server/protocol/errors.h
//
// Refusals. Every error response has the body {"error":{"code":"…","message":"…"}}; codes are
// stable, messages are for people. Retry-After stands only where nothing was applied.

#pragma once

#include <string_view>

#include "server/protocol/config.h"
#include "server/protocol/http_message.h"
#include "ursula/engine.h"
#include "ursula/status.h"

namespace ursula::protocol {

// Cache-Control: no-store. `code`: capitals and underscores.
Response ErrorResponse(int status, std::string_view code, std::string_view message);

// 503 with Retry-After: this server refused before anything was applied.
Response OverloadedResponse(std::string_view message, const ProtocolConfig& config);
Response TooManyParametersResponse();
Response PayloadTooLargeResponse(const ProtocolConfig& config);  // 413

// The engine could not decide. REQUIRES: !status.ok().
Response StatusResponse(const Status& status, const ProtocolConfig& config);

// A refusal by the stream or its bucket, without the headers that only some replies have.
// REQUIRES: an outcome that refuses (not kOk, kExisted, kDuplicate).
Response OutcomeResponse(Outcome outcome);

}  // namespace ursula::protocol
