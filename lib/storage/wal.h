// lib/storage/wal.h
//
// A write-ahead log: one per core, shared by the core's groups, used on that core's loop only.
//
// Records reach the disk in the order of Append, and durability is a prefix of that order. A group
// may Release entries that its durable snapshot holds; segments whose records nobody needs leave
// from the front only, so what is left of a group's records is always a suffix of what it appended.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lib/base/ids.h"
#include "lib/storage/scrub.h"
#include "lib/storage/wal_format.h"
#include "ursula/bytes.h"
#include "ursula/function.h"
#include "ursula/stats.h"
#include "ursula/status.h"

namespace ursula::storage {

struct WalRecord {
  GroupId group = {};
  RecordKind kind = RecordKind::kEntry;
  Index index = {};
  Term term = {};
  // The payload is their concatenation; read inside the call only.
  std::array<std::string_view, 2> parts = {};
};

// What was appended as kEntry, read back.
struct WalEntry {
  Index index = {};
  Term term = {};
  Bytes payload = {};
};
using EntriesRead = Function<void(Result<std::vector<WalEntry>>)>;

struct WalStats {
  uint64_t batches = 0;        // Seals included.
  uint64_t syncs = 0;          // Batches made durable (one write of O_DSYNC is one).
  uint64_t written_bytes = 0;  // Padded.
  uint64_t record_bytes = 0;   // Record headers and payload.
  uint64_t disk_bytes = 0;     // Segment files now, this log's share of old logs included.
  uint64_t segments_recycled = 0;
  uint64_t segments_removed = 0;
  uint64_t segments_kept = 0;  // Now, for entries that are released and wanted all the same.
  Histogram sync_us = {};      // Of a batch, from its start to durable.
  uint64_t writing_since_ns =
      0;  // When the batch that is on its way to the disk began; 0: none is.
};

class Wal {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // All records with lsn up to `lsn` are on disk. Not inside Append.
    virtual void OnWalDurable(uint64_t lsn) = 0;
    // Once: a write or sync failed, and nothing more will become durable. Reads may go on.
    virtual void OnWalFailed(Status status) = 0;
    // These groups hold the oldest segment back while the log is above half its limit: a snapshot
    // and a Release of each is wanted. Told again as long as it is so, at most once a batch.
    virtual void OnWalPinned(std::span<const GroupId> groups) = 0;
    // What was synced has rotted in a segment; of each segment once. What is there of it in memory
    // is whole: OnWalPinned asks for a snapshot of each group until the segment can go.
    virtual void OnWalDamaged(const Status& /*status*/) {}
  };

  Wal() = default;
  Wal(const Wal&) = delete;
  Wal& operator=(const Wal&) = delete;
  virtual ~Wal() = default;  // REQUIRES: Start never called, or Stop done.

  // Makes the log ready for Append. Once, on the loop. kIoError, kStorageFull.
  virtual void Start(Function<void(Status)> done) = 0;

  // Stages the record for the batch that starts at the end of this turn, or when the batch under
  // way is durable. Returns its lsn: 1, 2, 3 ... After a failure nothing happens any more.
  // REQUIRES: started, not stopping; payload <= record_bytes_max().
  virtual uint64_t Append(const WalRecord& record) = 0;
  virtual uint32_t record_bytes_max() const = 0;

  // Entries of `group` up to `upto` are no longer needed: a durable snapshot holds them. Of one
  // that took the place of the log: once its reset has been appended.
  virtual void Release(GroupId group, Index upto) = 0;

  // Entries of `group` from `from` on are wanted, released or not, by peers that lack them; as long
  // as the log is below three quarters of its limit and the disk has room. UINT64_MAX: none, as at
  // first.
  virtual void Keep(GroupId /*group*/, Index /*from*/) {}
  // What is released from now on, and wanted, stays for a while.
  virtual bool KeepsMore() const { return false; }
  // From here on all that was appended of the group in this opening, and is durable, can be read.
  // UINT64_MAX: nothing can.
  virtual Index ReadableFrom(GroupId /*group*/) const { return Index{UINT64_MAX}; }
  // Some entries of `group` from `from` on, in the order in which they were appended; those that
  // others have replaced may be among them. The first that counts is `from`, if it is there still.
  // kFailedPrecondition: it isn't; kDataLoss, kIoError; kUnavailable: stopping. `done` isn't called
  // inside.
  virtual void ReadEntries(GroupId /*group*/, Index /*from*/, EntriesRead done) {
    done(Status(StatusCode::kFailedPrecondition, "this log isn't read back"));
  }

  // What someone is about to append.
  struct Work {
    uint64_t bytes = 0;        // With what was taken on before and not appended yet.
    bool frees_space = false;  // It may use what is kept back for it: so a full disk can be left.
  };
  // Ask before taking on new work. Ok, or kStorageFull, kResourceExhausted (log at its limit, too
  // much staged, or no descriptors), kUnavailable (failed, stopped, not started). Append works even
  // then, as far as prepared space goes; past it records wait, not durable, until space is found.
  virtual Status ReadyFor(const Work& work) const = 0;
  Status Ready() const { return ReadyFor({}); }
  bool accepting() const { return Ready().ok(); }

  virtual WalStats stats() const = 0;

  // Its files, for a Scrub, which is stopped before it is. Null: there are none.
  virtual ScrubTarget* scrub() { return nullptr; }

  // Makes what was appended durable, seals the log, ends background work; then `done`, once, not
  // inside the call. Append is over. After a failure, of Start too, it only ends what is under way.
  virtual void Stop(Function<void()> done) = 0;
};

}  // namespace ursula::storage
