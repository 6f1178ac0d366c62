// lib/base/check.h
//
// URSULA_CHECK states an invariant. It stays on in release builds: a node that has broken an
// invariant must stop rather than go on and corrupt a replica. Never for input from disk, peer or
// client: those are refused with a Status.

#pragma once

#include <cstdio>

#define URSULA_CHECK(condition)                                                          \
  do {                                                                                   \
    if (!(condition)) [[unlikely]] {                                                     \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      __builtin_trap();                                                                  \
    }                                                                                    \
  } while (false)
