// tests/support/allocation_count.h
//
// Counts what operator new is asked for while `counting`: the target allocation_count replaces it
// in the whole program. One thread only.

#pragma once

#include <cstdint>

namespace ursula::testing {

extern bool counting;
extern uint64_t allocations;

}  // namespace ursula::testing
