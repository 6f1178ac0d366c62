#include "lib/stream/json_boundaries.h"

#include <algorithm>
#include <cstddef>

namespace ursula::stream {

void JsonMessageEnds(std::string_view slice, uint64_t start, std::vector<uint64_t>* ends) {
  for (std::size_t at = slice.find('\n'); at != std::string_view::npos;
       at = slice.find('\n', at + 1)) {
    ends->push_back(start + at + 1);
  }
}

bool IsJsonBoundary(std::string_view slice, uint64_t at, bool before) {
  if (at == 0) return before;
  return at <= slice.size() && slice[static_cast<std::size_t>(at) - 1] == '\n';
}

std::optional<uint64_t> NthJsonBoundary(std::string_view slice, uint64_t n) {
  std::size_t end = 0;
  for (uint64_t i = 0; i < n; ++i) {
    std::size_t at = slice.find('\n', end);
    if (at == std::string_view::npos) return std::nullopt;
    end = at + 1;
  }
  return end;
}

uint64_t LastJsonBoundary(std::string_view slice, uint64_t limit) {
  std::string_view head = slice.substr(0, std::min<uint64_t>(limit, slice.size()));
  std::size_t at = head.rfind('\n');
  return at == std::string_view::npos ? 0 : at + 1;
}

uint64_t CountJsonMessages(std::string_view slice) {
  return static_cast<uint64_t>(std::ranges::count(slice, '\n'));
}

}  // namespace ursula::stream
