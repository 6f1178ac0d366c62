#include "server/config/memory_limit.h"

#include <algorithm>
#include <utility>

#include "server/config/control_groups.h"
#include "server/config/values.h"

namespace ursula::server {

uint64_t MemoryLimit(Function<Result<std::string>(const std::string& path)> read_file,
                     uint64_t physical_bytes) {
  uint64_t least = physical_bytes;
  VisitControlGroups(&read_file, "memory", [&](const ControlGroup& group) {
    const std::string limit =
        group.Read(group.second_version() ? "memory.max" : "memory.limit_in_bytes");
    least = std::min(least, ParseNumber(limit).value_or(least));  // "max": none.
  });
  return least;
}

}  // namespace ursula::server
