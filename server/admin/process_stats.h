// server/admin/process_stats.h
//
// What the kernel says of this process, for the metrics that every exporter has by these names
// (process_…). Read when it is asked for; cheap whatever the number of descriptors.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ursula::admin {

struct ProcessStats {
  double cpu_seconds = 0;
  double start_seconds = 0;  // Unix time.
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t descriptors_max = 0;
  std::optional<uint64_t> descriptors = {};  // Empty: this kernel tells only by a count of all.
};

// `start_seconds` is the caller's to say: the kernel counts from its own start.
ProcessStats ReadProcessStats(double start_seconds);

// The first two fields of /proc/PID/statm, in pages. False: it isn't of that form.
bool ParseStatm(std::string_view text, uint64_t page_bytes, ProcessStats* stats);

}  // namespace ursula::admin
