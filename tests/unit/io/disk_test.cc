// The Disk contract, on the real disk and on the one in memory.

#include "lib/io/disk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "lib/io/memory_disk.h"
#include "tests/unit/io/real_loops.h"

namespace ursula::io {
namespace {

constexpr std::size_t kBlock = 4096;

// Memory that direct files take.
class Blocks {
 public:
  explicit Blocks(std::size_t count, char fill = 0)
      : size_(count * kBlock), at_(static_cast<char*>(std::aligned_alloc(kBlock, size_))) {
    std::memset(at_.get(), fill, size_);
  }
  std::span<char> span() { return {at_.get(), size_}; }
  std::string_view view() const { return {at_.get(), size_}; }

 private:
  struct Free {
    void operator()(char* at) const { std::free(at); }
  };
  std::size_t size_;
  std::unique_ptr<char, Free> at_;
};

class DiskTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    const char* base = std::getenv("TEST_TMPDIR");
    std::string pattern = std::string(base == nullptr ? "/tmp" : base) + "/disk_test.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    real_directory_ = pattern;
    root_ = real_directory_;
    if (GetParam()) {
      memory_ = std::make_unique<MemoryDisk>(&loops_.loop());
      root_ = "/memory";
      ASSERT_TRUE(memory_->MakeDirectory(root_).ok());
    }
  }
  void TearDown() override { std::filesystem::remove_all(real_directory_); }

  Disk& disk() { return memory_ != nullptr ? *memory_ : loops_.loop().disk(); }
  std::string Path(const std::string& name) const { return root_ + "/" + name; }
  std::unique_ptr<File> MustOpen(const std::string& name, const OpenOptions& options) {
    Result<std::unique_ptr<File>> file = disk().Open(Path(name), options);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    return file.ok() ? std::move(*file) : nullptr;
  }
  int64_t Write(File& file, uint64_t offset, std::string_view bytes) {
    return loops_.Do([&](Op* op) { file.Write(offset, bytes, op); });
  }
  std::string Read(File& file, uint64_t offset, std::size_t size) {
    std::string bytes(size, '?');
    int64_t got = loops_.Do([&](Op* op) { file.Read(offset, bytes, op); });
    EXPECT_GE(got, 0);
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
  }

  RealLoops loops_;
  std::unique_ptr<MemoryDisk> memory_;
  std::string real_directory_;
  std::string root_;
};

INSTANTIATE_TEST_SUITE_P(Disks, DiskTest, ::testing::Values(false, true), [](const auto& which) {
  return std::string(which.param ? "Memory" : "Real");
});

TEST_P(DiskTest, ReadingAheadIsAdviceAndChangesNothing) {
  std::unique_ptr<File> file = MustOpen("file", {.create = true, .write = true});
  ASSERT_EQ(Write(*file, 0, "some bytes"), 10);
  bool begun = false;
  int64_t result = loops_.Do([&](Op* op) {
    begun = file->ReadAhead(0, 1 << 20, op);
    if (!begun) file->Sync(op);
  });
  EXPECT_EQ(result, 0);
  EXPECT_EQ(begun, !GetParam());  // In memory there is nothing to be fetched.
  EXPECT_EQ(Read(*file, 0, 100), "some bytes");
}

TEST_P(DiskTest, BufferedFilesReadBackWhatWasWritten) {
  auto file = MustOpen("a", {.create = true, .write = true});
  EXPECT_FALSE(file->direct());
  EXPECT_EQ(Write(*file, 0, "hello world"), 11);
  EXPECT_EQ(Write(*file, 100, "far"), 3);
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Sync(op); }), 0);
  EXPECT_EQ(file->size(), 103u);
  EXPECT_EQ(Read(*file, 6, 5), "world");
  EXPECT_EQ(Read(*file, 11, 10), std::string(10, '\0'));
  EXPECT_EQ(Read(*file, 101, 10), "ar");
  EXPECT_EQ(Read(*file, 103, 10), "");
  auto again = MustOpen("a", {});
  std::string bytes(200, '?');
  EXPECT_EQ(again->ReadNow(0, bytes), 103);
  EXPECT_EQ(bytes.substr(0, 11), "hello world");
}

