// lib/storage/snapshot_format.h
//
// The bytes of a snapshot file: docs/formats/snapshot.md. A header, chunks of records, an end that
// counts them; each with a checksum. A file without its end is no snapshot.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/ids.h"
#include "ursula/bytes.h"
#include "ursula/types.h"

namespace ursula::storage {

struct SnapshotMeta {
  Index index = {};
  Term term = {};
  std::string header = {};  // Opaque: the group's own.
};

struct SnapshotRecord {
  std::string key = {};
  Bytes value = {};
  bool tombstone = false;  // The key is gone.
};
// Perhaps a million: they are made and given up one by one.
using SnapshotRecords = std::deque<SnapshotRecord>;

inline constexpr uint32_t kSnapshotMagic = 0x314e5355;  // "USN1"
inline constexpr uint32_t kSnapshotChunkBytes = 256 << 10;

struct SnapshotFileHeader {
  GroupId group = {};
  uint64_t number = 0;    // 1, 2, 3 ... of this group's files.
  uint64_t previous = 0;  // The file that a delta goes on from; 0: a base.
  SnapshotMeta meta = {};
};

// "00000007-0000000000000003.snap": group, number.
struct SnapshotFileName {
  GroupId group = {};
  uint64_t number = 0;
  friend auto operator<=>(const SnapshotFileName&, const SnapshotFileName&) = default;
};
std::string FormatSnapshotFileName(const SnapshotFileName& name);
std::optional<SnapshotFileName> ParseSnapshotFileName(std::string_view name);

uint32_t SnapshotSeed(uint64_t directory_id, const SnapshotFileName& name);

// After the magic come frames: kind, length and checksum (u32 each), body. The checksum starts from
// the file's seed and the frame's position in the file, so that no frame stands in for another.
enum class SnapshotFrameKind : uint32_t { kHeader = 1, kRecords = 2, kEnd = 3 };
inline constexpr uint32_t kSnapshotFrameHeaderBytes = 12;
inline constexpr uint32_t kSnapshotFrameBytesMax = 1 << 30;

struct SnapshotFrame {
  SnapshotFrameKind kind = {};
  uint32_t length = 0;
  uint32_t crc = 0;
};
void AppendSnapshotFrame(std::string* out, SnapshotFrameKind kind, std::string_view body,
                         uint32_t seed, uint64_t offset);
// Nothing: it can't be one. `bytes` are kSnapshotFrameHeaderBytes long.
std::optional<SnapshotFrame> ParseSnapshotFrame(std::string_view bytes);
// What the checksum of the frame at `offset` is before its body.
uint32_t SnapshotFrameSum(const SnapshotFrame& frame, uint32_t seed, uint64_t offset);
bool SnapshotFrameHolds(const SnapshotFrame& frame, std::string_view body, uint32_t seed,
                        uint64_t offset);

std::string EncodeSnapshotHeader(const SnapshotFileHeader& header);
std::optional<SnapshotFileHeader> ParseSnapshotHeader(std::string_view body);

void AppendSnapshotRecord(std::string* body, const SnapshotRecord& record);
// Takes one record off `rest`, copying. Nothing: malformed.
std::optional<SnapshotRecord> TakeSnapshotRecord(std::string_view* rest);

std::string EncodeSnapshotEnd(uint64_t record_count);
std::optional<uint64_t> ParseSnapshotEnd(std::string_view body);

}  // namespace ursula::storage
