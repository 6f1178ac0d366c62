#include "tests/support/fault_disk.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/manual_loop.h"

namespace ursula::testing {
namespace {

// One operation after the other, each to its end.
struct Caller {
  explicit Caller(ManualLoop* l) : loop(l) {}
  template <class F>
  int64_t Do(F start) {
    Begin(start);
    EXPECT_TRUE(loop->RunUntil([&] { return !op.pending(); }));
    return result;
  }
  template <class F>
  void Begin(F start) {
    result = INT64_MIN;
    start(op.Then<&Caller::OnDone>(this));
  }
  int64_t Write(io::File& file, uint64_t offset, std::string_view bytes) {
    return Do([&](io::Op* o) { file.Write(offset, bytes, o); });
  }
  int64_t Sync(io::File& file) {
    return Do([&](io::Op* o) { file.Sync(o); });
  }
  void OnDone(int64_t value) { result = value; }

  ManualLoop* loop;
  io::Op op;
  int64_t result = 0;
};

// On the heap: AddressSanitizer's stack frames are not aligned to pages.
class Aligned {
 public:
  explicit Aligned(char fill) { std::memset(pages_->bytes, fill, sizeof pages_->bytes); }
  std::span<char> span() { return pages_->bytes; }

 private:
  struct Pages {
    alignas(4096) char bytes[8192];
  };
  std::unique_ptr<Pages> pages_ = std::make_unique<Pages>();
};

std::unique_ptr<io::File> Make(ManualLoop* loop, const std::string& path, bool direct = false) {
  auto file = loop->disk().Open(path, {.create = true, .write = true, .direct = direct});
  EXPECT_TRUE(file.ok());
  EXPECT_TRUE(loop->disk().SyncDirectoryNow(".").ok());
  return std::move(*file);
}

TEST(FaultDiskTest, AnOpenOnTheLoopTakesItsTimeAndMayFail) {
  ManualLoop loop;
  loop.fault_disk().faults().latency_min_ns = loop.fault_disk().faults().latency_max_ns = 1000;
  Caller caller(&loop);
  std::unique_ptr<io::File> file;
  const std::string path = "a";
  auto open = [&](io::OpenOptions options) {
    caller.Begin([&](io::Op* op) { loop.disk().Open(path, options, &file, op); });
    EXPECT_TRUE(caller.op.pending());
    loop.AdvanceBy(1000);
    return caller.result;
  };
  EXPECT_EQ(open({}), -ENOENT);
  loop.fault_disk().FailOpen(1, EMFILE);
  EXPECT_EQ(open({.create = true, .write = true}), -EMFILE);
  EXPECT_FALSE(loop.fault_disk().Exists(path));
  EXPECT_EQ(file, nullptr);
  EXPECT_EQ(open({.create = true, .write = true}), 0);
  EXPECT_TRUE(loop.fault_disk().Exists(path));
  EXPECT_EQ(file->size(), 0u);
  EXPECT_EQ(open({}), 0);
  loop.fault_disk().Crash();  // No directory sync made the name durable.
  EXPECT_EQ(open({}), loop.fault_disk().Exists(path) ? 0 : -ENOENT);
  EXPECT_EQ(loop.fault_disk().opens(), 5u);
}

TEST(FaultDiskTest, NothingCompletesInsideItsCall) {
  ManualLoop loop;
  Caller caller(&loop);
  auto file = Make(&loop, "a");
  std::string bytes = "hello";
  caller.Begin([&](io::Op* op) { file->Write(0, bytes, op); });
  EXPECT_TRUE(caller.op.pending());
  loop.RunUntilIdle();
  EXPECT_EQ(caller.result, 5);
  EXPECT_EQ(loop.fault_disk().Content("a"), "hello");
}

TEST(FaultDiskTest, ABufferedWriteIsDurableOnlyOnceSynced) {
  ManualLoop loop;
  Caller caller(&loop);
  auto file = Make(&loop, "a");
  caller.Write(*file, 0, "first");
  EXPECT_EQ(loop.fault_disk().Durable("a"), "");
  EXPECT_EQ(caller.Sync(*file), 0);
  EXPECT_EQ(loop.fault_disk().Durable("a"), "first");
  caller.Write(*file, 5, "second");
  EXPECT_EQ(loop.fault_disk().Durable("a"), "first");
}

TEST(FaultDiskTest, ASyncCoversOnlyWhatCompletedBeforeItWasAsked) {
  FaultDisk disk(1, {.latency_min_ns = 100, .latency_max_ns = 100});
  ManualLoop loop(&disk);
  Caller sync(&loop), write(&loop);
  auto file = Make(&loop, "a");
  write.Write(*file, 0, "one");
  sync.Begin([&](io::Op* op) { file->Sync(op); });
  std::string two = "two";
  // Over the same sector, and done before the sync is.
  disk.faults().latency_min_ns = disk.faults().latency_max_ns = 10;
  EXPECT_EQ(write.Write(*file, 0, two), 3);
  EXPECT_TRUE(sync.op.pending());
  EXPECT_TRUE(loop.RunUntil([&] { return !sync.op.pending(); }));
  EXPECT_EQ(disk.Durable("a"), "one");
  EXPECT_EQ(disk.Content("a"), "two");
}

TEST(FaultDiskTest, SyncsThatOvertakeEachOtherKeepTheNewest) {
  FaultDisk disk(1, {.latency_min_ns = 100, .latency_max_ns = 100});
  ManualLoop loop(&disk);
  Caller slow(&loop), fast(&loop);
  auto file = Make(&loop, "a");
  fast.Write(*file, 0, "one");
  slow.Begin([&](io::Op* op) { file->Sync(op); });
  disk.faults().latency_min_ns = disk.faults().latency_max_ns = 10;
  fast.Write(*file, 600, "two");
  EXPECT_EQ(fast.Sync(*file), 0);
  EXPECT_EQ(disk.Durable("a").substr(0, 3), "one");
  EXPECT_EQ(disk.Durable("a").substr(600), "two");
  fast.Write(*file, 0, "new");
  EXPECT_EQ(fast.Sync(*file), 0);
  loop.RunUntil([&] { return !slow.op.pending(); });
  EXPECT_EQ(disk.Durable("a").substr(0, 3), "new");
}

TEST(FaultDiskTest, ADirectWriteIsDurableWhenItCompletes) {
  ManualLoop loop;
  Caller caller(&loop);
  auto file = Make(&loop, "a", true);
  ASSERT_TRUE(file->direct());
  Aligned x('x');
  EXPECT_EQ(caller.Do([&](io::Op* op) { file->Write(0, x.span(), op); }), 8192);
  EXPECT_EQ(loop.fault_disk().Durable("a"), std::string(8192, 'x'));
  EXPECT_EQ(caller.Do([&](io::Op* op) { file->Write(7, x.span(), op); }), -EINVAL);
}

TEST(FaultDiskTest, WithoutDirectFilesAreBuffered) {
  FaultDisk disk(1, {.direct = false});
  ManualLoop loop(&disk);
  EXPECT_FALSE(Make(&loop, "a", true)->direct());
}

TEST(FaultDiskTest, AfterAFailedSyncTheDataIsReadableButNeverDurable) {
  ManualLoop loop;
  Caller caller(&loop);
  auto file = Make(&loop, "a");
  caller.Write(*file, 0, "lost");
  loop.fault_disk().FailSync(1, EIO);
  EXPECT_EQ(caller.Sync(*file), -EIO);
  EXPECT_EQ(caller.Sync(*file), 0);
  EXPECT_EQ(loop.fault_disk().Content("a"), "lost");
  EXPECT_EQ(loop.fault_disk().Durable("a"), std::string(4, '\0'));
}

TEST(FaultDiskTest, PlannedFaultsHitTheOperationTheyName) {
  ManualLoop loop;
  Caller caller(&loop);
  auto file = Make(&loop, "a");
  loop.fault_disk().FailWrite(2, EIO);
  loop.fault_disk().CutWrite(3, 2);
  EXPECT_EQ(caller.Write(*file, 0, "abcd"), 4);
  EXPECT_EQ(caller.Write(*file, 0, "efgh"), -EIO);
  EXPECT_EQ(caller.Write(*file, 0, "ijkl"), 2);
  EXPECT_EQ(caller.Write(*file, 4, "mnop"), 4);
  EXPECT_EQ(loop.fault_disk().Content("a"), "ijcdmnop");
  loop.fault_disk().FailRead(1, EIO);
  char byte = 0;
  EXPECT_EQ(caller.Do([&](io::Op* op) { file->Read(0, {&byte, 1}, op); }), -EIO);
  EXPECT_EQ(caller.Do([&](io::Op* op) { file->Read(0, {&byte, 1}, op); }), 1);
}

TEST(FaultDiskTest, AFullDiskRefusesWritesAndReservations) {
  FaultDisk disk(1, {.capacity_bytes = 10'000});
  ManualLoop loop(&disk);
  Caller caller(&loop);
  auto file = Make(&loop, "a");
  EXPECT_EQ(caller.Do([&](io::Op* op) { file->Allocate(8192, op); }), 0);
  EXPECT_EQ(*loop.disk().FreeBytes("."), 10'000u - 8192u);
  EXPECT_EQ(caller.Write(*file, 0, std::string(8192, 'x')), 8192);
  EXPECT_EQ(caller.Write(*file, 8192, std::string(4096, 'x')), -ENOSPC);
  EXPECT_EQ(caller.Do([&](io::Op* op) { file->Allocate(20'000, op); }), -ENOSPC);
  ASSERT_TRUE(loop.disk().RemoveNow("a").ok());
  EXPECT_EQ(*loop.disk().FreeBytes("."), 10'000u);
}

// What Crash leaves, over many seeds: never less than was durable, never more than was written,
// torn at sectors only, and each outcome does occur.
TEST(FaultDiskTest, ACrashKeepsTheDurableAndAnySectorsOfTheRest) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    FaultDisk disk(seed);
    ManualLoop loop(&disk);
    {
      Caller caller(&loop);
      auto file = Make(&loop, "a");
      caller.Write(*file, 0, std::string(1024, 'o'));
      ASSERT_EQ(caller.Sync(*file), 0);
      caller.Write(*file, 0, std::string(1024, 'n'));
      disk.Crash();
      loop.Crash();
    }
    std::string after = disk.Content("a");
    ASSERT_EQ(after.size(), 1024u);
    for (int sector : {0, 512}) {
      std::string piece = after.substr(static_cast<std::size_t>(sector), 512);
      ASSERT_TRUE(piece == std::string(512, 'o') || piece == std::string(512, 'n')) << seed;
    }
    outcomes.insert({after[0], after[512]});
    EXPECT_EQ(disk.Durable("a"), after);
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"oo", "on", "no", "nn"}));
}

TEST(FaultDiskTest, ACrashTearsTheWriteUnderWayAndAbandonsIt) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    FaultDisk disk(seed);
    ManualLoop loop(&disk);
    {
      Caller caller(&loop);
      auto file = Make(&loop, "a", true);
      Aligned old('o'), fresh('n');
      caller.Do([&](io::Op* op) { file->Write(0, old.span(), op); });
      caller.Begin([&](io::Op* op) { file->Write(0, fresh.span().first(4096), op); });
      disk.Crash();
      loop.Crash();
      EXPECT_FALSE(caller.op.pending());
      EXPECT_EQ(caller.result, INT64_MIN);
    }
    std::string after = disk.Content("a");
    ASSERT_EQ(after.size(), 8192u);
    EXPECT_EQ(after.substr(4096), std::string(4096, 'o'));
    outcomes.insert({after[0], after[4095]});
  }
  EXPECT_EQ(outcomes.size(), 4u);
}

TEST(FaultDiskTest, ACrashMayLoseGrowthThatWasNotSynced) {
  std::set<uint64_t> sizes;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    FaultDisk disk(seed);
    ManualLoop loop(&disk);
    {
      Caller caller(&loop);
      auto file = Make(&loop, "a");
      caller.Write(*file, 0, std::string(100, 'x'));
      caller.Sync(*file);
      caller.Write(*file, 100, std::string(100, 'y'));
      disk.Crash();
      loop.Crash();
    }
    sizes.insert(disk.Content("a").size());
    EXPECT_EQ(disk.Content("a").substr(0, 100), std::string(100, 'x'));
  }
  EXPECT_GE(*sizes.begin(), 100u);
  EXPECT_LE(*sizes.rbegin(), 200u);
  EXPECT_GT(sizes.size(), 10u);
}

TEST(FaultDiskTest, ACrashKeepsAPrefixOfTheNameChanges) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    FaultDisk disk(seed);
    ManualLoop loop(&disk);
    Make(&loop, "kept");
    ASSERT_TRUE(loop.disk().Open("new", {.create = true, .write = true}).ok());
    ASSERT_TRUE(loop.disk().RenameNow("new", "renamed").ok());
    ASSERT_TRUE(loop.disk().RemoveNow("kept").ok());
    disk.Crash();
    loop.Crash();
    Result<std::vector<std::string>> listed = loop.disk().List(".");
    ASSERT_TRUE(listed.ok());
    std::string names;
    for (const std::string& name : *listed) names += name + " ";
    outcomes.insert(names);
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"kept ", "kept new ", "kept renamed ", "renamed "}));
}