TEST_P(DiskTest, DirectFilesReadBackWholeBlocks) {
  auto file = MustOpen("a", {.create = true, .write = true, .direct = true});
  if (!file->direct()) GTEST_SKIP() << "no O_DIRECT in " << root_;
  Blocks two(2, 'x'), into(4);
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Allocate(16 * kBlock, op); }), 0);
  EXPECT_EQ(file->size(), 0u);  // It tells how far was written, not how far was reserved.
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Write(15 * kBlock, two.span().first(kBlock), op); }),
            4096);
  EXPECT_EQ(file->size(), 16 * kBlock);
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Write(kBlock, two.span(), op); }), 8192);
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Read(0, into.span(), op); }), 16384);
  EXPECT_EQ(into.view(),
            std::string(kBlock, '\0') + std::string(2 * kBlock, 'x') + std::string(kBlock, '\0'));
  EXPECT_EQ(file->ReadNow(kBlock, into.span().first(kBlock)), 4096);
  EXPECT_EQ(into.view()[0], 'x');
  EXPECT_EQ(file->ReadNow(15 * kBlock, into.span()), 4096);
}

// The real disk reads them in pieces.
TEST_P(DiskTest, LongReadsAtAnOpeningGiveAllOfTheFile) {
  std::string bytes((5 << 19) + 1000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>((i * 7919) >> 12);
  ASSERT_EQ(Write(*MustOpen("a", {.create = true, .write = true}), 0, bytes),
            static_cast<int64_t>(bytes.size()));
  Blocks into(3 << 20 >> 12);
  for (const bool direct : {false, true}) {
    auto file = MustOpen("a", {.direct = direct});
    std::ranges::fill(into.span(), 'z');
    ASSERT_EQ(file->ReadNow(0, into.span()), static_cast<int64_t>(bytes.size()));
    EXPECT_TRUE(into.view().starts_with(bytes));
  }
}

TEST_P(DiskTest, DirectReadsOfFilesThatEndInsideABlockStopThere) {
  EXPECT_EQ(Write(*MustOpen("a", {.create = true, .write = true}), 0, std::string(5000, 'y')),
            5000);
  auto file = MustOpen("a", {.direct = true});
  Blocks into(4);
  EXPECT_EQ(file->ReadNow(0, into.span()), 5000);
}

TEST_P(DiskTest, OpeningOnTheLoopIsAsOpeningBlocks) {
  std::unique_ptr<File> file;
  auto open = [&](const std::string& path, const OpenOptions& options) {
    file.reset();
    return loops_.Do([&](Op* op) { disk().Open(path, options, &file, op); });
  };
  const std::string path = Path("a");
  EXPECT_EQ(open(path, {}), -ENOENT);
  EXPECT_EQ(open(Path("none/a"), {.create = true, .write = true}), -ENOENT);
  EXPECT_EQ(file, nullptr);
  ASSERT_EQ(open(path, {.create = true, .write = true}), 0);
  EXPECT_FALSE(file->direct());
  EXPECT_EQ(Write(*file, 0, "hello world"), 11);
  for (bool direct : {false, true}) {
    for (bool write : {false, true}) {
      ASSERT_EQ(open(path, {.write = write, .direct = direct}), 0);
      EXPECT_EQ(file->direct(), MustOpen("a", {.write = write, .direct = direct})->direct());
      EXPECT_EQ(file->size(), 11u);
      if (file->direct()) continue;
      EXPECT_EQ(Read(*file, 6, 100), "world");
    }
  }
  ASSERT_EQ(open(Path("b"), {.create = true, .write = true, .direct = true}), 0);
  EXPECT_EQ(file->size(), 0u);
  EXPECT_EQ(open(path + "/b", {.create = true, .write = true}), GetParam() ? -ENOENT : -ENOTDIR);
}

TEST_P(DiskTest, WriteSyncedNowWritesAll) {
  auto file = MustOpen("a", {.create = true, .write = true});
  EXPECT_EQ(file->WriteSyncedNow(3, std::string_view("abc")), 0);
  EXPECT_EQ(file->WriteSyncedNow(0, {}), 0);
  EXPECT_EQ(Read(*file, 0, 10), std::string("\0\0\0abc", 6));
}

TEST_P(DiskTest, WhatIsNotThereIsAFailedPreconditionThatNamesThePath) {
  Status status = disk().Open(Path("none"), {}).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find(Path("none")), std::string::npos);
  EXPECT_EQ(disk().Open(Path("none/a"), {.create = true, .write = true}).status().code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(disk().List(Path("none")).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(disk().RemoveNow(Path("none")).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(disk().RenameNow(Path("none"), Path("b")).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(disk().SyncDirectoryNow(Path("none")).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(disk().FreeBytes(Path("none")).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(disk().MakeDirectory(Path("none/b")).code(), StatusCode::kFailedPrecondition);
  std::string none = Path("none");
  std::string other = Path("b");
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().Remove(none, op); }), -ENOENT);
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().Rename(none, other, op); }), -ENOENT);
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().SyncDirectory(none, op); }), -ENOENT);
}

