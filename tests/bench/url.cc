#include "tests/bench/url.h"

#include <netdb.h>

#include <charconv>
#include <cstring>

namespace ursula::bench {
namespace {

bool ParsePort(std::string_view text, uint16_t* port) {
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, *port);
  return error == std::errc() && stop == end && *port != 0;
}

}  // namespace

std::optional<Url> ParseUrl(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return std::nullopt;
  text.remove_prefix(kScheme.size());
  if (text.find_first_of("?#@ \t\r\n") != std::string_view::npos) return std::nullopt;
  Url url;
  std::size_t slash = text.find('/');
  url.authority = std::string(text.substr(0, slash));
  if (slash != std::string_view::npos) url.prefix = std::string(text.substr(slash));
  while (url.prefix.ends_with('/')) url.prefix.pop_back();
  std::string_view host = url.authority;
  std::size_t colon = host.rfind(':');
  std::size_t bracket = host.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    if (!ParsePort(host.substr(colon + 1), &url.port)) return std::nullopt;
    host = host.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) return std::nullopt;
  url.host = std::string(host);
  return url;
}

std::optional<Address> Resolve(const Url& url) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found) != 0) {
    return std::nullopt;
  }
  Address address;
  address.size = found->ai_addrlen;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return address;
}

}  // namespace ursula::bench
