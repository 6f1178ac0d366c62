// tests/unit/storage/wal_world.h
//
// A data directory on a faulty disk in virtual time, with a log on each core: opened, stopped,
// crashed and opened again.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/storage/directory.h"
#include "lib/storage/disk_wal_options.h"
#include "lib/storage/wal.h"
#include "lib/storage/wal_recovery.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"

namespace ursula::storage {

struct Probe final : Wal::Listener {
  void OnWalDurable(uint64_t lsn) override { durable = lsn; }
  void OnWalFailed(Status status) override {
    ++failures;
    failure = std::move(status);
  }
  void OnWalPinned(std::span<const GroupId> groups) override {
    pinned.assign(groups.begin(), groups.end());
  }
  uint64_t durable = 0;
  int failures = 0;
  Status failure;
  std::vector<GroupId> pinned;
};

struct Recorder final : RecoverySink {
  Status OnRecord(RecoveredRecord record) override {
    records.push_back(std::move(record));
    return {};
  }
  // "kind group index term payload".
  std::vector<std::string> Texts() const {
    std::vector<std::string> texts;
    for (const RecoveredRecord& r : records) {
      texts.push_back((r.kind == RecordKind::kEntry ? "entry " : "state ") +
                      std::to_string(Raw(r.group)) + " " + std::to_string(Raw(r.index)) + " " +
                      std::to_string(Raw(r.term)) + " " + std::string(r.payload.view()));
    }
    return texts;
  }
  std::vector<RecoveredRecord> records;
};

class WalWorld {
 public:
  static constexpr uint32_t kGroups = 4;

  explicit WalWorld(uint64_t seed = 1, const testing::FaultDisk::Faults& faults = {})
      : disk(seed, faults), seed_(seed) {
    options.segment_bytes = 64 << 10;
    options.batch_bytes_max = 16 << 10;
    options.log_bytes_max = 32 << 20;
    options.read_back = true;
  }
  ~WalWorld() {
    if (!wals.empty()) Crash();
  }

  static uint32_t CoreOf(GroupId group, uint32_t cores) { return Raw(group) % cores; }

  Status OpenDirectory(uint16_t cores = 1) {
    runtime = std::make_unique<testing::ManualRuntime>(cores, &disk, seed_++);
    Result<std::unique_ptr<DataDirectory>> opened = DataDirectory::Open(
        runtime->loop(CoreId{0}).disk(), "/data", {.group_count_if_new = kGroups, .id_if_new = 7});
    if (!opened.ok()) return opened.status();
    directory = std::move(*opened);
    return {};
  }

  // Recovers into `recorder`, then starts a log on each core.
  Status Open(uint16_t cores = 1) {
    Status status = OpenDirectory(cores);
    if (!status.ok()) return status;
    recorder.records.clear();
    log.clear();
    LogLine line = [this](LogLevel, std::string_view text) { log.emplace_back(text); };
    Result<RecoveredLogs> recovered =
        RecoverLogs(runtime->loop(CoreId{0}).disk(), *directory, &recorder, line);
    if (!recovered.ok()) {
      directory.reset();
      return recovered.status();
    }
    cut_bytes = recovered->cut_bytes;
    int started = 0;
    for (uint16_t core = 0; core < cores; ++core) {
      std::vector<GroupId> groups;
      for (uint32_t g = 0; g < kGroups; ++g) {
        if (CoreOf(GroupId{g}, cores) == core) groups.push_back(GroupId{g});
      }
      DiskWalOptions mine = options;
      mine.log = line;
      ShareRecovered(&*recovered, core, cores, groups, &mine);
      probes.push_back(std::make_unique<Probe>());
      wals.push_back(MakeDiskWal(&runtime->loop(CoreId{core}), *directory, core, std::move(mine),
                                 probes.back().get()));
    }
    for (auto& wal : wals) {
      wal->Start([&status, &started](Status result) {
        if (!result.ok()) status = result;
        ++started;
      });
    }
    EXPECT_TRUE(runtime->RunUntil([&] { return started == cores; }));
    return status;
  }

  void Stop() {
    std::size_t stopped = 0;
    for (auto& wal : wals) wal->Stop([&stopped] { ++stopped; });
    EXPECT_TRUE(runtime->RunUntil([&] { return stopped == wals.size(); }));
    Destroy();
  }

  void Crash() {
    disk.Crash();
    runtime->Crash();
    Destroy();
  }

  // The process dies, the power stays.
  void Kill() {
    disk.Kill();
    runtime->Crash();
    Destroy();
  }

  Wal& wal(std::size_t core = 0) { return *wals.at(core); }
  Probe& probe(std::size_t core = 0) { return *probes.at(core); }

  uint64_t AppendEntry(uint32_t group, uint64_t index, std::string_view payload,
                       std::size_t core = 0, uint64_t term = 1) {
    return wal(core).Append({.group = GroupId{group},
                             .kind = RecordKind::kEntry,
                             .index = Index{index},
                             .term = Term{term},
                             .parts = {payload, {}}});
  }
  uint64_t AppendState(uint32_t group, std::string_view payload, std::size_t core = 0) {
    return wal(core).Append({.group = GroupId{group},
                             .kind = RecordKind::kState,
                             .index = Index{0},
                             .term = Term{1},
                             .parts = {payload, {}}});
  }
  uint64_t AppendReset(uint32_t group, uint64_t index, std::size_t core = 0) {
    return wal(core).Append({.group = GroupId{group},
                             .kind = RecordKind::kReset,
                             .index = Index{index},
                             .term = Term{1}});
  }
  bool RunUntilDurable(uint64_t lsn, std::size_t core = 0) {
    return runtime->RunUntil([&] { return probe(core).durable >= lsn; });
  }
  std::vector<std::string> Segments() { return *runtime->loop(CoreId{0}).disk().List("/data/wal"); }

  testing::FaultDisk disk;
  DiskWalOptions options;
  std::unique_ptr<testing::ManualRuntime> runtime;
  std::unique_ptr<DataDirectory> directory;
  std::vector<std::unique_ptr<Probe>> probes;
  std::vector<std::unique_ptr<Wal>> wals;
  Recorder recorder;
  std::vector<std::string> log;
  uint64_t cut_bytes = 0;

 private:
  void Destroy() {
    wals.clear();
    probes.clear();
    directory.reset();
  }

  uint64_t seed_;
};

}  // namespace ursula::storage
