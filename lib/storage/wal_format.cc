#include "lib/storage/wal_format.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"

namespace ursula::storage {
namespace {

constexpr std::string_view kSegmentSuffix = ".wal";

uint64_t PackPosition(WalPosition position) {
  return uint64_t{position.segment} << 32 | position.offset;
}

uint32_t RecordCrc(const char* record, uint32_t record_bytes, uint32_t seed) {
  return Crc32c(seed, std::string_view(record + 4, record_bytes - 4));
}

}  // namespace

uint32_t BatchSeed(uint64_t directory_id, LogId log, uint32_t segment, uint64_t sequence) {
  std::array<char, 28> identity;
  StoreFixed<uint64_t>(identity.data(), directory_id);
  StoreFixed<uint64_t>(identity.data() + 8, Raw(log));
  StoreFixed<uint32_t>(identity.data() + 16, segment);
  StoreFixed<uint64_t>(identity.data() + 20, sequence);
  return Crc32c(0, std::string_view(identity.data(), identity.size()));
}

void StoreBatchHeader(char* at, const BatchHeader& header, uint64_t directory_id) {
  std::memset(at, 0, kBatchHeaderBytes);
  StoreFixed<uint32_t>(at, kBatchMagic);
  StoreFixed<uint64_t>(at + 8, Raw(header.log));
  StoreFixed<uint32_t>(at + 16, header.segment);
  StoreFixed<uint32_t>(at + 20, header.flags);
  StoreFixed<uint64_t>(at + 24, header.sequence);
  StoreFixed<uint64_t>(at + 32, PackPosition(header.attested));
  StoreFixed<uint32_t>(at + 40, header.length);
  StoreFixed<uint32_t>(at + 44, header.record_count);
  StoreFixed<uint32_t>(at + 48, header.segment_bytes);
  StoreFixed<uint32_t>(at + 52, header.record_sum);
  StoreFixed<uint32_t>(at + 56, header.format);
  uint32_t seed = BatchSeed(directory_id, header.log, header.segment, header.sequence);
  StoreFixed<uint32_t>(at + 4, Crc32c(seed, std::string_view(at + 8, kBatchHeaderBytes - 8)));
}

std::optional<BatchHeader> ParseBatchHeader(std::string_view bytes, uint64_t directory_id,
                                            LogId log, uint32_t segment) {
  if (bytes.size() < kBatchHeaderBytes) return std::nullopt;
  const char* at = bytes.data();
  if (LoadFixed<uint32_t>(at) != kBatchMagic) return std::nullopt;
  BatchHeader header;
  header.log = LogId{LoadFixed<uint64_t>(at + 8)};
  header.segment = LoadFixed<uint32_t>(at + 16);
  header.flags = LoadFixed<uint32_t>(at + 20);
  header.sequence = LoadFixed<uint64_t>(at + 24);
  const uint64_t attested = LoadFixed<uint64_t>(at + 32);
  header.attested = {static_cast<uint32_t>(attested >> 32), static_cast<uint32_t>(attested)};
  header.length = LoadFixed<uint32_t>(at + 40);
  header.record_count = LoadFixed<uint32_t>(at + 44);
  header.segment_bytes = LoadFixed<uint32_t>(at + 48);
  header.record_sum = LoadFixed<uint32_t>(at + 52);
  header.format = LoadFixed<uint32_t>(at + 56);
  if (header.log != log || header.segment != segment) return std::nullopt;
  uint32_t seed = BatchSeed(directory_id, log, segment, header.sequence);
  if (LoadFixed<uint32_t>(at + 4) !=
      Crc32c(seed, std::string_view(at + 8, kBatchHeaderBytes - 8))) {
    return std::nullopt;
  }
  return header;
}

void StoreRecordHeader(char* at, const RecordHeader& header) {
  StoreFixed<uint32_t>(at, 0);
  StoreFixed<uint32_t>(at + 4, header.length);
  StoreFixed<uint32_t>(at + 8, static_cast<uint32_t>(header.kind));
  StoreFixed<uint32_t>(at + 12, Raw(header.group));
  StoreFixed<uint64_t>(at + 16, Raw(header.index));
  StoreFixed<uint64_t>(at + 24, Raw(header.term));
}

RecordHeader LoadRecordHeader(const char* at) {
  RecordHeader header;
  header.length = LoadFixed<uint32_t>(at + 4);
  header.kind = static_cast<RecordKind>(LoadFixed<uint32_t>(at + 8));
  header.group = GroupId{LoadFixed<uint32_t>(at + 12)};
  header.index = Index{LoadFixed<uint64_t>(at + 16)};
  header.term = Term{LoadFixed<uint64_t>(at + 24)};
  return header;
}

void SealRecord(char* record, uint32_t record_bytes, uint32_t seed) {
  StoreFixed<uint32_t>(record, RecordCrc(record, record_bytes, seed));
}

uint32_t AddToRecordSum(uint32_t sum, const char* record) {
  return Crc32c(sum, std::string_view(record, 4));
}

std::optional<ParsedRecord> TakeRecord(std::string_view* rest, uint32_t seed) {
  if (rest->size() < kRecordHeaderBytes) return std::nullopt;
  const char* at = rest->data();
  const uint32_t length = LoadFixed<uint32_t>(at + 4);
  if (length > rest->size() - kRecordHeaderBytes) return std::nullopt;
  const uint32_t record_bytes = kRecordHeaderBytes + length;
  if (LoadFixed<uint32_t>(at) != RecordCrc(at, record_bytes, seed)) return std::nullopt;
  ParsedRecord record{LoadRecordHeader(at), rest->substr(kRecordHeaderBytes, length)};
  rest->remove_prefix(record_bytes);
  return record;
}

std::string FormatSegmentName(const SegmentName& name) {
  char text[48];
  std::snprintf(text, sizeof(text), "%016llx-%08x.wal",
                static_cast<unsigned long long>(Raw(name.log)), name.segment);
  return text;
}

std::optional<SegmentName> ParseSegmentName(std::string_view name) {
  if (name.size() != 16 + 1 + 8 + kSegmentSuffix.size() || name[16] != '-' ||
      name.substr(25) != kSegmentSuffix) {
    return std::nullopt;
  }
  uint64_t log = 0;
  uint32_t segment = 0;
  auto log_end = std::from_chars(name.data(), name.data() + 16, log, 16);
  auto segment_end = std::from_chars(name.data() + 17, name.data() + 25, segment, 16);
  if (log_end.ptr != name.data() + 16 || segment_end.ptr != name.data() + 25) return std::nullopt;
  SegmentName parsed{LogId{log}, segment};
  if (FormatSegmentName(parsed) != name) return std::nullopt;
  return parsed;
}

}  // namespace ursula::storage
