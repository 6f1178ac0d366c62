// tests/sim/seeds/simulation.h
//
// Runs a simulation's seeds, one or many, and sums up what they showed.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ursula::sim {

// Something that was counted; over many seeds summed, or the largest.
struct Figure {
  const char* name = "";
  uint64_t value = 0;
  bool largest = false;
};

struct SeedResult {
  uint64_t seed = 0;
  uint64_t trace = 0;                // A hash of everything that happened.
  std::string violation = {};        // "at TIME: WHAT". Empty: none.
  std::vector<Figure> figures = {};  // The same ones for every seed.
};

struct Simulation {
  const char* program = "";  // That replays a seed.
  const char* marks = "";    // Its URSULA_SOMETIMES marks begin so.
  SeedResult (*run)(uint64_t seed, bool verbose) = nullptr;
  const char* more_marks = nullptr;  // Or so.
};

SeedResult RunSeed(const Simulation& simulation, uint64_t seed, bool verbose = false);

struct RangeResult {
  uint64_t seeds = 0;
  uint64_t violations = 0;
  // Of the trace hashes; the same for the same set of seeds, in whatever order they ran.
  uint64_t digest = 0;
  std::vector<Figure> figures = {};

  uint64_t figure(std::string_view name) const;  // 0: there is none.
  std::string Describe() const;                  // "12 events, 3 refusals, digest …"
};

// Seeds [first, first + count). Every hundredth runs twice: another trace is a violation too.
// `on_violation` gets a line for each, which says how to replay it; false from it ends the run.
RangeResult RunRange(const Simulation& simulation, uint64_t first, uint64_t count,
                     const std::function<bool(const std::string&)>& on_violation);

void Add(const RangeResult& more, RangeResult* sum);  // Two ranges as one.

// The names of the simulation's marks in this program, in order.
std::vector<std::string> Marks(const Simulation& simulation, bool reached);

// If the process dies of a failed check, the last line says which seed did it.
void InstallCrashHandler();

// Of a stack with a bug planted in it, which may well break an invariant and stop: so in a process
// of its own.
struct Catch {
  bool caught = false;
  uint64_t seeds = 0;  // Until then.
  std::string violation = {};
};
Catch CatchBug(const Simulation& simulation, uint64_t seeds_max);

// The program: [--first=N] [--count=N] [--digest=N] [--stop-at-first] [--all-marks], or --seed=N
// [--verbose]. Prints a line for each violation and a digest for each run of 10 000 seeds (or of
// --digest=N); the last line sums up. 1: a violation, or, with --all-marks, a mark that wasn't hit.
int Main(const Simulation& simulation, int argc, char** argv);

}  // namespace ursula::sim
