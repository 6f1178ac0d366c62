#include "server/config/memory_limit.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "server/config/values.h"

namespace ursula::server {
namespace {

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// The folder of one hierarchy and the name of the limit in each of its groups.
struct Hierarchy {
  std::string_view root;
  std::string_view file;
};

// `controllers` of a line of /proc/self/cgroup: empty for the second version.
std::optional<Hierarchy> HierarchyOf(std::string_view controllers) {
  if (controllers.empty()) return Hierarchy{"/sys/fs/cgroup", "/memory.max"};
  for (std::string_view controller : Split(controllers, ',')) {
    if (controller == "memory") return Hierarchy{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes"};
  }
  return std::nullopt;
}

}  // namespace

uint64_t MemoryLimit(Function<Result<std::string>(const std::string& path)> read_file,
                     uint64_t physical_bytes) {
  uint64_t least = physical_bytes;
  const Result<std::string> groups = read_file("/proc/self/cgroup");
  if (!groups.ok()) return least;
  for (std::string_view line : Split(*groups, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ':');
    if (fields.size() < 3) continue;
    const std::optional<Hierarchy> hierarchy = HierarchyOf(fields[1]);
    if (!hierarchy.has_value()) continue;
    // In a container the path may be the host's, which isn't there: what bounds us is the root.
    std::string_view path = line.substr(fields[0].size() + fields[1].size() + 2);
    while (true) {
      if (path.ends_with('/')) path.remove_suffix(1);
      const Result<std::string> text = read_file(std::string(hierarchy->root) + std::string(path) +
                                                 std::string(hierarchy->file));
      if (text.ok()) {
        const std::string_view digits = std::string_view(*text).substr(0, text->find('\n'));
        least = std::min(least, ParseNumber(digits).value_or(least));  // "max": none.
      }
      if (path.empty()) break;
      path = path.substr(0, path.rfind('/'));
    }
  }
  return least;
}

}  // namespace ursula::server
