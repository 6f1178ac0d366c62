// server/protocol/cors.h
//
// Cross-origin requests (WHATWG Fetch, 3.2): which page may see an answer, and what may be asked.

#pragma once

#include <string>
#include <string_view>

#include "server/protocol/config.h"
#include "server/protocol/http_message.h"

namespace ursula::protocol {

// Lines of the head of each answer: any origin may read. A server without accounts has no ambient
// authority (no cookies) that a page could borrow.
inline constexpr std::string_view kAnyOrigin = "Access-Control-Allow-Origin: *\r\n";

// Those lines where origins are named: for the request's, if it is one of them.
std::string OriginLines(const CorsConfig& config, const Request& request);

// The answer to OPTIONS on any path.
Response PreflightResponse(const CorsConfig& config, const Request& request);

}  // namespace ursula::protocol
