// lib/storage/wal_format.h
//
// The bytes of a write-ahead log: docs/formats/wal.md. A log is a row of segment files; a segment a
// row of batches, each padded to a block; a batch a header and records. Every checksum starts from
// a seed made of the directory, log, segment and batch sequence, so that bytes left over in a
// recycled segment, or copied from elsewhere, never validate.

#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/ids.h"
#include "ursula/types.h"

namespace ursula::storage {

// Unique for the directory's life: generation << 16 | ordinal of the log in that generation.
enum class LogId : uint64_t {};
constexpr LogId MakeLogId(uint64_t generation, uint32_t ordinal) {
  return LogId{generation << 16 | ordinal};
}

constexpr uint64_t GenerationOf(LogId log) { return static_cast<uint64_t>(log) >> 16; }

enum class RecordKind : uint32_t {
  kEntry = 1,  // A Raft log entry. One at or below an earlier index of its group replaces the rest.
  kState = 2,  // What a group must not forget beside its entries (term, vote); the newest counts.
  // A snapshot of another replica, durable by now, has taken the place of the group's log: it
  // starts after `index`, and every entry of the group before this record is void. No payload.
  kReset = 3,
};
constexpr bool IsKnown(RecordKind kind) {
  return kind >= RecordKind::kEntry && kind <= RecordKind::kReset;
}

// A place in one log. Ordered as the log is.
struct WalPosition {
  uint32_t segment = 0;
  uint32_t offset = 0;
  friend auto operator<=>(const WalPosition&, const WalPosition&) = default;
};

inline constexpr uint32_t kWalBlockBytes = 4096;

inline constexpr uint32_t kBatchMagic = 0x31425755;  // "UWB1"
inline constexpr uint32_t kBatchHeaderBytes = 64;
inline constexpr uint32_t kRecordHeaderBytes = 32;
// Flags.
inline constexpr uint32_t kBatchSeal = 1;    // No records; everything before is synced.
inline constexpr uint32_t kBatchSummed = 2;  // Has record_sum.
inline constexpr uint32_t kBatchFlags = kBatchSeal | kBatchSummed;
// Of a log, in each of its batches; 0.1 wrote 0, in directories that are refused by their META.
inline constexpr uint32_t kWalFormat = 2;

struct BatchHeader {
  LogId log = {};
  uint32_t segment = 0;
  uint32_t flags = 0;
  uint64_t sequence = 0;      // 1, 2, 3 ... over the whole log.
  WalPosition attested = {};  // All of the log before it was known synced when this was made.
  uint32_t length = 0;        // Bytes of records.
  uint32_t record_count = 0;
  uint32_t segment_bytes = 0;  // The segment's file has at least so many. 0: not said.
  uint32_t record_sum = 0;     // Of the records' checksums in their order, if flags say so.
  uint32_t format = kWalFormat;
  friend bool operator==(const BatchHeader&, const BatchHeader&) = default;

  uint32_t padded_bytes() const {
    return (kBatchHeaderBytes + length + kWalBlockBytes - 1) / kWalBlockBytes * kWalBlockBytes;
  }
};

struct RecordHeader {
  GroupId group = {};
  RecordKind kind = RecordKind::kEntry;
  Index index = {};
  Term term = {};
  uint32_t length = 0;  // Of the payload.
};

// What every checksum of one batch starts from.
uint32_t BatchSeed(uint64_t directory_id, LogId log, uint32_t segment, uint64_t sequence);

// At `at`, kBatchHeaderBytes.
void StoreBatchHeader(char* at, const BatchHeader& header, uint64_t directory_id);
// Nothing, unless it is the header of a batch of that segment of that log. Looks at no more than
// kBatchHeaderBytes; a shorter `bytes` is no header.
std::optional<BatchHeader> ParseBatchHeader(std::string_view bytes, uint64_t directory_id,
                                            LogId log, uint32_t segment);

// At `at`, kRecordHeaderBytes; checksum still zero: it needs the batch's seed.
void StoreRecordHeader(char* at, const RecordHeader& header);
RecordHeader LoadRecordHeader(const char* at);  // Of StoreRecordHeader: trusts it.
// `record` is header and payload.
void SealRecord(char* record, uint32_t record_bytes, uint32_t seed);
// Adds the next record of a batch to its sum, which starts from the batch's seed: records hold only
// in their order, each once.
uint32_t AddToRecordSum(uint32_t sum, const char* record);
// Takes one record off `rest`: its header and payload. Nothing: the bytes are damaged. Its kind may
// be one that only a newer release knows.
struct ParsedRecord {
  RecordHeader header = {};
  std::string_view payload = {};
};
std::optional<ParsedRecord> TakeRecord(std::string_view* rest, uint32_t seed);

// "00000000000a0001-00000002.wal": log 0xa0001, segment 2.
struct SegmentName {
  LogId log = {};
  uint32_t segment = 0;
  friend auto operator<=>(const SegmentName&, const SegmentName&) = default;
};
std::string FormatSegmentName(const SegmentName& name);
std::optional<SegmentName> ParseSegmentName(std::string_view name);

}  // namespace ursula::storage
