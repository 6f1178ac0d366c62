// What a scrub finds in payload files, log segments and snapshots, and what it leaves alone.

#include "lib/storage/scrub.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/storage/file_check.h"
#include "lib/storage/snapshot_store.h"
#include "tests/unit/storage/payload_world.h"
#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// One round from now on, as fast as the disk is.
void ScrubOnce(io::Loop* loop, ScrubTarget* target) {
  target->BeginRound(0);
  for (bool over = false; !over;) {
    std::optional<uint64_t> bytes;
    target->CheckNext([&](uint64_t read) { bytes = read; });
    EXPECT_FALSE(bytes.has_value());
    ASSERT_TRUE(
        static_cast<testing::ManualLoop*>(loop)->RunUntil([&] { return bytes.has_value(); }));
    over = *bytes == 0;
  }
  target->EndRound();
}

// ---- payload
// -------------------------------------------------------------------------------------

struct Damages final : PayloadWatcher {
  void OnPayloadDamaged(const PayloadDamage& damage) override { all.push_back(damage); }
  std::vector<PayloadDamage> all;
};

class PayloadScrubTest : public ::testing::Test {
 protected:
  static constexpr PayloadKey kKey{GroupId{1}, 10};
  static constexpr uint64_t kBlock = 30'000;

  PayloadScrubTest() {
    world_.Open();
    world_.store(kKey).Watch(kKey.group, &damages_);
  }
  ~PayloadScrubTest() override { world_.store(kKey).Watch(kKey.group, nullptr); }

  static std::string Text(int block) { return std::string(kBlock, static_cast<char>('a' + block)); }
  void Write(int block) {
    ASSERT_TRUE(world_.Write(kKey, kBlock * static_cast<uint64_t>(block), {Text(block)}).ok());
  }
  // A bit of the block's bytes.
  void Rot(int block) {
    for (const std::string& name : world_.Files()) {
      const std::string path = "/data/payload/" + name;
      const std::size_t at = world_.disk.Content(path).find(Text(block));
      if (at == std::string::npos) continue;
      world_.disk.FlipBit(path, (at + 1000) * 8);
      return;
    }
    FAIL() << "block " << block << " is nowhere";
  }
  void Round() { ScrubOnce(&world_.runtime->loop(CoreId{0}), world_.store(kKey).scrub()); }
  void ExpectDamaged(std::vector<int> blocks) {
    ASSERT_EQ(damages_.all.size(), blocks.size());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(damages_.all[i].key, kKey);
      EXPECT_EQ(damages_.all[i].from, kBlock * static_cast<uint64_t>(blocks[i]));
      EXPECT_EQ(damages_.all[i].to, damages_.all[i].from + kBlock);
    }
  }

  PayloadWorld world_;
  Damages damages_;
};

TEST_F(PayloadScrubTest, RotIsToldOfFinishedFilesAndOfTheOneThatIsWritten) {
  for (int block = 0; block < 12; ++block) Write(block);
  EXPECT_GE(world_.Files().size(), 2u);
  Round();
  ExpectDamaged({});
  Rot(2);
  Rot(3);
  Rot(11);
  Round();
  ExpectDamaged({2, 3, 11});
  EXPECT_TRUE(world_.Logged(".pay: damaged at offset "));
  EXPECT_EQ(world_.store(kKey).Find(kKey, 0), 2 * kBlock);
  EXPECT_EQ(world_.store(kKey).FindNext(kKey, 2 * kBlock), 4 * kBlock);
  Round();
  ExpectDamaged({2, 3, 11});  // Once.
}

