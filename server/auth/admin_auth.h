// server/auth/admin_auth.h
//
// The admin listener's authentication: what a server challenges with, what a client answers, and
// what each proves (docs/operating/admin.md). Pure: text in, text out.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ursula::auth {

inline constexpr std::string_view kProofHeader = "Ursula-Proof";  // Of an answer.
inline constexpr std::size_t kNonceCharactersMax = 128;
inline constexpr std::size_t kMacCharacters = 64;  // SHA-256 in hexadecimal.

// WWW-Authenticate: Ursula-HMAC-SHA256 node="3", nonce="0123…"
struct Challenge {
  uint64_t node = 0;  // Who asks; 0: a server that is alone.
  std::string nonce = {};
};
std::string FormatChallenge(const Challenge& challenge);
std::optional<Challenge> ParseChallenge(std::string_view value);

// Authorization: Ursula-HMAC-SHA256 nonce="0123…", mac="4567…"
struct Credentials {
  std::string nonce = {};
  std::string mac = {};
};
std::string FormatCredentials(const Credentials& credentials);
std::optional<Credentials> ParseCredentials(std::string_view value);

struct AdminRequest {
  std::string_view method = {};
  std::string_view target = {};  // As it stands in the request line.
  std::string_view body = {};
};

// In hexadecimal.
std::string RequestMac(std::string_view secret, const Challenge& challenge,
                       const AdminRequest& request);
std::string AnswerMac(std::string_view secret, const Challenge& challenge, int status,
                      std::string_view body);
// In a time that doesn't depend on where they differ.
bool SameMac(std::string_view a, std::string_view b);

// HMAC-SHA256 in hexadecimal.
std::string HexHmac(std::string_view key, std::string_view text);
std::string DrawHex(std::size_t bytes);  // Of the kernel's entropy.

}  // namespace ursula::auth
