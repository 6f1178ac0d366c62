// Finds what earlier openings left in the payload folder (RecoverPayload of payload_store.h).

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "lib/base/ids.h"
#include "lib/base/sometimes.h"
#include "lib/storage/aligned_buffer.h"
#include "lib/storage/io_status.h"
#include "lib/storage/payload_file.h"
#include "lib/storage/payload_scan.h"
#include "lib/storage/payload_store.h"

namespace ursula::storage {
namespace {

// The blocks of one file: from its footer, or, when a crash came before it, by a scan.
class FileScan {
 public:
  FileScan(io::Disk* disk, std::string path, uint32_t seed, const LogLine& log, Opening* opening)
      : disk_(*disk), path_(std::move(path)), seed_(seed), log_(log), opening_(*opening) {}

  Result<PayloadFooter> Run() {
    Result<std::unique_ptr<io::File>> file = disk_.Open(path_, {});
    if (!file.ok()) return file.status();
    Result<PayloadFooter> found = Find(file->get());
    Status status = opening_.Advance(size_ - std::min(size_, scanned_));
    return status.ok() ? std::move(found) : status;
  }

 private:
  Result<PayloadFooter> Find(io::File* file) {
    size_ = file->size();
    if (size_ > UINT32_MAX) return Status(StatusCode::kDataLoss, path_ + ": too long");
    std::optional<PayloadFooter> listed = ReadFooter(file);
    if (listed.has_value()) {
      LogDamage(listed->losses);
      return std::move(*listed);
    }
    URSULA_SOMETIMES("storage: a payload file without a footer is scanned");
    // Past the page cache, which may hold what a failed sync of a process before this one has lost.
    Result<std::unique_ptr<io::File>> direct = disk_.Open(path_, {.direct = true});
    if (!direct.ok()) return direct.status();
    Status read = ReadWhole(direct->get());
    if (!read.ok()) return read;
    PayloadScan scan = ScanPayload(bytes_, seed_);
    LogDamage(scan.losses);
    LogTorn(scan.losses);
    Status finished = Finish(scan);
    if (!finished.ok()) return finished;
    return PayloadFooter{std::move(scan.extents), std::move(scan.losses)};
  }

  // In pieces, between which the opening may be cancelled.
  Status ReadWhole(io::File* file) {
    constexpr std::size_t kPieceBytes = 4 << 20;
    static_assert(kPieceBytes % AlignedBuffer::kAlignment == 0);
    const std::size_t blocks =
        static_cast<std::size_t>((size_ + AlignedBuffer::kAlignment - 1) /
                                 AlignedBuffer::kAlignment * AlignedBuffer::kAlignment);
    buffer_.Grow(blocks, 0);
    while (scanned_ < blocks) {
      const std::size_t from = static_cast<std::size_t>(scanned_);
      const std::size_t wanted = std::min(kPieceBytes, blocks - from);
      const int64_t count = file->ReadNow(from, std::span<char>(buffer_.data() + from, wanted));
      if (count < 0) return IoStatus("reading", path_, count);
      scanned_ += static_cast<uint64_t>(count);
      Status status = opening_.Advance(static_cast<uint64_t>(count));
      if (!status.ok()) return status;
      if (static_cast<std::size_t>(count) < wanted) break;
    }
    bytes_ = std::string_view(buffer_.data(), static_cast<std::size_t>(scanned_));
    return {};
  }

