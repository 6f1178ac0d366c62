// absl::string_view of another version, with another layout. The functions of base_internal and
// hash_internal bear names that libursula refers to in its own abseil, and count their calls.

#pragma once

#include <cstddef>

#include "absl/base/config.h"

namespace absl {
ABSL_NAMESPACE_BEGIN

struct string_view {
  std::size_t size;
  const char* begin;
  const void* owner;
};

string_view Take(const char* text);

namespace base_internal {
extern int calls;
void ThrowStdOutOfRange(const char* what);
}  // namespace base_internal

namespace hash_internal {
struct MixingHashState {
  static const void* const kSeed;
  static unsigned long LowLevelHashImpl(const unsigned char* data, unsigned long size);
};
}  // namespace hash_internal

ABSL_NAMESPACE_END
}  // namespace absl
