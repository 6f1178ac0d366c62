#include "lib/storage/disk_payload_store.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {
namespace {

constexpr uint64_t kReadBytesAdvisedMin = 64 << 10;
constexpr std::size_t kLoggedMax = 1000;  // Kinds of damage; more would be much the same.

PayloadIndex::Extent IndexedAs(const PayloadExtent& extent, uint32_t file) {
  PayloadIndex::Extent indexed{extent.start, extent.length, file, extent.offset};
  indexed.bytes = (extent.header_bytes + extent.length) & 0x7fffffffu;
  return indexed;
}

std::string PayloadName(PayloadKey key, uint64_t from) {
  return "payload of group " + std::to_string(Raw(key.group)) + ", stream incarnation " +
         std::to_string(key.incarnation) + ", from offset " + std::to_string(from) + " on";
}

}  // namespace

std::unique_ptr<PayloadStore> MakePayloadStore(io::Loop* loop, const DataDirectory& directory,
                                               uint32_t ordinal, PayloadStoreOptions options,
                                               RecoveredPayload* recovered) {
  return std::make_unique<DiskPayloadStore>(loop, directory, ordinal, std::move(options),
                                            recovered);
}

DiskPayloadStore::DiskPayloadStore(io::Loop* loop, const DataDirectory& directory, uint32_t ordinal,
                                   PayloadStoreOptions options, RecoveredPayload* recovered)
    : loop_(*loop),
      options_(std::move(options)),
      sources_(loop, options_.open_files_max),
      index_([this](uint32_t number, uint64_t bytes) { OnFreed(number, bytes); }),
      writer_(loop,
              {.directory = directory.payload_path(),
               .directory_id = directory.id(),
               .generation = directory.generation(),
               .ordinal = ordinal,
               .file_bytes = options_.file_bytes,
               .write_bytes_max = options_.write_bytes_max,
               .direct = options_.direct,
               .log = options_.log},
              this),
      reader_(loop,
              {.reads_max = options_.reads_max,
               .queue_max = options_.read_queue_max,
               .held_bytes_max = options_.held_bytes_max},
              this, &sources_),
      compactor_(loop, this),
      scrub_(loop, this) {
  if (recovered == nullptr || ordinal >= recovered->cores.size()) return;
  losses_.Add(std::move(recovered->cores[ordinal].losses));
  std::vector<RecoveredPayload::File>& files = recovered->cores[ordinal].files;
  for (RecoveredPayload::File& file : files) {
    const uint32_t number = AddFile(file.file);
    LocalFile& local = *files_[number];
    local.bytes = file.bytes;
    for (const PayloadExtent& extent : file.extents) {
      local.live_bytes += extent.length;  // In the file's it is counted already.
      live_bytes_ += extent.length;
      index_.Add(extent.key, IndexedAs(extent, number));
    }
    local.finished = true;
    if (file.file->owners.load(std::memory_order_relaxed) > 1) shared_files_.push_back(number);
    file.extents = {};
  }
  for (RecoveredPayload::File& file : files) file.file.reset();
  for (uint32_t number = 0; number < next_file_; ++number) DropIfDead(number);
}

DiskPayloadStore::~DiskPayloadStore() { URSULA_CHECK(!op_.pending()); }

uint32_t DiskPayloadStore::AddFile(const std::shared_ptr<PayloadFile>& shared) {
  const uint32_t number = next_file_++;
  auto local = std::make_unique<LocalFile>();
  local->source.shared = shared;
  files_.emplace(number, std::move(local));
  return number;
}

void DiskPayloadStore::Write(std::vector<PayloadRun> runs, Function<void(Status)> done) {
  if (!MayBringBack()) freed_before_.clear();
  writer_.Write(std::move(runs), std::move(done));
}

void DiskPayloadStore::FreeBefore(PayloadKey key, uint64_t offset) {
  NoteFreed(key, offset);
  index_.FreeBefore(key, offset);
}

// The compactor writes what it has read before.
bool DiskPayloadStore::MayBringBack() const { return !writer_.idle() || compactor_.busy(); }

void DiskPayloadStore::NoteFreed(PayloadKey key, uint64_t offset) {
  if (!MayBringBack()) return;
  uint64_t& freed = freed_before_[key];
  freed = std::max(freed, offset);
}

void DiskPayloadStore::Read(PayloadKey key, uint64_t from, uint64_t bytes_max,
                            Function<void(Result<PayloadSlice>)> done) {
  std::vector<PayloadIndex::Extent> extents =
      index_.Cover(key, from, std::max<uint64_t>(bytes_max, 1), options_.read_extents_max);
  if (extents.empty()) {
    Status lost(StatusCode::kDataLoss, PayloadName(key, from) + " is lost: " + Where(key, from));
    LogDamage(lost);
    loop_.Defer([done = std::move(done), lost = std::move(lost)]() mutable { done(lost); });
    return;
  }
  const uint64_t next = std::min(from + std::max<uint64_t>(bytes_max, 1), extents.back().end());
  reader_.Read(key, from, std::max<uint64_t>(bytes_max, 1), extents, std::move(done));
  if (!read_ahead_.GoesOn(key, from, next)) return;
  std::vector<PayloadIndex::Extent> soon =
      index_.Cover(key, next, next - from, options_.read_extents_max);
  if (!soon.empty()) reader_.ReadAhead(soon);
}

