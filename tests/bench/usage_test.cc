#include "tests/bench/usage.h"

#include <gtest/gtest.h>

namespace ursula::bench {
namespace {

TEST(UsageTest, ReadsAProcessWhoseNameHoldsBlanks) {
  std::optional<ProcessUsage> usage = ParseProcessStat(
      "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 150 0 0 20 0 3 0 1000 99999 512 1 2 3\n", 100, 4096);
  ASSERT_TRUE(usage.has_value());
  EXPECT_EQ(usage->user_s, 2.5);
  EXPECT_EQ(usage->system_s, 1.5);
  EXPECT_EQ(usage->rss_bytes, 512u * 4096);
  EXPECT_FALSE(ParseProcessStat("42 (short) S 1", 100, 4096).has_value());
  EXPECT_FALSE(ParseProcessStat("", 100, 4096).has_value());
}

TEST(UsageTest, ReadsTheDiskThatIsNamed) {
  const char* text =
      " 253 0 vda 10 1 20 3 40 2 80 5 0 600 700 0 0 0 0 9 8\n"
      " 253 1 vda1 1 1 2 3 4 2 8 5 0 6 7 0 0 0 0 1 1\n";
  std::optional<DiskUsage> usage = ParseDiskStats(text, "vda");
  ASSERT_TRUE(usage.has_value());
  EXPECT_EQ(usage->reads, 10u);
  EXPECT_EQ(usage->read_bytes, 20u * 512);
  EXPECT_EQ(usage->writes, 40u);
  EXPECT_EQ(usage->written_bytes, 80u * 512);
  EXPECT_EQ(usage->busy_ms, 600u);
  EXPECT_EQ(usage->flushes, 9u);
  EXPECT_EQ(ParseDiskStats(text, "vda1")->reads, 1u);
  EXPECT_FALSE(ParseDiskStats(text, "sda").has_value());
}

}  // namespace
}  // namespace ursula::bench
