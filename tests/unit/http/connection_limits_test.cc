#include "server/http/connection_limits.h"

#include <gtest/gtest.h>

namespace ursula::http {
namespace {

TEST(FitToDescriptorsTest, GivesWhatIsWantedWhereItFits) {
  ConnectionLimits limits = FitToDescriptors(1 << 20, 2, 100'000);
  EXPECT_EQ(limits.connections_max, 100'000u);
  EXPECT_EQ(limits.refused_connections_max, 256u);
}

TEST(FitToDescriptorsTest, LeavesAFifthForFilesWhateverTheLimit) {
  for (uint64_t descriptors : {512u, 1024u, 4096u, 65'536u}) {
    for (uint32_t cores : {1u, 2u, 8u}) {
      ConnectionLimits limits = FitToDescriptors(descriptors, cores, 10'000'000);
      uint64_t most = limits.connections_max + cores * (limits.refused_connections_max +
                                                        static_cast<uint64_t>(limits.backlog));
      EXPECT_LE(most, (descriptors - 64) * 4 / 5) << descriptors << " " << cores;
      EXPECT_GE(most, descriptors / 4) << descriptors << " " << cores;
    }
  }
}

TEST(FitToDescriptorsTest, OneConnectionIsAlwaysAllowed) {
  for (uint64_t descriptors : {0u, 1u, 64u, 80u}) {
    ConnectionLimits limits = FitToDescriptors(descriptors, 4, 100);
    EXPECT_GE(limits.connections_max, 1u);
    EXPECT_GE(limits.refused_connections_max, 1u);
  }
  EXPECT_EQ(FitToDescriptors(1 << 20, 0, 7).connections_max, 7u);
}

}  // namespace
}  // namespace ursula::http
