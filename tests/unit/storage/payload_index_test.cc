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
    added_ += length;
    PayloadIndex::Extent extent{start, length, file, offset_ += 16};
    extent.bytes = (64 + length) & 0x7fffffffu;
    index_.Add(kKey, extent);
  }
  uint64_t added_ = 0;
  uint32_t offset_ = 0;
  uint64_t Freed(uint32_t file) { return freed_[file]; }
  std::map<uint32_t, uint64_t> freed_;  // Bytes, by file.
  PayloadIndex index_{[this](uint32_t file, uint64_t bytes) { freed_[file] += bytes; }};
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

// What was written first may be damaged: nothing is known of it until it is read.
TEST_F(PayloadIndexTest, WhatWasAddedLastIsServed) {
  Add(0, 10, 1);
  Add(0, 10, 2);
  EXPECT_EQ(Freed(1), 10u);
  EXPECT_EQ(index_.Cover(kKey, 0, 10, 10)[0].file, 2u);
  Add(10, 100, 3);
  Add(30, 10, 4);  // Within it: what is left of it are two parts.
  EXPECT_EQ(Freed(3), 10u);
  std::vector<PayloadIndex::Extent> cover = index_.Cover(kKey, 0, 200, 10);
  ASSERT_EQ(cover.size(), 4u);
  EXPECT_EQ(cover[1].file, 3u);
  EXPECT_EQ(cover[1].end(), 30u);
  EXPECT_EQ(cover[2].file, 4u);
  EXPECT_EQ(cover[3].file, 3u);
  EXPECT_EQ(cover[3].start, 40u);
  EXPECT_EQ(cover[3].offset, cover[1].offset);
  EXPECT_EQ(index_.extents(), 4u);
  Add(5, 40, 5);  // Over the ends of two, and all of others.
  cover = index_.Cover(kKey, 0, 200, 10);
  ASSERT_EQ(cover.size(), 3u);
  EXPECT_EQ(cover[0].end(), 5u);
  EXPECT_EQ(cover[1].file, 5u);
  EXPECT_EQ(cover[2].start, 45u);
  EXPECT_EQ(Freed(2), 5u);
  EXPECT_EQ(Freed(3), 35u);
  EXPECT_EQ(Freed(4), 10u);
}

TEST_F(PayloadIndexTest, ItsMemoryIsCounted) {
  const uint64_t empty = index_.bytes();
  for (uint64_t i = 0; i < 1000; ++i) Add(i * 10, 10);
  EXPECT_GE(index_.bytes(), empty + 1000 * sizeof(PayloadIndex::Extent));
  EXPECT_LE(index_.bytes(), empty + 1300 * sizeof(PayloadIndex::Extent) + 4096);
  Add(0, 10'000);
  EXPECT_LE(index_.bytes(), empty + 4096);
  index_.Free(kKey);
  EXPECT_EQ(index_.extents(), 0u);
}

TEST_F(PayloadIndexTest, ARunIsSmallNeighboursWithoutAGap) {
  Add(0, 100, 1);
  for (uint64_t at = 100; at < 150; at += 10) Add(at, 10, 2);
  Add(160, 10, 3);
  EXPECT_EQ(index_.RunAround(kKey, 120, 10, 64).size(), 5u);
  EXPECT_EQ(index_.RunAround(kKey, 120, 10, 3).size(), 3u);
  EXPECT_EQ(index_.RunAround(kKey, 120, 100, 64).size(), 6u);
  EXPECT_EQ(index_.RunAround(kKey, 0, 10, 64).size(), 1u);
  EXPECT_EQ(index_.RunAround(kKey, 160, 10, 64).size(), 1u);
  EXPECT_EQ(index_.RunBefore(kKey, 150, 10, 64), 5u);
  EXPECT_EQ(index_.RunBefore(kKey, 150, 10, 2), 2u);
  EXPECT_EQ(index_.RunBefore(kKey, 160, 10, 64), 0u);
  EXPECT_EQ(index_.FirstIn(kKey, 0, 100, 2, 32).length, 0u);
  EXPECT_EQ(index_.FirstIn(kKey, 100, 110, 2, 32).start, 100u);
  EXPECT_EQ(index_.FirstIn(kKey, 100, 110, 2, 48).length, 0u);
}

TEST_F(PayloadIndexTest, FreeBeforeFreesWholeExtentsOnly) {
  Add(0, 10);
  Add(10, 10);
  index_.FreeBefore(kKey, 15);
  EXPECT_EQ(Freed(0), 10u);
  EXPECT_EQ(index_.FindNext(kKey, 0), 10u);
  index_.FreeBefore(kKey, 20);
  EXPECT_EQ(Freed(0), 20u);
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
  EXPECT_EQ(Freed(0), 10u);
}

TEST_F(PayloadIndexTest, AgreesWithABytewiseModel) {
  Random random(11);
  constexpr uint32_t kNone = UINT32_MAX;
  std::vector<uint32_t> model(300, kNone);  // The file of each byte.
  for (uint32_t step = 0; step < 3000; ++step) {
    const uint64_t start = random.Below(250);
    const uint32_t length = static_cast<uint32_t>(1 + random.Below(40));
    if (random.OneIn(400)) {
      index_.Free(kKey);
      model.assign(300, kNone);
    }
    Add(start, length, step);
    for (uint64_t i = start; i < start + length; ++i) model[i] = step;
    const uint64_t from = random.Below(300);
    uint64_t end = from;
    while (end < 300 && model[end] != kNone) ++end;
    ASSERT_EQ(index_.Find(kKey, from), end);
    uint64_t next = from;
    while (next < 300 && model[next] == kNone) ++next;
    ASSERT_EQ(index_.FindNext(kKey, from), next == 300 ? UINT64_MAX : next);
    uint64_t reached = from;
    for (const PayloadIndex::Extent& extent : index_.Cover(kKey, from, 50, 1000)) {
      ASSERT_LE(extent.start, reached);
      ASSERT_GT(extent.end(), reached);
      for (uint64_t i = extent.start; i < extent.end(); ++i) ASSERT_EQ(model[i], extent.file);
      reached = extent.end();
    }
    ASSERT_GE(reached, std::min(end, from + 50));
    ASSERT_LE(reached, end);
  }
  index_.Free(kKey);
  uint64_t freed = 0;
  for (const auto& [file, bytes] : freed_) freed += bytes;
  EXPECT_EQ(freed, added_);
  EXPECT_EQ(index_.extents(), 0u);
}

}  // namespace
}  // namespace ursula::storage
