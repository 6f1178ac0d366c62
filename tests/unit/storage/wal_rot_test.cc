// Damage on the platter: each bit of a small closed log.

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/storage/wal_world.h"

namespace ursula::storage {
namespace {

// A disk whose files can't be read.
class UnreadableDisk final : public io::Disk {
 public:
  explicit UnreadableDisk(io::Disk* disk) : disk_(*disk) {}
  uint32_t block_bytes() const override { return disk_.block_bytes(); }
  Result<std::unique_ptr<io::File>> Open(const std::string& path,
                                         const io::OpenOptions& options) override {
    auto opened = disk_.Open(path, options);
    if (!opened.ok()) return opened;
    return std::unique_ptr<io::File>(std::make_unique<Unreadable>(std::move(*opened)));
  }
  Result<std::vector<std::string>> List(const std::string& path) override {
    return disk_.List(path);
  }
  Status MakeDirectory(const std::string& path) override { return disk_.MakeDirectory(path); }
  Result<uint64_t> FreeBytes(const std::string& path) override { return disk_.FreeBytes(path); }
  Result<std::shared_ptr<void>> Lock(const std::string& path) override { return disk_.Lock(path); }
  Result<std::shared_ptr<const io::FileIdentity>> Hold(const std::string& path) override {
    return disk_.Hold(path);
  }
  Status RemoveNow(const std::string& path) override { return disk_.RemoveNow(path); }
  Status RenameNow(const std::string& from, const std::string& to) override {
    return disk_.RenameNow(from, to);
  }
  Status SyncDirectoryNow(const std::string& path) override { return disk_.SyncDirectoryNow(path); }
  void Open(const std::string& path, const io::OpenOptions& options,
            std::unique_ptr<io::File>* into, io::Op* op) override {
    disk_.Open(path, options, into, op);
  }
  void Identify(const std::string& path, io::FileIdentity* into, io::Op* op) override {
    disk_.Identify(path, into, op);
  }
  void Remove(const std::string& path, io::Op* op) override { disk_.Remove(path, op); }
  void Rename(const std::string& from, const std::string& to, io::Op* op) override {
    disk_.Rename(from, to, op);
  }
  void SyncDirectory(const std::string& path, io::Op* op) override {
    disk_.SyncDirectory(path, op);
  }

 private:
  class Unreadable final : public io::File {
   public:
    explicit Unreadable(std::unique_ptr<io::File> file) : file_(std::move(file)) {}
    bool direct() const override { return file_->direct(); }
    uint64_t size() const override { return file_->size(); }
    void Read(uint64_t offset, std::span<char> into, io::Op* op) override {
      file_->Read(offset, into, op);
    }
    void Write(uint64_t offset, std::span<const char> from, io::Op* op) override {
      file_->Write(offset, from, op);
    }
    void Sync(io::Op* op) override { file_->Sync(op); }
    void Allocate(uint64_t size, io::Op* op) override { file_->Allocate(size, op); }
    int64_t ReadNow(uint64_t, std::span<char>) override { return -EIO; }
    int64_t WriteSyncedNow(uint64_t offset, std::span<const char> from) override {
      return file_->WriteSyncedNow(offset, from);
    }

   private:
    std::unique_ptr<io::File> file_;
  };

