#include "server/protocol/authority.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

constexpr std::size_t kAuthorityBytesMax = 261;  // A name of DNS, brackets, a port.
constexpr uint64_t kPortMax = 65'535;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// reg-name of RFC 3986, 3.2.2: unreserved, escapes, sub-delims.
bool IsNameCharacter(char c) {
  return IsAlphanumeric(c) ||
         std::string_view(".-_~%!$&'()*+,;=").find(c) != std::string_view::npos;
}

bool IsAddressCharacter(char c) { return IsAlphanumeric(c) || c == ':' || c == '.' || c == '%'; }

}  // namespace

bool IsAuthority(std::string_view text) {
  if (text.size() > kAuthorityBytesMax) return false;
  const bool bracketed = text.starts_with('[');
  std::size_t end = bracketed ? text.find(']') : text.find(':');
  if (bracketed && end == std::string_view::npos) return false;
  std::string_view host = text.substr(bracketed ? 1 : 0, bracketed ? end - 1 : end);
  std::string_view rest =
      end == std::string_view::npos ? std::string_view() : text.substr(bracketed ? end + 1 : end);
  if (host.empty() ||
      !std::all_of(host.begin(), host.end(), bracketed ? IsAddressCharacter : IsNameCharacter)) {
    return false;
  }
  const bool coded = host.find('%') != std::string_view::npos;
  if (!bracketed && coded && !PercentDecode(host, false)) return false;
  if (rest.empty()) return true;
  // A port may be empty: it is the scheme's then (RFC 3986, 3.2.3).
  return rest.front() == ':' && (rest.size() == 1 || ParseDigits(rest.substr(1), kPortMax));
}

}  // namespace ursula::protocol
