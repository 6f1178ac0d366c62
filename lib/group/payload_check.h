// lib/group/payload_check.h
//
// At a replica's start: what its streams own against the payload that is here. Nothing else would
// notice a payload file that is gone, nor a state that is older than its payload.

#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/ids.h"
#include "lib/group/services.h"
#include "lib/stream/hot_ring.h"
#include "lib/stream/machine.h"
#include "ursula/status.h"

namespace ursula::group {

struct PayloadCheck {
  // kDataLoss: there is payload past a stream's tail, or of a stream that is yet to be made. The
  // state was put back, and what is appended to it would take the place of acknowledged bytes.
  Status status = {};
  std::vector<stream::ReadRange> lacking = {};  // Owned by streams and nowhere here.
};

// What streams own and isn't here, alone.
std::vector<stream::ReadRange> LackingPayload(const Services& services, GroupId group,
                                              const stream::Machine& machine,
                                              const stream::HotRing& ring);

enum class PayloadFate : uint8_t {
  kLost,      // Nobody has it.
  kAskedFor,  // Peers may have it.
};

// Tells the log of each range, up to a number of lines.
void LogLostPayload(const Services& services, GroupId group, const stream::Machine& machine,
                    std::vector<stream::ReadRange> lost, PayloadFate fate);

// REQUIRES: everything recovered is applied, up to `applied`; nothing was evicted since.
PayloadCheck CheckPayload(const Services& services, GroupId group, const stream::Machine& machine,
                          const stream::HotRing& ring, Index applied);

}  // namespace ursula::group
