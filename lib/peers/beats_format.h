// lib/peers/beats_format.h
//
// What groups that have nothing else to say tell a peer now and then, all those of a turn in one
// record: docs/formats/peer_frames.md, "Beats". Many groups are idle at once, and what such a one
// says is a byte or a few.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.h"
#include "ursula/types.h"

namespace ursula::peers {

// Of one group; what the numbers mean is the replicas' business.
struct Beat {
  GroupId group = {};
  bool answer = false;
  uint64_t term = 0;
  uint64_t index = 0;
  uint64_t round = 0;

  friend bool operator==(const Beat&, const Beat&) = default;
};

// From replica to replica, as letters are: what was meant for a directory that is lost counts for
// none that took its place.
struct Beats {
  ReplicaId from = {};
  ReplicaId to = {};
  std::vector<Beat> beats = {};

  friend bool operator==(const Beats&, const Beats&) = default;
};

inline constexpr std::size_t kBeatsMax = 16384;  // Of a record.

// In the order of their groups, which they are brought into; those of one group stay in theirs.
// REQUIRES: at most kBeatsMax.
std::string EncodeBeats(Beats* record);
// None: it is malformed.
std::optional<Beats> DecodeBeats(std::string_view record);

}  // namespace ursula::peers
