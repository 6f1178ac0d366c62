// lib/io/entropy.h
//
// Entropy for what has no loop yet: a new directory's id.

#pragma once

#include <cstdint>

namespace ursula::io {

uint64_t SystemEntropy();  // getrandom(2). Any thread.

}  // namespace ursula::io
