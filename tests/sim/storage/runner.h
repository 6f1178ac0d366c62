// tests/sim/storage/runner.h
//
// The simulation of the storage stack, as its programs and tests run it.

#pragma once

#include "tests/sim/seeds/simulation.h"

namespace ursula::storage::sim {

const ursula::sim::Simulation& StorageSimulation();

}  // namespace ursula::storage::sim
