#include "server/config/cpu_limit.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace ursula::server {
namespace {

uint32_t Limit(const std::map<std::string, std::string>& files) {
  return CpuLimit(
      [&](const std::string& path) -> Result<std::string> {
        auto found = files.find(path);
        if (found == files.end()) return Status(StatusCode::kIoError, "No such file");
        return found->second;
      },
      64);
}

TEST(CpuLimitTest, WithoutAQuotaIsWhatTheProcessMayRunOn) {
  EXPECT_EQ(Limit({}), 64u);
  EXPECT_EQ(Limit({{"/proc/self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/cpu.max", "max 100000\n"}}),
            64u);
  EXPECT_EQ(Limit({{"/proc/self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/cpu.max", "100000 0\n"}}),
            64u);
}

TEST(CpuLimitTest, SecondVersionIsTheLeastOfTheGroupAndThoseAboveInWholeCpus) {
  std::map<std::string, std::string> files = {
      {"/proc/self/cgroup", "0::/a/b\n"},
      {"/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n"},
      {"/sys/fs/cgroup/a/cpu.max", "350000 100000\n"},
  };
  EXPECT_EQ(Limit(files), 4u);
  files["/sys/fs/cgroup/a/b/cpu.max"] = "10000 100000\n";
  EXPECT_EQ(Limit(files), 1u);
}

TEST(CpuLimitTest, FirstVersionHasAHierarchyOfItsOwn) {
  std::map<std::string, std::string> files = {
      {"/proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/a\n"},
      {"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "200000\n"},
      {"/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"},
      {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
      {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
  };
  EXPECT_EQ(Limit(files), 2u);
}

}  // namespace
}  // namespace ursula::server
