// tests/bench/report.h
//
// The result of a run, for people and for programs.

#pragma once

#include <span>
#include <string>

#include "tests/bench/options.h"
#include "tests/bench/runner.h"

namespace ursula::bench {

std::string Table(const Options& options, std::span<const StageResult> results);
std::string Json(const Options& options, std::span<const StageResult> results);

// Of all stages and kinds of load.
uint64_t ErrorCount(std::span<const StageResult> results);

}  // namespace ursula::bench
