#include "server/auth/nonces.h"

#include <gtest/gtest.h>

#include <string>

#include "server/auth/admin_auth.h"

namespace ursula::auth {
namespace {

constexpr uint64_t kStartNs = 123'456'789;

TEST(NoncesTest, ANonceIsUsedOnce) {
  Nonces nonces;
  const std::string one = nonces.Issue(kStartNs);
  EXPECT_NE(one, nonces.Issue(kStartNs));
  EXPECT_TRUE(nonces.IsFresh(one, kStartNs));
  EXPECT_TRUE(nonces.IsFresh(one, kStartNs)) << "asking uses nothing";
  EXPECT_TRUE(nonces.Use(one, kStartNs));
  EXPECT_FALSE(nonces.IsFresh(one, kStartNs));
}

TEST(NoncesTest, ItExpires) {
  Nonces nonces;
  const std::string one = nonces.Issue(kStartNs);
  EXPECT_TRUE(nonces.IsFresh(one, kStartNs + Nonces::kLifeNs - 1));
  EXPECT_FALSE(nonces.IsFresh(one, kStartNs + Nonces::kLifeNs));
  EXPECT_FALSE(nonces.IsFresh(one, kStartNs - 1)) << "not issued yet";
}

TEST(NoncesTest, AnotherServersAndForgedOnesAreNone) {
  Nonces nonces;
  Nonces other;
  const std::string one = nonces.Issue(kStartNs);
  EXPECT_FALSE(other.IsFresh(one, kStartNs));
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::string forged = one;
    forged[i] = forged[i] == '0' ? '1' : '0';
    EXPECT_FALSE(nonces.IsFresh(forged, kStartNs)) << i;
  }
  EXPECT_FALSE(nonces.IsFresh("", kStartNs));
  EXPECT_FALSE(nonces.IsFresh(one + "0", kStartNs));
  EXPECT_FALSE(nonces.IsFresh(one.substr(1), kStartNs));
}

TEST(NoncesTest, WhatIsRememberedIsBoundedAndForgottenInTime) {
  Nonces nonces;
  const std::string early = nonces.Issue(kStartNs);
  for (std::size_t i = 0; i < Nonces::kUsedMax; ++i) {
    ASSERT_TRUE(nonces.Use(nonces.Issue(kStartNs), kStartNs + i));
  }
  EXPECT_FALSE(nonces.Use(early, kStartNs + Nonces::kUsedMax));
  EXPECT_TRUE(nonces.IsFresh(early, kStartNs + Nonces::kUsedMax)) << "it wasn't used";
  const uint64_t later_ns = kStartNs + Nonces::kLifeNs;
  EXPECT_TRUE(nonces.Use(nonces.Issue(later_ns), later_ns)) << "the first one has expired";
  EXPECT_FALSE(nonces.Use(nonces.Issue(later_ns), later_ns));
}

}  // namespace
}  // namespace ursula::auth