TEST_F(PayloadScrubTest, WhatIsWrittenAnewHoldsAndTheFileGoesWithoutTheRot) {
  world_.options.compact_live_percent = 85;
  world_.Stop();
  world_.Open();
  world_.store(kKey).Watch(kKey.group, &damages_);
  for (int block = 0; block < 12; ++block) Write(block);
  const std::string first = world_.Files().front();
  Rot(1);
  Round();
  ExpectDamaged({1});
  Write(1);
  world_.runtime->RunUntilIdle();
  EXPECT_EQ(world_.store(kKey).Find(kKey, 0), 12 * kBlock);
  std::string all;
  for (int block = 0; block < 12; ++block) all += Text(block);
  EXPECT_EQ(world_.ReadAll(kKey, 0), all);
  EXPECT_FALSE(world_.disk.Exists("/data/payload/" + first));
  Round();
  ExpectDamaged({1});
}

TEST_F(PayloadScrubTest, WhatNoStreamOwnsIsntLookedAt) {
  for (int block = 0; block < 12; ++block) Write(block);
  Rot(0);
  world_.store(kKey).FreeBefore(kKey, kBlock);
  Round();
  ExpectDamaged({});
}

TEST_F(PayloadScrubTest, AMissingFileIsMissedAsAWhole) {
  for (int block = 0; block < 12; ++block) Write(block);
  const std::string first = "/data/payload/" + world_.Files().front();
  ASSERT_TRUE(world_.runtime->loop(CoreId{0}).disk().RemoveNow(first).ok());
  Round();
  ASSERT_GE(damages_.all.size(), 5u);
  EXPECT_EQ(damages_.all.front().from, 0u);
  EXPECT_TRUE(world_.Logged(first + ": missing"));
}

// An opening would read the whole file, and without its blocks' headers know nothing of them.
TEST_F(PayloadScrubTest, AFileWithARottenFooterIsLeftForAnother) {
  for (int block = 0; block < 12; ++block) Write(block);
  const std::string first = "/data/payload/" + world_.Files().front();
  world_.disk.FlipBit(first, (world_.disk.Content(first).size() - 40) * 8);
  Round();
  world_.runtime->RunUntilIdle();
  ExpectDamaged({});
  EXPECT_TRUE(world_.Logged(first + ": its footer is damaged"));
  EXPECT_EQ(world_.store(kKey).stats().damaged_footers, 1u);
  EXPECT_FALSE(world_.disk.Exists(first));
  EXPECT_EQ(world_.ReadAll(kKey, 0).size(), 12 * kBlock);
  EXPECT_EQ(world_.ReadAll(kKey, 0).find("DATA_LOSS"), std::string::npos);
}

TEST_F(PayloadScrubTest, ItKeepsToItsRateAndToItsTime) {
  for (int block = 0; block < 12; ++block) Write(block);
  auto& loop = world_.runtime->loop(CoreId{0});
  Scrub scrub(&loop, {.bytes_per_second = 36'000, .every_ns = 30 * kSecond},
              {world_.store(kKey).scrub()});
  scrub.Start();
  world_.runtime->AdvanceBy(30 * kSecond);
  EXPECT_EQ(scrub.stats().rounds, 0u);
  world_.runtime->AdvanceBy(5 * kSecond);
  EXPECT_GT(scrub.stats().bytes, 0u);
  EXPECT_LT(scrub.stats().bytes, 2 * kScrubSliceBytes);
  world_.runtime->AdvanceBy(10 * kSecond);  // Ten seconds for it all.
  EXPECT_EQ(scrub.stats().rounds, 1u);
  EXPECT_GE(scrub.stats().bytes, 12 * kBlock);
  const uint64_t bytes = scrub.stats().bytes;
  world_.runtime->AdvanceBy(14 * kSecond);
  EXPECT_EQ(scrub.stats().bytes, bytes);
  world_.runtime->AdvanceBy(20 * kSecond);
  EXPECT_EQ(scrub.stats().rounds, 2u);
  bool stopped = false;
  scrub.Stop([&] { stopped = true; });
  EXPECT_TRUE(world_.runtime->RunUntil([&] { return stopped; }));
}

// ---- the log
// -------------------------------------------------------------------------------------

class LogScrubTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(world_.Open().ok()); }

  void Fill(uint32_t group, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      ASSERT_TRUE(world_.RunUntilDurable(
          world_.AppendEntry(group, ++last_[group], std::string(3000, 'x'))));
    }
  }
  std::string PathOf(std::size_t segment) { return "/data/wal/" + world_.Segments().at(segment); }
  void Round() {
    ScrubOnce(&world_.runtime->loop(CoreId{0}), world_.wal().scrub());
    world_.runtime->RunUntilIdle();
  }
  void ReleaseAll() {
    for (const auto& [group, last] : last_) world_.wal().Release(GroupId{group}, Index{last});
  }

  WalWorld world_;
  std::map<uint32_t, uint64_t> last_;
};

