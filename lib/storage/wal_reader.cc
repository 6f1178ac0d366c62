#include "lib/storage/wal_reader.h"

#include <algorithm>
#include <span>
#include <utility>

#include "lib/base/sometimes.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {
namespace {

// A batch attests all that comes before it, so one that the medium put elsewhere tells.
bool BelongsAt(const BatchHeader& header, WalPosition position) {
  return header.attested == position || (position.offset == 0 && header.attested < position);
}

}  // namespace

std::string WalReader::PathOf(uint32_t segment) const {
  return directory_ + "/" + FormatSegmentName({log_, segment});
}

Status WalReader::LoadSegment(std::size_t index) {
  index_ = index;
  loaded_ = true;
  const std::string path = PathOf(segments_[index]);
  // Past the page cache, which may hold what a failed sync of a process before this one has lost.
  Result<std::unique_ptr<io::File>> file = disk_.Open(path, {.direct = true});
  if (!file.ok()) return file.status();
  const uint64_t size = (*file)->size();
  if (size > UINT32_MAX) {
    return Status(StatusCode::kDataLoss, path + ": too long for a segment");
  }
  const std::size_t blocks =
      static_cast<std::size_t>((size + kWalBlockBytes - 1) / kWalBlockBytes * kWalBlockBytes);
  buffer_.Grow(blocks, 0);
  const int64_t count = (*file)->ReadNow(0, std::span<char>(buffer_.data(), blocks));
  if (count < 0) return IoStatus("reading", path, count);
  size_ = static_cast<uint32_t>(count);
  return {};
}

std::optional<BatchHeader> WalReader::HeaderAt(uint32_t offset) const {
  if (offset >= size_) return std::nullopt;
  return ParseBatchHeader(std::string_view(buffer_.data() + offset, size_ - offset), directory_id_,
                          log_, segments_[index_]);
}

Result<std::optional<WalReader::Batch>> WalReader::Next() {
  if (ended_) return std::optional<Batch>();
  if (!loaded_) {
    Status loaded = LoadSegment(0);
    if (!loaded.ok()) return loaded;
    position_ = {segments_[0], 0};
  }
  std::optional<Batch> batch = TakeBatch();
  if (Status refused = Refused(); !refused.ok()) return refused;
  if (batch.has_value()) return batch;
  if (index_ + 1 < segments_.size() && size_ < kWalBlockBytes && position_.offset == 0) {
    // No segment was begun before all of this one was there. (With a batch in it that doesn't state
    // its size, recovery has sealed this end in the next one.)
    wanted_ = kWalBlockBytes;
    return Shrunk();
  }
  // The batch may not have fitted in this segment: then the next one starts with it.
  const WalPosition end = position_;
  const std::size_t here = index_;
  const uint64_t torn = torn_bytes_;
  const uint32_t damage = damage_;
  if (index_ + 1 < segments_.size() && sequence_ != 0) {
    Status loaded = LoadSegment(index_ + 1);
    if (!loaded.ok()) return loaded;
    position_ = {segments_[index_], 0};
    std::optional<BatchHeader> header = HeaderAt(0);
    if (header.has_value() && header->sequence == sequence_ + 1) {
      URSULA_SOMETIMES("storage: a batch begins the next segment");
      torn_bytes_ = 0;
      batch = TakeBatch();
      if (Status refused = Refused(); !refused.ok()) return refused;
      if (batch.has_value()) return batch;
    } else {
      position_ = end;
      torn_bytes_ = torn;
      damage_ = damage;
      loaded = LoadSegment(here);
      if (!loaded.ok()) return loaded;
    }
  }
  Status nothing = CheckNothingAttested();
  if (!nothing.ok()) return nothing;
  ended_ = true;
  return std::optional<Batch>();
}

