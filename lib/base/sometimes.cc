#include "lib/base/sometimes.h"

// The linker gives a section whose name is an identifier these bounds.
extern "C" {
[[gnu::weak, gnu::visibility("hidden")]] extern ursula::SometimesMark __start_ursula_sometimes;
[[gnu::weak, gnu::visibility("hidden")]] extern ursula::SometimesMark __stop_ursula_sometimes;
}

namespace ursula {

std::span<SometimesMark> SometimesMarks() {
  return {&__start_ursula_sometimes, &__stop_ursula_sometimes};
}

}  // namespace ursula
