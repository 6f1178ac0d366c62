// lib/raft/message_format.h
//
// Messages of peers as bytes: docs/formats/peer_frames.md. Payload is shared both ways: large
// entries are not copied into what is sent, and received entries are slices of what they came in.

#pragma once

#include "lib/base/byte_parts.h"
#include "lib/raft/message.h"
#include "ursula/status.h"

namespace ursula::raft {

// REQUIRES: of a kind that travels.
void EncodeMessage(const Message& message, ByteParts* out);

// kInvalidArgument: what EncodeMessage can't have written, but for what Core::Step checks itself.
Result<Message> DecodeMessage(const Bytes& encoded);

}  // namespace ursula::raft
