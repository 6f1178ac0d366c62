#include "server/config/values.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <limits>
#include <utility>

namespace ursula::server {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string Lower(std::string_view text) {
  std::string lower;
  for (char c : text) lower.push_back(Lower(c));
  return lower;
}

// The power of 1024 that a unit stands for, or -1.
int UnitPower(std::string_view unit) {
  if (unit.empty() || unit == "b") return 0;
  constexpr std::string_view kLetters = "kmgt";
  std::size_t at = kLetters.find(unit.front());
  if (at == std::string_view::npos) return -1;
  std::string_view rest = unit.substr(1);
  if (!rest.empty() && rest != "b" && rest != "ib") return -1;
  return static_cast<int>(at) + 1;
}

bool IsAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address = {};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  std::optional<uint64_t> value = ParseNumber(text.substr(0, digits));
  std::string_view unit = text.substr(digits);
  if (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  int power = UnitPower(Lower(unit));
  if (!value.has_value() || power < 0) return std::nullopt;
  int shift = 10 * power;
  if (shift > 0 && (*value >> (64 - shift)) != 0) return std::nullopt;
  return *value << shift;
}

std::string FormatSize(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + std::string(kUnits[unit]);
}

std::optional<bool> ParseBool(std::string_view text) {
  std::string lower = Lower(text);
  if (lower == "true" || lower == "yes" || lower == "on" || lower == "1") return true;
  if (lower == "false" || lower == "no" || lower == "off" || lower == "0") return false;
  return std::nullopt;
}

std::optional<HostPort> ParseHostPort(std::string_view text) {
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  std::optional<uint64_t> port = ParseNumber(text.substr(colon + 1));
  if (!port.has_value() || *port > std::numeric_limits<uint16_t>::max()) return std::nullopt;
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  HostPort address = {std::string(host), static_cast<uint16_t>(*port)};
  if (address.host == "localhost") address.host = "127.0.0.1";
  if (!IsAddress(address.host)) return std::nullopt;
  if (bracketed != (address.host.find(':') != std::string::npos)) return std::nullopt;
  return address;
}

std::string FormatHostPort(const HostPort& address) {
  bool v6 = address.host.find(':') != std::string::npos;
  std::string host = v6 ? "[" + address.host + "]" : address.host;
  return host + ":" + std::to_string(address.port);
}

bool IsLoopback(const HostPort& address) {
  return address.host == "::1" || address.host.starts_with("127.");
}

bool IsAnyAddress(const HostPort& address) {
  in_addr v4 = {};
  in6_addr v6 = {};
  if (inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return v4.s_addr == INADDR_ANY;
  return inet_pton(AF_INET6, address.host.c_str(), &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

bool IsServiceLink(std::string_view name, std::string_view value) {
  constexpr std::string_view kPort = "_PORT_";
  if (name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT")) return true;
  if (name.find("_SERVICE_PORT_") != std::string_view::npos) return true;
  if (name.ends_with("_PORT") && value.find("://") != std::string_view::npos) return true;
  for (std::size_t at = name.find(kPort); at != std::string_view::npos;
       at = name.find(kPort, at + 1)) {
    std::string_view rest = name.substr(at + kPort.size());
    if (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') return true;
  }
  return false;
}

}  // namespace ursula::server