TEST_P(DiskTest, NamesAreListedSortedRenamedAndRemoved) {
  ASSERT_TRUE(disk().MakeDirectory(Path("d")).ok());
  EXPECT_TRUE(disk().MakeDirectory(Path("d")).ok());
  for (const char* name : {"b", "d/inside", "a", "c"}) {
    MustOpen(name, {.create = true, .write = true});
  }
  using Names = std::vector<std::string>;
  EXPECT_EQ(*disk().List(root_), (Names{"a", "b", "c", "d"}));
  EXPECT_EQ(*disk().List(Path("d")), (Names{"inside"}));
  EXPECT_EQ(Write(*MustOpen("a", {.write = true}), 0, "from a"), 6);
  std::string a = Path("a"), b = Path("b"), c = Path("c");
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().Rename(a, b, op); }), 0);
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().Remove(c, op); }), 0);
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().SyncDirectory(root_, op); }), 0);
  EXPECT_EQ(*disk().List(root_), (Names{"b", "d"}));
  EXPECT_EQ(Read(*MustOpen("b", {}), 0, 10), "from a");
  EXPECT_TRUE(disk().RenameNow(b, a).ok());
  EXPECT_TRUE(disk().RemoveNow(a).ok());
  EXPECT_TRUE(disk().SyncDirectoryNow(root_).ok());
  EXPECT_EQ(*disk().List(root_), (Names{"d"}));
  EXPECT_EQ(disk().Open(Path("d"), {.write = true}).status().code(), StatusCode::kIoError);
}

TEST_P(DiskTest, ARemovedFileStaysReadableWhileOpen) {
  auto file = MustOpen("a", {.create = true, .write = true});
  EXPECT_EQ(Write(*file, 0, "still here"), 10);
  ASSERT_TRUE(disk().RemoveNow(Path("a")).ok());
  EXPECT_EQ(Read(*file, 0, 10), "still here");
}

TEST_P(DiskTest, ALockIsExclusiveUntilItGoes) {
  ASSERT_TRUE(disk().MakeDirectory(Path("d")).ok());
  auto first = disk().Lock(Path("d"));
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  Status second = disk().Lock(Path("d")).status();
  EXPECT_EQ(second.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(second.message().find("in use"), std::string::npos);
  first->reset();
  EXPECT_TRUE(disk().Lock(Path("d")).ok());
  EXPECT_FALSE(disk().Lock(Path("none")).ok());
}

TEST_P(DiskTest, AFreshFileMustNotBeThere) {
  const OpenOptions fresh{.create = true, .fresh = true, .write = true};
  EXPECT_TRUE(disk().Open(Path("a"), fresh).ok());
  EXPECT_FALSE(disk().Open(Path("a"), fresh).ok());
  std::unique_ptr<File> file;
  const std::string path = Path("a");
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().Open(path, fresh, &file, op); }), -EEXIST);
}

TEST_P(DiskTest, AnIdentityIsOfWhatAPathLeadsTo) {
  MustOpen("a", {.create = true, .write = true});
  MustOpen("b", {.create = true, .write = true});
  const std::string a = Path("a");
  const std::string none = Path("none");
  Result<std::shared_ptr<const FileIdentity>> before = disk().Hold(a);
  ASSERT_TRUE(before.ok());
  EXPECT_NE(**disk().Hold(Path("b")), **before);
  FileIdentity found;
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().Identify(a, &found, op); }), 0);
  EXPECT_EQ(found, **before);
  ASSERT_TRUE(disk().RenameNow(Path("b"), a).ok());
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().Identify(a, &found, op); }), 0);
  EXPECT_NE(found, **before);
  EXPECT_EQ(loops_.Do([&](Op* op) { disk().Identify(none, &found, op); }), -ENOENT);
  EXPECT_FALSE(disk().Hold(none).ok());
  EXPECT_TRUE(disk().Hold(root_).ok());
}

// The number of what was removed is given out again at once, unless it is held.
TEST_P(DiskTest, NothingGetsTheIdentityOfWhatIsHeld) {
  const std::string a = Path("a");
  MustOpen("a", {.create = true, .write = true});
  Result<std::shared_ptr<const FileIdentity>> held = disk().Hold(a);
  ASSERT_TRUE(held.ok());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(disk().RemoveNow(a).ok());
    MustOpen("a", {.create = true, .write = true});
    EXPECT_NE(**disk().Hold(a), **held);
  }
}

