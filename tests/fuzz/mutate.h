// tests/fuzz/mutate.h
//
// Small changes to an input, from a seed: what a fuzzer does, without its feedback.

#pragma once

#include <cstddef>
#include <string>

#include "lib/base/random.h"

namespace ursula::fuzz {

// One to four changes. `other` is another input, to take pieces from.
std::string Mutate(std::string input, const std::string& other, Random* random);

}  // namespace ursula::fuzz
