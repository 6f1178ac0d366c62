#include "server/config/cpu_limit.h"

#include <algorithm>
#include <optional>

#include "server/config/control_groups.h"
#include "server/config/values.h"

namespace ursula::server {

uint32_t CpuLimit(Function<Result<std::string>(const std::string& path)> read_file,
                  uint32_t allowed) {
  uint64_t least = allowed;
  VisitControlGroups(&read_file, "cpu", [&](const ControlGroup& group) {
    std::string quota, period;
    if (group.second_version()) {
      const std::string both = group.Read("cpu.max");  // "max 100000" or "150000 100000".
      const std::size_t space = std::min(both.find(' '), both.size());
      quota = both.substr(0, space);
      period = both.substr(std::min(space + 1, both.size()));
    } else {
      quota = group.Read("cpu.cfs_quota_us");  // "-1": none.
      period = group.Read("cpu.cfs_period_us");
    }
    const std::optional<uint64_t> of = ParseNumber(period);
    const std::optional<uint64_t> time = ParseNumber(quota);
    if (time.has_value() && of.value_or(0) > 0) least = std::min(least, (*time + *of - 1) / *of);
  });
  return static_cast<uint32_t>(std::max<uint64_t>(least, 1));
}

}  // namespace ursula::server
