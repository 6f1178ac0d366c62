// Values that are lists: roots of streams, origins, names of headers.

#include <algorithm>
#include <array>
#include <cstddef>

#include "server/config/values.h"

namespace ursula::server {
namespace {

constexpr std::string_view kUpstreamRoot = "/v1/stream/";
constexpr std::size_t kListMax = 32;
constexpr std::size_t kRootsMax = 8;
constexpr std::size_t kRootBytesMax = 128;
constexpr std::size_t kSegmentsMax = 4;
constexpr std::size_t kOriginBytesMax = 255;
constexpr std::size_t kHeaderNameBytesMax = 128;
// Which nothing may be taken from: what else is there now, or may be.
constexpr std::array<std::string_view, 5> kTaken = {"healthz", "readyz", "metrics", "admin",
                                                    "console"};

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsSegment(std::string_view text) {
  if (text.empty() || text == "." || text == ".." || text.starts_with('_')) return false;
  return std::ranges::all_of(text, [](char c) {
    return IsAlphanumeric(c) || std::string_view("-._~").find(c) != std::string_view::npos;
  });
}

// "/a/b/" of "/a/b" and "/a/b/". Empty: it is none.
std::string RootOf(std::string_view text) {
  if (text.ends_with('/')) text.remove_suffix(1);
  if (!text.starts_with('/') || text.size() > kRootBytesMax) return {};
  std::size_t segments = 0;
  for (std::string_view rest = text; !rest.empty();) {
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, end);
    if (!IsSegment(segment) || ++segments > kSegmentsMax) return {};
    if (segments == 1 && std::ranges::find(kTaken, segment) != kTaken.end()) return {};
    rest.remove_prefix(end);
  }
  return std::string(text) + "/";
}

}  // namespace

std::optional<std::vector<std::string>> ParseList(std::string_view text) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, end);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (part.empty() || parts.size() == kListMax) return std::nullopt;
    parts.emplace_back(part);
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::vector<std::string>> ParseStreamRoots(std::string_view text) {
  std::optional<std::vector<std::string>> parts = ParseList(text);
  if (!parts) return std::nullopt;
  std::vector<std::string> roots = {std::string(kUpstreamRoot)};
  for (const std::string& part : *parts) {
    std::string root = RootOf(part);
    if (root.empty() || roots.size() > kRootsMax) return std::nullopt;
    if (root == kUpstreamRoot) continue;
    const bool clear = std::ranges::none_of(roots, [&root](const std::string& other) {
      return root.starts_with(other) || other.starts_with(root);
    });
    if (!clear) return std::nullopt;
    roots.push_back(std::move(root));
  }
  roots.erase(roots.begin());
  return roots;
}

bool IsOrigin(std::string_view text) {
  if (text.size() > kOriginBytesMax) return false;
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || scheme == 0) return false;
  const std::string_view rest = text.substr(scheme + 3);
  auto of_scheme = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  auto of_host = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view(".-_:[]").find(c) != std::string_view::npos;
  };
  return !rest.empty() && std::ranges::all_of(text.substr(0, scheme), of_scheme) &&
         std::ranges::all_of(rest, of_host);
}

bool IsHeaderName(std::string_view text) {
  if (text.empty() || text.size() > kHeaderNameBytesMax) return false;
  return std::ranges::all_of(text, [](char c) {
    return IsAlphanumeric(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

}  // namespace ursula::server
