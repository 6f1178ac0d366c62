// tests/sim/storage/node.h
//
// The storage stack of one node on a simulated disk: directory, logs, payload files and snapshots,
// opened, stopped, crashed and opened again. What an opening found is kept for the checkers.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/storage/directory.h"
#include "lib/storage/payload_store.h"
#include "lib/storage/snapshot_store.h"
#include "lib/storage/wal.h"
#include "lib/storage/wal_recovery.h"
#include "tests/sim/storage/profile.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"

namespace ursula::storage::sim {

inline constexpr uint64_t kDirectoryId = 7;

struct FoundSnapshot {
  SnapshotMeta meta = {};
  std::map<std::string, std::string> records = {};
};

struct Found {
  std::vector<RecoveredRecord> records = {};
  std::map<uint32_t, FoundSnapshot> snapshots = {};  // By group.
  std::vector<std::string> complaints = {};          // Of payload files.
};

class Node {
 public:
  struct Core final : Wal::Listener {
    void OnWalDurable(uint64_t lsn) override;
    void OnWalFailed(Status status) override;
    void OnWalPinned(std::span<const GroupId> groups) override;
    uint64_t durable = 0;
    int failures = 0;
    bool durable_after_failure = false;
    std::vector<GroupId> pinned = {};
    std::unique_ptr<Wal> wal = {};
    std::unique_ptr<PayloadStore> payload = {};
    std::unique_ptr<SnapshotStore> snapshots = {};
  };

  // `disk` and `profile` outlive it.
  Node(testing::FaultDisk* disk, const Profile& profile, uint64_t seed)
      : disk_(*disk), profile_(profile), seed_(seed) {}
  ~Node();

  // Recovers, then starts a log on each core. Not ok: it is closed again.
  Status Open(uint16_t cores, Found* found);
  void Stop();
  void Crash();
  void Kill();  // The process only.

  bool open() const { return !cores_.empty(); }
  testing::ManualRuntime& runtime() { return *runtime_; }
  const std::vector<std::unique_ptr<Core>>& cores() const { return cores_; }
  Core& core_of(uint32_t group) { return *cores_[group % cores_.size()]; }
  bool failed() const;  // A log of it.
  Result<PayloadSlice> ReadPayload(PayloadKey key, uint64_t from, uint64_t bytes_max);

 private:
  Status Recover(uint16_t cores, Found* found);
  Status StartLogs();
  void Close();

  testing::FaultDisk& disk_;
  const Profile& profile_;
  uint64_t seed_;
  std::unique_ptr<testing::ManualRuntime> runtime_;
  std::unique_ptr<DataDirectory> directory_;
  std::vector<std::unique_ptr<Core>> cores_;
};

}  // namespace ursula::storage::sim