std::optional<WalReader::Batch> WalReader::TakeBatch() {
  wanted_ = 0;
  damage_ = 0;
  torn_bytes_ = 0;
  std::optional<BatchHeader> header = HeaderAt(position_.offset);
  if (!header.has_value() || !BelongsAt(*header, position_)) return std::nullopt;
  const bool first = sequence_ == 0 && (position_.segment > 0 || header->sequence == 1);
  if (!first && header->sequence != sequence_ + 1) return std::nullopt;
  CheckUnderstood(*header);
  if (!newer_.ok()) return std::nullopt;
  wanted_ = header->segment_bytes;
  const uint32_t rest_bytes = size_ - position_.offset;
  torn_bytes_ = std::min(header->padded_bytes(), rest_bytes);
  if (header->length > rest_bytes - kBatchHeaderBytes) return std::nullopt;

  Batch batch{*header, position_, {}};
  batch.records.reserve(std::min<uint32_t>(header->record_count, 1 << 16));
  std::string_view rest(buffer_.data() + position_.offset + kBatchHeaderBytes, header->length);
  const uint32_t seed = BatchSeed(directory_id_, log_, position_.segment, header->sequence);
  uint32_t record_sum = seed;
  while (!rest.empty()) {
    damage_ = kBatchHeaderBytes + header->length - static_cast<uint32_t>(rest.size());
    const char* at = rest.data();
    std::optional<ParsedRecord> record = TakeRecord(&rest, seed);
    if (!record.has_value()) return std::nullopt;
    if (!IsKnown(record->header.kind)) {
      NewerRelease(position_.offset + damage_,
                   "a record of kind " + std::to_string(Raw(record->header.kind)));
      return std::nullopt;
    }
    batch.records.push_back(*record);
    record_sum = AddToRecordSum(record_sum, at);
  }
  damage_ = kBatchHeaderBytes;
  const bool summed = (header->flags & kBatchSummed) != 0;
  if (summed && record_sum != header->record_sum) return std::nullopt;
  if (batch.records.size() != header->record_count) return std::nullopt;
  torn_bytes_ = 0;
  damage_ = 0;
  sequence_ = header->sequence;
  sealed_ = (header->flags & kBatchSeal) != 0;
  position_.offset += std::min(header->padded_bytes(), rest_bytes);
  return batch;
}

// A header that is whole is no damage, whatever it says: cutting it would lose what was
// acknowledged.
void WalReader::CheckUnderstood(const BatchHeader& header) {
  if (header.format > kWalFormat) {
    return NewerRelease(position_.offset, "log format " + std::to_string(header.format));
  }
  const uint32_t unknown = header.flags & ~kBatchFlags;
  if (unknown != 0) NewerRelease(position_.offset, "batch flags " + std::to_string(unknown));
}

void WalReader::NewerRelease(uint32_t offset, const std::string& what) {
  newer_ = Status(StatusCode::kFailedPrecondition,
                  PathOf(position_.segment) + ": " + what + " at offset " + std::to_string(offset) +
                      ": a newer release wrote this; use that release or a newer one");
}

Status WalReader::Refused() {
  if (!newer_.ok()) return newer_;
  return wanted_ > size_ ? Shrunk() : Status();
}

// Which segment is damaged, when no header follows in the one that was read last: `later` is the
// first that attests more, and tells where the batch before it ended.
Status WalReader::Rotten(const BatchHeader& later, WalPosition later_at, bool segment_full) {
  rotten_ = true;
  std::string where = PathOf(position_.segment) + ": damaged at offset " +
                      std::to_string(position_.offset + damage_);
  const WalPosition next{position_.segment + 1, 0};
  const bool next_begins = later_at == next && BelongsAt(later, later_at);
  if (damage_ > kBatchHeaderBytes) {
    // The records before passed, but may have come from elsewhere in the batch.
    where += ", in the batch at offset " + std::to_string(position_.offset);
  } else if (damage_ == 0 && torn_bytes_ == 0 && next <= later.attested && !next_begins) {
    const std::string next_segment = PathOf(next.segment);
    if (segment_full || later.sequence == sequence_ + 2) {
      where = next_segment + ": damaged at offset 0";
    } else {
      where += " or " + next_segment + " at offset 0";
    }
  }
  return Status(
      StatusCode::kDataLoss,
      where + ", below what was synced; restore this directory or let its peers rebuild it");
}

// All of a segment is there before its first batch is: without this, nothing would tell a log from
// its own beginning.
Status WalReader::Shrunk() {
  rotten_ = true;
  return Status(StatusCode::kDataLoss, PathOf(segments_[index_]) + ": ends at offset " +
                                           std::to_string(size_) + " of " +
                                           std::to_string(wanted_) +
                                           "; restore this directory or let its peers rebuild it");
}

Status WalReader::CheckNothingAttested() {
  const std::size_t here = index_;
  const bool segment_full = position_.offset >= size_;
  for (std::size_t i = here; i < segments_.size(); ++i) {
    if (i != here) {
      Status loaded = LoadSegment(i);
      if (!loaded.ok()) return loaded;
    }
    for (uint64_t offset = i == here ? position_.offset : 0; offset < size_;
         offset += kWalBlockBytes) {
      const WalPosition at{segments_[i], static_cast<uint32_t>(offset)};
      std::optional<BatchHeader> header = HeaderAt(at.offset);
      if (header.has_value() && position_ < header->attested) {
        URSULA_SOMETIMES("storage: rot is refused");
        return Rotten(*header, at, segment_full);
      }
    }
  }
  return {};
}

}  // namespace ursula::storage
