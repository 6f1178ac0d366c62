#include "tests/support/power_disk.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

namespace ursula::testing {
namespace {

constexpr uint64_t kSector = PowerDisk::kSectorBytes;
constexpr uint64_t kBlock = PowerDisk::kBlockBytes;

std::string ReadAll(PowerDisk& disk) {
  std::string bytes(static_cast<std::size_t>(disk.bytes()), '?');
  EXPECT_EQ(disk.Read(0, bytes), static_cast<int64_t>(bytes.size()));
  return bytes;
}

void Put(PowerDisk* disk, uint64_t offset, std::size_t size, char fill) {
  ASSERT_EQ(disk->Write(offset, std::string(size, fill)), static_cast<int64_t>(size));
}

TEST(PowerDiskTest, ReadsSeeTheCacheAtAnyOffset) {
  PowerDisk disk(4 * kBlock);
  Put(&disk, 0, kBlock, 'a');
  EXPECT_EQ(disk.Flush(), 0);
  Put(&disk, kSector, kSector, 'b');
  std::string bytes(4, '?');
  EXPECT_EQ(disk.Read(kSector - 2, bytes), 4);
  EXPECT_EQ(bytes, "aabb");
  EXPECT_EQ(disk.Read(2 * kSector - 2, bytes), 4);
  EXPECT_EQ(bytes, "bbaa");
}

TEST(PowerDiskTest, ACutLosesWhatWasNotFlushedAndNothingElse) {
  PowerDisk disk(16 * kBlock);
  Put(&disk, 0, kBlock, 'a');
  ASSERT_EQ(disk.Flush(), 0);
  Put(&disk, kBlock, kSector, 'b');  // One sector: it can't be torn.
  disk.Cut(0, 1);
  std::string bytes(1, '?');
  EXPECT_EQ(disk.Read(0, bytes), -EIO);
  EXPECT_EQ(disk.Write(0, std::string(kSector, 'c')), -EIO);
  EXPECT_EQ(disk.Flush(), -EIO);
  disk.PowerOn();
  EXPECT_EQ(ReadAll(disk), std::string(kBlock, 'a') + std::string(15 * kBlock, '\0'));
}

TEST(PowerDiskTest, ACutKeepsAnySubsetOfTheSectorsAndReplaysFromItsSeed) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::string first;
    for (int again = 0; again < 2; ++again) {
      PowerDisk disk(kBlock);
      for (uint64_t sector = 0; sector < 3; ++sector) Put(&disk, sector * kSector, kSector, 'x');
      disk.Cut(0.5, seed);
      disk.PowerOn();
      const std::string bytes = ReadAll(disk);
      if (again == 0) first = bytes;
      EXPECT_EQ(bytes, first);
      seen.insert(bytes);
    }
  }
  EXPECT_EQ(seen.size(), 8u);
}

TEST(PowerDiskTest, OneWriteIsTornAndOnlyTheLaterHalfOfABlockInsideASector) {
  std::set<std::size_t> lengths;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    PowerDisk disk(2 * kBlock);
    Put(&disk, 0, kBlock, 'o');
    ASSERT_EQ(disk.Flush(), 0);
    Put(&disk, 0, kBlock, 'n');
    disk.Cut(seed % 2 == 0 ? 0 : 1, seed);
    disk.PowerOn();
    const std::string bytes = ReadAll(disk).substr(0, kBlock);
    const std::size_t length = bytes.find('o');
    ASSERT_NE(length, std::string::npos) << "not torn, seed=" << seed;
    EXPECT_EQ(bytes.find('n', length), std::string::npos) << "seed=" << seed;
    EXPECT_GE(length, kSector);
    if (length < kBlock / 2) {
      EXPECT_EQ(length % kSector, 0u) << "seed=" << seed;
    }
    lengths.insert(length);
  }
  EXPECT_EQ(lengths.size(), 7u);
  EXPECT_TRUE(lengths.contains(kBlock / 2 + kSector / 2));
}

TEST(PowerDiskTest, ADiskThatLiesAnswersFlushesAndLosesItsCache) {
  PowerDisk disk(2 * kBlock);
  Put(&disk, 0, kBlock, 'a');
  ASSERT_EQ(disk.Flush(), 0);
  ASSERT_TRUE(disk.Command("lie"));
  Put(&disk, 0, 2 * kBlock, 'b');
  EXPECT_EQ(disk.Flush(), 0);
  EXPECT_EQ(ReadAll(disk), std::string(2 * kBlock, 'b'));
  ASSERT_TRUE(disk.Command("cut 1 7\n"));
  ASSERT_TRUE(disk.Command("on"));
  EXPECT_EQ(ReadAll(disk), std::string(kBlock, 'a') + std::string(kBlock, '\0'));
  EXPECT_NE(disk.Report().find("kept=0 lost=16 torn=0"), std::string::npos) << disk.Report();
}

TEST(PowerDiskTest, ACutAtAFlushWaitsForOneWithSomethingToLose) {
  PowerDisk disk(kBlock);
  ASSERT_TRUE(disk.Command("cut-at-flush 0 1"));
  EXPECT_EQ(disk.Flush(), 0);
  Put(&disk, 0, kSector, 'a');
  EXPECT_EQ(disk.Flush(), -EIO);
  EXPECT_NE(disk.Report().find("off=1"), std::string::npos) << disk.Report();
  disk.PowerOn();
  EXPECT_EQ(ReadAll(disk), std::string(kBlock, '\0'));
  Put(&disk, 0, kSector, 'a');
  EXPECT_EQ(disk.Flush(), 0);  // Only once.
}

TEST(PowerDiskTest, FaultsLastUntilThePowerIsBack) {
  PowerDisk disk(kBlock);
  std::string bytes(kSector, 'x');
  ASSERT_TRUE(disk.Command("fail writes"));
  EXPECT_EQ(disk.Write(0, bytes), -EIO);
  EXPECT_EQ(disk.Flush(), 0);
  ASSERT_TRUE(disk.Command("fail reads"));
  EXPECT_EQ(disk.Read(0, bytes), -EIO);
  ASSERT_TRUE(disk.Command("fail flushes"));
  EXPECT_EQ(disk.Flush(), -EIO);
  ASSERT_TRUE(disk.Command("on"));
  EXPECT_EQ(disk.Write(0, bytes), static_cast<int64_t>(kSector));
  EXPECT_EQ(disk.Flush(), 0);
  EXPECT_EQ(disk.Read(0, bytes), static_cast<int64_t>(kSector));
}

TEST(PowerDiskTest, RefusesPartsOfSectorsWhatIsPastItsEndAndUnknownCommands) {
  PowerDisk disk(kBlock);
  EXPECT_EQ(disk.Write(1, std::string(kSector, 'x')), -EINVAL);
  EXPECT_EQ(disk.Write(0, std::string(1, 'x')), -EINVAL);
  EXPECT_EQ(disk.Write(kBlock, std::string(kSector, 'x')), -ENOSPC);
  for (const char* line : {"", "cut", "cut 1", "fail", "fail everything", "off"}) {
    EXPECT_FALSE(disk.Command(line)) << line;
  }
}

}  // namespace
}  // namespace ursula::testing
