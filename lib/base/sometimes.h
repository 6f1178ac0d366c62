// lib/base/sometimes.h
//
// URSULA_SOMETIMES("what happened") marks a path that is rare and must be tried: a simulation that
// never comes by has tested less than it says. A mark remembers only that it was reached, so it may
// stand anywhere; reached again, it costs a load. Marks in one program are found through a section
// of their own; nothing registers itself.

#pragma once

#include <atomic>
#include <span>

namespace ursula {

// As large as it is aligned, so that marks stand in their section without gaps.
struct alignas(32) SometimesMark {
  const char* name;
  const char* file;
  int line;
  std::atomic<bool> reached;
};
static_assert(sizeof(SometimesMark) == alignof(SometimesMark));

// Every mark that is linked into this program, in no particular order. Empty where none is.
std::span<SometimesMark> SometimesMarks();

}  // namespace ursula

// In .cc files only; `name` is a literal, unique in the project.
#define URSULA_SOMETIMES(name)                                                                     \
  do {                                                                                             \
    [[gnu::section("ursula_sometimes"),                                                            \
      gnu::used]] static constinit ::ursula::SometimesMark ursula_sometimes_mark{name, __FILE__,   \
                                                                                 __LINE__, false}; \
    if (!ursula_sometimes_mark.reached.load(std::memory_order_relaxed)) [[unlikely]] {             \
      ursula_sometimes_mark.reached.store(true, std::memory_order_relaxed);                        \
    }                                                                                              \
  } while (false)
