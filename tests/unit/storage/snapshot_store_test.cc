#include "lib/storage/snapshot_store.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "lib/base/random.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"

namespace ursula::storage {
namespace {

constexpr GroupId kGroup{3};

// A group's state, as a snapshot's records make it.
struct Loaded final : SnapshotSink {
  Status OnSnapshotFile(const SnapshotMeta& file_meta, bool base) override {
    if (base) values.clear();
    meta = file_meta;
    ++files;
    return {};
  }
  Status OnSnapshotRecord(SnapshotRecord record) override {
    if (record.tombstone) {
      values.erase(record.key);
    } else {
      values[record.key] = std::string(record.value.view());
    }
    return refusal;
  }
  Status refusal;
  SnapshotMeta meta;
  std::map<std::string, std::string> values;
  int files = 0;
};

struct Ended {
  void On(int64_t /*result*/) { ++count; }
  int count = 0;
};

class SnapshotWorld {
 public:
  explicit SnapshotWorld(uint64_t seed = 1, const testing::FaultDisk::Faults& faults = {})
      : disk(seed, faults), seed_(seed) {}
  ~SnapshotWorld() {
    if (store != nullptr) Crash();
  }

  // False: the group has no snapshot.
  Result<bool> Open() {
    loop = std::make_unique<testing::ManualLoop>(&disk, CoreId{0}, nullptr, seed_++);
    Result<std::unique_ptr<DataDirectory>> opened =
        DataDirectory::Open(loop->disk(), "/data", {.group_count_if_new = 4, .id_if_new = 11});
    if (!opened.ok()) return opened.status();
    directory = std::move(*opened);
    LogLine line = [this](LogLevel, std::string_view text) { log.emplace_back(text); };
    auto files = SnapshotFiles::Scan(loop->disk(), *directory, line);
    if (!files.ok()) return files.status();
    loaded = {};
    loaded.refusal = refusal;
    Result<bool> found = (*files)->Load(loop->disk(), kGroup, &loaded);
    rotten = (*files)->rotten();
    if (!found.ok()) {
      directory.reset();
      return found;
    }
    store = MakeSnapshotStore(loop.get(), *directory, {kGroup}, files->get(), line);
    return found;
  }
  void Stop() {
    bool stopped = false;
    store->Stop([&] { stopped = true; });
    EXPECT_TRUE(loop->RunUntil([&] { return stopped; }));
    Destroy();
  }
  void Crash() {
    disk.Crash();
    loop->Crash();
    Destroy();
  }
  Status Write(uint64_t index, bool base, SnapshotRecords records) {
    std::optional<Status> result;
    store->Write(kGroup, {Index{index}, Term{2}, "header" + std::to_string(index)}, base,
                 std::move(records), [&](Status status) { result = std::move(status); });
    EXPECT_TRUE(loop->RunUntil([&] { return result.has_value(); }));
    return *result;
  }
  std::vector<std::string> Files() { return *loop->disk().List("/data/snapshot"); }

  testing::FaultDisk disk;
  std::unique_ptr<testing::ManualLoop> loop;
  std::unique_ptr<DataDirectory> directory;
  std::unique_ptr<SnapshotStore> store;
  Loaded loaded;
  Status refusal;  // Of each record.
  bool rotten = false;
  std::vector<std::string> log;

