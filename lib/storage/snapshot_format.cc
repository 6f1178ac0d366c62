#include "lib/storage/snapshot_format.h"

#include <charconv>
#include <cstdio>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"

namespace ursula::storage {
namespace {

constexpr std::string_view kSuffix = ".snap";
constexpr uint8_t kTombstone = 1;

uint32_t FrameCrc(uint32_t kind, uint32_t length, std::string_view body, uint32_t seed,
                  uint64_t offset) {
  char prefix[16];
  StoreFixed<uint64_t>(prefix, offset);
  StoreFixed<uint32_t>(prefix + 8, kind);
  StoreFixed<uint32_t>(prefix + 12, length);
  return Crc32c(Crc32c(seed, std::string_view(prefix, sizeof(prefix))), body);
}

}  // namespace

std::string FormatSnapshotFileName(const SnapshotFileName& name) {
  char text[48];
  std::snprintf(text, sizeof(text), "%08x-%016llx.snap", Raw(name.group),
                static_cast<unsigned long long>(name.number));
  return text;
}

std::optional<SnapshotFileName> ParseSnapshotFileName(std::string_view name) {
  if (name.size() != 8 + 1 + 16 + kSuffix.size()) return std::nullopt;
  uint32_t group = 0;
  uint64_t number = 0;
  auto group_end = std::from_chars(name.data(), name.data() + 8, group, 16);
  auto number_end = std::from_chars(name.data() + 9, name.data() + 25, number, 16);
  if (group_end.ptr != name.data() + 8 || number_end.ptr != name.data() + 25) return std::nullopt;
  SnapshotFileName parsed{GroupId{group}, number};
  if (FormatSnapshotFileName(parsed) != name) return std::nullopt;
  return parsed;
}

uint32_t SnapshotSeed(uint64_t directory_id, const SnapshotFileName& name) {
  std::string identity;
  PutFixed<uint64_t>(&identity, directory_id);
  PutFixed<uint32_t>(&identity, Raw(name.group));
  PutFixed<uint64_t>(&identity, name.number);
  return Crc32c(0, identity);
}

void AppendSnapshotFrame(std::string* out, SnapshotFrameKind kind, std::string_view body,
                         uint32_t seed, uint64_t offset) {
  const uint32_t raw_kind = static_cast<uint32_t>(kind);
  const uint32_t length = static_cast<uint32_t>(body.size());
  PutFixed<uint32_t>(out, raw_kind);
  PutFixed<uint32_t>(out, length);
  PutFixed<uint32_t>(out, FrameCrc(raw_kind, length, body, seed, offset));
  out->append(body);
}

std::optional<SnapshotFrame> ParseSnapshotFrame(std::string_view bytes) {
  Reader reader(bytes);
  const uint32_t kind = reader.Fixed<uint32_t>();
  SnapshotFrame frame{static_cast<SnapshotFrameKind>(kind), reader.Fixed<uint32_t>(),
                      reader.Fixed<uint32_t>()};
  // A kind that this release doesn't know may hold all the same.
  if (!reader.AtEnd() || kind < static_cast<uint32_t>(SnapshotFrameKind::kHeader) ||
      frame.length > kSnapshotFrameBytesMax) {
    return std::nullopt;
  }
  return frame;
}

uint32_t SnapshotFrameSum(const SnapshotFrame& frame, uint32_t seed, uint64_t offset) {
  return FrameCrc(static_cast<uint32_t>(frame.kind), frame.length, {}, seed, offset);
}

bool SnapshotFrameHolds(const SnapshotFrame& frame, std::string_view body, uint32_t seed,
                        uint64_t offset) {
  return body.size() == frame.length &&
         frame.crc == FrameCrc(static_cast<uint32_t>(frame.kind), frame.length, body, seed, offset);
}

std::string EncodeSnapshotHeader(const SnapshotFileHeader& header) {
  std::string body;
  PutFixed<uint32_t>(&body, Raw(header.group));
  PutFixed<uint64_t>(&body, header.number);
  PutFixed<uint64_t>(&body, header.previous);
  PutFixed<uint64_t>(&body, Raw(header.meta.index));
  PutFixed<uint64_t>(&body, Raw(header.meta.term));
  PutString(&body, header.meta.header);
  return body;
}

std::optional<SnapshotFileHeader> ParseSnapshotHeader(std::string_view body) {
  Reader reader(body);
  SnapshotFileHeader header;
  header.group = GroupId{reader.Fixed<uint32_t>()};
  header.number = reader.Fixed<uint64_t>();
  header.previous = reader.Fixed<uint64_t>();
  header.meta.index = Index{reader.Fixed<uint64_t>()};
  header.meta.term = Term{reader.Fixed<uint64_t>()};
  header.meta.header = std::string(reader.String());
  if (!reader.AtEnd() || header.previous >= header.number) return std::nullopt;
  return header;
}

void AppendSnapshotRecord(std::string* body, const SnapshotRecord& record) {
  PutFixed<uint8_t>(body, record.tombstone ? kTombstone : 0);
  PutString(body, record.key);
  PutString(body, record.value.view());
}

std::optional<SnapshotRecord> TakeSnapshotRecord(std::string_view* rest) {
  Reader reader(*rest);
  const uint8_t flags = reader.Fixed<uint8_t>();
  SnapshotRecord record;
  record.key = std::string(reader.String());
  record.value = Bytes::Copy(reader.String());
  record.tombstone = (flags & kTombstone) != 0;
  if (!reader.ok() || (flags & ~kTombstone) != 0) return std::nullopt;
  *rest = reader.rest();
  return record;
}

std::string EncodeSnapshotEnd(uint64_t record_count) {
  std::string body;
  PutFixed<uint64_t>(&body, record_count);
  return body;
}

std::optional<uint64_t> ParseSnapshotEnd(std::string_view body) {
  Reader reader(body);
  const uint64_t count = reader.Fixed<uint64_t>();
  if (!reader.AtEnd()) return std::nullopt;
  return count;
}

}  // namespace ursula::storage
