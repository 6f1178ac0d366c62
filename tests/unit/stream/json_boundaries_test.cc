#include "lib/stream/json_boundaries.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "gtest/gtest.h"

namespace ursula::stream {
namespace {

constexpr std::string_view kThree = "1,\n{\"a\":2},\n[3],\n";  // Ends at 3, 12 and 17.

TEST(JsonBoundariesTest, EveryMessageEndsAfterItsTerminator) {
  std::vector<uint64_t> ends = {7};
  JsonMessageEnds(kThree, 100, &ends);
  EXPECT_EQ(ends, (std::vector<uint64_t>{7, 103, 112, 117}));
}

TEST(JsonBoundariesTest, APositionIsABoundaryAfterALineFeed) {
  EXPECT_TRUE(IsJsonBoundary(kThree, 3, true));
  EXPECT_FALSE(IsJsonBoundary(kThree, 2, true));
  EXPECT_TRUE(IsJsonBoundary(kThree, kThree.size(), false));
  EXPECT_FALSE(IsJsonBoundary(kThree, kThree.size() + 1, true));
  EXPECT_TRUE(IsJsonBoundary(kThree, 0, true));
  EXPECT_FALSE(IsJsonBoundary(kThree, 0, false));
}

TEST(JsonBoundariesTest, CountsMessagesForward) {
  EXPECT_EQ(NthJsonBoundary(kThree, 0), 0u);
  EXPECT_EQ(NthJsonBoundary(kThree, 2), 12u);
  EXPECT_EQ(NthJsonBoundary(kThree, 3), kThree.size());
  EXPECT_EQ(NthJsonBoundary(kThree, 4), std::nullopt);
  EXPECT_EQ(NthJsonBoundary(kThree.substr(0, 5), 2), std::nullopt);
  EXPECT_EQ(CountJsonMessages(kThree), 3u);
}

TEST(JsonBoundariesTest, FindsTheLastBoundaryWithinALimit) {
  EXPECT_EQ(LastJsonBoundary(kThree, 2), 0u);
  EXPECT_EQ(LastJsonBoundary(kThree, 3), 3u);
  EXPECT_EQ(LastJsonBoundary(kThree, 11), 3u);
  EXPECT_EQ(LastJsonBoundary(kThree, 1000), kThree.size());
}

}  // namespace
}  // namespace ursula::stream
