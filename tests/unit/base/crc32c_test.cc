#include "lib/base/crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace ursula {
namespace {

TEST(Crc32cTest, MatchesTheStandardsVectors) {  // RFC 3720 B.4.
  EXPECT_EQ(Crc32c(0, "123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(0, std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(0, std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising.push_back(static_cast<char>(i));
  EXPECT_EQ(Crc32c(0, rising), 0x46dd794eu);
  EXPECT_EQ(Crc32c(0, ""), 0u);
}

TEST(Crc32cTest, GoesOnFromAnyCut) {
  std::string_view data = "The quick brown fox jumps over the lazy dog";
  for (std::size_t cut = 0; cut <= data.size(); ++cut) {
    EXPECT_EQ(Crc32c(Crc32c(0, data.substr(0, cut)), data.substr(cut)), Crc32c(0, data));
  }
}

}  // namespace
}  // namespace ursula
