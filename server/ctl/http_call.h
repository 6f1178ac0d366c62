// server/ctl/http_call.h
//
// One HTTP request over a connection of its own. Blocks.

#pragma once

#include <cstdint>
#include <string>

#include "server/config/server_config.h"
#include "server/ctl/response_parser.h"
#include "ursula/status.h"

namespace ursula::ctl {

// `request`: all of its bytes. A host by name is tried at each of its addresses. kUnavailable:
// nobody answers there, in `timeout_ms` or at all; kInternal: what came isn't HTTP. The message
// says what was met, for example "Connection refused". (A name is resolved before the time runs.)
Result<HttpResponse> HttpCall(const server::HostPort& address, const std::string& request,
                              uint64_t timeout_ms);

}  // namespace ursula::ctl
