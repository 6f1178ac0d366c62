// toml++ reports mistakes by exceptions; they end here.

#include <toml++/toml.h>

#include <algorithm>
#include <cstdint>

#include "server/config/load.h"

namespace ursula::server {
namespace {

using Pair = std::pair<std::string, std::string>;

struct Entry {
  uint32_t line = 0;
  Pair pair = {};
};

std::string Position(const toml::source_region& source) {
  return "line " + std::to_string(source.begin.line) + ", column " +
         std::to_string(source.begin.column);
}

Result<std::string> ValueText(const std::string& key, const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  return Status(StatusCode::kInvalidArgument, Position(node.source()) + ": " + key +
                                                  " must be a string, an integer or a boolean");
}

}  // namespace

Result<std::vector<Pair>> ParseToml(std::string_view text) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return Status(StatusCode::kInvalidArgument,
                  Position(error.source()) + ": " + std::string(error.description()));
  }
  std::vector<Entry> entries;
  for (const auto& [key, node] : table) {
    std::string name(key.str());
    Result<std::string> value = ValueText(name, node);
    if (!value.ok()) return value.status();
    entries.push_back({node.source().begin.line, {std::move(name), std::move(*value)}});
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.line < b.line; });
  std::vector<Pair> pairs;
  for (Entry& entry : entries) pairs.push_back(std::move(entry.pair));
  return pairs;
}

}  // namespace ursula::server
