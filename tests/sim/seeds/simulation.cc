#include "tests/sim/seeds/simulation.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "tests/sim/seeds/hash.h"

namespace ursula::sim {
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

void AddFigures(const std::vector<Figure>& more, std::vector<Figure>* sum) {
  if (sum->empty()) {
    *sum = more;
    return;
  }
  URSULA_CHECK(sum->size() == more.size());
  for (std::size_t i = 0; i < more.size(); ++i) {
    Figure& figure = (*sum)[i];
    figure.value =
        figure.largest ? std::max(figure.value, more[i].value) : figure.value + more[i].value;
  }
}

// What a process that runs seeds leaves behind, even if a check stops it.
struct Report {
  uint64_t seed = 0;
  char violation[256] = "a check of its own stopped it";
};

[[noreturn]] void RunUntilViolation(const Simulation& simulation, uint64_t seeds_max,
                                    Report* report) {
  for (report->seed = 0; report->seed < seeds_max; ++report->seed) {
    const SeedResult result = RunSeed(simulation, report->seed);
    if (result.violation.empty()) continue;
    std::snprintf(report->violation, sizeof(report->violation), "%s", result.violation.c_str());
    _exit(1);
  }
  _exit(0);
}

}  // namespace

SeedResult RunSeed(const Simulation& simulation, uint64_t seed, bool verbose) {
  current_seed = seed;
  return simulation.run(seed, verbose);
}

uint64_t RangeResult::figure(std::string_view name) const {
  for (const Figure& figure : figures) {
    if (figure.name == name) return figure.value;
  }
  return 0;
}

std::string RangeResult::Describe() const {
  std::string text;
  for (const Figure& figure : figures) {
    text += std::to_string(figure.value) + " " + figure.name + ", ";
  }
  char hex[32];
  std::snprintf(hex, sizeof(hex), "digest %016llx", static_cast<unsigned long long>(digest));
  return text + hex;
}

RangeResult RunRange(const Simulation& simulation, uint64_t first, uint64_t count,
                     const std::function<bool(const std::string&)>& on_violation) {
  RangeResult range;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SeedResult result = RunSeed(simulation, seed);
    if (result.violation.empty() && seed % kRepeatedOneIn == 0 &&
        RunSeed(simulation, seed).trace != result.trace) {
      result.violation = "at any time: the same seed made another history";
    }
    ++range.seeds;
    range.digest += Mix(Mix(0, seed), result.trace);
    AddFigures(result.figures, &range.figures);
    if (result.violation.empty()) continue;
    ++range.violations;
    const std::string number = std::to_string(seed);
    const bool go_on = on_violation("seed=" + number + " violation " + result.violation + "  (" +
                                    simulation.program + " --seed=" + number + " --verbose)");
    if (!go_on) break;
  }
  return range;
}

void Add(const RangeResult& more, RangeResult* sum) {
  sum->seeds += more.seeds;
  sum->violations += more.violations;
  sum->digest += more.digest;
  AddFigures(more.figures, &sum->figures);
}

std::vector<std::string> Marks(const Simulation& simulation, bool reached) {
  std::vector<std::string> names;
  for (const SometimesMark& mark : SometimesMarks()) {
    const std::string_view name = mark.name;
    const char* more = simulation.more_marks;
    if (!name.starts_with(simulation.marks) && (more == nullptr || !name.starts_with(more))) {
      continue;
    }
    if (mark.reached.load() == reached) names.emplace_back(mark.name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void InstallCrashHandler() {
  for (int signal : {SIGILL, SIGABRT, SIGSEGV, SIGFPE}) std::signal(signal, OnFatalSignal);
}

Catch CatchBug(const Simulation& simulation, uint64_t seeds_max) {
  void* shared =
      mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  URSULA_CHECK(shared != MAP_FAILED);
  auto* report = new (shared) Report;
  std::fflush(nullptr);
  const pid_t child = fork();
  URSULA_CHECK(child >= 0);
  if (child == 0) RunUntilViolation(simulation, seeds_max, report);
  int status = 0;
  URSULA_CHECK(waitpid(child, &status, 0) == child);
  Catch found;
  found.caught = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  found.seeds = found.caught ? report->seed + 1 : seeds_max;
  if (found.caught) found.violation = report->violation;
  munmap(shared, sizeof(Report));
  return found;
}

}  // namespace ursula::sim
