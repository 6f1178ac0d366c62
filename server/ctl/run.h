// server/ctl/run.h
//
// A command, from its arguments to what is printed and the exit status.

#pragma once

#include <string>

#include "server/ctl/admin_client.h"
#include "server/ctl/arguments.h"
#include "ursula/function.h"

namespace ursula::ctl {

inline constexpr int kExitDone = 0;
inline constexpr int kExitNo = 1;     // Refused, late, not healthy.
inline constexpr int kExitUsage = 2;  // A mistake in the command line.
inline constexpr int kExitAway = 3;   // No node could be asked.

struct Printed {
  int exit_status = kExitDone;
  std::string out = {};    // For stdout.
  std::string error = {};  // For stderr.
};

// Takes a line, for stderr, on what is waited for: when it isn't the same any more.
using Progress = Function<void(const std::string& line)>;

// REQUIRES: neither kHelp nor kVersion.
Printed Run(const Arguments& arguments, AdminClient* client, Progress progress = {});

}  // namespace ursula::ctl
