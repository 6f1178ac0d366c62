// tests/sim/raft/describe.h
//
// For readers of a verbose run.

#pragma once

#include <string>

#include "lib/raft/types.h"

namespace ursula::raft::sim {

class Replica;

std::string Describe(const ConfState& conf);
std::string Describe(const Replica& replica);

}  // namespace ursula::raft::sim
