// tests/sim/cluster/runner.h
//
// The simulation of replicated groups, as its programs and tests run it.

#pragma once

#include "tests/sim/seeds/simulation.h"

namespace ursula::group::sim {

const ursula::sim::Simulation& ClusterSimulation();

}  // namespace ursula::group::sim