 private:
  void Destroy() {
    store.reset();
    directory.reset();
  }
  uint64_t seed_;
};

SnapshotRecord Put(std::string key, std::string value) {
  return {std::move(key), Bytes::Take(std::move(value)), false};
}
SnapshotRecord Remove(std::string key) { return {std::move(key), {}, true}; }

TEST(SnapshotStoreTest, NothingIsOpenedOrReadInALoopsTurn) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  world.disk.SetWatcher([] { ADD_FAILURE() << "a call that blocks"; });
  for (uint64_t index = 1; index <= 4; ++index) {
    SnapshotRecords records;
    records.push_back(Put("k", std::to_string(index)));
    EXPECT_TRUE(world.Write(index, index % 2 == 1, std::move(records)).ok());
  }
  world.loop->RunUntilIdle();  // What was replaced is removed.
  world.disk.SetWatcher({});
  EXPECT_EQ(world.Files().size(), 2u);
  world.Stop();
}

TEST(SnapshotStoreTest, ItsBytesOnDiskAreThoseOfItsFiles) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  auto agrees = [&] {
    world.loop->RunUntilIdle();  // What was replaced is removed.
    uint64_t bytes = 0;
    for (const std::string& name : world.Files()) {
      bytes += world.disk.Content("/data/snapshot/" + name).size();
    }
    return bytes == world.store->stats().disk_bytes;
  };
  EXPECT_TRUE(agrees());
  for (uint64_t index = 1; index <= 7; ++index) {
    SnapshotRecords records;
    records.push_back(Put("k" + std::to_string(index), std::string(1000 * index, 'x')));
    ASSERT_TRUE(world.Write(index, index % 3 == 1, std::move(records)).ok());
    EXPECT_GT(world.store->stats().disk_bytes, 1000 * index);
    EXPECT_TRUE(agrees()) << index;
  }
  world.disk.FailWrite(1, ENOSPC);
  SnapshotRecords records;
  records.push_back(Put("k", "refused"));
  EXPECT_FALSE(world.Write(8, false, std::move(records)).ok());
  EXPECT_TRUE(agrees());
  world.Stop();
  ASSERT_TRUE(*world.Open());
  EXPECT_TRUE(agrees());
}

TEST(SnapshotStoreTest, ABaseAndItsDeltasAreGivenInOrder) {
  SnapshotWorld world;
  EXPECT_FALSE(*world.Open());
  ASSERT_TRUE(world.Write(10, true, {Put("a", "1"), Put("b", "1")}).ok());
  ASSERT_TRUE(world.Write(20, false, {Put("a", "2"), Put("c", "2")}).ok());
  ASSERT_TRUE(world.Write(30, false, {Remove("b")}).ok());
  EXPECT_EQ(world.store->chain(kGroup).files, 3u);
  EXPECT_GT(world.store->chain(kGroup).base_bytes, 0u);
  world.Crash();
  ASSERT_TRUE(*world.Open());
  EXPECT_EQ(world.loaded.values, (std::map<std::string, std::string>{{"a", "2"}, {"c", "2"}}));
  EXPECT_EQ(world.loaded.files, 3);
  EXPECT_EQ(world.loaded.meta.index, Index{30});
  EXPECT_EQ(world.loaded.meta.term, Term{2});
  EXPECT_EQ(world.loaded.meta.header, "header30");
  EXPECT_EQ(world.store->chain(kGroup).files, 3u);
  world.Stop();
}

TEST(SnapshotStoreTest, ABaseRemovesWhatItReplaces) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Write(10, true, {Put("a", "1")}).ok());
  ASSERT_TRUE(world.Write(20, false, {Put("b", "2")}).ok());
  ASSERT_TRUE(world.Write(30, true, {Put("c", "3")}).ok());
  world.loop->RunUntilIdle();
  EXPECT_EQ(world.Files().size(), 1u);
  world.Stop();
  ASSERT_TRUE(*world.Open());
  EXPECT_EQ(world.loaded.values, (std::map<std::string, std::string>{{"c", "3"}}));
  world.Stop();
}

TEST(SnapshotStoreTest, ManyAndBigRecordsComeBackWhole) {
  SnapshotWorld world(3, {.short_write = 0.3});
  ASSERT_TRUE(world.Open().ok());
  SnapshotRecords records;
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 2000; ++i) {
    std::string key = "key" + std::to_string(i);
    std::string value(static_cast<std::size_t>(i % 700), static_cast<char>('a' + i % 26));
    expected[key] = value;
    records.push_back(Put(key, value));
  }
  expected["big"] = std::string(1 << 20, 'B');
  records.push_back(Put("big", expected["big"]));
  ASSERT_TRUE(world.Write(1, true, std::move(records)).ok());
  world.Stop();
  ASSERT_TRUE(*world.Open());
  EXPECT_EQ(world.loaded.values, expected);
  world.Stop();
}

TEST(SnapshotStoreTest, ADeltaNeedsABase) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.Write(10, false, {Put("a", "1")}).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(world.Files().empty());
  world.Stop();
}

