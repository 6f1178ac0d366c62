// lib/meta/founding_format.h
//
// The bytes of a hello between founders: docs/formats/peer_frames.md, Founding. It is a frame of
// its own, whose first byte no frame of letters has.

#pragma once

#include "lib/meta/founding.h"
#include "ursula/bytes.h"
#include "ursula/status.h"

namespace ursula::meta {

inline constexpr uint8_t kFoundingFrame = 0xF0;
inline constexpr uint8_t kFoundingVersion = 1;
// What one may hold.
inline constexpr uint64_t kFoundingNodesMax = 64;
inline constexpr uint64_t kFoundingLimitsMax = 64;
inline constexpr uint32_t kFoundingGroupsMax = 16384;

bool IsFoundingFrame(const Bytes& frame);  // By its first byte.

Bytes EncodeFoundingHello(const FoundingHello& hello);
// kInvalidArgument: damaged, or of another version; the message says which.
Result<FoundingHello> DecodeFoundingHello(const Bytes& frame);

}  // namespace ursula::meta
