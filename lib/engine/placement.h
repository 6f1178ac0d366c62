// lib/engine/placement.h
//
// Where a stream lives: name -> one of 16384 hash slots -> group -> core. Slots keep the map small
// enough to be moved about when groups split.

#pragma once

#include <cstdint>
#include <string_view>

#include "lib/base/crc32c.h"
#include "lib/base/ids.h"
#include "ursula/types.h"

namespace ursula::engine {

inline constexpr uint32_t kSlotCount = 16384;

// The slot of a stream: of its affinity where it has one, so that such streams share a group; else
// of its name. Part of the data format: changing it loses every stream.
inline uint32_t SlotOf(const StreamId& stream) {
  uint32_t crc = Crc32c(0, stream.bucket);
  crc = Crc32c(crc, "/");
  crc = Crc32c(crc, stream.affinity.empty() ? stream.name : stream.affinity);
  // CRC32C is linear: neighbouring names differ in few bits. A multiplication spreads them
  // (Knuth, TAOCP 3, 6.4).
  return static_cast<uint32_t>((crc * uint64_t{2654435761}) >> 16) % kSlotCount;
}

// Equal runs of slots, in order.
inline GroupId GroupOfSlot(uint32_t slot, uint32_t group_count) {
  return GroupId{slot * group_count / kSlotCount};
}

inline GroupId GroupOf(const StreamId& stream, uint32_t group_count) {
  return GroupOfSlot(SlotOf(stream), group_count);
}

inline CoreId CoreOf(GroupId group, uint16_t core_count) {
  return CoreId{static_cast<uint16_t>(Raw(group) % core_count)};
}

// Buckets and cluster facts live here.
inline constexpr GroupId kMetaGroup{0};

}  // namespace ursula::engine
