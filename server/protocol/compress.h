// server/protocol/compress.h
//
// Content coding of finite bodies.

#pragma once

#include "server/protocol/config.h"
#include "server/protocol/http_message.h"
#include "server/protocol/negotiation.h"

namespace ursula::protocol {

// Replaces the body of a 200 by its compressed form and sets Content-Encoding and the ETag of that
// representation. Leaves the response alone if the coding is identity, the body is small, of a type
// that is compressed already, or would not get smaller.
void Compress(Response* response, ContentCoding coding, const ProtocolConfig& config);

}  // namespace ursula::protocol
