// server/http/connection_limits.h
//
// How many connections fit into a process's descriptors. Clients must not be able to take the last
// one: an engine that can't open its next log file stops taking appends.

#pragma once

#include <cstdint>

namespace ursula::http {

struct ConnectionLimits {
  uint32_t connections_max = 0;          // All cores together.
  uint32_t refused_connections_max = 0;  // Of each core, beyond those: being told 503.
  int backlog = 0;                       // Of each core's listener: accepted in one go, at worst.
};

// At most `wanted`. A fifth of the descriptors, and some that every process needs, stay for files.
ConnectionLimits FitToDescriptors(uint64_t descriptors, uint32_t core_count, uint32_t wanted);

}  // namespace ursula::http
