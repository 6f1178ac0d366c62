// tests/sim/engine/orders.h
//
// The races between two operations: which may take effect first, and both ways round must be seen.

#pragma once

#include "tests/sim/engine/operation.h"

namespace ursula::engine::sim {

// Whether `first` before `second` is one end of a race, and wasn't seen yet by this process.
bool IsOrderWanted(const Operation& first, const Operation& second);

// It was seen: nothing but `first` before `second` explains their answers.
void MarkOrder(const Operation& first, const Operation& second);

}  // namespace ursula::engine::sim
