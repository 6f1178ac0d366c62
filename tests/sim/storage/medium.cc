#include "tests/sim/storage/medium.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "lib/io/paths.h"

namespace ursula::storage::sim {
namespace {

using testing::FaultDisk;

constexpr uint64_t kSectorBytes = FaultDisk::kSectorBytes;
// A refusal names the beginning of what doesn't validate: a batch, record, block or frame.
constexpr uint64_t kPartBytesMax = 512 << 10;
constexpr uint64_t kPaddingBytesMax = 4096;  // A block of the file system.

bool Same(const std::string& one, const std::string& other, uint64_t from, uint64_t to) {
  return one.compare(from, to - from, other, from, to - from) == 0;
}

}  // namespace

bool RotSomewhere(FaultDisk* disk, Random* random) {
  const std::vector<std::string> files = disk->Files();
  for (int tries = 0; tries < 30 && !files.empty(); ++tries) {
    const std::string& path = files[random->Below(files.size())];
    const std::string content = disk->Content(path);
    if (content.empty()) continue;
    const uint64_t at = random->Below(content.size());
    if (content[at] == 0 && !random->OneIn(8)) continue;  // Most likely nothing is there yet.
    const uint64_t sector = at / kSectorBytes * kSectorBytes;
    const std::size_t size = std::min<std::size_t>(kSectorBytes, content.size() - sector);
    std::string bytes = content.substr(sector, size);
    switch (random->Below(4)) {
      case 0:
        bytes.assign(size, '\0');
        break;
      case 1:
        for (char& byte : bytes) byte = static_cast<char>(random->Next());
        break;
      case 2:  // Another sector of the same file.
        bytes =
            content.substr(random->Below(content.size() / kSectorBytes + 1) * kSectorBytes, size);
        break;
      default:
        bytes[at - sector] = static_cast<char>(bytes[at - sector] ^ (1 << random->Below(8)));
        break;
    }
    disk->Rot(path, sector, bytes);
    return true;
  }
  return false;
}

bool NamesDamage(const std::string& message, const std::vector<FaultDisk::Damage>& damaged) {
  for (const FaultDisk::Damage& damage : damaged) {
    if (message.find(damage.path) == std::string::npos) continue;
    if (damage.path.ends_with("META")) return true;
    // A sector of zeros up to where a batch may begin looks like the padding before one: what is
    // missed behind it is named.
    const uint64_t reach = damage.path.ends_with(".pay") ? kPaddingBytesMax : kSectorBytes;
    for (std::size_t at = message.find("offset "); at != std::string::npos;
         at = message.find("offset ", at + 1)) {
      const uint64_t offset = std::strtoull(message.c_str() + at + 7, nullptr, 10);
      if (damage.offset + reach > offset && damage.offset < offset + kPartBytesMax) {
        return true;
      }
    }
  }
  return false;
}

LogOracle::LogOracle(const FaultDisk& disk) {
  std::map<LogId, std::vector<Segment>> logs;
  for (const std::string& path : disk.Files()) {
    const std::optional<SegmentName> name = ParseSegmentName(io::LeafName(path));
    if (!name.has_value()) continue;
    logs[name->log].push_back({name->segment, path, disk.Intended(path), disk.Content(path)});
  }
  for (const auto& [log, segments] : logs) ReadLog(log, segments);
}

void LogOracle::ReadLog(LogId log, const std::vector<Segment>& segments) {
  std::optional<WalPosition> bad;  // The first damaged batch.
  std::string bad_path;
  WalPosition attested;
  uint64_t sequence = 0;
  bool sealed = true;
  std::size_t i = 0;
  uint32_t offset = 0;
  while (i < segments.size()) {
    const Segment& segment = segments[i];
    const std::string_view rest =
        std::string_view(segment.intended)
            .substr(std::min<std::size_t>(offset, segment.intended.size()));
    auto header = ParseBatchHeader(rest, kDirectoryId, log, segment.number);
    const bool next = header.has_value() && (sequence == 0 || header->sequence == sequence + 1) &&
                      header->length <= rest.size() - kBatchHeaderBytes;
    std::vector<Record> records;
    bool whole = next;
    if (next) {
      std::string_view bytes = rest.substr(kBatchHeaderBytes, header->length);
      const uint32_t seed = BatchSeed(kDirectoryId, log, segment.number, header->sequence);
      while (whole && !bytes.empty()) {
        const std::optional<ParsedRecord> record = TakeRecord(&bytes, seed);
        whole = record.has_value();
        if (whole) records.push_back({record->header, std::string(record->payload)});
      }
    }
    if (!whole) {
      // The end, unless the batch didn't fit here.
      if (sequence == 0 || offset == 0) break;
      ++i;
      offset = 0;
      continue;
    }
    sequence = header->sequence;
    sealed = (header->flags & kBatchSeal) != 0;
    const uint32_t end = offset + kBatchHeaderBytes + header->length;
    if (!Same(segment.intended, segment.actual, offset, end) && !bad.has_value()) {
      bad = WalPosition{segment.number, offset};
      bad_path = segment.path;
    }
    if (Same(segment.intended, segment.actual, offset, offset + kBatchHeaderBytes)) {
      attested = std::max(attested, header->attested);
    }
    if (!bad.has_value()) std::move(records.begin(), records.end(), std::back_inserter(records_));
    offset += header->padded_bytes();
  }
  if (!sealed) unsealed_.push_back(FormatSegmentName({log, segments.front().number}));
  if (bad.has_value() && *bad < attested && must_refuse_.empty()) {
    must_refuse_ = bad_path + " at " + std::to_string(bad->offset);
  }
}

std::string LogOracle::Compare(const std::vector<RecoveredRecord>& records) const {
  const std::size_t count = std::min(records.size(), records_.size());
  for (std::size_t i = 0; i < count; ++i) {
    const RecordHeader& wanted = records_[i].header;
    const RecoveredRecord& got = records[i];
    if (got.group != wanted.group || got.kind != wanted.kind || got.index != wanted.index ||
        got.term != wanted.term || got.payload.view() != records_[i].payload) {
      return "record " + std::to_string(i) + " of the logs is not what was written";
    }
  }
  if (records.size() == records_.size()) return "";
  return "the logs give " + std::to_string(records.size()) + " records, of " +
         std::to_string(records_.size()) + " that are undamaged or before any damage";
}

}  // namespace ursula::storage::sim
