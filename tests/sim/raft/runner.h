// tests/sim/raft/runner.h
//
// Runs seeds, one or many, and sums up what they showed.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ursula::raft::sim {

struct SeedResult {
  uint64_t seed = 0;
  uint64_t trace = 0;     // A hash of everything that happened.
  std::string violation;  // Empty: none.
  uint64_t events = 0;
  bool stuck = false;          // For a reason that operators are to blame for.
  uint64_t healing_ticks = 0;  // From the healing until the group was whole again.
};

SeedResult RunSeed(uint64_t seed, bool verbose = false);

// "seed=N violation at TIME: WHAT", and how to replay it.
std::string DescribeViolation(const SeedResult& result);

struct RangeResult {
  uint64_t seeds = 0;
  uint64_t violations = 0;
  uint64_t stuck = 0;
  uint64_t events = 0;
  uint64_t healing_ticks_max = 0;
  // Of the trace hashes; the same for the same set of seeds, in whatever order they ran.
  uint64_t digest = 0;
};

// Seeds [first, first + count). Every hundredth runs twice: another trace is a violation too.
// `on_violation` gets a line for each; false from it ends the run.
RangeResult RunRange(uint64_t first, uint64_t count,
                     const std::function<bool(const std::string&)>& on_violation);

// Two ranges as one.
void Add(const RangeResult& more, RangeResult* sum);

// The names of the marks of lib/raft in this program, in order.
std::vector<std::string> Marks(bool reached);

// If the process dies of a failed check, the last line says which seed did it.
void InstallCrashHandler();
uint64_t CurrentSeed();

}  // namespace ursula::raft::sim