  io::Disk& disk_;
};

class WalRotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    world_.options.segment_bytes = 16 << 10;  // Two batches and the seal, one block each.
    ASSERT_TRUE(world_.Open().ok());
    ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, 1, "the first entry")));
    world_.AppendState(1, "a vote");
    ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(2, 1, "the second entry")));
    world_.Stop();
    name_ = "/data/wal/" + world_.Segments().front();
    expected_ = {"entry 1 1 1 the first entry", "state 1 0 1 a vote",
                 "entry 2 1 1 the second entry"};
  }
  // Reads the log and nothing else: no new log is started.
  Status Read(bool readable = true, RecoverySink* sink = nullptr) {
    Status opened = world_.OpenDirectory();
    if (!opened.ok()) return opened;
    world_.recorder.records.clear();
    if (sink == nullptr) sink = &world_.recorder;
    io::Disk& disk = world_.runtime->loop(CoreId{0}).disk();
    UnreadableDisk unreadable(&disk);
    Result<RecoveredLogs> recovered =
        RecoverLogs(readable ? disk : static_cast<io::Disk&>(unreadable), *world_.directory, sink,
                    {}, nullptr, &rotten_);
    world_.directory.reset();
    return recovered.status();
  }
  WalWorld world_;
  std::string name_;
  std::vector<std::string> expected_;
  bool rotten_ = false;
};

TEST_F(WalRotTest, NoFlippedBitLosesARecordOrChangesOne) {
  int refused = 0;
  const std::string pristine = world_.disk.Content(name_);
  for (uint64_t block = 0; block < 3; ++block) {
    // All of the header and records, and a sample of the padding.
    for (uint64_t bit = 0; bit < 8 * 4096; bit += bit < 8 * 200 ? 1 : 997) {
      world_.disk.FlipBit(name_, block * 8 * 4096 + bit);
      Status status = Read();
      if (status.ok()) {
        ASSERT_EQ(world_.recorder.Texts(), expected_) << "block " << block << " bit " << bit;
        ASSERT_FALSE(rotten_);
      } else {
        ASSERT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
        ASSERT_TRUE(rotten_);
        ASSERT_NE(status.message().find(name_), std::string::npos) << status.message();
        ++refused;
      }
      world_.disk.Overwrite(name_, 0, pristine);
    }
  }
  // Everything in the two batches that isn't padding.
  EXPECT_GT(refused, 8 * 2 * 100);
}

// It may be read another time.
TEST_F(WalRotTest, WhatCantBeReadIsNotRotten) {
  rotten_ = true;
  EXPECT_EQ(Read(false).code(), StatusCode::kIoError);
  EXPECT_FALSE(rotten_);
}

// Its checksums hold: another release wrote it, or this one has a bug.
TEST_F(WalRotTest, WhatIsNotUnderstoodIsNotRotten) {
  class Refuses final : public RecoverySink {
    Status OnRecord(RecoveredRecord) override {
      return Status(StatusCode::kDataLoss, "a record is malformed");
    }
  };
  Refuses sink;
  rotten_ = true;
  EXPECT_EQ(Read(true, &sink).code(), StatusCode::kDataLoss);
  EXPECT_FALSE(rotten_);
}

// Its last batch, which nothing says was synced.
TEST_F(WalRotTest, ATornEndIsNotRotten) {
  ASSERT_TRUE(world_.Open().ok());
  ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, 1, "torn")));
  world_.Crash();
  const std::string path = "/data/wal/" + FormatSegmentName({MakeLogId(2, 0), 0});
  const std::size_t last = world_.disk.Content(path).rfind("UWB1");
  ASSERT_NE(last, std::string::npos);
  world_.disk.FlipBit(path, 8 * (last + 8));
  EXPECT_TRUE(Read().ok());
  EXPECT_FALSE(rotten_);
}

TEST_F(WalRotTest, TheMessageNamesTheDamagedRecordsOffset) {
  world_.disk.FlipBit(name_, 8 * (4096 + 64 + 32 + 2));
  Status status = Read();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("offset 4160"), std::string::npos) << status.message();
}

TEST_F(WalRotTest, ALostBlockOfZerosIsRotWhenItIsAttested) {
  world_.disk.Overwrite(name_, 0, std::string(4096, '\0'));
  EXPECT_EQ(Read().code(), StatusCode::kDataLoss);
}

