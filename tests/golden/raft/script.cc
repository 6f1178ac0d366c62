#include "tests/golden/raft/script.h"

#include <algorithm>
#include <cstdlib>

namespace ursula::raft::golden {
namespace {

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::vector<std::string> SplitValues(std::string_view list) {
  std::vector<std::string> values(1);
  for (char c : list) {
    if (c == ',') {
      values.emplace_back();
    } else if (c != ' ') {
      values.back() += c;
    }
  }
  return values;
}

// Takes one argument off the front of `rest`.
Argument TakeArgument(std::string_view* rest) {
  Argument argument;
  const std::size_t key_end = std::min(rest->find_first_of(" ="), rest->size());
  argument.key = rest->substr(0, key_end);
  rest->remove_prefix(key_end);
  if (!rest->starts_with('=')) return argument;
  rest->remove_prefix(1);
  if (rest->starts_with('(')) {
    const std::size_t end = rest->find(')');
    argument.values = SplitValues(rest->substr(1, end - 1));
    rest->remove_prefix(end + 1);
  } else {
    const std::size_t end = std::min(rest->find(' '), rest->size());
    argument.values = {std::string(rest->substr(0, end))};
    rest->remove_prefix(end);
  }
  return argument;
}

void ParseCommand(std::string_view line, ScriptStep* step) {
  const std::size_t end = std::min(line.find(' '), line.size());
  step->command = line.substr(0, end);
  line.remove_prefix(end);
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (line.empty()) return;
    step->arguments.push_back(TakeArgument(&line));
  }
}

}  // namespace

const Argument* ScriptStep::Find(std::string_view key) const {
  for (const Argument& argument : arguments) {
    if (argument.key == key) return &argument;
  }
  return nullptr;
}

std::vector<uint64_t> ScriptStep::Numbers() const {
  std::vector<uint64_t> numbers;
  for (const Argument& argument : arguments) {
    if (argument.values.empty() &&
        argument.key.find_first_not_of("0123456789") == std::string::npos) {
      numbers.push_back(std::strtoull(argument.key.c_str(), nullptr, 10));
    }
  }
  return numbers;
}

std::vector<ScriptStep> ParseScript(std::string_view text) {
  std::vector<ScriptStep> steps;
  const std::vector<std::string> lines = Lines(text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty() || lines[i].starts_with('#')) continue;
    ScriptStep step;
    step.line = static_cast<int>(i) + 1;
    ParseCommand(lines[i], &step);
    for (++i; i < lines.size() && lines[i] != "----"; ++i) step.input.push_back(lines[i]);
    for (++i; i < lines.size() && !lines[i].empty(); ++i) step.expected += lines[i] + "\n";
    steps.push_back(std::move(step));
  }
  return steps;
}

std::string FirstDifference(std::string_view expected, std::string_view actual) {
  const std::vector<std::string> want = Lines(expected);
  const std::vector<std::string> got = Lines(actual);
  std::size_t at = 0;
  while (at < want.size() && at < got.size() && want[at] == got[at]) ++at;
  std::string out;
  for (std::size_t i = at > 6 ? at - 6 : 0; i < at; ++i) out += "  " + want[i] + "\n";
  for (std::size_t i = at; i < std::min(want.size(), at + 4); ++i) out += "- " + want[i] + "\n";
  for (std::size_t i = at; i < std::min(got.size(), at + 4); ++i) out += "+ " + got[i] + "\n";
  return out;
}

}  // namespace ursula::raft::golden
