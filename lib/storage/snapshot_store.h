// lib/storage/snapshot_store.h
//
// Incremental snapshots of groups: a base and deltas that go on from it, each a file, written in
// chunks off the critical path. Invariant: at any moment of a crash the newest whole chain of a
// group is there; what is replaced is removed only after its successor is durable.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/io/loop.h"
#include "lib/storage/directory.h"
#include "lib/storage/log_line.h"
#include "lib/storage/scrub.h"
#include "lib/storage/snapshot_format.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::storage {

class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;
  // A file begins: the base first, then each delta; the last one's meta is the snapshot's.
  virtual Status OnSnapshotFile(const SnapshotMeta& meta, bool base) = 0;
  virtual Status OnSnapshotRecord(SnapshotRecord record) = 0;
};

struct SnapshotStats {
  uint64_t snapshots = 0;  // Written since the start.
  uint64_t written_bytes = 0;
  uint64_t disk_bytes = 0;  // Files now: chains, what is being written, what is yet to be removed.
};

// The files of all groups, found once at open, before cores run; then each core takes its groups'.
class SnapshotFiles {
 public:
  // Blocks. Removes unfinished files. kIoError.
  static Result<std::unique_ptr<SnapshotFiles>> Scan(io::Disk& disk, const DataDirectory& directory,
                                                     const LogLine& log);
  // Blocks. Of all files, those too that no chain needs any more.
  uint64_t Bytes(io::Disk& disk) const;
  // Blocks. Gives base and deltas of `group` to `sink`; false if it has no snapshot. kDataLoss with
  // file and offset.
  Result<bool> Load(io::Disk& disk, GroupId group, SnapshotSink* sink);
  // Of a Load that was kDataLoss: the medium has lost bytes. Else they hold, and weren't
  // understood.
  bool rotten() const { return rotten_; }

  struct Chain {
    uint64_t last_number = 0;            // Of any file seen.
    std::vector<uint64_t> all = {};      // Every file there is, ascending.
    std::vector<uint64_t> numbers = {};  // The chain, base first. Filled by Load.
    uint64_t base_bytes = 0;
    uint64_t delta_bytes = 0;
  };
  // Null: the group has no file.
  const Chain* Find(GroupId group) const;

 private:
  SnapshotFiles(const DataDirectory& directory, LogLine log);
  Result<std::vector<uint64_t>> WalkChain(io::Disk& disk, GroupId group, Chain* chain);

  const std::string path_;
  const uint64_t directory_id_;
  LogLine log_;
  bool rotten_ = false;
  absl::flat_hash_map<GroupId, Chain> chains_;
};

class SnapshotStore {
 public:
  SnapshotStore() = default;
  SnapshotStore(const SnapshotStore&) = delete;
  SnapshotStore& operator=(const SnapshotStore&) = delete;
  virtual ~SnapshotStore() = default;  // REQUIRES: Stop done.

  // Writes one file: a base (everything) or a delta on the group's newest file (what changed
  // since). `done(ok)` once it is durable; snapshots of one store are written one after the other.
  // kFailedPrecondition: a delta and no base; kStorageFull: disk full, nothing changed;
  // kIoError: nothing changed; kCancelled: stopping. Whatever refused it, the next one has to hold
  // what this one held.
  virtual void Write(GroupId group, SnapshotMeta meta, bool base, SnapshotRecords records,
                     Function<void(Status)> done) = 0;

  // Of the chain on disk: when deltas outgrow the base, write a base.
  struct ChainSize {
    uint32_t files = 0;
    uint64_t base_bytes = 0;
    uint64_t delta_bytes = 0;
  };
  virtual ChainSize chain(GroupId group) const = 0;

  virtual SnapshotStats stats() const = 0;

  // Its files, for a Scrub, which is stopped before it is. Null: there are none. `damaged` is told
  // of each file of a group's chain that doesn't hold: a new base takes the place of all of it.
  virtual ScrubTarget* scrub(Function<void(GroupId, const Status&)> damaged) {
    static_cast<void>(damaged);
    return nullptr;
  }

  // Ends the one under way, refuses queued ones with kCancelled; then `done`, not inside the call.
  virtual void Stop(Function<void()> done) = 0;
};

// `groups` are those of this core; `files` (Load was called for each of them) is read inside the
// call only. `loop` and `directory` outlive the store.
std::unique_ptr<SnapshotStore> MakeSnapshotStore(io::Loop* loop, const DataDirectory& directory,
                                                 const std::vector<GroupId>& groups,
                                                 const SnapshotFiles* files, LogLine log);
// For engines without a directory: every Write succeeds and keeps nothing.
std::unique_ptr<SnapshotStore> MakeMemorySnapshotStore(io::Loop* loop);

}  // namespace ursula::storage