TEST_P(DiskTest, TellsFreeSpace) {
  Result<uint64_t> free = disk().FreeBytes(root_);
  ASSERT_TRUE(free.ok());
  EXPECT_GT(*free, 0u);
}

TEST_P(DiskTest, ManyOperationsCompleteEachWithItsOwnResult) {
  auto file = MustOpen("a", {.create = true, .write = true});
  constexpr std::size_t kCount = 3000;  // More than the ring's entries.
  std::vector<Waiter> waiters(kCount);
  std::string bytes(kCount, 'z');
  loops_.Run([&] {
    for (std::size_t i = 0; i < kCount; ++i) {
      file->Write(i * 100, std::string_view(bytes).substr(0, 1 + i % 90), waiters[i].Armed());
    }
  });
  for (std::size_t i = 0; i < kCount; ++i) {
    waiters[i].done.Wait();
    ASSERT_EQ(waiters[i].result, static_cast<int64_t>(1 + i % 90));
  }
}

class MemoryDiskTest : public DiskTest {};
INSTANTIATE_TEST_SUITE_P(Disks, MemoryDiskTest, ::testing::Values(true));

TEST_P(MemoryDiskTest, AFullDiskRefusesAndHolesCostNothing) {
  MemoryDisk small(&loops_.loop(), 1 << 20);
  auto file = std::move(*small.Open("a", {.create = true, .write = true}));
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Allocate(uint64_t{1} << 34, op); }), 0);
  EXPECT_EQ(Write(*file, uint64_t{1} << 33, std::string(1 << 19, 'x')), 1 << 19);
  EXPECT_EQ(Write(*file, 0, std::string(1 << 20, 'x')), -ENOSPC);
  EXPECT_EQ(Write(*file, 0, std::string(1 << 17, '\0')), 1 << 17);
  EXPECT_EQ(*small.FreeBytes("."), uint64_t{1} << 19);
  file.reset();
  ASSERT_TRUE(small.RemoveNow("a").ok());
  EXPECT_EQ(*small.FreeBytes("."), uint64_t{1} << 20);
}

TEST_P(MemoryDiskTest, DirectFilesRefuseWhatARealOneWould) {
  auto file = MustOpen("a", {.create = true, .write = true, .direct = true});
  Blocks block(1);
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Write(1, block.span(), op); }), -EINVAL);
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Write(0, block.span().first(5), op); }), -EINVAL);
  EXPECT_EQ(loops_.Do([&](Op* op) { file->Write(0, block.span(), op); }), 4096);
}

class RealDiskTest : public DiskTest {};
INSTANTIATE_TEST_SUITE_P(Disks, RealDiskTest, ::testing::Values(false));

TEST_P(RealDiskTest, FilesAndDirectoriesAreTheOwnersAlone) {
  MustOpen("a", {.create = true, .write = true});
  ASSERT_TRUE(disk().MakeDirectory(Path("d")).ok());
  struct stat info = {};
  ASSERT_EQ(stat(Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(Path("d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_P(RealDiskTest, WhereDirectIsRefusedTheFileIsBuffered) {
  // /proc knows no O_DIRECT.
  auto file = loops_.loop().disk().Open("/proc/self/status", {.direct = true});
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_FALSE((*file)->direct());
}

TEST_P(RealDiskTest, ADirectWriteBeginsInItsTurn) {
  auto file = MustOpen("a", {.create = true, .write = true, .direct = true});
  if (!file->direct()) GTEST_SKIP() << "no O_DIRECT in " << root_;
  Blocks old(1, 'o'), fresh(1, 'f'), seen(1);
  ASSERT_EQ(loops_.Do([&](Op* op) { file->Write(0, old.span(), op); }), 4096);
  auto again = MustOpen("a", {.direct = true});
  Waiter waiter;
  loops_.Run([&] {
    file->Write(0, fresh.span(), waiter.Armed());
    const uint64_t end = loops_.loop().fresh_ns() + 10'000'000'000;
    while (seen.view() != fresh.view() && loops_.loop().fresh_ns() < end) {
      ASSERT_EQ(again->ReadNow(0, seen.span()), 4096);
    }
  });
  EXPECT_TRUE(seen.view() == fresh.view());
  waiter.done.Wait();
  EXPECT_EQ(waiter.result, 4096);
}

TEST_P(RealDiskTest, ADirectoryCannotTakeAFilesPlace) {
  MustOpen("a", {.create = true, .write = true});
  EXPECT_EQ(disk().MakeDirectory(Path("a")).code(), StatusCode::kIoError);
}

}  // namespace
}  // namespace ursula::io
