// tests/sim/engine/orders.h
//
// Which races were seen to end which way round: a mark for each pair of kinds and order.

#pragma once

#include "tests/sim/engine/operation.h"

namespace ursula::engine::sim {

// They are about the same name, or one about the other's source or bucket.
bool OrderMatters(const Operation& first, const Operation& second);

// They were under way together, and only this order explains the answers.
void MarkOrder(const Operation& first, const Operation& second);

}  // namespace ursula::engine::sim
