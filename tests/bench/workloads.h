// tests/bench/workloads.h

#pragma once

#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/runner.h"

namespace ursula::bench {

// What a run of options.workload does, stage by stage. `options` is borrowed for the run;
// options.run_id is set.
std::vector<Stage> StagesOf(const Options& options);

}  // namespace ursula::bench
