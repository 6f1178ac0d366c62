#include <cstring>

#include "absl/strings/string_view.h"

namespace absl {
ABSL_NAMESPACE_BEGIN

string_view Take(const char* text) { return {std::strlen(text), text, nullptr}; }

namespace base_internal {
int calls = 0;
void ThrowStdOutOfRange(const char*) { ++calls; }
}  // namespace base_internal

namespace hash_internal {
const void* const MixingHashState::kSeed = nullptr;
unsigned long MixingHashState::LowLevelHashImpl(const unsigned char*, unsigned long) {
  ++base_internal::calls;
  return 0;
}
}  // namespace hash_internal

ABSL_NAMESPACE_END
}  // namespace absl
