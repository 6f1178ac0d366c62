// tests/sim/raft/runner.h
//
// The simulation of groups, as its programs and tests run it.

#pragma once

#include "tests/sim/seeds/simulation.h"

namespace ursula::raft::sim {

const ursula::sim::Simulation& RaftSimulation();

}  // namespace ursula::raft::sim
