#include "server/admin/process_stats.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <system_error>

namespace ursula::admin {

bool ParseStatm(std::string_view text, uint64_t page_bytes, ProcessStats* stats) {
  const char* const end = text.data() + text.size();
  uint64_t size = 0, resident = 0;
  auto first = std::from_chars(text.data(), end, size);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ') return false;
  if (std::from_chars(first.ptr + 1, end, resident).ec != std::errc()) return false;
  stats->virtual_bytes = size * page_bytes;
  stats->resident_bytes = resident * page_bytes;
  return true;
}

ProcessStats ReadProcessStats(double start_seconds) {
  ProcessStats stats;
  stats.start_seconds = start_seconds;
  rusage used = {};
  if (getrusage(RUSAGE_SELF, &used) == 0) {
    stats.cpu_seconds = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                        static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  }
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    std::array<char, 128> text;
    const std::size_t size = std::fread(text.data(), 1, text.size(), file);
    std::fclose(file);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    ParseStatm({text.data(), size}, static_cast<uint64_t>(page_bytes), &stats);
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.descriptors_max = limit.rlim_cur;
  // Since Linux 6.2 the directory's size is how many there are (proc(5)).
  struct stat folder = {};
  if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0) {
    stats.descriptors = static_cast<uint64_t>(folder.st_size);
  }
  return stats;
}

}  // namespace ursula::admin
