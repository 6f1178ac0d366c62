#include "lib/io/entropy.h"

#include <sys/random.h>

#include "lib/base/check.h"

namespace ursula::io {

uint64_t SystemEntropy() {
  uint64_t value = 0;
  // Up to 256 bytes never come in part (getrandom(2)).
  URSULA_CHECK(getrandom(&value, sizeof value, 0) == sizeof value);
  return value;
}

}  // namespace ursula::io