TEST(FaultDiskTest, SyncedNamesSurvive) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    FaultDisk disk(seed);
    ManualLoop loop(&disk);
    Caller caller(&loop);
    ASSERT_TRUE(loop.disk().MakeDirectory("d").ok());
    ASSERT_TRUE(loop.disk().Open("d/new", {.create = true, .write = true}).ok());
    std::string directory = "d";
    EXPECT_EQ(caller.Do([&](io::Op* op) { loop.disk().SyncDirectory(directory, op); }), 0);
    disk.Crash();
    loop.Crash();
    EXPECT_TRUE(disk.Exists("d/new"));
  }
}

TEST(FaultDiskTest, ACrashFreesLocksButNotForTheirOldHolder) {
  FaultDisk disk;
  ManualLoop loop(&disk);
  auto old_lock = loop.disk().Lock("/");
  ASSERT_TRUE(old_lock.ok());
  EXPECT_FALSE(loop.disk().Lock("/").ok());
  disk.Crash();
  auto new_lock = loop.disk().Lock("/");
  ASSERT_TRUE(new_lock.ok());
  old_lock->reset();
  EXPECT_FALSE(loop.disk().Lock("/").ok());
}

TEST(FaultDiskTest, RotShowsInReadsAndSurvives) {
  ManualLoop loop;
  auto file = Make(&loop, "a");
  ASSERT_EQ(file->WriteSyncedNow(0, std::string_view("abc")), 0);
  loop.fault_disk().FlipBit("a", 8);
  EXPECT_EQ(loop.fault_disk().Content("a"), "acc");
  EXPECT_EQ(loop.fault_disk().Durable("a"), "acc");
  loop.fault_disk().Truncate("a", 1);
  EXPECT_EQ(file->size(), 1u);
}

TEST(FaultDiskTest, ShortWritesByChanceAreWholeBlocksOfDirectFiles) {
  FaultDisk disk(3, {.short_write = 1});
  ManualLoop loop(&disk);
  Caller caller(&loop);
  auto file = Make(&loop, "a", true);
  Aligned x('x');
  EXPECT_EQ(caller.Do([&](io::Op* op) { file->Write(0, x.span(), op); }), 4096);
  int64_t put = caller.Write(*Make(&loop, "b"), 0, std::string(100, 'y'));
  EXPECT_GT(put, 0);
  EXPECT_LT(put, 100);
}

}  // namespace
}  // namespace ursula::testing
