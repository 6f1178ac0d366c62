// server/config/control_groups.h
//
// The control groups of this process, in either version of their interface.

#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::server {

using ReadFileFunction = Function<Result<std::string>(const std::string& path)>;

class ControlGroup {
 public:
  ControlGroup(ReadFileFunction* read_file, std::string folder, bool second_version)
      : read_file_(*read_file), folder_(std::move(folder)), second_version_(second_version) {}

  bool second_version() const { return second_version_; }
  // The first line of one of its files; empty if it isn't there.
  std::string Read(const char* file) const;

 private:
  ReadFileFunction& read_file_;
  const std::string folder_;
  const bool second_version_;
};

// Calls `visit` for each group of the process under `controller` and for all above them.
// `read_file` gives the text of /proc/self/cgroup and of files below /sys/fs/cgroup.
void VisitControlGroups(ReadFileFunction* read_file, std::string_view controller,
                        Function<void(const ControlGroup&)> visit);

}  // namespace ursula::server
