// The command line of a simulation.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/seeds/simulation.h"

namespace ursula::sim {
namespace {

struct Options {
  uint64_t first = 0;
  uint64_t count = 1000;
  uint64_t digest = 10000;
  bool single = false;
  bool verbose = false;
  bool stop_at_first = false;
  bool all_marks = false;
};

using Number = unsigned long long;

bool ParseNumber(const char* argument, const char* name, uint64_t* value) {
  const std::size_t size = std::strlen(name);
  if (std::strncmp(argument, name, size) != 0) return false;
  *value = std::strtoull(argument + size, nullptr, 10);
  return true;
}

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (ParseNumber(argv[i], "--seed=", &options->first)) {
      options->single = true;
    } else if (argument == "--verbose") {
      options->verbose = true;
    } else if (argument == "--stop-at-first") {
      options->stop_at_first = true;
    } else if (argument == "--all-marks") {
      options->all_marks = true;
    } else if (!ParseNumber(argv[i], "--first=", &options->first) &&
               !ParseNumber(argv[i], "--count=", &options->count) &&
               !ParseNumber(argv[i], "--digest=", &options->digest)) {
      return false;
    }
  }
  return options->digest > 0;
}

bool Print(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  return true;
}

int RunOne(const Simulation& simulation, const Options& options) {
  const SeedResult result = RunSeed(simulation, options.first, options.verbose);
  if (!result.violation.empty()) {
    std::printf("seed=%llu violation %s\n", Number{result.seed}, result.violation.c_str());
    return 1;
  }
  std::printf("seed=%llu ok, trace %016llx", Number{result.seed}, Number{result.trace});
  for (const Figure& figure : result.figures) {
    std::printf(", %llu %s", Number{figure.value}, figure.name);
  }
  std::printf("\n");
  return 0;
}

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int RunMany(const Simulation& simulation, const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const uint64_t end = options.first + options.count;
  bool stopped = false;
  RangeResult sum;
  for (uint64_t at = options.first; at < end && !stopped;) {
    const uint64_t next = std::min(end, (at / options.digest + 1) * options.digest);
    const RangeResult part = RunRange(simulation, at, next - at, [&](const std::string& violation) {
      stopped = Print(violation) && options.stop_at_first;
      return !stopped;
    });
    Add(part, &sum);
    std::printf("seeds %llu to %llu: digest %016llx, %.0f s\n", Number{at}, Number{next - 1},
                Number{part.digest}, SecondsSince(start));
    std::fflush(stdout);
    at = next;
  }
  const std::vector<std::string> missed = Marks(simulation, false);
  const std::size_t hit = Marks(simulation, true).size();
  for (const std::string& mark : missed) std::printf("not hit: %s\n", mark.c_str());
  std::printf("%llu seeds, %llu violations, %zu of %zu marks, %s, %.0f seeds a minute\n",
              Number{sum.seeds}, Number{sum.violations}, hit, hit + missed.size(),
              sum.Describe().c_str(), static_cast<double>(sum.seeds) / SecondsSince(start) * 60);
  return sum.violations > 0 || (options.all_marks && !missed.empty()) ? 1 : 0;
}

}  // namespace

int Main(const Simulation& simulation, int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, &options)) {
    std::fprintf(stderr,
                 "usage: %s [--first=N] [--count=N] [--digest=N] [--stop-at-first] "
                 "[--all-marks]\n       %s --seed=N [--verbose]\n",
                 simulation.program, simulation.program);
    return 2;
  }
  InstallCrashHandler();
  return options.single ? RunOne(simulation, options) : RunMany(simulation, options);
}

}  // namespace ursula::sim
