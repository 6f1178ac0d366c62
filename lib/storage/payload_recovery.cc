// Finds what earlier openings left in the payload folder (RecoverPayload of payload_store.h).

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "lib/base/crc32c.h"
#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "lib/storage/aligned_buffer.h"
#include "lib/storage/io_status.h"
#include "lib/storage/payload_file.h"
#include "lib/storage/payload_store.h"

namespace ursula::storage {
namespace {

uint64_t RoundUp(uint64_t offset) {
  return (offset + kPayloadAlignment - 1) / kPayloadAlignment * kPayloadAlignment;
}

// The extents of one file: from its footer, or, when a crash came before it, from its blocks.
class FileScan {
 public:
  FileScan(io::Disk* disk, std::string path, uint32_t seed, const LogLine& log)
      : disk_(*disk), path_(std::move(path)), seed_(seed), log_(log) {}

  Result<std::vector<PayloadExtent>> Run() {
    Result<std::unique_ptr<io::File>> file = disk_.Open(path_, {});
    if (!file.ok()) return file.status();
    size_ = (*file)->size();
    if (size_ > UINT32_MAX) return Status(StatusCode::kDataLoss, path_ + ": too long");
    std::optional<std::vector<PayloadExtent>> listed = ReadFooter(file->get());
    if (listed.has_value()) return std::move(*listed);
    URSULA_SOMETIMES("storage: a payload file without a footer is scanned");
    // Past the page cache, which may hold what a failed sync of a process before this one has lost.
    file = disk_.Open(path_, {.direct = true});
    if (!file.ok()) return file.status();
    const std::size_t blocks =
        static_cast<std::size_t>((size_ + AlignedBuffer::kAlignment - 1) /
                                 AlignedBuffer::kAlignment * AlignedBuffer::kAlignment);
    buffer_.Grow(blocks, 0);
    const int64_t count = (*file)->ReadNow(0, std::span<char>(buffer_.data(), blocks));
    if (count < 0) return IoStatus("reading", path_, count);
    bytes_ = std::string_view(buffer_.data(), static_cast<std::size_t>(count));
    ScanBlocks();
    Status finished = Finish();
    if (!finished.ok()) return finished;
    return std::move(extents_);
  }

 private:
  std::optional<std::vector<PayloadExtent>> ReadFooter(io::File* file) const {
    if (size_ < kPayloadTrailerBytes) return std::nullopt;
    std::string bytes(kPayloadTrailerBytes, '\0');
    if (file->ReadNow(size_ - kPayloadTrailerBytes, std::span<char>(bytes)) !=
        kPayloadTrailerBytes) {
      return std::nullopt;
    }
    std::optional<PayloadTrailer> trailer = ParsePayloadTrailer(bytes, seed_);
    if (!trailer.has_value() ||
        uint64_t{trailer->footer_offset} + trailer->footer_bytes + kPayloadTrailerBytes != size_) {
      return std::nullopt;
    }
    bytes.assign(trailer->footer_bytes, '\0');
    if (file->ReadNow(trailer->footer_offset, std::span<char>(bytes)) !=
        static_cast<int64_t>(bytes.size())) {
      return std::nullopt;
    }
    return ParsePayloadFooter(bytes, *trailer, seed_);
  }

  // Blocks that a later block attests are listed even when their payload is damaged: reading them
  // says so. Of what nothing attests, only whole blocks count.
  void ScanBlocks() {
    struct Doubtful {
      PayloadExtent extent;
      uint64_t end;
    };
    std::vector<Doubtful> doubtful;
    for (uint64_t offset = 0; offset + kPayloadBlockHeaderBytes <= bytes_.size();) {
      std::string_view rest = bytes_.substr(offset);
      const uint32_t at = static_cast<uint32_t>(offset);
      std::optional<PayloadBlock> block = ParsePayloadHeader(rest, seed_, at);
      if (!block.has_value()) {
        offset += kPayloadAlignment;
        continue;
      }
      attested_ = std::max<uint64_t>(attested_, block->attested);
      PayloadExtent extent{block->key, block->start, block->length, at, block->header_bytes};
      const uint64_t end = offset + block->header_bytes + uint64_t{block->length};
      const bool whole =
          end <= bytes_.size() &&
          Crc32c(PayloadBlockSeed(seed_, at), rest.substr(block->header_bytes, block->length)) ==
              block->payload_crc;
      if (whole && block->length > 0) {
        extents_.push_back(extent);
        sound_end_ = RoundUp(end);
        offset = sound_end_;
      } else {
        doubtful.push_back({extent, end});
        offset += kPayloadAlignment;
      }
    }
    for (const Doubtful& block : doubtful) {
      if (block.end > attested_ || block.extent.length == 0) continue;
      extents_.push_back(block.extent);
      URSULA_SOMETIMES("storage: damaged payload is kept as damaged");
      Log(LogLevel::kError, path_ + ": damaged at offset " + std::to_string(block.extent.offset));
    }
    // Zeros are padding.
    if (bytes_.find_first_not_of('\0', sound_end_) != std::string::npos) {
      URSULA_SOMETIMES("storage: torn payload is cut");
      Log(LogLevel::kWarning, path_ + ": cut " + std::to_string(bytes_.size() - sound_end_) +
                                  " bytes that a crash tore, at offset " +
                                  std::to_string(sound_end_));
    }
  }

