#include "lib/group/lacking_ranges.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>

#include "lib/base/random.h"

namespace ursula::group {
namespace {

using Why = LackingRanges::Why;

constexpr uint64_t kSize = 60;

TEST(LackingRangesTest, HoldWhatAMapOfSingleBytesHolds) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    LackingRanges ranges;
    std::array<std::array<std::optional<Why>, kSize>, 3> model = {};
    for (int step = 0; step < 60; ++step) {
      const auto owner = static_cast<uint32_t>(random.Below(3));
      const uint64_t from = random.Below(kSize);
      const uint64_t to = from + random.Below(kSize - from + 1);
      const Why why = random.Below(2) == 0 ? Why::kNew : Why::kLost;
      const bool adds = random.Below(3) > 0;
      const bool all = !adds && random.Below(8) == 0;
      if (adds) {
        ranges.Add({stream::Incarnation{owner}, from, to}, why);
      } else if (all) {
        ranges.RemoveAll(stream::Incarnation{owner});
      } else {
        ranges.Remove({stream::Incarnation{owner}, from, to});
      }
      for (uint64_t i = all ? 0 : from; i < (all ? kSize : to); ++i) {
        std::optional<Why>& byte = model[owner][i];
        byte = adds ? byte.value_or(why) : std::optional<Why>();
      }
      uint64_t bytes = 0;
      for (uint32_t one = 0; one < 3; ++one) {
        for (uint64_t i = 0; i < kSize; ++i) {
          const std::optional<Why>& byte = model[one][i];
          bytes += byte ? 1 : 0;
          const auto at = ranges.At(stream::Incarnation{one}, i);
          ASSERT_EQ(at.has_value(), byte.has_value()) << seed << " " << i;
          if (!byte) continue;
          EXPECT_EQ(at->why, *byte);
          EXPECT_EQ(at->range.from, i);
          // To where it ends, or lacks for another reason.
          uint64_t end = i;
          while (end < kSize && model[one][end] == byte) ++end;
          EXPECT_EQ(at->range.to, end) << seed << " " << i;
        }
      }
      ASSERT_EQ(ranges.bytes(), bytes);
      ASSERT_EQ(ranges.empty(), bytes == 0);
    }
  }
}

TEST(LackingRangesTest, GoOnFromAnywhereAndComeRound) {
  LackingRanges ranges;
  ranges.Add({stream::Incarnation{1}, 10, 20}, Why::kNew);
  ranges.Add({stream::Incarnation{1}, 30, 40}, Why::kNew);
  ranges.Add({stream::Incarnation{5}, 0, 7}, Why::kLost);
  const auto from = [&](uint64_t owner, uint64_t offset) {
    return ranges.From(stream::Incarnation{owner}, offset).range;
  };
  EXPECT_EQ(from(0, 99), (stream::ReadRange{stream::Incarnation{1}, 10, 20}));
  EXPECT_EQ(from(1, 13), (stream::ReadRange{stream::Incarnation{1}, 13, 20}));
  EXPECT_EQ(from(1, 20), (stream::ReadRange{stream::Incarnation{1}, 30, 40}));
  EXPECT_EQ(from(1, 40), (stream::ReadRange{stream::Incarnation{5}, 0, 7}));
  EXPECT_EQ(from(5, 7), (stream::ReadRange{stream::Incarnation{1}, 10, 20}));
}

}  // namespace
}  // namespace ursula::group
