// server/protocol/request_headers.h
//
// Readers of the protocol's request headers, shared by the parts of MapRequest. Each takes a value
// out, or says with a response why it can't.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/protocol/config.h"
#include "server/protocol/http_message.h"
#include "ursula/bytes.h"
#include "ursula/types.h"

namespace ursula::protocol {

using Refusal = std::optional<Response>;

// A header that may stand once. `*value` stays empty when it is absent; it views the request.
Refusal TakeHeader(const Request& request, std::string_view name,
                   std::optional<std::string_view>* value);

Refusal TakeClose(const Request& request, bool* close);  // Stream-Closed: true, in any case.

// The Content-Type as it was written; empty when absent.
Refusal TakeContentType(const Request& request, const ProtocolConfig& config, std::string* type);
// type/subtype, both tokens; parameters are not looked at.
bool IsContentType(std::string_view type);

Refusal TakeSequence(const Request& request, const ProtocolConfig& config, std::string* sequence);
Refusal TakeProducer(const Request& request, const ProtocolConfig& config,
                     std::optional<Producer>* producer);
Refusal TakeLifetime(const Request& request, Lifetime* lifetime);

// A part of a representation can't be put (RFC 9110, 14.5).
Refusal CheckWhole(const Request& request);

// Bodies with a Content-Encoding would be stored as they came and served without it: refused, 415.
Refusal CheckContentCoding(const Request& request);

// A body in the stored form: JSON is split, anything else is one message.
Refusal SplitBody(const Bytes& body, std::string_view content_type, const ProtocolConfig& config,
                  std::vector<Bytes>* messages);

// Refuses HTTP/1.1 requests without exactly one fit Host.
Refusal CheckHost(const Request& request);

// How clients reach this server: "https://host:port" and "" or "/prefix".
struct PublicBase {
  std::string origin = {};
  std::string prefix = {};
};
// REQUIRES: CheckHost refuses nothing.
PublicBase PublicBaseOf(const Request& request, const ProtocolConfig& config);

}  // namespace ursula::protocol
