// lib/storage/wal_recovery.h
//
// Reads the logs that earlier openings left, once, before any core runs.
//
// Torn or rotten: a batch states up to where the log was synced when it was made, so damage that a
// later batch attests is rot, and the directory is refused (kDataLoss with file and offset):
// cutting there would lose acknowledged records. Damage that nothing attests is where the last
// crash hit: the log ends there, and is sealed there so that the next opening knows.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/io/disk.h"
#include "lib/storage/directory.h"
#include "lib/storage/log_line.h"
#include "lib/storage/old_logs.h"
#include "lib/storage/wal_format.h"
#include "ursula/bytes.h"
#include "ursula/engine.h"
#include "ursula/status.h"

namespace ursula::storage {

struct RecoveredRecord {
  GroupId group = {};
  RecordKind kind = RecordKind::kEntry;
  Index index = {};
  Term term = {};
  Bytes payload = {};
  LogId log = {};
  WalPosition batch = {};
};

class RecoverySink {
 public:
  virtual ~RecoverySink() = default;
  // Every record there is, in the order in which its group appended it. A group may see entries
  // that it had released. An error ends the recovery with it.
  virtual Status OnRecord(RecoveredRecord record) = 0;
};

// The newest state record of a group.
struct RecoveredState {
  GroupId group = {};
  Index index = {};
  Term term = {};
  std::string payload = {};
};

// A segment without a batch: prepared, or begun to be, and never used.
struct SpareSegment {
  std::string path = {};
  uint64_t bytes = 0;
};

struct RecoveredLogs {
  std::shared_ptr<OldLogs> old_logs = {};   // For DiskWal::Options, of every core.
  std::vector<RecoveredState> states = {};  // By group.
  std::vector<SpareSegment> spares = {};
  uint64_t records = 0;
  uint64_t cut_bytes = 0;  // Of unacknowledged batches that a crash tore.
};

struct DiskWalOptions;

// Gives `options` what is core `ordinal`'s of it, when its groups are `groups` and there are
// `log_count` cores in all.
void ShareRecovered(RecoveredLogs* from, uint32_t ordinal, uint32_t log_count,
                    const std::vector<GroupId>& groups, DiskWalOptions* options);

// Blocks. kDataLoss: rot, or a segment missing between two others: `rotten`, which may be null, is
// set then, and by nothing that holds and isn't understood. kIoError. kCancelled: by `opening`,
// which may be null.
Result<RecoveredLogs> RecoverLogs(io::Disk& disk, const DataDirectory& directory,
                                  RecoverySink* sink, const LogLine& log,
                                  Opening* opening = nullptr, bool* rotten = nullptr);

}  // namespace ursula::storage
