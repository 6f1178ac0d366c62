#include "tests/sim/storage/runner.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string_view>

#include "lib/base/sometimes.h"
#include "tests/sim/storage/hash.h"

namespace ursula::storage::sim {
namespace {

constexpr uint64_t kRepeatedOneIn = 100;

volatile uint64_t current_seed = 0;

void OnFatalSignal(int signal) {
  char line[96];
  const int size = std::snprintf(line, sizeof(line), "seed=%llu violation: signal %d\n",
                                 static_cast<unsigned long long>(current_seed), signal);
  if (size > 0 && write(STDOUT_FILENO, line, static_cast<std::size_t>(size)) < 0) _exit(3);
  _exit(2);
}

}  // namespace

SeedResult RunSeed(uint64_t seed, bool verbose) {
  current_seed = seed;
  World world(seed, verbose);
  (void)world.Run();
  return {seed, world.trace_hash(), world.violation(), world.counts()};
}

std::string DescribeViolation(const SeedResult& result) {
  return "seed=" + std::to_string(result.seed) + " violation " + result.violation +
         "  (storage_sim --seed=" + std::to_string(result.seed) + " --verbose)";
}

RangeResult RunRange(uint64_t first, uint64_t count,
                     const std::function<bool(const std::string&)>& on_violation) {
  RangeResult range;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SeedResult result = RunSeed(seed);
    if (result.violation.empty() && seed % kRepeatedOneIn == 0 &&
        RunSeed(seed).trace != result.trace) {
      result.violation = "at any time: the same seed made another history";
    }
    Add({1, 0, result.counts, Mix(Mix(0, seed), result.trace)}, &range);
    if (result.violation.empty()) continue;
    ++range.violations;
    if (!on_violation(DescribeViolation(result))) break;
  }
  return range;
}

void Add(const RangeResult& more, RangeResult* sum) {
  sum->seeds += more.seeds;
  sum->violations += more.violations;
  sum->digest += more.digest;
  sum->counts.openings += more.counts.openings;
  sum->counts.records += more.counts.records;
  sum->counts.trials += more.counts.trials;
  sum->counts.refusals += more.counts.refusals;
  sum->counts.failures += more.counts.failures;
  sum->counts.full += more.counts.full;
}

std::string Describe(const Counts& counts) {
  return std::to_string(counts.openings) + " openings, " + std::to_string(counts.records) +
         " records, " + std::to_string(counts.trials) + " of damaged disks (" +
         std::to_string(counts.refusals) + " refusals), " + std::to_string(counts.failures) +
         " failed logs, " + std::to_string(counts.full) + " full disks";
}

std::vector<std::string> Marks(bool reached) {
  std::vector<std::string> names;
  for (const SometimesMark& mark : SometimesMarks()) {
    if (!std::string_view(mark.name).starts_with("storage: ")) continue;
    if (mark.reached.load() == reached) names.emplace_back(mark.name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void InstallCrashHandler() {
  for (int signal : {SIGILL, SIGABRT, SIGSEGV, SIGFPE}) std::signal(signal, OnFatalSignal);
}

}  // namespace ursula::storage::sim
