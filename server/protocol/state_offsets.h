// server/protocol/state_offsets.h
//
// headers.offset of state events: what a reader of a JSON stream may ask for (state_offsets=true),
// so that it has the place behind each event and not behind the page alone
// (docs/decisions/0068-offsets-in-state-events.md). A state event is an object with an object
// "headers", in which "operation" or "control" is a string.
//
// Invariant: what is stored is never changed, and of what is sent nothing but that one member.

#pragma once

#include <vector>

#include "ursula/bytes.h"
#include "ursula/types.h"

namespace ursula::protocol {

// `parts`: messages as they are stored, "text,\n" each, the first from `start` on. In one piece,
// each event has the offset behind it as headers.offset, in the place of one that it came with.
std::vector<Bytes> WithStateOffsets(const std::vector<Bytes>& parts, Offset start);

}  // namespace ursula::protocol
