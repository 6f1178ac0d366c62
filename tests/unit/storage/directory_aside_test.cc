// A rotten directory that is put aside, with a crash between any two steps, and between any two of
// what goes on after that.

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/storage/directory.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"

namespace ursula::storage {
namespace {

constexpr uint64_t kId = 12;
constexpr uint64_t kNewId = 77;
constexpr const char* kFiles[] = {
    "wal/0000000000000001-00000000.wal", "wal/0000000000000001-00000001.wal", "wal/notes",
    "payload/0000000000000001-0000-00000001.pay", "snapshot/00000001-00000001.snap"};

// What changes names is counted, and from one of them on nothing happens any more.
class EndingDisk final : public io::Disk {
 public:
  explicit EndingDisk(io::Disk* disk) : disk_(*disk) {}

  void EndAfter(uint64_t steps) { left_ = steps; }
  bool ended() const { return ended_; }
  void PutElsewhere(std::string path) { elsewhere_ = std::move(path); }
  // Another mount of the same volume.
  void Mount(std::string path) { mount_ = std::move(path); }

  uint32_t block_bytes() const override { return disk_.block_bytes(); }
  Result<std::unique_ptr<io::File>> Open(const std::string& path,
                                         const io::OpenOptions& options) override {
    if (options.write && !Step()) return Ended();
    return disk_.Open(path, options);
  }
  Result<std::vector<std::string>> List(const std::string& path) override {
    return disk_.List(path);
  }
  Status MakeDirectory(const std::string& path) override {
    return Step() ? disk_.MakeDirectory(path) : Ended();
  }
  Result<uint64_t> FreeBytes(const std::string& path) override { return disk_.FreeBytes(path); }
  Result<std::shared_ptr<void>> Lock(const std::string& path) override { return disk_.Lock(path); }
  Result<std::shared_ptr<const io::FileIdentity>> Hold(const std::string& path) override {
    auto held = disk_.Hold(path);
    if (!held.ok() || path != elsewhere_) return held;
    return std::make_shared<const io::FileIdentity>((*held)->device + 1, (*held)->inode);
  }
  Status RemoveNow(const std::string& path) override {
    return Step() ? disk_.RemoveNow(path) : Ended();
  }
  Status RenameNow(const std::string& from, const std::string& to) override {
    if (!mount_.empty() && from.starts_with(mount_) != to.starts_with(mount_)) {
      return Status(StatusCode::kIoError, "renaming " + from + ": EXDEV");
    }
    return Step() ? disk_.RenameNow(from, to) : Ended();
  }
  Status SyncDirectoryNow(const std::string& path) override {
    return Step() ? disk_.SyncDirectoryNow(path) : Ended();
  }
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
  bool Step() {
    ended_ = ended_ || left_ == 0;
    if (!ended_) --left_;
    return !ended_;
  }
  static Status Ended() { return Status(StatusCode::kIoError, "the disk has ended"); }

  io::Disk& disk_;
  uint64_t left_ = UINT64_MAX;
  bool ended_ = false;
  std::string elsewhere_;
  std::string mount_;
};

class DirectoryAsideTest : public ::testing::Test {
 protected:
  using Directory = std::unique_ptr<DataDirectory>;

  DirectoryAsideTest() { Reset(1); }

  void Reset(uint64_t seed) {
    loop_.reset();
    disk_ = std::make_unique<testing::FaultDisk>(seed);
    loop_ = std::make_unique<testing::ManualLoop>(disk_.get());
  }

  Result<Directory> Open(io::Disk* disk = nullptr, uint64_t cluster = 0) {
    return DataDirectory::Open(disk == nullptr ? loop_->disk() : *disk, "/data",
                               {.id_if_new = kId,
                                .nonce = ++nonce_,
                                .node_id_wanted = 2,
                                .cluster_id_wanted = cluster,
                                .one_of_several = true});
  }

  // A member's, with something in it.
  Directory Member() {
    Result<Directory> opened = Open();
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    const DirectoryPlan plan{.cluster_id = 21,
                             .history_id = 22,
                             .group_count = 6,
                             .founders = {{1, 11}, {2, kId}, {3, 13}}};
    EXPECT_TRUE((*opened)->BecomeFounding(loop_->disk(), plan).ok());
    EXPECT_TRUE((*opened)->BecomeMember(loop_->disk()).ok());
    for (const char* file : kFiles) {
      auto made = loop_->disk().Open(std::string("/data/") + file, {.create = true, .write = true});
      EXPECT_TRUE(made.ok());
      EXPECT_EQ((*made)->WriteSyncedNow(0, std::string(file)), 0);
    }
    EXPECT_TRUE(loop_->disk().SyncDirectoryNow("/data").ok());
    return std::move(*opened);
  }

