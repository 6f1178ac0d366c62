// server/config/options.h
//
// The table of options: one row names an option, says what it does, what it takes and where its
// value goes. Flags (--data-dir), environment (URSULA_DATA_DIR), file keys (data_dir), --help and
// the bounds all come from these rows.

#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/config/server_config.h"

namespace ursula::server {

struct Option {
  std::string_view name;   // Without dashes: "data-dir".
  std::string_view value;  // What it takes, for --help: "DIR". Empty: a switch (true or false).
  std::string_view help;   // One or more lines, parted by '\n'.
  // Takes `text` over. Returns what would be right ("a size from 1MiB to 1TiB"), or "" if taken.
  std::string (*apply)(ServerConfig* config, std::string_view text);
};

struct OptionGroup {
  std::string_view title;
  std::span<const Option> options;
};

std::span<const OptionGroup> OptionGroups();
const Option* FindOption(std::string_view name);  // Null: there is none.

std::string EnvironmentName(const Option& option);
// The options with that name in the environment; null if there is none.
const Option* FindByEnvironmentName(std::string_view name);  // "URSULA_DATA_DIR".
std::string FileKey(const Option& option);                   // "data_dir".

std::string HelpText();

}  // namespace ursula::server
