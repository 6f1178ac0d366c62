// Rot in payload files that no footer ends: what was synced is told and kept, never skipped.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lib/storage/payload_file.h"
#include "tests/unit/storage/payload_world.h"

namespace ursula::storage {
namespace {

constexpr PayloadKey kOne{GroupId{1}, 10};
constexpr PayloadKey kTwo{GroupId{2}, 10};
constexpr uint64_t kBlock = 4096;

struct Range {
  PayloadKey key = {};
  uint64_t start = 0;
  std::string bytes = {};
};

// Three batches, each of one block: one of 300 bytes at the beginning of a block of the disk.
class PayloadRotTest : public ::testing::Test {
 protected:
  PayloadRotTest() {
    world_.options.compact_live_percent = 0;
    world_.Open();
    for (const Range& range : ranges_) {
      EXPECT_TRUE(world_.Write(range.key, range.start, {range.bytes}).ok());
    }
    path_ = "/data/payload/" + world_.Files().front();
    world_.Crash();
    pristine_ = world_.disk.Content(path_);
    EXPECT_EQ(pristine_.size(), 3 * kBlock);
  }

  // Whether the range is read right; else it is said to be lost.
  bool Reads(const Range& range) {
    Result<PayloadSlice> slice = world_.Read(range.key, range.start, range.bytes.size());
    if (slice.ok()) {
      EXPECT_EQ(PayloadWorld::Text(*slice), range.bytes);
      return true;
    }
    EXPECT_EQ(slice.status().code(), StatusCode::kDataLoss) << slice.status().ToString();
    EXPECT_TRUE(world_.Logged(slice.status().message()));
    return false;
  }
  std::string DamagedAt(uint64_t offset) const {
    return path_ + ": damaged at offset " + std::to_string(offset);
  }
  void Restore() {
    world_.disk.Truncate(path_, 0);
    world_.disk.Overwrite(path_, 0, pristine_);
  }

