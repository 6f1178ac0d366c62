// server/config/cpu_limit.h
//
// How many CPUs this process may use: those it may run on, and the time that its control groups
// give it on them.

#pragma once

#include <cstdint>
#include <string>

#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::server {

// As MemoryLimit. The least quota of the process's groups and all above them, in whole CPUs,
// rounded up; `allowed` if none is less. At least 1.
uint32_t CpuLimit(Function<Result<std::string>(const std::string& path)> read_file,
                  uint32_t allowed);

}  // namespace ursula::server
