#include "server/auth/nonces.h"

#include <charconv>

#include "lib/base/check.h"
#include "server/auth/admin_auth.h"

namespace ursula::auth {
namespace {

// When it was issued, what tells it from others of that moment, the proof that it is ours.
constexpr std::size_t kStampCharacters = 16;
constexpr std::size_t kDrawnBytes = 16;
constexpr std::size_t kWordsCharacters = kStampCharacters + 2 * kDrawnBytes;
constexpr std::size_t kTagCharacters = 32;
static_assert(kWordsCharacters + kTagCharacters <= kNonceCharactersMax);

}  // namespace

Nonces::Nonces() : key_(DrawHex(32)) {}

std::string Nonces::TagOf(std::string_view words) const {
  return HexHmac(key_, words).substr(0, kTagCharacters);
}

std::string Nonces::Issue(uint64_t now_ns) const {
  std::string words(kStampCharacters, '0');
  std::string stamp(kStampCharacters, '\0');
  char* const end = std::to_chars(stamp.data(), stamp.data() + stamp.size(), now_ns, 16).ptr;
  stamp.resize(static_cast<std::size_t>(end - stamp.data()));
  words.replace(words.size() - stamp.size(), stamp.size(), stamp);
  words += DrawHex(kDrawnBytes);
  return words + TagOf(words);
}

bool Nonces::IsFresh(std::string_view nonce, uint64_t now_ns) const {
  if (nonce.size() != kWordsCharacters + kTagCharacters) return false;
  const std::string tag = TagOf(nonce.substr(0, kWordsCharacters));
  // As macs are compared: what is padded alike is alike where they are.
  const std::string padding(kMacCharacters - kTagCharacters, '0');
  if (!SameMac(tag + padding, std::string(nonce.substr(kWordsCharacters)) + padding)) return false;
  uint64_t issued_ns = 0;
  auto [end, error] = std::from_chars(nonce.data(), nonce.data() + kStampCharacters, issued_ns, 16);
  if (error != std::errc{} || end != nonce.data() + kStampCharacters) return false;
  if (now_ns < issued_ns || now_ns - issued_ns >= kLifeNs) return false;
  return !used_.contains(std::string(nonce));
}

bool Nonces::Use(std::string_view nonce, uint64_t now_ns) {
  while (!by_time_.empty() && now_ns - by_time_.front().first >= kLifeNs) {
    used_.erase(by_time_.front().second);
    by_time_.pop_front();
  }
  if (used_.size() >= kUsedMax) return false;
  const bool added = used_.emplace(nonce).second;
  URSULA_CHECK(added);
  by_time_.emplace_back(now_ns, nonce);
  return true;
}

}  // namespace ursula::auth
