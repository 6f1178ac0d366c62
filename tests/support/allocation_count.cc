#include "tests/support/allocation_count.h"

#include <cstdlib>
#include <new>

namespace ursula::testing {
bool counting = false;
uint64_t allocations = 0;
}  // namespace ursula::testing

// In a file of their own: inlined into others, they look mismatched to the compiler.
void* operator new(std::size_t size) {
  if (ursula::testing::counting) ++ursula::testing::allocations;
  if (void* at = std::malloc(size)) return at;
  std::abort();
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