TEST_F(LogScrubTest, AWholeLogIsWhole) {
  Fill(1, 50);
  world_.AppendState(2, "state");
  world_.runtime->RunUntilIdle();
  Round();
  EXPECT_TRUE(world_.probe().pinned.empty());
  ReleaseAll();
  Fill(1, 50);  // In segments that are used again.
  Round();
  EXPECT_TRUE(world_.probe().pinned.empty());
}

TEST_F(LogScrubTest, ARottenSegmentIsToldWithItsGroupsAndGoesOnceTheyHaveLeft) {
  Fill(1, 10);
  Fill(2, 30);
  Fill(3, 1);
  const std::string rotten = PathOf(0);
  world_.disk.FlipBit(rotten, (2 * 4096 + 500) * 8);
  Round();
  EXPECT_TRUE(std::ranges::any_of(world_.log, [&](const std::string& line) {
    return line.starts_with(rotten + ": damaged at offset ");
  })) << ::testing::PrintToString(world_.log);
  EXPECT_EQ(world_.probe().pinned, (std::vector<GroupId>{GroupId{1}, GroupId{2}}));
  ReleaseAll();
  Fill(3, 1);
  world_.runtime->RunUntilIdle();
  EXPECT_FALSE(world_.disk.Exists(rotten));
  world_.Stop();
  ASSERT_TRUE(world_.Open().ok());
}

// It is left for the next one, and what comes meanwhile is lost to nobody.
TEST_F(LogScrubTest, TheNewestSegmentCanRotToo) {
  Fill(1, 3);
  const std::string rotten = PathOf(0);
  world_.disk.FlipBit(rotten, 4096 * 8 + 800);
  Round();
  EXPECT_EQ(world_.probe().pinned, (std::vector<GroupId>{GroupId{1}}));
  Fill(1, 2);
  ReleaseAll();
  Fill(1, 2);
  world_.runtime->RunUntilIdle();
  EXPECT_FALSE(world_.disk.Exists(rotten));
  world_.Crash();
  ASSERT_TRUE(world_.Open().ok());
  ASSERT_FALSE(world_.recorder.records.empty());
  EXPECT_EQ(Raw(world_.recorder.records.back().index), 7u);
}

TEST_F(LogScrubTest, TheNewestSegmentIsLeftThoughNothingIsAppended) {
  world_.AppendState(1, "one");
  ASSERT_TRUE(world_.RunUntilDurable(world_.AppendState(2, "two")));
  const std::string rotten = PathOf(0);
  world_.disk.FlipBit(rotten, 100 * 8);
  Round();
  EXPECT_FALSE(world_.disk.Exists(rotten));
  world_.Stop();
  ASSERT_TRUE(world_.Open().ok());
  EXPECT_EQ(world_.recorder.records.size(), 2u);
}

// ---- what holds, bit by bit
// ----------------------------------------------------------------------

bool Holds(FileCheck* check, std::string_view bytes, std::size_t slice) {
  while (!bytes.empty()) {
    if (!check->Take(bytes.substr(0, slice))) return false;
    bytes.remove_prefix(std::min(slice, bytes.size()));
  }
  return check->Ends();
}

