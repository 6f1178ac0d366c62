// tests/sim/storage/runner.h
//
// Runs seeds, one or many, and sums up what they showed.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/storage/world.h"

namespace ursula::storage::sim {

struct SeedResult {
  uint64_t seed = 0;
  uint64_t trace = 0;     // A hash of everything that happened.
  std::string violation;  // Empty: none.
  Counts counts = {};
};

SeedResult RunSeed(uint64_t seed, bool verbose = false);

// "seed=N violation at WHERE: WHAT", and how to replay it.
std::string DescribeViolation(const SeedResult& result);

struct RangeResult {
  uint64_t seeds = 0;
  uint64_t violations = 0;
  Counts counts = {};
  // Of the trace hashes; the same for the same set of seeds, in whatever order they ran.
  uint64_t digest = 0;
};

// Seeds [first, first + count). Every hundredth runs twice: another trace is a violation too.
// `on_violation` gets a line for each; false from it ends the run.
RangeResult RunRange(uint64_t first, uint64_t count,
                     const std::function<bool(const std::string&)>& on_violation);

void Add(const RangeResult& more, RangeResult* sum);  // Two ranges as one.
std::string Describe(const Counts& counts);

// The names of the marks of lib/storage in this program, in order.
std::vector<std::string> Marks(bool reached);

// If the process dies of a failed check, the last line says which seed did it.
void InstallCrashHandler();

}  // namespace ursula::storage::sim