  // Makes what was read as durable as it is now taken to be, and adds a footer, so that the next
  // opening need not scan. What no block attests may be of a batch whose sync failed: then it is in
  // the page cache alone and counts as clean there, and only writing it again brings it to the
  // disk. The same bytes, so that a crash meanwhile does no harm. On a full disk there is no
  // footer.
  Status Finish() {
    if (extents_.empty()) return {};
    Result<std::unique_ptr<io::File>> file = disk_.Open(path_, {.write = true});
    if (!file.ok()) return file.status();
    if (sound_end_ > attested_) {
      const std::size_t from = static_cast<std::size_t>(attested_);
      std::span<const char> tail(bytes_);
      tail = tail.subspan(from, std::min(static_cast<std::size_t>(sound_end_), tail.size()) - from);
      const int64_t again = (*file)->WriteSyncedNow(attested_, tail);
      if (again < 0) return IoStatus("writing again", path_, again);
    }
    const uint32_t offset = static_cast<uint32_t>(RoundUp(size_));
    const std::string footer = EncodePayloadFooter(extents_, seed_, offset);
    const int64_t result = (*file)->WriteSyncedNow(offset, std::span<const char>(footer));
    if (result >= 0) return {};
    Status status = IoStatus("finishing", path_, result);
    if (!io::MayPass(status)) return status;
    const int64_t synced = (*file)->WriteSyncedNow(0, {});
    return synced < 0 ? IoStatus("syncing", path_, synced) : Status();
  }

  void Log(LogLevel level, const std::string& message) const {
    if (log_) log_(level, message);
  }

  io::Disk& disk_;
  const std::string path_;
  const uint32_t seed_;
  const LogLine& log_;
  uint64_t size_ = 0;
  AlignedBuffer buffer_;
  std::string_view bytes_;
  uint64_t attested_ = 0;   // Blocks before it were synced.
  uint64_t sound_end_ = 0;  // Of the last whole block.
  std::vector<PayloadExtent> extents_;
};

}  // namespace

Result<std::shared_ptr<RecoveredPayload>> RecoverPayload(io::Disk& disk,
                                                         const DataDirectory& directory,
                                                         uint32_t core_count,
                                                         Function<uint32_t(GroupId)> core_of,
                                                         const LogLine& log) {
  auto recovered = std::make_shared<RecoveredPayload>();
  recovered->cores.resize(core_count);
  Result<std::vector<std::string>> names = disk.List(directory.payload_path());
  if (!names.ok()) return names.status();
  for (const std::string& leaf : *names) {  // Sorted: older openings first.
    const std::string path = directory.payload_path() + "/" + leaf;
    std::optional<PayloadFileName> name = ParsePayloadFileName(leaf);
    if (!name.has_value()) {
      if (log) log(LogLevel::kWarning, path + ": not a payload file; left alone");
      continue;
    }
    auto file = std::make_shared<PayloadFile>();
    file->name = *name;
    file->path = path;
    file->seed = PayloadSeed(directory.id(), *name);
    Result<std::vector<PayloadExtent>> extents = FileScan(&disk, path, file->seed, log).Run();
    if (!extents.ok()) return extents.status();
    if (extents->empty()) {
      Status removed = disk.RemoveNow(path);
      if (!removed.ok()) return removed;
      continue;
    }
    uint64_t bytes = 0;
    std::vector<RecoveredPayload::File*> of_core(core_count, nullptr);
    for (const PayloadExtent& extent : *extents) {
      bytes = std::max<uint64_t>(bytes, uint64_t{extent.offset} + extent.length);
      const uint32_t core = core_of(extent.key.group);
      if (of_core[core] == nullptr) {
        of_core[core] = &recovered->cores[core].emplace_back();
        of_core[core]->file = file;
        file->owners.fetch_add(1, std::memory_order_relaxed);
      }
      of_core[core]->extents.push_back(extent);
    }
    for (RecoveredPayload::File* share : of_core) {
      if (share != nullptr) share->bytes = bytes;
    }
  }
  return recovered;
}

}  // namespace ursula::storage
