// lib/storage/payload_store.h
//
// The bytes of streams on this node's own disk: one store per core, on that core's loop, for the
// groups of that core. Written behind the log: what Write has reported need no longer be in it.
// Invariant: a byte is served only if the checksum of its block holds; what is indexed was synced.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/io/loop.h"
#include "lib/storage/directory.h"
#include "lib/storage/log_line.h"
#include "lib/storage/payload_format.h"
#include "lib/storage/scrub.h"
#include "ursula/bytes.h"
#include "ursula/engine.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::storage {

struct PayloadRun {
  PayloadKey key = {};
  uint64_t start = 0;                // Stream offset of the first message.
  std::vector<Bytes> messages = {};  // One append each, contiguous.
  bool cut = false;                  // The last one goes on behind the run.
};

struct PayloadSlice {
  std::vector<Bytes> parts = {};            // Contiguous, from `start` to `next`.
  std::vector<uint64_t> message_ends = {};  // Stream offsets in (start, next], ascending.
  uint64_t start = 0;
  uint64_t next = 0;
};

// A stretch of a stream that is on the disk no more: its block fails its checksum, or its file is
// gone.
struct PayloadDamage {
  PayloadKey key = {};
  uint64_t from = 0;
  uint64_t to = 0;
  std::string where = {};  // File and offset.
};

class PayloadWatcher {
 public:
  // Whoever met it: a reader, the compactor, the scrub. Once of each stretch, until it is written
  // anew; and before the read that met it is answered.
  virtual void OnPayloadDamaged(const PayloadDamage& damage) = 0;

 protected:
  ~PayloadWatcher() = default;
};

struct PayloadStats {
  uint64_t disk_bytes = 0;  // Files now; of shared ones this core's extents only.
  uint64_t written_bytes = 0;
  uint64_t extents = 0;
  uint64_t keys = 0;
  uint64_t index_bytes = 0;  // Of memory: where each stored byte is.
  uint64_t files_removed = 0;
  uint64_t compacted_bytes = 0;
  uint64_t held_bytes = 0;     // Read, and not yet let go of by their readers.
  uint64_t refused_reads = 0;  // At held_bytes_max or read_queue_max.
  uint64_t damaged_footers = 0;
};

struct PayloadStoreOptions {
  uint32_t file_bytes = 64 << 20;      // A file is finished once it is this long.
  uint32_t write_bytes_max = 8 << 20;  // Runs joined in one write and sync.
  uint32_t reads_max = 64;             // Under way at once.
  uint32_t read_queue_max = 16384;     // Waiting; more are refused: kResourceExhausted.
  uint32_t read_extents_max = 64;      // Of one Read; it may give less than asked.
  // Read and not yet let go of; more is refused: kResourceExhausted.
  uint64_t held_bytes_max = uint64_t{256} << 20;
  uint32_t open_files_max = 256;
  uint32_t compact_live_percent = 25;         // A finished file below it is rewritten. 0: never.
  uint32_t compact_dead_bytes_min = 1 << 20;  // Of it; for less it isn't worth it.
  // Where the index takes more memory than this, small blocks of a stream are joined.
  uint64_t merge_index_bytes_min = 8 << 20;
  bool direct = true;  // O_DIRECT|O_DSYNC where the file system can.
  LogLine log = {};
};

class RecoveredPayload;

class PayloadStore {
 public:
  PayloadStore() = default;
  PayloadStore(const PayloadStore&) = delete;
  PayloadStore& operator=(const PayloadStore&) = delete;
  virtual ~PayloadStore() = default;  // REQUIRES: Stop done.

  // Makes the runs durable and readable, all of them before `done(ok)`. Order is kept. A range that
  // is there already may be written again if its bytes are the same. Only committed bytes: those of
  // a write that was refused, or that a crash cut off, may be there all the same.
  // kStorageFull (or kResourceExhausted, without descriptors): try later; kUnavailable: the store
  // has failed for good (reads go on).
  virtual void Write(std::vector<PayloadRun> runs, Function<void(Status)> done) = 0;

  // Up to `bytes_max` bytes from `from` (at least one). kDataLoss: damaged, with file and offset,
  // or nothing is stored at `from`; logged too, once each. kResourceExhausted; kIoError.
  virtual void Read(PayloadKey key, uint64_t from, uint64_t bytes_max,
                    Function<void(Result<PayloadSlice>)> done) = 0;

  // What one more Read should ask for at most, so that many can go on while some hold what they
  // read for long. Advice: smaller the more is held, and never 0.
  virtual uint64_t ReadBytesAdvised() const = 0;

  // Who is told of damage to the group's payload; null: nobody. It lives until the next call.
  virtual void Watch(GroupId group, PayloadWatcher* watcher) = 0;

  // Whether anything is stored at `from`, be it damaged.
  virtual bool Holds(PayloadKey key, uint64_t from) const = 0;
  // The end of what is stored without a gap from `from`; `from` itself when nothing is there, or
  // what is there is known to be damaged.
  virtual uint64_t Find(PayloadKey key, uint64_t from) const = 0;
  // The first stored range at or after `from` that isn't known to be damaged: its start (>= from).
  // UINT64_MAX: none.
  virtual uint64_t FindNext(PayloadKey key, uint64_t from) const = 0;

  // Where the byte is that would be read at `from`, or what may have become of it: file and offset,
  // for an operator.
  virtual std::string Where(PayloadKey key, uint64_t from) const = 0;
  // Each key of `group`, in order, and where its last stored range ends.
  virtual void ForEachKey(GroupId group,
                          Function<void(uint64_t incarnation, uint64_t end)> visit) const = 0;

  // The key's bytes (those below `offset`, whole blocks only) are no longer needed. Nothing durable
  // is said: after an opening they are back until Keep or the same call drops them.
  virtual void Free(PayloadKey key) = 0;
  virtual void FreeBefore(PayloadKey key, uint64_t offset) = 0;
  // Frees every key of `group` for which `wanted` is false.
  virtual void Keep(GroupId group, Function<bool(uint64_t incarnation)> wanted) = 0;

  virtual PayloadStats stats() const = 0;

  // Its files, for a Scrub, which is stopped before it is. Null: there are none.
  virtual ScrubTarget* scrub() { return nullptr; }

  // Completes what was written, ends queued reads with kCancelled; then `done`, not inside the
  // call.
  virtual void Stop(Function<void()> done) = 0;
};

// What earlier openings left. Blocks; once, before cores run. `core_of(group)` is below
// `core_count`. What is no whole block in an unfinished file is logged with file and offset and
// remembered there; a file with damage in it is kept for good. kCancelled: by `opening`, which may
// be null.
Result<std::shared_ptr<RecoveredPayload>> RecoverPayload(
    io::Disk& disk, const DataDirectory& directory, uint32_t core_count,
    Function<uint32_t(GroupId)> core_of, const LogLine& log, Opening* opening = nullptr);

// Removes files in which a crash has left nothing whole. Blocks. REQUIRES: no stream of any core
// lacks payload; else a file of those may be what it lacks.
void RemoveTornPayload(io::Disk& disk, const RecoveredPayload& recovered, const LogLine& log);

// The store of core `ordinal` with its share of `recovered`. `loop` and `directory` outlive it.
std::unique_ptr<PayloadStore> MakePayloadStore(io::Loop* loop, const DataDirectory& directory,
                                               uint32_t ordinal, PayloadStoreOptions options,
                                               RecoveredPayload* recovered);

// For engines without a directory: everything in memory, until it is freed.
std::unique_ptr<PayloadStore> MakeMemoryPayloadStore(io::Loop* loop);

}  // namespace ursula::storage
