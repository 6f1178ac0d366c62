// server/protocol/response_parts.h
//
// Headers that answers about a stream share. Private to this folder.

#pragma once

#include <cstdint>

#include "server/protocol/entity_tag.h"
#include "server/protocol/http_message.h"
#include "ursula/engine.h"

namespace ursula::protocol {

StreamState StateOf(const StreamInfo& info);
StreamState StateOf(const AppendReply& reply);

// Stream-Incarnation, unless it is 0: the answer is about no stream.
void AddIncarnation(Response* response, uint64_t incarnation);

// Stream-Staleness-Ms, of answers that may be a little old.
void AddStaleness(Response* response, bool local, uint64_t staleness_ms);

// Stream-Next-Offset, Stream-Closed; and of a stream with an incarnation ETag and
// Stream-Incarnation.
void AddState(Response* response, const StreamState& state);

// 412 with the state that there is. An incarnation of 0: there is no stream.
Response PreconditionFailedResponse(const StreamState& state);

}  // namespace ursula::protocol
