// tests/bench/usage.h
//
// What the server's process and the disk have used, out of /proc.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ursula::bench {

struct ProcessUsage {
  double user_s = 0;
  double system_s = 0;
  uint64_t rss_bytes = 0;
  uint64_t descriptors = 0;
};

struct DiskUsage {
  uint64_t reads = 0;
  uint64_t read_bytes = 0;
  uint64_t writes = 0;
  uint64_t written_bytes = 0;
  uint64_t flushes = 0;
  uint64_t busy_ms = 0;
};

struct Usage {
  uint64_t time_ns = 0;
  std::optional<ProcessUsage> server = {};
  std::optional<DiskUsage> disk = {};
  double client_s = 0;        // CPU time of this process.
  uint64_t machine_busy = 0;  // Ticks of all CPUs together, idle and waiting for disk not counted.
  uint64_t machine_total = 0;
};

// `server_pid` 0 and `disk` empty: not asked for.
Usage SampleUsage(int server_pid, const std::string& disk);

// A line of /proc/PID/stat, and the line of `disk` in /proc/diskstats.
std::optional<ProcessUsage> ParseProcessStat(std::string_view line, double ticks_per_second,
                                             uint64_t page_bytes);
std::optional<DiskUsage> ParseDiskStats(std::string_view text, std::string_view disk);

}  // namespace ursula::bench
