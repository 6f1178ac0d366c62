// lib/storage/wal_reader.h
//
// Reads one log from its files, batch by batch, and finds its end: the first place where no valid
// batch follows. Invariant: a place that a later batch attests is never taken for the end, nor one
// where a segment ends that was longer when it was written.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/io/disk.h"
#include "lib/storage/aligned_buffer.h"
#include "lib/storage/wal_format.h"
#include "ursula/status.h"

namespace ursula::storage {

class WalReader {
 public:
  // `segments`: the numbers there are, ascending, at least one.
  WalReader(io::Disk* disk, std::string directory, uint64_t directory_id, LogId log,
            std::vector<uint32_t> segments)
      : disk_(*disk),
        directory_(std::move(directory)),
        directory_id_(directory_id),
        log_(log),
        segments_(std::move(segments)) {}

  struct Batch {
    BatchHeader header = {};
    WalPosition position = {};
    std::vector<ParsedRecord> records = {};  // Valid until the next call.
  };
  // The next batch; nothing at the log's end. kDataLoss: rot; kFailedPrecondition: a newer release
  // wrote it; kIoError.
  Result<std::optional<Batch>> Next();

  // Of a kDataLoss of Next: the medium has lost bytes.
  bool rotten() const { return rotten_; }

  // ---- after Next has given nothing ----
  bool empty() const { return sequence_ == 0; }  // No valid batch at all.
  bool sealed() const { return sealed_; }
  WalPosition end() const { return position_; }
  uint64_t last_sequence() const { return sequence_; }
  // Of a batch at the end whose header was there, but not all of its records.
  uint64_t torn_bytes() const { return torn_bytes_; }

 private:
  std::string PathOf(uint32_t segment) const;
  Status LoadSegment(std::size_t index);
  std::optional<BatchHeader> HeaderAt(uint32_t offset) const;
  // The batch at position_, if it is the next one and whole.
  std::optional<Batch> TakeBatch();
  // Looks for a batch behind position_ that attests it.
  Status CheckNothingAttested();
  void CheckUnderstood(const BatchHeader& header);
  void NewerRelease(uint32_t offset, const std::string& what);
  // Of TakeBatch: why its batch, or its segment, is refused.
  Status Refused();
  Status Rotten(const BatchHeader& later, WalPosition later_at, bool segment_full);
  Status Shrunk();

  io::Disk& disk_;
  const std::string directory_;
  const uint64_t directory_id_;
  const LogId log_;
  const std::vector<uint32_t> segments_;
  std::size_t index_ = 0;  // Of the loaded segment in segments_.
  bool loaded_ = false;
  AlignedBuffer buffer_;
  uint32_t size_ = 0;      // Of the loaded segment.
  WalPosition position_;   // Of the next batch.
  uint64_t sequence_ = 0;  // Of the last batch; 0 before the first.
  uint32_t wanted_ = 0;    // Size of the loaded segment, as its batches state it.
  uint32_t damage_ = 0;    // Offset in the batch at position_ of what is wrong with it.
  uint64_t torn_bytes_ = 0;
  Status newer_;  // The batch at position_ holds what only a newer release understands.
  bool sealed_ = false;
  bool ended_ = false;
  bool rotten_ = false;
};

}  // namespace ursula::storage
