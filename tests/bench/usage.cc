#include "tests/bench/usage.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/bench/loop.h"

namespace ursula::bench {
namespace {

constexpr uint64_t kSectorBytes = 512;  // The unit of /proc/diskstats, whatever the device's is.

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    std::size_t end = line.find_first_of(" \n");
    if (end != 0) words.push_back(line.substr(0, end));
    line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
  }
  return words;
}

uint64_t Number(const std::vector<std::string_view>& words, std::size_t at) {
  uint64_t number = 0;
  if (at < words.size()) {
    std::from_chars(words[at].data(), words[at].data() + words[at].size(), number);
  }
  return number;
}

uint64_t CountDescriptors(int pid) {
  DIR* folder = opendir(("/proc/" + std::to_string(pid) + "/fd").c_str());
  if (folder == nullptr) return 0;
  uint64_t count = 0;
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
  closedir(folder);
  return count;
}

std::optional<ProcessUsage> SampleProcess(int pid) {
  std::optional<ProcessUsage> usage = ParseProcessStat(
      ReadText("/proc/" + std::to_string(pid) + "/stat"), static_cast<double>(sysconf(_SC_CLK_TCK)),
      static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  if (usage.has_value()) usage->descriptors = CountDescriptors(pid);
  return usage;
}

// A server may do its work in children.
std::optional<ProcessUsage> SampleFamily(int pid) {
  std::optional<ProcessUsage> sum = SampleProcess(pid);
  if (!sum.has_value()) return sum;
  std::string own = std::to_string(pid);
  std::string children = ReadText("/proc/" + own + "/task/" + own + "/children");
  for (std::string_view child : Words(children)) {
    int child_pid = 0;
    std::from_chars(child.data(), child.data() + child.size(), child_pid);
    if (std::optional<ProcessUsage> usage = SampleProcess(child_pid)) {
      sum->user_s += usage->user_s;
      sum->system_s += usage->system_s;
      sum->rss_bytes += usage->rss_bytes;
      sum->descriptors += usage->descriptors;
    }
  }
  return sum;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void SampleMachine(Usage* usage) {
  std::string text = ReadText("/proc/stat");
  // cpu user nice system idle iowait irq softirq steal …
  std::vector<std::string_view> words = Words(std::string_view(text).substr(0, text.find('\n')));
  for (std::size_t i = 1; i <= 8 && i < words.size(); ++i) {
    usage->machine_total += Number(words, i);
    if (i != 4 && i != 5) usage->machine_busy += Number(words, i);
  }
}

}  // namespace

std::optional<ProcessUsage> ParseProcessStat(std::string_view line, double ticks_per_second,
                                             uint64_t page_bytes) {
  std::size_t name_end = line.rfind(')');  // The name itself may hold blanks and parentheses.
  if (name_end == std::string_view::npos) return std::nullopt;
  std::vector<std::string_view> words = Words(line.substr(name_end + 1));
  if (words.size() < 22) return std::nullopt;
  ProcessUsage usage;
  usage.user_s = static_cast<double>(Number(words, 11)) / ticks_per_second;
  usage.system_s = static_cast<double>(Number(words, 12)) / ticks_per_second;
  usage.rss_bytes = Number(words, 21) * page_bytes;
  return usage;
}

std::optional<DiskUsage> ParseDiskStats(std::string_view text, std::string_view disk) {
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    std::vector<std::string_view> words = Words(text.substr(0, end));
    if (words.size() >= 14 && words[2] == disk) {
      return DiskUsage{.reads = Number(words, 3),
                       .read_bytes = Number(words, 5) * kSectorBytes,
                       .writes = Number(words, 7),
                       .written_bytes = Number(words, 9) * kSectorBytes,
                       .flushes = Number(words, 18),
                       .busy_ms = Number(words, 12)};
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

Usage SampleUsage(int server_pid, const std::string& disk) {
  Usage usage;
  usage.time_ns = NowNs();
  if (server_pid != 0) usage.server = SampleFamily(server_pid);
  if (!disk.empty()) usage.disk = ParseDiskStats(ReadText("/proc/diskstats"), disk);
  rusage own = {};
  getrusage(RUSAGE_SELF, &own);
  usage.client_s = Seconds(own.ru_utime) + Seconds(own.ru_stime);
  SampleMachine(&usage);
  return usage;
}

}  // namespace ursula::bench
