#include "lib/stream/media_type.h"

#include <algorithm>

namespace ursula::stream {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool IsBlank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

std::string_view MediaType(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && IsBlank(type.front())) type.remove_prefix(1);
  while (!type.empty() && IsBlank(type.back())) type.remove_suffix(1);
  return type;
}

bool SameMediaType(std::string_view a, std::string_view b) {
  if (a == b) return true;  // The common case.
  return std::ranges::equal(MediaType(a), MediaType(b),
                            [](char x, char y) { return Lower(x) == Lower(y); });
}

bool IsJson(std::string_view content_type) {
  return SameMediaType(content_type, "application/json");
}

}  // namespace ursula::stream
