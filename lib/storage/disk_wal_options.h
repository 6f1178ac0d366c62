// lib/storage/disk_wal_options.h
//
// How a core's log on disk is made.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/io/loop.h"
#include "lib/storage/directory.h"
#include "lib/storage/log_line.h"
#include "lib/storage/wal.h"
#include "lib/storage/wal_recovery.h"

namespace ursula::storage {

struct DiskWalOptions {
  uint32_t segment_bytes = 32 << 20;  // A multiple of kWalBlockBytes.
  // Of an opening's first one, beside the states that it begins with, where there is room for
  // more. The next one is prepared once a 16th of that has been appended.
  uint32_t first_segment_bytes = 1 << 20;
  uint32_t batch_bytes_max = 4 << 20;    // Of one write; a bigger record is a batch alone.
  uint64_t staged_bytes_max = 64 << 20;  // Not accepting above it.
  // Of segment files, this log's share of old ones included. Above half of it: OnWalPinned. At it:
  // not accepting, and passed only by what must be written all the same (states, a first segment).
  uint64_t log_bytes_max = 512 << 20;
  uint32_t idle_segments_max = 2;           // Released segments kept to be recycled.
  uint64_t seal_idle_ns = 50'000'000;       // An idle log is sealed after this.
  uint64_t space_retry_ns = 1'000'000'000;  // Between two tries on a full disk.
  bool read_back = false;                   // ReadEntries is to find what is appended.
  bool direct = true;                       // O_DIRECT|O_DSYNC where the file system can.
  // What RecoverLogs gave that is this core's. The states are appended again by Start, so that old
  // segments need not stay for them.
  // Attached to the loop of the log with ordinal 0, which stops it.
  std::shared_ptr<OldLogs> old_logs = {};
  std::vector<RecoveredState> states = {};  // Of this core's groups.
  std::vector<GroupId> groups = {};         // All groups of this core.
  std::vector<SpareSegment> spares = {};    // Each to one core only.
  uint32_t log_count = 1;                   // Cores with a log: each bears its share of old bytes.
  LogLine log = {};
};

// The log `ordinal` (below 65536, one for each core) of this opening. `loop`, `directory` and
// `listener` outlive it.
std::unique_ptr<Wal> MakeDiskWal(io::Loop* loop, const DataDirectory& directory, uint32_t ordinal,
                                 DiskWalOptions options, Wal::Listener* listener);

}  // namespace ursula::storage