  std::optional<PayloadFooter> ReadFooter(io::File* file) const {
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

  void LogDamage(const std::vector<PayloadLoss>& losses) const {
    for (const PayloadLoss& loss : losses) {
      if (!loss.synced) continue;
      URSULA_SOMETIMES("storage: payload that was synced is found damaged");
      Log(LogLevel::kError, path_ + ": damaged at offset " + std::to_string(loss.offset) + ": " +
                                std::to_string(loss.bytes) +
                                " bytes that were synced are no whole block; the file is kept");
    }
  }

  // Whether it is more than that shows when the streams are compared with what there is.
  void LogTorn(const std::vector<PayloadLoss>& losses) const {
    uint64_t bytes = 0;
    const PayloadLoss* first = nullptr;
    for (const PayloadLoss& loss : losses) {
      if (loss.synced) continue;
      if (first == nullptr) first = &loss;
      bytes += loss.bytes;
    }
    if (first == nullptr) return;
    URSULA_SOMETIMES("storage: torn payload is left out");
    Log(LogLevel::kWarning, path_ + ": " + std::to_string(bytes) + " bytes from offset " +
                                std::to_string(first->offset) +
                                " on are no whole blocks: a crash tore them, or they are damaged");
  }

  // Makes what was read as durable as it is now taken to be, and adds a footer, so that the next
  // opening need not scan, nor forget what is lost. What no block attests may be of a batch whose
  // sync failed: then it is in the page cache alone and counts as clean there, and only writing it
  // again brings it to the disk. The same bytes, so that a crash meanwhile does no harm, and what
  // is damaged stays so. On a full disk there is no footer.
  Status Finish(const PayloadScan& scan) {
    if (scan.extents.empty() && scan.losses.empty()) return {};
    Result<std::unique_ptr<io::File>> file = disk_.Open(path_, {.write = true});
    if (!file.ok()) return file.status();
    if (scan.sound_end > scan.attested) {
      const std::size_t from = static_cast<std::size_t>(scan.attested);
      std::span<const char> tail(bytes_);
      tail = tail.subspan(from, static_cast<std::size_t>(scan.sound_end) - from);
      const int64_t again = (*file)->WriteSyncedNow(scan.attested, tail);
      if (again < 0) return IoStatus("writing again", path_, again);
    }
    const uint32_t offset = static_cast<uint32_t>((size_ + kPayloadAlignment - 1) /
                                                  kPayloadAlignment * kPayloadAlignment);
    const std::string footer = EncodePayloadFooter({scan.extents, scan.losses}, seed_, offset);
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
  Opening& opening_;
  uint64_t size_ = 0;
  uint64_t scanned_ = 0;  // Of it.
  AlignedBuffer buffer_;
  std::string_view bytes_;
};

// Shares a file out among the cores of its blocks' groups.
void Share(const std::shared_ptr<PayloadFile>& file, PayloadFooter footer,
           Function<uint32_t(GroupId)>* core_of, RecoveredPayload* recovered) {
  uint64_t bytes = 0;
  std::vector<RecoveredPayload::File*> of_core(recovered->cores.size(), nullptr);
  for (const PayloadExtent& extent : footer.extents) {
    bytes = std::max<uint64_t>(bytes, uint64_t{extent.offset} + extent.length);
    const uint32_t core = (*core_of)(extent.key.group);
    if (of_core[core] == nullptr) {
      of_core[core] = &recovered->cores[core].files.emplace_back();
      of_core[core]->file = file;
      file->owners.fetch_add(1, std::memory_order_relaxed);
    }
    of_core[core]->extents.push_back(extent);
    file->live_bytes.fetch_add(extent.length, std::memory_order_relaxed);
  }
  for (RecoveredPayload::File* share : of_core) {
    if (share != nullptr) share->bytes = bytes;
  }
  for (const PayloadLoss& loss : footer.losses) {
    file->damaged = file->damaged || loss.synced;
    for (uint32_t core = 0; core < recovered->cores.size(); ++core) {
      if (loss.length > 0 && core != (*core_of)(loss.key.group)) continue;
      recovered->cores[core].losses.push_back({file->path, loss});
    }
  }
  if (footer.extents.empty() && !file->damaged) recovered->torn.push_back(file->path);
}

uint64_t FileBytes(io::Disk& disk, const std::string& folder,
                   const std::vector<std::string>& names) {
  uint64_t bytes = 0;
  for (const std::string& leaf : names) {
    if (!ParsePayloadFileName(leaf).has_value()) continue;
    Result<std::unique_ptr<io::File>> file = disk.Open(folder + "/" + leaf, {});
    if (file.ok()) bytes += (*file)->size();
  }
  return bytes;
}

}  // namespace

Result<std::shared_ptr<RecoveredPayload>> RecoverPayload(io::Disk& disk,
                                                         const DataDirectory& directory,
                                                         uint32_t core_count,
                                                         Function<uint32_t(GroupId)> core_of,
                                                         const LogLine& log, Opening* opening) {
  Opening unwatched;
  if (opening == nullptr) opening = &unwatched;
  auto recovered = std::make_shared<RecoveredPayload>();
  recovered->cores.resize(core_count);
  Result<std::vector<std::string>> names = disk.List(directory.payload_path());
  if (!names.ok()) return names.status();
  opening->Begin(OpeningStep::kPayload, FileBytes(disk, directory.payload_path(), *names));
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
    Result<PayloadFooter> found = FileScan(&disk, path, file->seed, log, opening).Run();
    if (!found.ok()) return found.status();
    if (found->extents.empty() && found->losses.empty()) {
      Status removed = disk.RemoveNow(path);
      if (!removed.ok()) return removed;
      continue;
    }
    Share(file, std::move(*found), &core_of, recovered.get());
  }
  return recovered;
}

void RemoveTornPayload(io::Disk& disk, const RecoveredPayload& recovered, const LogLine& log) {
  for (const std::string& path : recovered.torn) {
    Status removed = disk.RemoveNow(path);
    if (!removed.ok() && log) log(LogLevel::kWarning, removed.message());
  }
}

}  // namespace ursula::storage
