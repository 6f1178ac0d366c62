#include "server/http/connection_limits.h"

#include <algorithm>

namespace ursula::http {
namespace {

constexpr uint64_t kProcessDescriptors = 64;
constexpr uint64_t kRefusedConnectionsMax = 256;
constexpr uint64_t kBacklogMin = 8;
constexpr uint64_t kBacklogMax = 4096;

}  // namespace

ConnectionLimits FitToDescriptors(uint64_t descriptors, uint32_t core_count, uint32_t wanted) {
  const uint64_t cores = std::max(core_count, uint32_t{1});
  const uint64_t fixed = kProcessDescriptors + 4 * cores;  // Rings, mailboxes, listeners.
  const uint64_t left = descriptors > fixed ? descriptors - fixed : 0;
  const uint64_t most = std::max(left / 8 * 5, uint64_t{1});
  const uint64_t refused = std::clamp(left / 16 / cores, uint64_t{1}, kRefusedConnectionsMax);
  const uint64_t backlog = std::clamp(left / 10 / cores, kBacklogMin, kBacklogMax);
  return {.connections_max = static_cast<uint32_t>(std::min(most, uint64_t{wanted})),
          .refused_connections_max = static_cast<uint32_t>(refused),
          .backlog = static_cast<int>(backlog)};
}

}  // namespace ursula::http
