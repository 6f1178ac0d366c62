#include "server/auth/admin_auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "lib/base/check.h"

namespace ursula::auth {
namespace {

constexpr std::string_view kScheme = "Ursula-HMAC-SHA256";
constexpr std::size_t kDigestBytes = 32;

using Digest = std::array<unsigned char, kDigestBytes>;

std::string Hex(const unsigned char* bytes, std::size_t count) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * count);
  for (std::size_t i = 0; i < count; ++i) {
    text.push_back(kDigits[bytes[i] >> 4]);
    text.push_back(kDigits[bytes[i] & 15]);
  }
  return text;
}

std::string HexSha256(std::string_view text) {
  Digest digest;
  unsigned size = 0;
  const int done =
      EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  URSULA_CHECK(done == 1 && size == digest.size());
  return Hex(digest.data(), digest.size());
}

bool IsHex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// `scheme first="…", second="…"`, as this module writes it and no other way.
bool ParseTwo(std::string_view value, std::string_view first_name, std::string_view second_name,
              std::string_view* first, std::string_view* second) {
  auto skip = [&value](std::string_view wanted) {
    if (!value.starts_with(wanted)) return false;
    value.remove_prefix(wanted.size());
    return true;
  };
  auto take = [&](std::string_view name, std::string_view* into) {
    if (!skip(name) || !skip("=\"")) return false;
    const std::size_t end = value.find('"');
    if (end == std::string_view::npos) return false;
    *into = value.substr(0, end);
    value.remove_prefix(end + 1);
    return true;
  };
  return skip(kScheme) && skip(" ") && take(first_name, first) && skip(", ") &&
         take(second_name, second) && value.empty();
}

bool IsNonce(std::string_view text) {
  return !text.empty() && text.size() <= kNonceCharactersMax && IsHex(text);
}

}  // namespace

std::string FormatChallenge(const Challenge& challenge) {
  return std::string(kScheme) + " node=\"" + std::to_string(challenge.node) + "\", nonce=\"" +
         challenge.nonce + "\"";
}

std::optional<Challenge> ParseChallenge(std::string_view value) {
  std::string_view node;
  std::string_view nonce;
  if (!ParseTwo(value, "node", "nonce", &node, &nonce) || !IsNonce(nonce)) return std::nullopt;
  Challenge challenge;
  const char* const end = node.data() + node.size();
  auto [stop, error] = std::from_chars(node.data(), end, challenge.node);
  if (error != std::errc{} || stop != end) return std::nullopt;
  challenge.nonce = nonce;
  return challenge;
}

std::string FormatCredentials(const Credentials& credentials) {
  return std::string(kScheme) + " nonce=\"" + credentials.nonce + "\", mac=\"" + credentials.mac +
         "\"";
}

std::optional<Credentials> ParseCredentials(std::string_view value) {
  std::string_view nonce;
  std::string_view mac;
  if (!ParseTwo(value, "nonce", "mac", &nonce, &mac) || !IsNonce(nonce)) return std::nullopt;
  if (mac.size() != kMacCharacters || !IsHex(mac)) return std::nullopt;
  return Credentials{std::string(nonce), std::string(mac)};
}

// Lines: neither a method nor a target holds the end of one.
std::string RequestMac(std::string_view secret, const Challenge& challenge,
                       const AdminRequest& request) {
  std::string text =
      "ursula admin request\n" + std::to_string(challenge.node) + "\n" + challenge.nonce + "\n";
  text.append(request.method).append("\n");
  text.append(request.target).append("\n");
  return HexHmac(secret, text + HexSha256(request.body) + "\n");
}

std::string AnswerMac(std::string_view secret, const Challenge& challenge, int status,
                      std::string_view body) {
  return HexHmac(secret, "ursula admin answer\n" + std::to_string(challenge.node) + "\n" +
                             challenge.nonce + "\n" + std::to_string(status) + "\n" +
                             HexSha256(body) + "\n");
}

bool SameMac(std::string_view a, std::string_view b) {
  return a.size() == kMacCharacters && b.size() == kMacCharacters &&
         CRYPTO_memcmp(a.data(), b.data(), kMacCharacters) == 0;
}

std::string HexHmac(std::string_view key, std::string_view text) {
  Digest mac;
  unsigned size = 0;
  const unsigned char* done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
  URSULA_CHECK(done != nullptr && size == mac.size());
  return Hex(mac.data(), mac.size());
}

std::string DrawHex(std::size_t bytes) {
  std::string drawn(bytes, '\0');
  auto* const data = reinterpret_cast<unsigned char*>(drawn.data());
  URSULA_CHECK(RAND_bytes(data, static_cast<int>(bytes)) == 1);
  return Hex(data, bytes);
}

}  // namespace ursula::auth
