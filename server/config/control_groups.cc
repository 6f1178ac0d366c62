#include "server/config/control_groups.h"

#include <algorithm>
#include <vector>

namespace ursula::server {
namespace {

constexpr std::string_view kRoot = "/sys/fs/cgroup";

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::string ControlGroup::Read(const char* file) const {
  const Result<std::string> text = read_file_(folder_ + "/" + file);
  return text.ok() ? text->substr(0, text->find('\n')) : std::string();
}

void VisitControlGroups(ReadFileFunction* read_file, std::string_view controller,
                        Function<void(const ControlGroup&)> visit) {
  const Result<std::string> groups = (*read_file)("/proc/self/cgroup");
  if (!groups.ok()) return;
  for (std::string_view line : Split(*groups, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ':');
    if (fields.size() < 3) continue;
    const bool second_version = fields[1].empty();
    const std::vector<std::string_view> controllers = Split(fields[1], ',');
    if (!second_version &&
        std::find(controllers.begin(), controllers.end(), controller) == controllers.end()) {
      continue;
    }
    std::string root(kRoot);
    if (!second_version) root.append("/").append(controller);
    // In a container the path may be the host's, which isn't there: what bounds us is the root.
    std::string_view path = line.substr(fields[0].size() + fields[1].size() + 2);
    while (true) {
      if (path.ends_with('/')) path.remove_suffix(1);
      visit(ControlGroup(read_file, root + std::string(path), second_version));
      if (path.empty()) break;
      path = path.substr(0, path.rfind('/'));
    }
  }
}

}  // namespace ursula::server
