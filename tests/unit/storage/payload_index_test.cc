#include "lib/storage/payload_index.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "lib/base/random.h"

namespace ursula::storage {
namespace {

constexpr PayloadKey kKey{GroupId{1}, 2};

class PayloadIndexTest : public ::testing::Test {
 protected:
  void Add(uint64_t start, uint32_t length, uint32_t file = 0) {
    index_.Add(kKey, {start, length, file, offset_ += 16, 64});
  }
  uint32_t offset_ = 0;
  std::vector<PayloadIndex::Extent> freed_;
  PayloadIndex index_{[this](const PayloadIndex::Extent& extent) { freed_.push_back(extent); }};
};

TEST_F(PayloadIndexTest, FindGivesTheEndOfWhatIsThereWithoutAGap) {
  EXPECT_EQ(index_.Find(kKey, 5), 5u);
  Add(0, 10);
  Add(10, 10);
  Add(30, 10);
  EXPECT_EQ(index_.Find(kKey, 0), 20u);
  EXPECT_EQ(index_.Find(kKey, 19), 20u);
  EXPECT_EQ(index_.Find(kKey, 20), 20u);
  EXPECT_EQ(index_.Find(kKey, 35), 40u);
  EXPECT_EQ(index_.FindNext(kKey, 5), 5u);
  EXPECT_EQ(index_.FindNext(kKey, 20), 30u);
  EXPECT_EQ(index_.FindNext(kKey, 40), UINT64_MAX);
  EXPECT_EQ(index_.Find({GroupId{1}, 3}, 0), 0u);
}

TEST_F(PayloadIndexTest, OfTheSameRangeTheNewerStays) {
  Add(0, 10, 1);
  Add(0, 10, 2);
  ASSERT_EQ(freed_.size(), 1u);
  EXPECT_EQ(freed_[0].file, 1u);
  EXPECT_EQ(index_.Cover(kKey, 0, 10, 10)[0].file, 2u);
}

TEST_F(PayloadIndexTest, ASmallerRangeWithinALargerIsFreed) {
  Add(0, 100, 1);
  Add(20, 10, 2);
  ASSERT_EQ(freed_.size(), 1u);
  EXPECT_EQ(freed_[0].file, 2u);
  Add(0, 200, 3);
  ASSERT_EQ(freed_.size(), 2u);
  EXPECT_EQ(freed_[1].file, 1u);
  EXPECT_EQ(index_.extents(), 1u);
}

TEST_F(PayloadIndexTest, FreeBeforeFreesWholeExtentsOnly) {
  Add(0, 10);
  Add(10, 10);
  index_.FreeBefore(kKey, 15);
  EXPECT_EQ(freed_.size(), 1u);
  EXPECT_EQ(index_.FindNext(kKey, 0), 10u);
  index_.FreeBefore(kKey, 20);
  EXPECT_EQ(freed_.size(), 2u);
  EXPECT_EQ(index_.keys(), 0u);
}

TEST_F(PayloadIndexTest, KeepFreesTheUnwantedOfOneGroup) {
  index_.Add({GroupId{1}, 1}, {0, 10, 0, 0, 64});
  index_.Add({GroupId{1}, 2}, {0, 10, 0, 16, 64});
  index_.Add({GroupId{2}, 1}, {0, 10, 0, 32, 64});
  index_.Keep(GroupId{1}, [](uint64_t incarnation) { return incarnation == 2; });
  EXPECT_EQ(index_.Find({GroupId{1}, 1}, 0), 0u);
  EXPECT_EQ(index_.Find({GroupId{1}, 2}, 0), 10u);
  EXPECT_EQ(index_.Find({GroupId{2}, 1}, 0), 10u);
  EXPECT_EQ(freed_.size(), 1u);
}

TEST_F(PayloadIndexTest, AgreesWithABytewiseModel) {
  Random random(11);
  std::vector<bool> model(300, false);
  for (int step = 0; step < 3000; ++step) {
    const uint64_t start = random.Below(250);
    const uint32_t length = static_cast<uint32_t>(1 + random.Below(40));
    if (random.OneIn(400)) {
      index_.Free(kKey);
      model.assign(300, false);
    }
    Add(start, length);
    for (uint64_t i = start; i < start + length; ++i) model[i] = true;
    const uint64_t from = random.Below(300);
    uint64_t end = from;
    while (end < 300 && model[end]) ++end;
    ASSERT_EQ(index_.Find(kKey, from), end);
    uint64_t next = from;
    while (next < 300 && !model[next]) ++next;
    ASSERT_EQ(index_.FindNext(kKey, from), next == 300 ? UINT64_MAX : next);
    std::vector<PayloadIndex::Extent> cover = index_.Cover(kKey, from, 50, 1000);
    uint64_t reached = from;
    for (const PayloadIndex::Extent& extent : cover) {
      ASSERT_LE(extent.start, reached);
      ASSERT_GT(extent.end(), reached);
      reached = extent.end();
    }
    ASSERT_GE(reached, std::min(end, from + 50));
    ASSERT_LE(reached, end);
  }
}

}  // namespace
}  // namespace ursula::storage
