#include "server/config/memory_limit.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace ursula::server {
namespace {

constexpr uint64_t kPhysical = uint64_t{8} << 30;

uint64_t Limit(const std::map<std::string, std::string>& files) {
  return MemoryLimit(
      [&](const std::string& path) -> Result<std::string> {
        auto found = files.find(path);
        if (found == files.end()) return Status(StatusCode::kIoError, "No such file");
        return found->second;
      },
      kPhysical);
}

TEST(MemoryLimitTest, WithoutGroupsIsWhatTheMachineHas) {
  EXPECT_EQ(Limit({}), kPhysical);
  EXPECT_EQ(Limit({{"/proc/self/cgroup", "nonsense\n\n0:x\n"}}), kPhysical);
}

TEST(MemoryLimitTest, SecondVersionIsTheLeastOfTheGroupAndThoseAbove) {
  std::map<std::string, std::string> files = {
      {"/proc/self/cgroup", "0::/a/b:c\n"},
      {"/sys/fs/cgroup/a/b:c/memory.max", "max\n"},
      {"/sys/fs/cgroup/a/memory.max", "268435456\n"},
  };
  EXPECT_EQ(Limit(files), uint64_t{256} << 20);
  files["/sys/fs/cgroup/a/b:c/memory.max"] = "1048576\n";
  EXPECT_EQ(Limit(files), uint64_t{1} << 20);
}

TEST(MemoryLimitTest, FirstVersionHasAHierarchyOfItsOwn) {
  EXPECT_EQ(Limit({
                {"/proc/self/cgroup", "5:cpu:/x\n3:hugetlb,memory:/a\n0::/y\n"},
                {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "134217728\n"},
                {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
            }),
            uint64_t{128} << 20);
}

TEST(MemoryLimitTest, InAContainerTheRootIsTheGroup) {
  EXPECT_EQ(Limit({
                {"/proc/self/cgroup", "3:memory:/docker/0123\n"},
                {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"},
            }),
            uint64_t{128} << 20);
  EXPECT_EQ(Limit({
                {"/proc/self/cgroup", "0::/\n"},
                {"/sys/fs/cgroup/memory.max", "134217728\n"},
            }),
            uint64_t{128} << 20);
}

}  // namespace
}  // namespace ursula::server
