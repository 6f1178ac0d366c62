// lib/io/errors.h
//
// errno as a Status.

#pragma once

#include <string_view>

#include "ursula/status.h"

namespace ursula::io {

// "open /data/META: No such file or directory". ENOENT becomes kFailedPrecondition; ENOSPC, EDQUOT,
// EMFILE and ENFILE kResourceExhausted; all else kIoError.
Status IoError(std::string_view call, std::string_view path, int error);

}  // namespace ursula::io
