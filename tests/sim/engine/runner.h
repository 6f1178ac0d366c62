// tests/sim/engine/runner.h
//
// The simulation of a whole engine, as its programs and tests run it.

#pragma once

#include "tests/sim/seeds/simulation.h"

namespace ursula::engine::sim {

const ursula::sim::Simulation& EngineSimulation();   // One.
const ursula::sim::Simulation& EnginesSimulation();  // Three, of a cluster.

}  // namespace ursula::engine::sim
