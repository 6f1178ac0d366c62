// tests/support/test_node.h
//
// One node's cores, stores and replicas on a faulty disk in virtual time: what an engine is below
// its public methods, without threads. Opened, stopped, crashed and opened again.
//
//   FaultDisk disk(seed);
//   TestNode node(&disk);
//   ASSERT_TRUE(node.Open({.cores = 2}).ok());
//   node.replica(0).Propose(...);
//   node.runtime().RunUntil(...);
//   node.Crash();

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/engine/shard.h"
#include "lib/group/replica.h"
#include "lib/storage/directory.h"
#include "lib/storage/disk_wal_options.h"
#include "lib/storage/wal_recovery.h"
#include "lib/stream/collection.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "ursula/status.h"

namespace ursula::testing {

// What every directory of a TestNode is founded with, so that replicas are of one history.
inline constexpr uint64_t kTestHistory = 9;

struct TestNodeOptions {
  uint16_t cores = 1;
  uint32_t groups = 4;                    // Of a new directory.
  uint64_t hot_bytes_max = 64 << 20;      // The node's, shared by its cores, as the next.
  uint64_t inflight_bytes_max = 1 << 20;  //
  uint32_t wal_segment_bytes = 256 << 10;
  uint32_t wal_first_segment_bytes = 1 << 20;  // Where it is below wal_segment_bytes.
  uint64_t wal_bytes_max = 16 << 20;           // Of each core.
  stream::CollectionStep collection_step = {};
  uint64_t start_ns = 1'000'000'000;  // Virtual time of the opening; the wall clock shows the same.
};

class TestNode {
 public:
  // `disk` is borrowed and outlives the node.
  explicit TestNode(FaultDisk* disk, uint64_t seed = 1) : disk_(*disk), seed_(seed) {}
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;
  ~TestNode();  // Crashes, if it is open.

  // Recovers and starts; ok once every group can commit. Else the node is closed, and the status is
  // recovery's or the first of a core's. `also` sees every record of the logs.
  Status Open(const TestNodeOptions& options, storage::RecoverySink* also = nullptr);
  void Stop();
  void Crash();

  bool open() const { return !shards_.empty(); }
  uint32_t group_count() const { return group_count_; }
  ManualRuntime& runtime() { return *runtime_; }
  engine::Shard& shard_of(uint32_t group) { return *shards_[CoreOf(group)]; }
  group::Replica& replica(uint32_t group) { return shard_of(group).replica(GroupId{group}); }
  const std::vector<std::string>& log() const { return log_lines_; }  // Since it was opened.

 private:
  std::size_t CoreOf(uint32_t group) const { return group % shards_.size(); }
  Status Recover(const TestNodeOptions& options, storage::RecoverySink* also,
                 std::vector<engine::ShardStart>* starts);
  Status StartShards(std::vector<engine::ShardStart> starts);
  void Close();

  FaultDisk& disk_;
  uint64_t seed_;
  uint32_t group_count_ = 0;
  std::vector<std::string> log_lines_;
  engine::Log log_;
  std::unique_ptr<ManualRuntime> runtime_;
  std::unique_ptr<storage::DataDirectory> directory_;
  std::unique_ptr<storage::SnapshotFiles> snapshot_files_;  // While opening.
  Opening opening_;
  std::vector<std::unique_ptr<engine::Shard>> shards_;
};

}  // namespace ursula::testing
