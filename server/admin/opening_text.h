// server/admin/opening_text.h
//
// How far recovery is, for people: /readyz, the log, a service manager's status.

#pragma once

#include <string>

#include "ursula/engine.h"

namespace ursula::admin {

std::string OpeningText(const OpeningProgress& progress);  // "reading the log: 12 of 512 MiB".

}  // namespace ursula::admin
