// server/ctl/arguments.h
//
// ursulactl's command line.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "server/config/server_config.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::ctl {

enum class Command : uint8_t {
  kHelp,
  kVersion,
  kStatus,
  kGroups,
  kLeaders,
  kLag,
  kHealth,
  kTransfer,
  kClockStep,
  kNodeAdd,
  kNodeRemove,
  kNodeCordon,
  kNodeUncordon,
  kNodeDrain,
  kNodeReplace,
  kReplicas,
  kRecover,
};

struct Arguments {
  Command command = Command::kHelp;
  std::vector<server::HostPort> admin = {};  // At least one.
  std::string secret = {};                   // Empty: none.
  bool json = false;
  uint64_t timeout_ms = 5'000;  // Of one question.
  uint64_t wait_ms = 10'000;    // For a change to have happened.
  // Of kTransfer: `group` to `to`, or all that `all_from` leads.
  bool all = false;
  uint32_t group = 0;
  uint64_t to = 0;
  uint64_t all_from = 0;
  uint64_t node = 0;      // Of kNode…; of kNodeReplace the one that goes,
  uint64_t node_new = 0;  // and the one that comes.
  uint64_t replicas = 0;  // Of kReplicas.
  // Of kRecover: nodes, ascending; and whether it is done, or only looked at.
  std::vector<uint64_t> lost = {};
  bool data_may_be_lost = false;
};

struct ArgumentsInput {
  std::span<const char* const> words = {};                   // argv without the program's name.
  Function<const char*(const char* name)> environment = {};  // As getenv.
  Function<Result<std::string>(const std::string& path)> read_secret = {};
};

// Mistakes are one line each; with any of them the arguments mean nothing.
struct ReadArguments {
  Arguments arguments = {};
  std::vector<std::string> mistakes = {};
};

ReadArguments ParseArguments(ArgumentsInput input);
std::string HelpText();

}  // namespace ursula::ctl
