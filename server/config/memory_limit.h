// server/config/memory_limit.h
//
// How much memory this process may use: what its control groups allow, in either version of their
// interface, and what the machine has.

#pragma once

#include <cstdint>
#include <string>

#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::server {

// `read_file` gives the text of /proc/self/cgroup and of files below /sys/fs/cgroup. The least
// limit of the process's groups and all above them; `physical_bytes` if none is less.
uint64_t MemoryLimit(Function<Result<std::string>(const std::string& path)> read_file,
                     uint64_t physical_bytes);

}  // namespace ursula::server
