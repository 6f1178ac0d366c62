#include "server/auth/admin_auth.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace ursula::auth {
namespace {

constexpr std::string_view kSecret = "0123456789abcdef";

// As a shell makes it (docs/operating/admin.md):
//   printf 'ursula admin request\n3\nab12\nGET\n/cluster\n%s\n' "$(printf '' | sha256sum |
//     cut -d' ' -f1)" | openssl dgst -sha256 -hmac 0123456789abcdef
TEST(AdminAuthTest, AProofIsWhatTheGuideSays) {
  EXPECT_EQ(RequestMac(kSecret, {3, "ab12"}, {"GET", "/cluster", ""}),
            "a7f3c8017b46f46207fe277ac43bd182dfc4bf18516bad2b7a89dc6563667fac");
  EXPECT_EQ(AnswerMac(kSecret, {3, "ab12"}, 200, "{}\n"),
            "dcd3ea9b0b75a9ca452b780a395055197d611756ff81734afd49175e409ecbcb");
}

TEST(AdminAuthTest, AProofIsOverEverything) {
  std::set<std::string> proofs;
  for (std::string_view secret : {kSecret, std::string_view("0123456789abcdeg")}) {
    for (uint64_t node : {1, 2}) {
      for (const char* nonce : {"aa", "bb"}) {
        for (const char* method : {"GET", "POST"}) {
          for (const char* target : {"/cluster", "/cluster?x"}) {
            for (const char* body : {"", "x"}) {
              proofs.insert(RequestMac(secret, {node, nonce}, {method, target, body}));
            }
          }
        }
        for (int status : {200, 201}) {
          for (const char* body : {"", "x"}) {
            proofs.insert(AnswerMac(secret, {node, nonce}, status, body));
          }
        }
      }
    }
  }
  EXPECT_EQ(proofs.size(), 2u * 2 * 2 * (2 * 2 * 2 + 2 * 2));
}

TEST(AdminAuthTest, HeadersAreReadAsTheyAreWritten) {
  const std::string challenge = FormatChallenge({3, "ab12"});
  EXPECT_EQ(challenge, "Ursula-HMAC-SHA256 node=\"3\", nonce=\"ab12\"");
  auto read = ParseChallenge(challenge);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->node, 3u);
  EXPECT_EQ(read->nonce, "ab12");
  const std::string mac(64, 'c');
  auto credentials = ParseCredentials(FormatCredentials({"ab12", mac}));
  ASSERT_TRUE(credentials.has_value());
  EXPECT_EQ(credentials->nonce, "ab12");
  EXPECT_EQ(credentials->mac, mac);
}

TEST(AdminAuthTest, OtherHeadersAreNone) {
  for (std::string value :
       {"", "Basic x", "Ursula-HMAC-SHA256", "Ursula-HMAC-SHA256 node=\"3\"",
        "Ursula-HMAC-SHA256 node=\"3\", nonce=\"\"", "Ursula-HMAC-SHA256 node=\"\", nonce=\"ab\"",
        "Ursula-HMAC-SHA256 node=\"-1\", nonce=\"ab\"",
        "Ursula-HMAC-SHA256 node=\"18446744073709551616\", nonce=\"ab\"",
        "Ursula-HMAC-SHA256 node=\"3\", nonce=\"AB\"", "Ursula-HMAC-SHA256 node=\"3\", nonce=\"ab",
        "Ursula-HMAC-SHA256 node=\"3\", nonce=\"ab\" ",
        "ursula-hmac-sha256 node=\"3\", nonce=\"ab\""}) {
    EXPECT_FALSE(ParseChallenge(value).has_value()) << value;
  }
  EXPECT_FALSE(ParseChallenge(FormatChallenge({3, std::string(129, 'a')})).has_value());
  for (std::string mac :
       {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'g')}) {
    EXPECT_FALSE(ParseCredentials(FormatCredentials({"ab", mac})).has_value()) << mac;
  }
}

TEST(AdminAuthTest, MacsOfOtherLengthsAreNotTheSame) {
  const std::string mac(64, 'a');
  EXPECT_TRUE(SameMac(mac, mac));
  EXPECT_FALSE(SameMac(mac, std::string(63, 'a') + "b"));
  EXPECT_FALSE(SameMac("", ""));
  EXPECT_FALSE(SameMac(mac, mac + "a"));
}

}  // namespace
}  // namespace ursula::auth