TEST_F(WalRotTest, AFileThatShrankIsRot) {
  world_.options.segment_bytes = 64 << 10;
  ASSERT_TRUE(world_.Open().ok());
  for (uint64_t i = 2; i < 60; ++i) {
    ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, i, std::string(3000, 'x'))));
  }
  world_.Stop();
  std::vector<std::string> names = world_.Segments();
  ASSERT_GE(names.size(), 4u);
  world_.disk.Truncate("/data/wal/" + names[2], 8192);
  EXPECT_EQ(Read().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(rotten_);
  ASSERT_TRUE(world_.OpenDirectory().ok());
  ASSERT_TRUE(world_.runtime->loop(CoreId{0}).disk().RemoveNow("/data/wal/" + names[2]).ok());
  world_.directory.reset();
  EXPECT_EQ(Read().code(), StatusCode::kDataLoss);  // A hole.
  EXPECT_TRUE(rotten_);
}

TEST_F(WalRotTest, ARecordInThePlaceOfAnotherOfItsBatchIsRot) {
  ASSERT_TRUE(world_.Open().ok());
  ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, 1, "by itself")));
  const uint64_t before = world_.wal().stats().batches;
  world_.AppendEntry(1, 2, "one record");
  world_.AppendEntry(1, 3, "another it");
  ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, 4, "a third of")));
  ASSERT_EQ(world_.wal().stats().batches, before + 1);
  world_.Stop();
  const std::string path = "/data/wal/" + FormatSegmentName({MakeLogId(2, 0), 0});
  const std::string bytes = world_.disk.Content(path);
  const std::size_t first = bytes.find("one record") - kRecordHeaderBytes;
  const std::size_t second = bytes.find("another it") - kRecordHeaderBytes;
  ASSERT_EQ(second, first + kRecordHeaderBytes + 10);
  world_.disk.Overwrite(path, second, bytes.substr(first, second - first));
  const Status status = Read();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find(path), std::string::npos) << status.message();
}

TEST_F(WalRotTest, TheDamagedBeginningOfASegmentIsNamedByItsOwnFile) {
  ASSERT_TRUE(world_.Open().ok());
  for (uint64_t i = 2; i < 12; ++i) {  // Each fills a block, and four a segment.
    ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, i, std::string(3000, 'x'))));
  }
  world_.Stop();
  const std::string path = "/data/wal/" + FormatSegmentName({MakeLogId(2, 0), 1});
  ASSERT_TRUE(world_.disk.Exists(path));
  world_.disk.FlipBit(path, 0);
  const Status status = Read();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find(path + ": damaged at offset 0,"), std::string::npos)
      << status.message();
}

TEST_F(WalRotTest, TheDamagedEndOfASegmentIsNamedByItsOwnFile) {
  ASSERT_TRUE(world_.Open().ok());
  for (uint64_t i = 2; i < 6; ++i) {  // The vote comes first: the last one begins a segment.
    ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, i, std::string(3000, 'x'))));
  }
  world_.Crash();
  const std::string full = "/data/wal/" + FormatSegmentName({MakeLogId(2, 0), 0});
  const std::string next = "/data/wal/" + FormatSegmentName({MakeLogId(2, 0), 1});
  world_.disk.FlipBit(next, 8 * 200);  // As if the crash had torn it.
  ASSERT_TRUE(world_.Open().ok());
  ASSERT_GT(world_.cut_bytes, 0u);
  world_.Stop();
  world_.disk.FlipBit(full, 8 * 3 * 4096);
  const Status status = Read();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find(full + ": damaged at offset 12288,"), std::string::npos)
      << status.message();
}