  const std::vector<Range> ranges_ = {{kOne, 0, std::string(300, 'a')},
                                      {kTwo, 0, std::string(300, 'b')},
                                      {kOne, 300, std::string(300, 'c')}};
  PayloadWorld world_;
  std::string path_;
  std::string pristine_;
};

TEST_F(PayloadRotTest, EveryFlippedBitBelowWhatIsAttestedIsToldWithFileAndOffset) {
  uint64_t lost = 0;
  for (uint64_t bit = 0; bit < 2 * kBlock * 8; bit += 13) {
    SCOPED_TRACE("bit " + std::to_string(bit));
    const uint64_t in_block = bit / 8 % kBlock;
    const std::size_t at = bit / 8 / kBlock;
    world_.disk.FlipBit(path_, bit);
    for (int opening = 0; opening < 2; ++opening) {  // The second finds a footer.
      world_.Open();
      const bool in_part = in_block < 66 + 300;
      EXPECT_TRUE(!in_part || world_.Logged(DamagedAt(at * kBlock) + ": "));
      for (std::size_t i = 0; i < ranges_.size(); ++i) {
        EXPECT_EQ(Reads(ranges_[i]), i != at || !in_part) << "range " << i;
      }
      lost += in_part;
      world_.Stop();
    }
    Restore();
    if (HasFailure()) return;
  }
  EXPECT_GT(lost, 900u);
}

TEST_F(PayloadRotTest, AFlippedBitOfTheLastBatchIsNamedWhenWhatItHeldIsMissed) {
  for (uint64_t bit = 2 * kBlock * 8; bit < (2 * kBlock + 366) * 8; bit += 5) {
    SCOPED_TRACE("bit " + std::to_string(bit));
    world_.disk.FlipBit(path_, bit);
    for (int opening = 0; opening < 2; ++opening) {
      world_.Open();
      EXPECT_TRUE(Reads(ranges_[0]) && Reads(ranges_[1]));
      EXPECT_FALSE(Reads(ranges_[2]));
      EXPECT_TRUE(world_.Logged(DamagedAt(2 * kBlock)));
      world_.Stop();
    }
    Restore();
    if (HasFailure()) return;
  }
}

// The medium may as well have lost a write: zeros are padding only where padding can be.
TEST_F(PayloadRotTest, ZerosInThePlaceOfASyncedBlockAreDamage) {
  world_.disk.Overwrite(path_, kBlock, std::string(kBlock, '\0'));
  world_.Open();
  EXPECT_TRUE(world_.Logged(DamagedAt(kBlock)));
  EXPECT_TRUE(Reads(ranges_[0]) && Reads(ranges_[2]));
  EXPECT_FALSE(Reads(ranges_[1]));
  world_.Stop();
}

TEST_F(PayloadRotTest, AFileWithDamageIsNeverRemovedNorRewritten) {
  world_.options.compact_live_percent = 100;
  world_.disk.FlipBit(path_, (kBlock + 8) * 8);
  for (int opening = 0; opening < 3; ++opening) {
    world_.Open();
    EXPECT_TRUE(world_.Logged(DamagedAt(kBlock)));
    EXPECT_TRUE(world_.found->torn.empty());
    world_.store(kOne).Free(kOne);
    world_.runtime->RunUntilIdle();
    EXPECT_TRUE(world_.disk.Exists(path_));
    EXPECT_EQ(world_.disk.Content(path_).substr(kBlock, kBlock), [this] {
      std::string block = pristine_.substr(kBlock, kBlock);
      block[8] = static_cast<char>(block[8] ^ 1);
      return block;
    }());
    world_.Stop();
  }
}

// Nothing attests the only batch of a file: whether a crash tore it shows when streams are compared
// with what there is.
TEST_F(PayloadRotTest, AFileWithoutAnyWholeBlockStaysUntilNothingIsMissing) {
  world_.disk.Truncate(path_, kBlock);
  world_.disk.FlipBit(path_, 20);
  for (int opening = 0; opening < 2; ++opening) {
    world_.Open();
    EXPECT_EQ(world_.found->torn, std::vector<std::string>{path_});
    EXPECT_FALSE(Reads(ranges_[0]));
    EXPECT_TRUE(world_.Logged(DamagedAt(0)));
    world_.Stop();
    EXPECT_TRUE(world_.disk.Exists(path_));
  }
  world_.Open();
  RemoveTornPayload(world_.runtime->loop(CoreId{0}).disk(), *world_.found, world_.options.log);
  EXPECT_FALSE(world_.disk.Exists(path_));
  world_.Stop();
}

TEST_F(PayloadRotTest, AFileOfZerosHoldsNothingAndGoes) {
  world_.disk.Truncate(path_, 0);
  world_.disk.Overwrite(path_, 0, std::string(kBlock, '\0'));
  world_.Open();
  EXPECT_TRUE(world_.Files().empty());
  EXPECT_TRUE(world_.log.empty());
  world_.Stop();
}

TEST_F(PayloadRotTest, WhatTheLogHasYetTakesTheDamagesPlace) {
  world_.disk.FlipBit(path_, (100 + 66) * 8);  // A sound header, damaged bytes.
  world_.Open();
  EXPECT_FALSE(Reads(ranges_[0]));
  ASSERT_TRUE(world_.Write(kOne, 0, {std::string(100, 'a'), std::string(200, 'a')}).ok());
  EXPECT_TRUE(Reads(ranges_[0]));
  EXPECT_EQ(world_.ReadAll(kOne, 0), ranges_[0].bytes + ranges_[2].bytes);
  world_.Crash();
  world_.Open();
  EXPECT_EQ(world_.ReadAll(kOne, 0), ranges_[0].bytes + ranges_[2].bytes);
  world_.Stop();
}

// Nothing is known of a block that a footer lists until it is read.
TEST_F(PayloadRotTest, WhatIsWrittenAgainIsServedThoughAnOlderBlockHoldsMore) {
  world_.Open();
  world_.Stop();  // With a footer.
  world_.disk.FlipBit(path_, (150 + 66) * 8);
  world_.Open();
  ASSERT_TRUE(world_.Write(kOne, 100, {std::string(100, 'a')}).ok());
  Result<PayloadSlice> slice = world_.Read(kOne, 100, 100);
  ASSERT_TRUE(slice.ok()) << slice.status().ToString();
  EXPECT_EQ(PayloadWorld::Text(*slice), std::string(100, 'a'));
  EXPECT_EQ(world_.Read(kOne, 0, 10).status().code(), StatusCode::kDataLoss);
  ASSERT_TRUE(world_.Write(kOne, 0, {std::string(100, 'a')}).ok());
  ASSERT_TRUE(world_.Write(kOne, 200, {std::string(100, 'a')}).ok());
  EXPECT_EQ(world_.ReadAll(kOne, 0), ranges_[0].bytes + ranges_[2].bytes);
  world_.Crash();
  world_.Open();
  EXPECT_EQ(world_.ReadAll(kOne, 0), ranges_[0].bytes + ranges_[2].bytes);
  world_.Stop();
}

TEST_F(PayloadRotTest, WhatARemovedFileHeldIsLost) {
  ASSERT_TRUE(world_.disk.Exists(path_));
  world_.Open();
  world_.Stop();
  world_.Open();
  ASSERT_TRUE(world_.runtime->loop(CoreId{0}).disk().RemoveNow(path_).ok());
  EXPECT_FALSE(Reads(ranges_[0]));  // Under a running store.
  EXPECT_TRUE(world_.Logged(path_ + ": missing"));
  world_.Stop();
  world_.Open();
  for (const Range& range : ranges_) EXPECT_FALSE(Reads(range));
  EXPECT_TRUE(world_.Logged("in no payload file"));
  world_.Stop();
}

}  // namespace
}  // namespace ursula::storage