TEST(FileCheckTest, EveryBitOfASegmentButItsPaddingCounts) {
  WalWorld world;
  ASSERT_TRUE(world.Open().ok());
  for (uint64_t i = 1; i <= 3; ++i) {
    world.AppendState(1, "state");
    ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, i, std::string(100, 'x'))));
  }
  const std::string name = world.Segments().front();
  std::string bytes = world.disk.Content("/data/wal/" + name).substr(0, 3 * kWalBlockBytes);
  const SegmentName segment = *ParseSegmentName(name);
  auto holds = [&](std::size_t slice) {
    SegmentCheck check(world.directory->id(), segment, 1);
    return Holds(&check, bytes, slice);
  };
  for (std::size_t slice : {std::size_t{1}, std::size_t{50}, std::size_t{4096}, bytes.size()}) {
    EXPECT_TRUE(holds(slice)) << slice;
  }
  const uint32_t used = kBatchHeaderBytes + 2 * kRecordHeaderBytes + 5 + 100;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const char flip = static_cast<char>(1 << (bit % 8));
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ flip);
    EXPECT_EQ(holds(bytes.size()), bit / 8 % kWalBlockBytes >= used) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ flip);
  }
  bytes.resize(bytes.size() - kWalBlockBytes - 1);
  EXPECT_FALSE(holds(4096)) << "cut off";
}

TEST(FileCheckTest, EveryBitOfASnapshotCounts) {
  testing::FaultDisk disk(1);
  testing::ManualLoop loop(&disk, CoreId{0}, nullptr, 1);
  auto directory = DataDirectory::Open(loop.disk(), "/data", {.group_count_if_new = 1});
  ASSERT_TRUE(directory.ok());
  auto files = SnapshotFiles::Scan(loop.disk(), **directory, {});
  ASSERT_TRUE(files.ok());
  auto store = MakeSnapshotStore(&loop, **directory, {GroupId{0}}, files->get(), {});
  bool written = false;
  SnapshotRecords records;
  for (char key : {'a', 'b', 'c'}) {
    records.push_back({std::string(1, key), Bytes::Copy(std::string(30, key)), false});
  }
  store->Write(GroupId{0}, {Index{3}, Term{1}, "header"}, true, std::move(records),
               [&](const Status& status) { written = status.ok(); });
  ASSERT_TRUE(loop.RunUntil([&] { return written; }));
  const std::string path = "/data/snapshot/" + loop.disk().List("/data/snapshot")->front();
  std::string bytes = disk.Content(path);
  const uint32_t seed = SnapshotSeed((*directory)->id(), {GroupId{0}, 1});
  auto holds = [&](std::size_t slice) {
    SnapshotCheck check(seed);
    return Holds(&check, bytes, slice);
  };
  for (std::size_t slice = 1; slice <= bytes.size(); ++slice) EXPECT_TRUE(holds(slice)) << slice;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const char flip = static_cast<char>(1 << (bit % 8));
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ flip);
    EXPECT_FALSE(holds(bytes.size())) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ flip);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    SnapshotCheck check(seed);
    EXPECT_FALSE(Holds(&check, std::string_view(bytes).substr(0, size), 7)) << size;
  }
  // And the store tells, once for each round, until a base has taken its place.
  std::vector<std::string> told;
  ScrubTarget* scrub =
      store->scrub([&](GroupId, const Status& status) { told.push_back(status.message()); });
  ScrubOnce(&loop, scrub);
  EXPECT_TRUE(told.empty());
  disk.FlipBit(path, 8 * 60);
  ScrubOnce(&loop, scrub);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told.front().starts_with(path + ": damaged at offset ")) << told.front();
  written = false;
  store->Write(GroupId{0}, {Index{4}, Term{1}, "header"}, true, {},
               [&](const Status& status) { written = status.ok(); });
  ASSERT_TRUE(loop.RunUntil([&] { return written; }));
  ScrubOnce(&loop, scrub);
  EXPECT_EQ(told.size(), 1u);
  bool stopped = false;
  store->Stop([&] { stopped = true; });
  ASSERT_TRUE(loop.RunUntil([&] { return stopped; }));
}

}  // namespace
}  // namespace ursula::storage
