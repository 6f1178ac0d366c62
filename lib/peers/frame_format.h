// lib/peers/frame_format.h
//
// The bytes of a frame: docs/formats/peer_frames.md. A head, then letters, each with its group.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/base/byte_parts.h"
#include "ursula/bytes.h"
#include "ursula/types.h"

namespace ursula::peers {

inline constexpr uint8_t kFrameVersion = 1;
// Frames whose first byte is this or above are no letters, but of the nodes themselves.
inline constexpr uint8_t kOtherFrame = 0xF0;
// A letter of this group is a record of beats (beats_format.h), of many groups.
inline constexpr GroupId kBeatsGroup{UINT32_MAX};
// What a letter's head takes at most.
inline constexpr uint64_t kLetterHeadBytesMax = 5 + 10;

void PutLetter(GroupId group, ByteParts&& letter, ByteParts* letters);
// Puts the head before them.
std::vector<Bytes> FinishFrame(ByteParts&& letters, uint64_t cluster_id);

struct Letter {
  GroupId group = {};
  Bytes body = {};  // A slice of the frame.
};
// All of it or nothing: another version or cluster, a wrong checksum, cut off.
std::optional<std::vector<Letter>> ParseFrame(const Bytes& frame, uint64_t cluster_id);

}  // namespace ursula::peers
