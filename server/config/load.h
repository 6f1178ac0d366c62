// server/config/load.h
//
// From flags, environment and file to a ServerConfig, or to every mistake in them at once.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/config/server_config.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::server {

struct ConfigInput {
  std::span<const char* const> flags = {};                   // argv without the program's name.
  Function<const char*(const char* name)> environment = {};  // As getenv.
  std::vector<std::string> environment_names = {};           // Those that begin with URSULA_.
  Function<Result<std::string>(const std::string& path)> read_file = {};
  Function<Result<std::string>(const std::string& path)> read_secret = {};  // ReadSecretFile.
  uint64_t memory_bytes = UINT64_MAX;  // What the process may use (memory_limit.h).
  uint32_t cpu_count = 0;              // For core_count (cpu_limit.h); 0: left as it is.
};

struct LoadedConfig {
  enum class Action : uint8_t { kRun, kHelp, kVersion };
  Action action = Action::kRun;
  ServerConfig config = {};                // Valid if kRun and no mistakes.
  std::vector<std::string> mistakes = {};  // One line each, each naming its source.
};

LoadedConfig LoadConfig(ConfigInput input);

// The keys and values of a TOML file as text, in the file's order; kInvalidArgument with line and
// column otherwise.
Result<std::vector<std::pair<std::string, std::string>>> ParseToml(std::string_view text);

}  // namespace ursula::server
