// tests/sim/engine/runner.h
//
// The simulation of a whole engine, as its programs and tests run it.

#pragma once

#include "tests/sim/seeds/simulation.h"

namespace ursula::engine::sim {

const ursula::sim::Simulation& EngineSimulation();

}  // namespace ursula::engine::sim
