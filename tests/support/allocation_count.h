// tests/unit/raft/allocation_count.h
//
// Counts what operator new is asked for while `counting`. Link allocation_count.cc in.

#pragma once

#include <cstdint>

namespace ursula::raft {

extern bool counting;
extern uint64_t allocations;

}  // namespace ursula::raft