  // How many of the files are where they were; each is there or aside, as it was, and once.
  int InPlace() {
    int in_place = 0;
    for (const char* file : kFiles) {
      const std::string here = std::string("/data/") + file;
      const std::string there = std::string("/data/aside/") + file;
      EXPECT_NE(disk_->Exists(here), disk_->Exists(there)) << file;
      EXPECT_EQ(disk_->Content(here) + disk_->Content(there), file);
      in_place += disk_->Exists(here) ? 1 : 0;
    }
    return in_place;
  }

  DirectoryMeta MetaOf(const std::string& folder) {
    Result<DirectoryMeta> meta = DecodeDirectoryMeta(disk_->Content(folder + "/META"));
    EXPECT_TRUE(meta.ok()) << meta.status().ToString();
    return meta.ok() ? *meta : DirectoryMeta();
  }

  void ExpectAside() {
    EXPECT_EQ(InPlace(), 0);
    const DirectoryMeta old = MetaOf("/data/aside");
    EXPECT_EQ(old.state, DirectoryState::kMember);
    EXPECT_EQ(old.id, kId);
    EXPECT_EQ(old.replica_id, ReplicaId{2});
    EXPECT_EQ(old.aside, DirectoryAside());
    const DirectoryMeta now = MetaOf("/data");
    EXPECT_EQ(now.state, DirectoryState::kFounding);
    EXPECT_EQ(now.id, kNewId);
    EXPECT_EQ(now.node_id, 2u);
    EXPECT_EQ(now.replica_id, ReplicaId{0});
    EXPECT_FALSE(HasPlan(now));
    EXPECT_EQ(now.aside, (DirectoryAside{21, 0}));
  }

  // An opening after a crash. A directory that a member's META names is whole, one that rejoins
  // has nothing in it.
  void GoOn(uint64_t end_after, bool* ended) {
    EndingDisk disk(&loop_->disk());
    disk.EndAfter(end_after);
    Result<Directory> opened = Open(&disk);
    if (!opened.ok()) {
      ASSERT_TRUE(disk.ended()) << opened.status().ToString();
    } else if ((*opened)->goes_aside() || (*opened)->state() == DirectoryState::kMember) {
      const bool whole = InPlace() == static_cast<int>(std::size(kFiles));
      EXPECT_TRUE(whole || (*opened)->goes_aside());
      Status put = (*opened)->PutAside(disk, kNewId, nonce_);
      ASSERT_EQ(put.ok(), !disk.ended()) << put.ToString();
    } else {
      EXPECT_TRUE((*opened)->rejoins());
      EXPECT_EQ((*opened)->aside_path(), "/data/aside");
      EXPECT_EQ(InPlace(), 0);
    }
    *ended = disk.ended();
  }

  std::unique_ptr<testing::FaultDisk> disk_;
  std::unique_ptr<testing::ManualLoop> loop_;
  uint64_t nonce_ = 100;
};

TEST_F(DirectoryAsideTest, EverythingIsKeptAndTheNodeHasAnotherDirectory) {
  Directory directory = Member();
  ASSERT_TRUE(directory->MayPutAside(loop_->disk()).ok());
  ASSERT_TRUE(directory->PutAside(loop_->disk(), kNewId, 500).ok());
  EXPECT_TRUE(directory->rejoins());
  EXPECT_EQ(directory->id(), kNewId);
  EXPECT_EQ(directory->generation(), 1u);
  EXPECT_EQ(directory->nonce(), 500u);
  EXPECT_EQ(directory->predecessor(), 0u);
  ExpectAside();
  // The lock is held all the while.
  EXPECT_EQ(Open().status().code(), StatusCode::kFailedPrecondition);
  directory.reset();
  disk_->Crash();
  ExpectAside();
  Result<Directory> opened = Open();
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE((*opened)->rejoins());
  EXPECT_EQ((*opened)->generation(), 2u);
  EXPECT_EQ((*opened)->predecessor(), 500u);
  // Once it is a member's, META is as any: an older release may read it.
  DirectoryPlan plan{.cluster_id = 21,
                     .history_id = 22,
                     .group_count = 6,
                     .founders = {{1, 11}, {2, kId}, {3, 13}},
                     .lives_before = 1};
  ASSERT_TRUE((*opened)->Join(loop_->disk(), plan).ok());
  EXPECT_EQ((*opened)->replica_id(), ReplicaOf(NodeId{2}, 1));
  EXPECT_EQ(MetaOf("/data").aside, DirectoryAside());
  EXPECT_EQ((*opened)->aside_path(), "/data/aside");
}

TEST_F(DirectoryAsideTest, ACrashBetweenAnyTwoStepsLosesNothing) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    uint64_t steps = 0;
    for (bool ended = true; ended; ++steps) {
      Reset(seed * 100 + steps);
      Directory directory = Member();
      EndingDisk disk(&loop_->disk());
      disk.EndAfter(steps);
      Status put = directory->PutAside(disk, kNewId, nonce_);
      ended = disk.ended();
      ASSERT_EQ(put.ok(), !ended) << put.ToString();
      directory.reset();
      disk_->Crash();
      bool again = false;
      GoOn(UINT64_MAX, &again);
      ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << " step " << steps;
      ExpectAside();
      ASSERT_FALSE(HasFailure()) << "seed " << seed << " step " << steps;
    }
    EXPECT_GT(steps, 20u);
  }
}

