// server/auth/nonces.h
//
// A server's nonces. One says itself when it was issued and proves it, so nothing is kept of those
// that nobody uses: however many are asked for, none of them keeps another one out. What was used
// is kept until it would have expired.
//
// Invariant: Use is true once for each nonce, of this object's own, less than kLifeNs after Issue.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace ursula::auth {

class Nonces {
 public:
  static constexpr uint64_t kLifeNs = 30'000'000'000;
  static constexpr std::size_t kUsedMax = 4096;  // By those who know the secret, in kLifeNs.

  Nonces();  // With a key that nobody else has.

  // Times never go back.
  std::string Issue(uint64_t now_ns) const;
  bool IsFresh(std::string_view nonce, uint64_t now_ns) const;  // Its own, not expired, not used.
  // REQUIRES: IsFresh, and who sent it has proven the secret. False: kUsedMax are remembered.
  bool Use(std::string_view nonce, uint64_t now_ns);

 private:
  std::string TagOf(std::string_view words) const;

  const std::string key_;
  std::unordered_set<std::string> used_;
  std::deque<std::pair<uint64_t, std::string>> by_time_;  // When each was used.
};

}  // namespace ursula::auth
