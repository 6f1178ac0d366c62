// lib/io/errors.h
//
// errno as a Status.

#pragma once

#include <string_view>

#include "ursula/status.h"

namespace ursula::io {

// "open /data/META: No such file or directory". ENOENT becomes kFailedPrecondition; ENOSPC and
// EDQUOT kStorageFull; EMFILE and ENFILE kResourceExhausted; all else kIoError.
Status IoError(std::string_view call, std::string_view path, int error);

// The disk is full, or no descriptor is left: nothing is broken, and a later try may succeed.
inline bool MayPass(const Status& status) {
  return status.code() == StatusCode::kStorageFull ||
         status.code() == StatusCode::kResourceExhausted;
}

}  // namespace ursula::io
