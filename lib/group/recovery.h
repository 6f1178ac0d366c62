// lib/group/recovery.h
//
// What the disk gives back of the groups: snapshots into machines, the log's records into entries
// and hard states. Runs once, before any core does, on the thread that opens the engine.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/group/recovered.h"
#include "lib/raft/config.h"
#include "lib/raft/types.h"
#include "lib/storage/directory.h"
#include "lib/storage/snapshot_store.h"
#include "lib/storage/wal_recovery.h"
#include "lib/stream/machine.h"
#include "ursula/engine.h"

namespace ursula::group {

// What one group starts from.
struct RecoveredGroup {
  std::unique_ptr<stream::Machine> machine;  // As of `compacted`.
  raft::SnapshotMeta compacted;              // Index 0: no snapshot yet.
  raft::HardState hard;
  std::vector<raft::Entry> entries;  // Contiguous, from compacted.index + 1.
  // The log still has entries of another history than the snapshot's, left out of `entries`: a
  // crash came between an installed snapshot and its reset record. That comes first now.
  bool reset_missing = false;
};

// What a directory, or a process that keeps everything in memory, was founded with.
struct Founding {
  std::vector<ReplicaId> voters = {};
  uint64_t history = 0;
  std::optional<Recovered> recovered = {};
  uint32_t feature_level = 1;
};

Founding FoundingOf(const storage::DataDirectory& directory);

// A new group: nobody has written anything.
RecoveredGroup NewGroup(GroupId group, const Founding& founding);

// The opaque parts of storage's records.
std::string EncodeState(const raft::HardState& hard);
Result<raft::HardState> DecodeState(std::string_view payload);
std::string EncodeSnapshotHeader(const raft::ConfState& conf);
Result<raft::ConfState> DecodeSnapshotHeader(std::string_view header);

// An entry's record carries its kind before its payload.
Result<raft::Entry> DecodeEntry(Index index, Term term, const Bytes& record);

// Gathers what storage finds, for all groups.
class Recovery final : public storage::RecoverySink {
 public:
  Recovery(uint32_t group_count, const Founding& founding);

  // First: every group's snapshot. kCancelled: by `opening`, which may be null.
  Status LoadSnapshots(io::Disk& disk, storage::SnapshotFiles* files, Opening* opening = nullptr);
  // The same for one group whose machine is at hand already: tests.
  void SetSnapshot(GroupId group, raft::SnapshotMeta meta) {
    groups_[Raw(group)].compacted = std::move(meta);
  }
  // Then every record of the logs.
  Status OnRecord(storage::RecoveredRecord record) override;
  // Last: checks each group. kDataLoss: entries are missing between its snapshot and its log, or
  // its terms contradict each other.
  Result<std::vector<RecoveredGroup>> Finish();
  // Of a kDataLoss: what was durable here isn't there. Else the log contradicts itself, or holds
  // what isn't understood.
  bool rotten() const { return rotten_; }

 private:
  Status OnEntry(raft::Entry entry, GroupId group);
  Status OnReset(Index index, GroupId group);
  void BeginAnew(RecoveredGroup* group) const;

  const std::optional<Recovered> recovered_;
  std::vector<RecoveredGroup> groups_;
  // By group: entries that don't follow the one before, unless a later record makes them void. What
  // a crash left of the segments that went may begin in the middle of such.
  std::vector<Status> gaps_;
  bool rotten_ = false;
};

}  // namespace ursula::group