TEST(SnapshotStoreTest, AFailureChangesNothingAndLeavesNoFile) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Write(10, true, {Put("a", "1")}).ok());
  world.disk.FailWrite(1, ENOSPC);
  EXPECT_EQ(world.Write(20, false, {Put("a", "2")}).code(), StatusCode::kStorageFull);
  world.disk.FailSync(1, EIO);
  EXPECT_EQ(world.Write(20, true, {Put("a", "2")}).code(), StatusCode::kIoError);
  EXPECT_EQ(world.Files().size(), 1u);
  ASSERT_TRUE(world.Write(30, false, {Put("b", "3")}).ok());
  world.Stop();
  ASSERT_TRUE(*world.Open());
  EXPECT_EQ(world.loaded.values, (std::map<std::string, std::string>{{"a", "1"}, {"b", "3"}}));
  world.Stop();
}

TEST(SnapshotStoreTest, StopCancelsWhatWaitsAndEndsWhatIsUnderWay) {
  SnapshotWorld world(1, {.latency_min_ns = 1000, .latency_max_ns = 1000});
  ASSERT_TRUE(world.Open().ok());
  std::vector<StatusCode> codes;
  for (int i = 0; i < 3; ++i) {
    world.store->Write(kGroup, {Index{1}, Term{1}, ""}, true, {Put("a", "1")},
                       [&](Status status) { codes.push_back(status.code()); });
  }
  world.loop->RunTurn();
  world.Stop();
  EXPECT_EQ(codes, (std::vector<StatusCode>{StatusCode::kCancelled, StatusCode::kCancelled,
                                            StatusCode::kOk}));
  EXPECT_TRUE(*world.Open());
  world.Stop();
}

TEST(SnapshotStoreTest, EachFlippedBitIsDataLossWithTheFile) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Write(10, true, {Put("a", "value one"), Remove("b")}).ok());
  ASSERT_TRUE(world.Write(11, false, {Put("c", "value two")}).ok());
  world.Stop();
  for (const std::string& leaf : world.Files()) {
    const std::string path = "/data/snapshot/" + leaf;
    const uint64_t bits = world.disk.Content(path).size() * 8;
    for (uint64_t bit = 0; bit < bits; ++bit) {
      world.disk.FlipBit(path, bit);
      Result<bool> opened = world.Open();
      ASSERT_FALSE(opened.ok()) << "bit " << bit;
      ASSERT_EQ(opened.status().code(), StatusCode::kDataLoss);
      // Magic that a later release may write: nothing sums it.
      ASSERT_EQ(world.rotten, bit >= 32) << "bit " << bit;
      ASSERT_NE(opened.status().message().find(path), std::string::npos);
      ASSERT_NE(opened.status().message().find("offset"), std::string::npos);
      world.disk.FlipBit(path, bit);
    }
  }
}

TEST(SnapshotStoreTest, AMissingFileOfTheChainIsDataLoss) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Write(10, true, {Put("a", "1")}).ok());
  ASSERT_TRUE(world.Write(11, false, {Put("b", "1")}).ok());
  world.Stop();
  ASSERT_TRUE(world.loop->disk().RemoveNow("/data/snapshot/" + world.Files().front()).ok());
  EXPECT_EQ(world.Open().status().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(world.rotten);
}

TEST(SnapshotStoreTest, WhatHoldsAndIsNotUnderstoodIsNotRotten) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Write(10, true, {Put("a", "1")}).ok());
  world.Stop();
  world.refusal = Status(StatusCode::kDataLoss, "a record is malformed");
  EXPECT_EQ(world.Open().status().code(), StatusCode::kDataLoss);
  EXPECT_FALSE(world.rotten);
}

TEST(SnapshotStoreTest, AKindThatALaterReleaseWritesIsNotRotten) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Write(10, true, {Put("a", "1")}).ok());
  const uint32_t seed = SnapshotSeed(world.directory->id(), {kGroup, 1});
  world.Stop();
  const std::string path = "/data/snapshot/" + world.Files().front();
  const std::string was = world.disk.Content(path);
  const uint64_t end = was.size() - kSnapshotFrameHeaderBytes - EncodeSnapshotEnd(1).size();
  std::string now = was.substr(0, end);
  AppendSnapshotFrame(&now, static_cast<SnapshotFrameKind>(7), EncodeSnapshotEnd(1), seed, end);
  ASSERT_EQ(now.size(), was.size());
  world.disk.Overwrite(path, 0, now);
  Status opened = world.Open().status();
  EXPECT_EQ(opened.code(), StatusCode::kDataLoss);
  EXPECT_NE(opened.message().find("at offset " + std::to_string(end)), std::string::npos);
  EXPECT_FALSE(world.rotten);
  world.disk.FlipBit(path, end * 8 + 1);  // Another kind, and none that was written.
  EXPECT_EQ(world.Open().status().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(world.rotten);
}