std::string DiskPayloadStore::Where(PayloadKey key, uint64_t from) const {
  const std::vector<PayloadIndex::Extent> extents = index_.Cover(key, from, 1, 1);
  if (extents.empty()) return losses_.Where(key, from);
  return files_.at(extents[0].file)->source.shared->path + ", offset " +
         std::to_string(extents[0].offset);
}

// It stays where it is, for an operator, and counts as live there: until it is written anew, or its
// stream goes.
void DiskPayloadStore::OnDamaged(const Status& status, PayloadKey key,
                                 const std::vector<PayloadIndex::Extent>& damaged) {
  LogDamage(status);
  for (const PayloadIndex::Extent& block : damaged) {
    const std::string& path = files_.at(block.file)->source.shared->path;
    for (const PayloadIndex::Extent& extent :
         index_.MarkDamaged(key, block.file, block.offset, block.start)) {
      auto watcher = watchers_.find(key.group);
      if (watcher == watchers_.end() || watcher->second == nullptr) continue;
      watcher->second->OnPayloadDamaged(
          {key, extent.start, extent.end(), path + ", offset " + std::to_string(block.offset)});
    }
  }
}

std::vector<uint32_t> DiskPayloadStore::FileNumbers() const {
  std::vector<uint32_t> numbers;
  for (const auto& [number, local] : files_) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// Its blocks move where a footer lists them, and it goes.
void DiskPayloadStore::OnFooterDamaged(uint32_t file) {
  const LocalFile& local = *files_.at(file);
  ++stats_.damaged_footers;
  LogDamage(Status(StatusCode::kDataLoss,
                   local.source.shared->path +
                       ": its footer is damaged, or there is none; its blocks are moved"));
  if (!local.compacting && !local.source.shared->damaged && local.live_bytes > 0) {
    Compact(file, PayloadCompactor::Aim::kEmpty);
  }
}

void DiskPayloadStore::LogDamage(const Status& status) {
  if (!options_.log || logged_.size() >= kLoggedMax) return;
  if (logged_.insert(status.message()).second) options_.log(LogLevel::kError, status.message());
}

uint64_t DiskPayloadStore::ReadBytesAdvised() const {
  const uint64_t left =
      options_.held_bytes_max - std::min(options_.held_bytes_max, reader_.held_bytes());
  return std::max(left / 16, kReadBytesAdvisedMin);
}

void DiskPayloadStore::Keep(GroupId group, Function<bool(uint64_t)> wanted) {
  index_.Keep(group, [&](uint64_t incarnation) {
    if (wanted(incarnation)) return true;
    NoteFreed({group, incarnation}, UINT64_MAX);
    return false;
  });
}

PayloadStats DiskPayloadStore::stats() const {
  PayloadStats stats = stats_;
  stats.disk_bytes = live_bytes_;
  for (const auto& [number, local] : files_) {
    if (local->source.shared->owners.load(std::memory_order_relaxed) == 1) {
      stats.disk_bytes += std::max(local->bytes, local->live_bytes) - local->live_bytes;
    }
  }
  stats.written_bytes = writer_.written_bytes();
  stats.held_bytes = reader_.held_bytes();
  stats.refused_reads = reader_.refused();
  stats.extents = index_.extents();
  stats.keys = index_.keys();
  stats.index_bytes = index_.bytes();
  stats.compacted_bytes = compactor_.moved_bytes();
  return stats;
}

void DiskPayloadStore::OnPayloadDurable(const std::shared_ptr<PayloadFile>& file,
                                        const std::vector<PayloadExtent>& extents) {
  if (writing_ != file) {
    writing_ = file;
    file->owners.fetch_add(1, std::memory_order_acq_rel);
    writing_file_ = AddFile(file);
  }
  LocalFile& local = *files_[writing_file_];
  local.blocks += static_cast<uint32_t>(extents.size());
  for (const PayloadExtent& extent : extents) CountLive(&local, extent.length);
  const bool merge = index_.bytes() > options_.merge_index_bytes_min;
  for (const PayloadExtent& extent : extents) {
    constexpr uint32_t kBefore = PayloadCompactor::kSmallRun - 1;
    if (merge &&
        index_.RunBefore(extent.key, extent.start, PayloadCompactor::SmallBytes(extent.length),
                         kBefore) == kBefore) {
      ++local.mergeable;
    }
    index_.Add(extent.key, IndexedAs(extent, writing_file_));
  }
  CompactShared();
  if (freed_before_.empty()) return;
  for (const PayloadExtent& extent : extents) {
    auto freed = freed_before_.find(extent.key);
    if (freed != freed_before_.end()) index_.FreeBefore(extent.key, freed->second);
  }
}

void DiskPayloadStore::OnPayloadFinished(const std::shared_ptr<PayloadFile>& file, uint64_t bytes) {
  if (writing_ != file) {  // Nothing in it ever became durable.
    removals_.push_back(file->path);
    return RemoveNext();
  }
  writing_.reset();
  LocalFile& local = *files_[writing_file_];
  local.finished = true;
  local.bytes = bytes;
  const uint32_t number = writing_file_;
  // Where much of it can be joined, that is worth reading it again.
  const bool merge = local.mergeable * 4 > local.blocks;
  DropIfDead(number);
  if (merge && files_.contains(number)) Compact(number, PayloadCompactor::Aim::kMerge);
}

void DiskPayloadStore::CountLive(LocalFile* local, uint64_t bytes) {
  local->live_bytes += bytes;
  local->source.shared->live_bytes.fetch_add(bytes, std::memory_order_relaxed);
  live_bytes_ += bytes;
}

void DiskPayloadStore::OnFreed(uint32_t number, uint64_t bytes) {
  LocalFile& local = *files_[number];
  URSULA_CHECK(local.live_bytes >= bytes);
  local.live_bytes -= bytes;
  local.source.shared->live_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  live_bytes_ -= bytes;
  if (local.finished) DropIfDead(number);
}

void DiskPayloadStore::DropIfDead(uint32_t number) {
  auto found = files_.find(number);
  if (found == files_.end()) return;
  LocalFile& local = *found->second;
  if (!local.finished || local.source.shared->damaged) return;
  if (local.live_bytes > 0) return CompactIfSparse(number);
  if (local.pins > 0) return;
  std::shared_ptr<PayloadFile> shared = local.source.shared;
  files_.erase(found);
  if (shared->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  removals_.push_back(shared->path);
  RemoveNext();
}

// By what all owners have in it: each moves its own blocks, and the last to leave removes it.
void DiskPayloadStore::CompactIfSparse(uint32_t number) {
  const LocalFile& local = *files_[number];
  if (local.compacting || local.source.shared->damaged) return;
  const uint64_t live_bytes = local.source.shared->live_bytes.load(std::memory_order_relaxed);
  if (live_bytes * 100 >= local.bytes * options_.compact_live_percent) return;
  if (local.bytes - live_bytes < options_.compact_dead_bytes_min) return;
  Compact(number, PayloadCompactor::Aim::kEmpty);
}

// What another core has freed makes a file sparse here too.
void DiskPayloadStore::CompactShared() {
  std::erase_if(shared_files_, [this](uint32_t number) { return !files_.contains(number); });
  for (uint32_t number : shared_files_) {
    if (files_[number]->live_bytes > 0) CompactIfSparse(number);
  }
}

void DiskPayloadStore::Compact(uint32_t number, PayloadCompactor::Aim aim) {
  LocalFile& local = *files_[number];
  if (local.compacting || stopping_) return;
  local.compacting = true;
  Pin(number);  // The compactor's, until it is done with the file.
  compactor_.Add(number, aim);
}

void DiskPayloadStore::OnCompacted(uint32_t number, PayloadCompactor::Aim aim, bool again) {
  const bool merged = aim == PayloadCompactor::Aim::kMerge && !again;
  // Otherwise it stays as it is: damaged, or no file that could be read.
  if (merged || again) files_[number]->compacting = false;
  if (merged && files_[number]->live_bytes > 0) CompactIfSparse(number);
  Unpin(number);
}

void DiskPayloadStore::RemoveNext() {
  if (op_.pending() || removals_.empty() || stopping_) return;
  removing_ = std::move(removals_.front());
  removals_.pop_front();
  loop_.disk().Remove(removing_, op_.Then<&DiskPayloadStore::OnRemoved>(this));
}

// A removal that fails, or that a crash undoes, costs space until the next opening frees it again.
void DiskPayloadStore::OnRemoved(int64_t result) {
  if (result < 0) {
    if (options_.log) {
      options_.log(LogLevel::kWarning, IoStatus("removing", removing_, result).message());
    }
  } else {
    ++stats_.files_removed;
  }
  if (stopping_) return ContinueStop();
  RemoveNext();
}

void DiskPayloadStore::Pin(uint32_t file) { ++files_[file]->pins; }

void DiskPayloadStore::Unpin(uint32_t file) {
  LocalFile& local = *files_[file];
  URSULA_CHECK(local.pins > 0);
  --local.pins;
  if (local.live_bytes == 0) DropIfDead(file);
}

void DiskPayloadStore::Stop(Function<void()> done) {
  URSULA_CHECK(!stopping_);
  stopping_ = true;
  stop_done_ = std::move(done);
  stops_pending_ = 3;
  auto one_less = [this] {
    --stops_pending_;
    ContinueStop();
  };
  // The compactor before the writer: what it moves is written.
  compactor_.Stop([this, one_less] {
    writer_.Stop(one_less);
    one_less();
  });
  reader_.Stop(one_less);
}

void DiskPayloadStore::ContinueStop() {
  if (stops_pending_ > 0 || op_.pending() || !stop_done_) return;
  loop_.Defer([done = std::move(stop_done_)]() mutable { done(); });
  stop_done_ = {};
}

}  // namespace ursula::storage