TEST_F(DirectoryAsideTest, NorDoesAnotherCrashBetweenAnyTwoOfThoseThatGoOn) {
  for (uint64_t first = 0, end = 1; first < end; ++first) {
    bool second_ends = true;
    for (uint64_t second = 0; second_ends; ++second) {
      Reset(first * 100 + second + 1);
      Directory directory = Member();
      EndingDisk disk(&loop_->disk());
      disk.EndAfter(first);
      static_cast<void>(directory->PutAside(disk, kNewId, nonce_));
      if (disk.ended()) end = first + 2;
      directory.reset();
      disk_->Crash();
      GoOn(second, &second_ends);
      disk_->Crash();
      bool ended = false;
      GoOn(UINT64_MAX, &ended);
      ASSERT_FALSE(HasFatalFailure()) << "steps " << first << " and " << second;
      ExpectAside();
      ASSERT_FALSE(HasFailure()) << "steps " << first << " and " << second;
    }
  }
}

TEST_F(DirectoryAsideTest, OneIsKeptAndNoMore) {
  Directory directory = Member();
  ASSERT_TRUE(directory->PutAside(loop_->disk(), kNewId, 500).ok());
  Status again = directory->MayPutAside(loop_->disk());
  EXPECT_EQ(again.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(again.message().find("/data/aside is there already"), std::string::npos);
}

TEST_F(DirectoryAsideTest, WithoutRoomForASecondCopyItStays) {
  Directory directory = Member();
  auto large = loop_->disk().Open("/data/payload/large", {.create = true, .write = true});
  ASSERT_TRUE(large.ok());
  ASSERT_EQ((*large)->WriteSyncedNow(0, std::string(1 << 20, 'x')), 0);
  disk_->faults().capacity_bytes = 3 << 19;
  Status may = directory->MayPutAside(loop_->disk());
  EXPECT_EQ(may.code(), StatusCode::kStorageFull) << may.ToString();
  disk_->faults().capacity_bytes = 3 << 20;
  EXPECT_TRUE(directory->MayPutAside(loop_->disk()).ok());
}

TEST_F(DirectoryAsideTest, WithAPartOnAnotherVolumeItStays) {
  Member().reset();
  EndingDisk disk(&loop_->disk());
  disk.PutElsewhere("/data/snapshot");
  Result<Directory> opened = Open(&disk);
  ASSERT_TRUE(opened.ok());
  Status may = (*opened)->MayPutAside(disk);
  EXPECT_EQ(may.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(may.message().find("/data/snapshot is on another volume"), std::string::npos);
}

// Though all of it is one volume. Afterwards there would be no way back.
TEST_F(DirectoryAsideTest, WhereNothingCanBeMovedItStays) {
  for (const char* folder : kStoreFolders) {
    Reset(1);
    Directory directory = Member();
    const std::vector<std::string> files = disk_->Files();
    EndingDisk disk(&loop_->disk());
    disk.Mount(std::string("/data/") + folder + "/");
    Status may = directory->MayPutAside(disk);
    EXPECT_EQ(may.code(), StatusCode::kIoError);
    EXPECT_NE(may.message().find(std::string("moved out of /data/") + folder), std::string::npos)
        << may.ToString();
    EXPECT_EQ(MetaOf("/data").state, DirectoryState::kMember);
    EXPECT_EQ(disk_->Files(), files);
    EXPECT_TRUE(directory->MayPutAside(loop_->disk()).ok());
    EXPECT_EQ(disk_->Files(), files);
  }
}

TEST_F(DirectoryAsideTest, ItIsOfItsClusterStill) {
  Directory directory = Member();
  ASSERT_TRUE(directory->PutAside(loop_->disk(), kNewId, 500).ok());
  directory.reset();
  Status other = Open(nullptr, 99).status();
  EXPECT_EQ(other.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(other.message().find("to be taken in by cluster 0000000000000015 again"),
            std::string::npos);
  EXPECT_TRUE(Open(nullptr, 21).ok());
}

// As long as a crash left a longer one beside it, META had that one's end.
TEST_F(DirectoryAsideTest, WhatACrashLeftBesideMetaDoesNoHarm) {
  Member().reset();
  auto left = loop_->disk().Open("/data/META.tmp", {.create = true, .write = true});
  ASSERT_TRUE(left.ok());
  ASSERT_EQ((*left)->WriteSyncedNow(0, std::string(1000, 'x')), 0);
  for (int i = 0; i < 2; ++i) {
    Result<Directory> opened = Open();
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  }
}

}  // namespace
}  // namespace ursula::storage
