// tests/golden/raft/script.h
//
// Scripts: commands with the output they must give. `command key key=value key=(v1,v2)`, lines of
// input, `----`, the expected output up to an empty line; `#` begins a comment.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ursula::raft::golden {

struct Argument {
  std::string key;
  std::vector<std::string> values;
  bool flag() const { return values.empty() || values[0] != "false"; }
};

struct ScriptStep {
  int line = 0;
  std::string command;
  std::vector<Argument> arguments;
  std::vector<std::string> input;
  std::string expected;  // Ends with a newline, unless empty.

  // Null when it isn't there.
  const Argument* Find(std::string_view key) const;
  // Arguments without a value that are numbers.
  std::vector<uint64_t> Numbers() const;
};

std::vector<ScriptStep> ParseScript(std::string_view text);

// The first line in which the two differ, with what stands around it.
std::string FirstDifference(std::string_view expected, std::string_view actual);

}  // namespace ursula::raft::golden
