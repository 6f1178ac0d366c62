// Finds and reads the snapshots that are there at open (SnapshotFiles of snapshot_store.h).

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "lib/base/coding.h"
#include "lib/storage/aligned_buffer.h"
#include "lib/storage/io_status.h"
#include "lib/storage/snapshot_store.h"

namespace ursula::storage {
namespace {

constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr std::size_t kWindowBytes = 256 << 10;  // Of a file, read at once.

// One file, frame by frame.
class FileReader {
 public:
  // `rotten` is set where bytes don't hold, or are gone; not where they hold and say what isn't
  // understood here.
  FileReader(io::Disk* disk, std::string path, uint32_t seed, bool* rotten)
      : disk_(*disk), path_(std::move(path)), seed_(seed), rotten_(*rotten) {}

  // The header. Next: the other frames, up to and without the end.
  Result<SnapshotFileHeader> Open(const SnapshotFileName& name) {
    // Past the page cache, as a log is: what is read a second time is read from the medium.
    Result<std::unique_ptr<io::File>> file = disk_.Open(path_, {.direct = true});
    if (!file.ok()) {
      if (file.status().code() != StatusCode::kFailedPrecondition) return file.status();
      rotten_ = true;
      return Status(StatusCode::kDataLoss, path_ + ": missing");
    }
    file_ = std::move(*file);
    std::string magic(4, '\0');
    Status read = ReadAt(&magic);
    if (!read.ok()) return read;
    const bool ours = LoadFixed<uint32_t>(magic.data()) == kSnapshotMagic;
    offset_ = 4;
    Result<SnapshotFrameKind> kind = NextFrame();
    if (!ours) frame_offset_ = 0;
    if (!ours && rotten_) return Damaged();
    if (!kind.ok()) return kind.status();
    if (!ours) return NotUnderstood();
    std::optional<SnapshotFileHeader> header = ParseSnapshotHeader(body_);
    if (*kind != SnapshotFrameKind::kHeader || !header.has_value() || header->group != name.group ||
        header->number != name.number) {
      return Damaged();
    }
    return std::move(*header);
  }

  Status ReadRecords(SnapshotSink* sink) {
    uint64_t count = 0;
    while (true) {
      Result<SnapshotFrameKind> kind = NextFrame();
      if (!kind.ok()) return kind.status();
      if (*kind == SnapshotFrameKind::kEnd) {
        return ParseSnapshotEnd(body_) == count ? Status() : Damaged();
      }
      if (*kind != SnapshotFrameKind::kRecords) return Damaged();
      for (std::string_view rest = body_; !rest.empty(); ++count) {
        std::optional<SnapshotRecord> record = TakeSnapshotRecord(&rest);
        if (!record.has_value()) return Damaged();
        Status taken = sink->OnSnapshotRecord(std::move(*record));
        if (!taken.ok()) return taken;
      }
    }
  }

  uint64_t size() const { return file_->size(); }

 private:
  Status Rotten() const {
    rotten_ = true;
    return Damaged();
  }
  Status Damaged() const {
    return Status(StatusCode::kDataLoss,
                  path_ + ": damaged at offset " + std::to_string(frame_offset_));
  }

  // What holds is no damage, whatever it says.
  Status NotUnderstood() const {
    return Status(StatusCode::kDataLoss,
                  path_ + ": holds, at offset " + std::to_string(frame_offset_) +
                      ", what only another release understands; use the one that wrote it");
  }

  // Fills `bytes` from offset_.
  Status ReadAt(std::string* bytes) {
    for (std::size_t done = 0; done < bytes->size();) {
      const uint64_t at = offset_ + done;
      if (at < window_at_ || at >= window_at_ + window_bytes_) {
        Status read = ReadWindow(at);
        if (!read.ok()) return read;
      }
      if (at >= window_at_ + window_bytes_) return Rotten();
      const std::size_t skip = static_cast<std::size_t>(at - window_at_);
      done += std::string_view(window_.data() + skip, window_bytes_ - skip)
                  .copy(bytes->data() + done, bytes->size() - done);
    }
    return {};
  }
  Status ReadWindow(uint64_t at) {
    window_.Grow(kWindowBytes, 0);
    window_at_ = at / AlignedBuffer::kAlignment * AlignedBuffer::kAlignment;
    window_bytes_ = 0;
    const int64_t count = file_->ReadNow(window_at_, std::span<char>(window_.data(), kWindowBytes));
    if (count < 0) return IoStatus("reading", path_, count);
    window_bytes_ = static_cast<std::size_t>(count);
    return {};
  }

