#include "lib/storage/wal_index.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <vector>

#include "lib/base/random.h"

namespace ursula::storage {
namespace {

constexpr uint32_t kFar = WalIndex::kChunkBytes;
constexpr Index kNone{UINT64_MAX};

TEST(WalIndexTest, AChunkHasWholeBatchesAndIsOfOneSegment) {
  WalIndex index;
  const GroupId group{1};
  EXPECT_EQ(index.First(group), kNone);
  EXPECT_FALSE(index.Find(group, Index{1}));
  index.OnBatch({0, 0});
  index.OnEntry(group, Index{1});
  index.OnBatch({0, kFar - 4096});  // Less than a chunk since its begin.
  index.OnEntry(group, Index{2});
  index.OnBatch({0, kFar + 4096});
  index.OnEntry(group, Index{3});
  index.OnBatch({1, 0});
  index.OnEntry(group, Index{4});
  EXPECT_EQ(index.Find(group, Index{1}), (WalChunk{0, 0, kFar + 4096}));
  EXPECT_EQ(index.Find(group, Index{2}), (WalChunk{0, 0, kFar + 4096}));
  EXPECT_EQ(index.Find(group, Index{3}), (WalChunk{0, kFar + 4096, UINT32_MAX}));
  EXPECT_EQ(index.Find(group, Index{4}), (WalChunk{1, 0, UINT32_MAX}));
  EXPECT_FALSE(index.Find(GroupId{2}, Index{4}));
  EXPECT_EQ(index.First(group), Index{1});
  index.PopSegment(0);
  EXPECT_EQ(index.First(group), Index{4});
  EXPECT_FALSE(index.Find(group, Index{3}));
}

TEST(WalIndexTest, AResetVoidsWhatCameBeforeItAndNotWhatFollows) {
  WalIndex index;
  index.OnBatch({0, 0});
  index.OnEntry(GroupId{1}, Index{1});
  index.OnEntry(GroupId{2}, Index{1});
  index.OnReset(GroupId{1});
  EXPECT_EQ(index.First(GroupId{1}), kNone);
  EXPECT_EQ(index.First(GroupId{2}), Index{1});
  index.OnEntry(GroupId{1}, Index{9});
  EXPECT_EQ(index.First(GroupId{1}), Index{9});
  EXPECT_TRUE(index.Find(GroupId{1}, Index{9}));
}

// Against the list of all that was appended: entries that replace others included.
TEST(WalIndexTest, TheNewestOfAnIndexIsInTheChunkThatIsFound) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    WalIndex index;
    struct Place {
      WalPosition batch;
      uint64_t version = 0;
    };
    std::map<uint32_t, std::map<uint64_t, Place>> newest;  // By group and index.
    std::map<uint32_t, uint64_t> last;
    WalPosition at;
    uint32_t popped = 0;
    for (int batch = 0; batch < 200; ++batch) {
      if (random.OneIn(20)) {
        at = {at.segment + 1, 0};
      } else if (batch > 0) {
        at.offset += static_cast<uint32_t>(4096 * (1 + random.Below(random.OneIn(4) ? 300 : 20)));
      }
      index.OnBatch(at);
      for (uint64_t n = random.Below(6) + 1; n > 0; --n) {
        const uint32_t group = static_cast<uint32_t>(random.Below(3));
        uint64_t next = last[group] + 1;
        if (random.OneIn(5)) next -= std::min(next - 1, random.Below(4));
        newest[group].erase(newest[group].lower_bound(next), newest[group].end());
        newest[group][next] = {at};
        last[group] = next;
        index.OnEntry(GroupId{group}, Index{next});
      }
      if (random.OneIn(40) && popped < at.segment) index.PopSegment(popped++);
      for (const auto& [group, entries] : newest) {
        const uint64_t first = Raw(index.First(GroupId{group}));
        for (const auto& [number, place] : entries) {
          const auto found = index.Find(GroupId{group}, Index{number});
          if (number >= first) {
            ASSERT_TRUE(found) << seed;
            ASSERT_EQ(found->segment, place.batch.segment) << seed;
            ASSERT_LE(found->begin, place.batch.offset) << seed;
            ASSERT_GT(found->end, place.batch.offset) << seed;
          } else {
            ASSERT_LT(place.batch.segment, popped) << seed << " could be found";
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ursula::storage