// The log goes on behind it as it would behind the place where it belongs.
TEST_F(WalRotTest, ABatchInThePlaceOfTheFirstOneIsRot) {
  ASSERT_TRUE(world_.Open().ok());
  for (uint64_t i = 2; i < 14; ++i) {  // Four a segment.
    ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, i, std::string(3000, 'x'))));
  }
  world_.Stop();
  io::Disk& disk = world_.runtime->loop(CoreId{0}).disk();
  const std::string released = "/data/wal/" + FormatSegmentName({MakeLogId(2, 0), 0});
  ASSERT_TRUE(disk.RemoveNow(released).ok());
  ASSERT_TRUE(Read().ok());
  const std::string path = "/data/wal/" + FormatSegmentName({MakeLogId(2, 0), 1});
  world_.disk.Overwrite(path, 0, world_.disk.Content(path).substr(3 * 4096, 4096));
  const Status status = Read();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find(path + ": damaged at offset 0,"), std::string::npos)
      << status.message();
}

TEST_F(WalRotTest, ARecordThatMovesTheNextOnesIsNamedWithItsBatch) {
  ASSERT_TRUE(world_.Open().ok());
  world_.AppendEntry(1, 2, "ten bytes.");
  world_.AppendEntry(1, 3, "eleven byte");
  world_.AppendEntry(1, 4, std::string(100, 'x'));
  ASSERT_TRUE(world_.RunUntilDurable(world_.AppendEntry(1, 5, "the last")));
  world_.Stop();
  const std::string path = "/data/wal/" + FormatSegmentName({MakeLogId(2, 0), 0});
  const std::string bytes = world_.disk.Content(path);
  const std::size_t first = bytes.find("ten bytes.") - kRecordHeaderBytes;
  const std::size_t second = bytes.find("eleven byte") - kRecordHeaderBytes;
  world_.disk.Overwrite(path, second, bytes.substr(first, second - first));
  const Status status = Read();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  const std::string batch = std::to_string(first / kWalBlockBytes * kWalBlockBytes);
  EXPECT_NE(status.message().find(", in the batch at offset " + batch), std::string::npos)
      << status.message();
}

// The cache of a file whose sync failed calls its pages clean, and still has them.
TEST(WalFailedSyncTest, WhatItLeftInTheCacheIsNotTakenForDurable) {
  for (const bool direct : {true, false}) {  // What the file system can, while it recovers.
    WalWorld world(1, {.direct = false});
    ASSERT_TRUE(world.Open().ok());
    ASSERT_TRUE(world.RunUntilDurable(world.AppendEntry(1, 1, "synced")));
    world.runtime
        ->RunUntilIdle();  // The next segment is prepared: the sync that fails is the log's.
    world.disk.FailSync(1, EIO);
    world.AppendEntry(1, 2, "not synced");
    ASSERT_TRUE(world.runtime->RunUntil([&] { return world.probe().failures == 1; }));
    world.Kill();
    world.disk.faults().direct = direct;
    ASSERT_TRUE(world.Open().ok());
    EXPECT_EQ(world.recorder.Texts(), std::vector<std::string>{"entry 1 1 1 synced"});
    world.Crash();
    const Status status = world.Open();
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(world.recorder.Texts(), std::vector<std::string>{"entry 1 1 1 synced"});
  }
}

TEST_F(WalRotTest, ASegmentOfAnotherDirectoryNeverValidates) {
  // The same name and content, sealed under another directory's id: nothing of it is taken.
  WalWorld other;
  ASSERT_TRUE(other.Open().ok());
  ASSERT_TRUE(other.RunUntilDurable(other.AppendEntry(1, 1, "foreign")));
  other.Stop();
  std::string bytes = other.disk.Content("/data/wal/" + other.Segments().front());
  std::optional<BatchHeader> here = ParseBatchHeader(bytes, 7, MakeLogId(1, 0), 0);
  EXPECT_TRUE(here.has_value());
  EXPECT_FALSE(ParseBatchHeader(bytes, 8, MakeLogId(1, 0), 0).has_value());
  EXPECT_FALSE(ParseBatchHeader(bytes, 7, MakeLogId(2, 0), 0).has_value());
  EXPECT_FALSE(ParseBatchHeader(bytes, 7, MakeLogId(1, 0), 1).has_value());
}

}  // namespace
}  // namespace ursula::storage