// A second reading through it would be the first one's bytes again.
TEST(SnapshotStoreTest, FilesAreReadPastTheCache) {
  SnapshotWorld world;
  ASSERT_TRUE(world.Open().ok());
  ASSERT_TRUE(world.Write(10, true, {Put("a", "1")}).ok());
  world.Stop();
  const std::string path = "/data/snapshot/" + world.Files().front();
  const std::string wrong(8, 'x');
  {
    auto file = world.loop->disk().Open(path, {.write = true});
    ASSERT_TRUE(file.ok());
    Ended ended;
    io::Op op;
    (*file)->Write(16, wrong, op.Then<&Ended::On>(&ended));
    ASSERT_TRUE(world.loop->RunUntil([&] { return ended.count == 1; }));
    world.disk.FailSync(1, EIO);
    (*file)->Sync(op.Then<&Ended::On>(&ended));
    ASSERT_TRUE(world.loop->RunUntil([&] { return ended.count == 2; }));
  }
  ASSERT_NE(world.disk.Content(path), world.disk.Durable(path));
  EXPECT_TRUE(world.Open().ok());
  EXPECT_EQ(world.loaded.values.size(), 1u);
}

// A crash at any moment leaves the state after the last reported snapshot, or after a later one.
TEST(SnapshotStoreTest, ACrashLeavesOneWholeSnapshotNotOlderThanTheLastReported) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    Random random(seed);
    SnapshotWorld world(seed, {.short_write = 0.1, .latency_min_ns = 1000, .latency_max_ns = 9000});
    std::map<uint64_t, std::map<std::string, std::string>> states;  // By index.
    std::map<std::string, std::string> state;
    uint64_t reported = 0;
    uint64_t index = 0;
    for (int opening = 0; opening < 8; ++opening) {
      Result<bool> opened = world.Open();
      ASSERT_TRUE(opened.ok()) << opened.status().ToString();
      if (*opened) {
        const uint64_t found = Raw(world.loaded.meta.index);
        ASSERT_GE(found, reported);
        ASSERT_EQ(world.loaded.values, states[found]);
        reported = found;
        state = world.loaded.values;
      } else {
        ASSERT_EQ(reported, 0u);
        state.clear();
      }
      bool base = reported == 0;
      for (uint64_t writes = random.Below(6); writes > 0; --writes) {
        SnapshotRecords records;
        for (uint64_t changes = random.Below(5); changes > 0; --changes) {
          std::string key = "k" + std::to_string(random.Below(8));
          if (random.OneIn(4)) {
            state.erase(key);
            records.push_back(Remove(key));
          } else {
            state[key] = std::to_string(random.Next());
            records.push_back(Put(key, state[key]));
          }
        }
        if (base || random.OneIn(4)) {
          records.clear();
          for (const auto& [key, value] : state) records.push_back(Put(key, value));
          base = true;
        }
        states[++index] = state;
        world.store->Write(kGroup, {Index{index}, Term{1}, ""}, base, std::move(records),
                           [&reported, at = index](Status status) {
                             if (status.ok()) reported = at;
                           });
        base = false;
        world.loop->AdvanceBy(random.Below(60'000));
      }
      random.OneIn(5) ? world.Stop() : world.Crash();
    }
  }
}

TEST(MemorySnapshotStoreTest, ABaseIsAskedForOnceAndThenWhatHasChanged) {
  testing::ManualLoop loop;
  auto store = MakeMemorySnapshotStore(&loop);
  EXPECT_EQ(store->chain(GroupId{1}).files, 0u);
  int written = 0;
  for (bool base : {true, false, false}) {
    store->Write(GroupId{1}, {}, base, {}, [&](Status status) { written += status.ok(); });
    loop.RunUntilIdle();
    EXPECT_EQ(store->chain(GroupId{1}).files, 1u);
    EXPECT_EQ(store->chain(GroupId{1}).delta_bytes, 0u);
  }
  EXPECT_EQ(written, 3);
  EXPECT_EQ(store->chain(GroupId{2}).files, 0u);
}

}  // namespace
}  // namespace ursula::storage
