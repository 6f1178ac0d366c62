// What a FaultDisk's medium does to data that it said it took, and what is remembered of it.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"

namespace ursula::testing {
namespace {

constexpr std::size_t kSize = 8192;

// A direct and a buffered file of two blocks each, all 'o', durable.
class MediumTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* path : {"direct", "buffered"}) {
      auto file = loop_.disk().Open(path, {.create = true, .write = true});
      ASSERT_TRUE(file.ok());
      ASSERT_EQ((*file)->WriteSyncedNow(0, std::string(kSize, 'o')), 0);
    }
    ASSERT_TRUE(loop_.disk().SyncDirectoryNow(".").ok());
    buffer_ = std::make_unique<Buffer>();
    std::memset(buffer_->bytes, 'n', kSize);
  }
  struct Buffer {
    alignas(4096) char bytes[kSize];
  };
  void OnDone(int64_t result) { result_ = result; }
  io::Op* Done() { return op_.Then<&MediumTest::OnDone>(this); }
  template <class F>
  int64_t Do(F start) {
    start(Done());
    EXPECT_TRUE(loop_.RunUntil([&] { return !op_.pending(); }));
    return result_;
  }
  std::unique_ptr<io::File> Open(const std::string& path, bool direct) {
    return std::move(*loop_.disk().Open(path, {.write = true, .direct = direct}));
  }
  // The file's second block becomes 'n'.
  void WriteDirect() {
    auto file = Open("direct", true);
    EXPECT_EQ(Do([&](io::Op* op) { file->Write(4096, {buffer_->bytes, 4096}, op); }), 4096);
  }
  void WriteBuffered() {
    auto file = Open("buffered", false);
    EXPECT_EQ(Do([&](io::Op* op) {
                file->Write(0, {buffer_->bytes, kSize}, op);
              }),
              static_cast<int64_t>(kSize));
    EXPECT_EQ(Do([&](io::Op* op) { file->Sync(op); }), 0);
  }
  void PowerCut() {
    disk_.Crash();
    loop_.Crash();
  }

  FaultDisk disk_{5};
  ManualLoop loop_{&disk_};
  std::unique_ptr<Buffer> buffer_;
  io::Op op_;
  int64_t result_ = 0;
};

TEST_F(MediumTest, ALostDirectWriteSucceedsAndTheOldContentStays) {
  disk_.faults().lost_write = 1;
  WriteDirect();
  EXPECT_EQ(disk_.Content("direct"), std::string(kSize, 'o'));
  EXPECT_EQ(disk_.Intended("direct"), std::string(4096, 'o') + std::string(4096, 'n'));
  EXPECT_EQ(disk_.Damaged().size(), 8u);
  EXPECT_EQ(disk_.Damaged().front(), (FaultDisk::Damage{"direct", 4096}));
  disk_.Repair();
  EXPECT_TRUE(disk_.Damaged().empty());
  EXPECT_EQ(disk_.Content("direct"), std::string(4096, 'o') + std::string(4096, 'n'));
}

TEST_F(MediumTest, ALostBufferedWriteIsSeenOnceTheCacheIsGone) {
  disk_.faults().lost_write = 1;
  WriteBuffered();
  EXPECT_EQ(disk_.Content("buffered"), std::string(kSize, 'n'));
  EXPECT_TRUE(disk_.Damaged().empty());
  PowerCut();
  EXPECT_FALSE(disk_.Damaged().empty());
  EXPECT_NE(disk_.Content("buffered"), std::string(kSize, 'n'));
  EXPECT_EQ(disk_.Intended("buffered"), std::string(kSize, 'n'));
}

TEST_F(MediumTest, AMisdirectedWriteDamagesTwoPlaces) {
  disk_.faults().misdirected_write = 1;
  bool elsewhere = false;
  for (int i = 0; i < 20; ++i) {
    WriteDirect();
    const std::string intended = disk_.Intended("direct");
    EXPECT_EQ(intended, std::string(4096, 'o') + std::string(4096, 'n'));
    elsewhere = elsewhere || disk_.Content("direct").substr(0, 4096) == std::string(4096, 'n');
    disk_.Repair();
    disk_.Rot("direct", 4096, std::string(4096, 'o'));
  }
  EXPECT_TRUE(elsewhere);
}

TEST_F(MediumTest, WhatIsWrittenWellAgainIsNoDamageAnyMore) {
  disk_.Rot("direct", 5000, "rotten");
  EXPECT_EQ(disk_.Damaged().size(), 1u);
  EXPECT_EQ(disk_.Content("direct").substr(5000, 6), "rotten");
  WriteDirect();
  EXPECT_TRUE(disk_.Damaged().empty());
  disk_.Rot("direct", 5000, "nn");  // The same bytes.
  EXPECT_TRUE(disk_.Damaged().empty());
}

TEST_F(MediumTest, AKilledProcessLeavesItsCache) {
  auto file = Open("buffered", false);
  EXPECT_EQ(Do([&](io::Op* op) {
              file->Write(0, {buffer_->bytes, kSize}, op);
            }),
            static_cast<int64_t>(kSize));
  file->Sync(Done());
  disk_.Kill();
  loop_.Crash();
  EXPECT_FALSE(op_.pending());
  EXPECT_EQ(disk_.Content("buffered"), std::string(kSize, 'n'));
  EXPECT_EQ(disk_.Durable("buffered"), std::string(kSize, 'o'));
  file = Open("buffered", false);
  EXPECT_EQ(file->WriteSyncedNow(0, {}), 0);
  EXPECT_EQ(disk_.Durable("buffered"), std::string(kSize, 'n'));
}

TEST_F(MediumTest, APowerCutMayLeaveABlockUnderADirectWriteAsNeither) {
  disk_.faults().garbled_block = 1;
  auto file = Open("direct", true);
  file->Write(4096, {buffer_->bytes, 4096}, Done());
  PowerCut();
  const std::string content = disk_.Content("direct");
  EXPECT_EQ(content.substr(0, 4096), std::string(4096, 'o'));
  EXPECT_NE(content.substr(4096), std::string(4096, 'o'));
  EXPECT_NE(content.substr(4096), std::string(4096, 'n'));
  EXPECT_TRUE(disk_.Damaged().empty());  // The power did it, not the medium.
}

TEST_F(MediumTest, NamesMayFail) {
  disk_.faults().name_error = 1;
  const std::string from = "direct", to = "elsewhere", directory = ".";
  EXPECT_EQ(Do([&](io::Op* op) { loop_.disk().Rename(from, to, op); }), -EIO);
  EXPECT_EQ(Do([&](io::Op* op) { loop_.disk().Remove(from, op); }), -EIO);
  EXPECT_EQ(Do([&](io::Op* op) { loop_.disk().SyncDirectory(directory, op); }), -EIO);
  EXPECT_TRUE(disk_.Exists("direct"));
}

TEST_F(MediumTest, ACloneIsADiskOfItsOwn) {
  disk_.Rot("direct", 0, "x");
  std::unique_ptr<FaultDisk> clone = disk_.Clone(9);
  EXPECT_EQ(clone->Damaged(), disk_.Damaged());
  clone->Repair();
  EXPECT_EQ(clone->Content("direct").front(), 'o');
  EXPECT_EQ(disk_.Content("direct").front(), 'x');
  EXPECT_EQ(clone->Files(), disk_.Files());
}

}  // namespace
}  // namespace ursula::testing
