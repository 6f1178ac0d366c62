// tests/sim/engine/marks.h
//
// What a run of many seeds must have met, besides the races of orders.h.

#pragma once

#include "tests/sim/engine/model.h"
#include "tests/sim/engine/operation.h"

namespace ursula::engine::sim {

// By an operation's answer, which was found right; `before`: one of the models before its batch.
void MarkAnswer(const Operation& operation, const Model& before);

// By what has become of a stream that was there.
void MarkExpired(const ModelStream& stream);

}  // namespace ursula::engine::sim
