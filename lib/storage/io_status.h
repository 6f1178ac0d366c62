// lib/storage/io_status.h
//
// A failed operation on a file as a Status that an operator can act on.

#pragma once

#include <cerrno>
#include <cstdint>
#include <string_view>

#include "lib/io/errors.h"
#include "ursula/status.h"

namespace ursula::storage {

// `result` is -errno; anything else (a write that moved nothing) counts as EIO.
inline Status IoStatus(std::string_view what, std::string_view path, int64_t result) {
  return io::IoError(what, path, result < 0 ? static_cast<int>(-result) : EIO);
}

}  // namespace ursula::storage