  Result<SnapshotFrameKind> NextFrame() {
    frame_offset_ = offset_;
    body_.assign(kSnapshotFrameHeaderBytes, '\0');
    Status read = ReadAt(&body_);
    if (!read.ok()) return read;
    std::optional<SnapshotFrame> frame = ParseSnapshotFrame(body_);
    offset_ += kSnapshotFrameHeaderBytes;
    if (!frame.has_value() || frame->length > file_->size() - offset_) return Rotten();
    body_.assign(frame->length, '\0');
    read = ReadAt(&body_);
    if (!read.ok()) return read;
    offset_ += frame->length;
    if (!SnapshotFrameHolds(*frame, body_, seed_, frame_offset_)) return Rotten();
    if (frame->kind > SnapshotFrameKind::kEnd) return NotUnderstood();
    return frame->kind;
  }

  io::Disk& disk_;
  const std::string path_;
  const uint32_t seed_;
  bool& rotten_;
  std::unique_ptr<io::File> file_;
  AlignedBuffer window_;
  uint64_t window_at_ = 0;
  std::size_t window_bytes_ = 0;
  uint64_t offset_ = 0;
  uint64_t frame_offset_ = 0;
  std::string body_;
};

}  // namespace

SnapshotFiles::SnapshotFiles(const DataDirectory& directory, LogLine log)
    : path_(directory.snapshot_path()), directory_id_(directory.id()), log_(std::move(log)) {}

Result<std::unique_ptr<SnapshotFiles>> SnapshotFiles::Scan(io::Disk& disk,
                                                           const DataDirectory& directory,
                                                           const LogLine& log) {
  std::unique_ptr<SnapshotFiles> files(new SnapshotFiles(directory, log));
  Result<std::vector<std::string>> names = disk.List(files->path_);
  if (!names.ok()) return names.status();
  for (const std::string& leaf : *names) {
    const std::string path = files->path_ + "/" + leaf;
    if (leaf.ends_with(kTemporarySuffix)) {
      Status removed = disk.RemoveNow(path);
      if (!removed.ok()) return removed;
      continue;
    }
    std::optional<SnapshotFileName> name = ParseSnapshotFileName(leaf);
    if (!name.has_value()) {
      if (log) log(LogLevel::kWarning, path + ": not a snapshot; left alone");
      continue;
    }
    Chain& chain = files->chains_[name->group];
    chain.last_number = std::max(chain.last_number, name->number);
    chain.all.push_back(name->number);  // The names are sorted.
  }
  return files;
}

const SnapshotFiles::Chain* SnapshotFiles::Find(GroupId group) const {
  auto found = chains_.find(group);
  return found == chains_.end() ? nullptr : &found->second;
}

uint64_t SnapshotFiles::Bytes(io::Disk& disk) const {
  uint64_t bytes = 0;
  for (const auto& [group, chain] : chains_) {  // A sum: in any order.
    for (uint64_t number : chain.all) {
      Result<std::unique_ptr<io::File>> file =
          disk.Open(path_ + "/" + FormatSnapshotFileName({group, number}), {});
      if (file.ok()) bytes += (*file)->size();
    }
  }
  return bytes;
}

Result<std::vector<uint64_t>> SnapshotFiles::WalkChain(io::Disk& disk, GroupId group,
                                                       Chain* chain) {
  std::vector<uint64_t> numbers;
  for (uint64_t number = chain->last_number; number != 0;) {
    const SnapshotFileName name{group, number};
    FileReader reader(&disk, path_ + "/" + FormatSnapshotFileName(name),
                      SnapshotSeed(directory_id_, name), &rotten_);
    Result<SnapshotFileHeader> header = reader.Open(name);
    if (!header.ok()) return header.status();
    (header->previous == 0 ? chain->base_bytes : chain->delta_bytes) += reader.size();
    numbers.push_back(number);
    number = header->previous;
  }
  std::reverse(numbers.begin(), numbers.end());
  return numbers;
}

Result<bool> SnapshotFiles::Load(io::Disk& disk, GroupId group, SnapshotSink* sink) {
  auto found = chains_.find(group);
  if (found == chains_.end()) return false;
  Chain& chain = found->second;
  chain.base_bytes = chain.delta_bytes = 0;
  Result<std::vector<uint64_t>> numbers = WalkChain(disk, group, &chain);
  if (!numbers.ok()) return numbers.status();
  for (uint64_t number : *numbers) {
    const SnapshotFileName name{group, number};
    FileReader reader(&disk, path_ + "/" + FormatSnapshotFileName(name),
                      SnapshotSeed(directory_id_, name), &rotten_);
    Result<SnapshotFileHeader> header = reader.Open(name);
    if (!header.ok()) return header.status();
    Status begun = sink->OnSnapshotFile(header->meta, header->previous == 0);
    if (!begun.ok()) return begun;
    Status read = reader.ReadRecords(sink);
    if (!read.ok()) return read;
  }
  chain.numbers = std::move(*numbers);
  return true;
}

}  // namespace ursula::storage
