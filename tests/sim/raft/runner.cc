#include "tests/sim/raft/runner.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string_view>

#include "lib/base/sometimes.h"
#include "tests/sim/raft/hash.h"
#include "tests/sim/raft/world.h"

namespace ursula::raft::sim {
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
  return {seed,           world.trace_hash(), world.violation(),
          world.events(), world.stuck(),      world.stuck() ? 0 : world.healing_took() / kTickTime};
}

std::string DescribeViolation(const SeedResult& result) {
  return "seed=" + std::to_string(result.seed) + " violation " + result.violation +
         "  (raft_sim --seed=" + std::to_string(result.seed) + " --verbose)";
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
    ++range.seeds;
    range.stuck += result.stuck ? 1 : 0;
    range.events += result.events;
    range.healing_ticks_max = std::max(range.healing_ticks_max, result.healing_ticks);
    range.digest += Mix(Mix(0, seed), result.trace);
    if (result.violation.empty()) continue;
    ++range.violations;
    if (!on_violation(DescribeViolation(result))) break;
  }
  return range;
}

void Add(const RangeResult& more, RangeResult* sum) {
  sum->seeds += more.seeds;
  sum->violations += more.violations;
  sum->stuck += more.stuck;
  sum->events += more.events;
  sum->healing_ticks_max = std::max(sum->healing_ticks_max, more.healing_ticks_max);
  sum->digest += more.digest;
}

std::vector<std::string> Marks(bool reached) {
  std::vector<std::string> names;
  for (const SometimesMark& mark : SometimesMarks()) {
    if (!std::string_view(mark.name).starts_with("raft: ")) continue;
    if (mark.reached.load() == reached) names.emplace_back(mark.name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void InstallCrashHandler() {
  for (int signal : {SIGILL, SIGABRT, SIGSEGV, SIGFPE}) std::signal(signal, OnFatalSignal);
}

uint64_t CurrentSeed() { return current_seed; }

}  // namespace ursula::raft::sim
