// lib/engine/ticket.h
//
// What a public Ticket says: which core knows it, and whether it is a Follow.

#pragma once

#include <cstdint>

#include "lib/base/ids.h"
#include "ursula/engine.h"

namespace ursula::engine {

inline constexpr Ticket kFollowBit = Ticket{1} << 63;

inline Ticket MakeTicket(CoreId core, bool follow, uint64_t count) {
  return (follow ? kFollowBit : 0) | (Ticket{Raw(core)} << 48) | (count & 0xffff'ffff'ffff);
}
inline bool IsFollow(Ticket ticket) { return (ticket & kFollowBit) != 0; }
inline CoreId CoreOfTicket(Ticket ticket) {
  return CoreId{static_cast<uint16_t>((ticket >> 48) & 0x7fff)};
}

}  // namespace ursula::engine
