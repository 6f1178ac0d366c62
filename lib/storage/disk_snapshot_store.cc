#include "lib/storage/disk_snapshot_store.h"

#include <algorithm>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/base/sometimes.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

std::unique_ptr<SnapshotStore> MakeSnapshotStore(io::Loop* loop, const DataDirectory& directory,
                                                 const std::vector<GroupId>& groups,
                                                 const SnapshotFiles* files, LogLine log) {
  return std::make_unique<DiskSnapshotStore>(loop, directory, groups, files, std::move(log));
}

DiskSnapshotStore::DiskSnapshotStore(io::Loop* loop, const DataDirectory& directory,
                                     const std::vector<GroupId>& groups, const SnapshotFiles* files,
                                     LogLine log)
    : loop_(*loop),
      directory_(directory.snapshot_path()),
      directory_id_(directory.id()),
      log_(std::move(log)),
      scrub_(loop, this) {
  for (GroupId group : groups) {
    const SnapshotFiles::Chain* found = files->Find(group);
    if (found == nullptr) continue;
    Chain& chain = chains_[group];
    chain.last_number = found->last_number;
    chain.numbers = found->numbers;
    chain.size = {static_cast<uint32_t>(found->numbers.size()), found->base_bytes,
                  found->delta_bytes};
    finished_bytes_ += found->base_bytes + found->delta_bytes;
    if (found->numbers.empty()) continue;  // Not loaded: nothing is known of what is there.
    for (uint64_t number : found->all) {
      if (std::find(chain.numbers.begin(), chain.numbers.end(), number) == chain.numbers.end()) {
        removals_.push_back({PathOf(group, number)});
      }
    }
  }
}

DiskSnapshotStore::~DiskSnapshotStore() { URSULA_CHECK(!op_.pending()); }

std::string DiskSnapshotStore::PathOf(GroupId group, uint64_t number) const {
  return directory_ + "/" + FormatSnapshotFileName({group, number});
}

SnapshotStore::ChainSize DiskSnapshotStore::chain(GroupId group) const {
  auto found = chains_.find(group);
  return found == chains_.end() ? ChainSize() : found->second.size;
}

void DiskSnapshotStore::Write(GroupId group, SnapshotMeta meta, bool base, SnapshotRecords records,
                              Function<void(Status)> done) {
  if (stopping_) {
    loop_.Defer([done = std::move(done)]() mutable {
      done(Status(StatusCode::kCancelled, "the snapshot store is stopping"));
    });
    return;
  }
  queue_.push_back({group, std::move(meta), base, std::move(records), std::move(done)});
  BeginLater();
}

void DiskSnapshotStore::BeginLater() {
  if (begin_deferred_ || state_ != State::kIdle) return;
  begin_deferred_ = true;
  loop_.Defer([this] {
    begin_deferred_ = false;
    Begin();
  });
}

void DiskSnapshotStore::Begin() {
  if (state_ != State::kIdle) return;
  if (stopping_) {
    state_ = State::kStopped;
    loop_.Defer([done = std::move(stop_done_)]() mutable { done(); });
    return;
  }
  if (queue_.empty()) return RemoveNext();
  current_ = std::move(queue_.front());
  queue_.pop_front();
  Chain& chain = chains_[current_.group];
  if (!current_.base && chain.numbers.empty()) {
    return Answer(Status(StatusCode::kFailedPrecondition, "a delta needs a base before it"));
  }
  number_ = ++chain.last_number;
  seed_ = SnapshotSeed(directory_id_, {current_.group, number_});
  path_ = PathOf(current_.group, number_);
  temporary_ = path_ + ".tmp";
  state_ = State::kOpening;
  loop_.disk().Open(temporary_, {.create = true, .write = true, .direct = false}, &file_,
                    op_.Then<&DiskSnapshotStore::OnOpened>(this));
}

void DiskSnapshotStore::OnOpened(int64_t result) {
  URSULA_CHECK(state_ == State::kOpening);
  if (result < 0) return Answer(IoStatus("opening", temporary_, result));
  record_count_ = 0;
  ended_ = false;
  offset_ = 0;
  chunk_.clear();
  const uint64_t previous = current_.base ? 0 : chains_[current_.group].numbers.back();
  PutFixed<uint32_t>(&chunk_, kSnapshotMagic);
  AppendSnapshotFrame(&chunk_, SnapshotFrameKind::kHeader,
                      EncodeSnapshotHeader({.group = current_.group,
                                            .number = number_,
                                            .previous = previous,
                                            .meta = current_.meta}),
                      seed_, chunk_.size());
  state_ = State::kWriting;
  FillChunk();
}

// A chunk a turn: encoding never holds the core for long.
void DiskSnapshotStore::FillChunk() {
  body_.clear();
  for (SnapshotRecords& records = current_.records;
       !records.empty() && body_.size() < kSnapshotChunkBytes; ++record_count_) {
    AppendSnapshotRecord(&body_, records.front());
    records.pop_front();
  }
  if (!body_.empty()) {
    AppendSnapshotFrame(&chunk_, SnapshotFrameKind::kRecords, body_, seed_,
                        offset_ + chunk_.size());
  }
  if (current_.records.empty()) {
    AppendSnapshotFrame(&chunk_, SnapshotFrameKind::kEnd, EncodeSnapshotEnd(record_count_), seed_,
                        offset_ + chunk_.size());
    ended_ = true;
  }
  written_ = 0;
  WriteRest();
}

void DiskSnapshotStore::WriteRest() {
  file_->Write(offset_ + written_, std::span<const char>(chunk_).subspan(written_),
               op_.Then<&DiskSnapshotStore::OnWritten>(this));
}

void DiskSnapshotStore::OnWritten(int64_t result) {
  URSULA_CHECK(state_ == State::kWriting);
  if (result <= 0) return Refuse(IoStatus("writing", temporary_, result));
  written_ += static_cast<std::size_t>(result);
  if (written_ < chunk_.size()) return WriteRest();
  offset_ += chunk_.size();
  chunk_.clear();
  if (!ended_) return FillChunk();
  state_ = State::kSyncing;
  file_->Sync(op_.Then<&DiskSnapshotStore::OnSynced>(this));
}

void DiskSnapshotStore::OnSynced(int64_t result) {
  URSULA_CHECK(state_ == State::kSyncing);
  if (result < 0) return Refuse(IoStatus("syncing", temporary_, result));
  file_.reset();
  state_ = State::kRenaming;
  loop_.disk().Rename(temporary_, path_, op_.Then<&DiskSnapshotStore::OnRenamed>(this));
}

void DiskSnapshotStore::OnRenamed(int64_t result) {
  URSULA_CHECK(state_ == State::kRenaming);
  if (result < 0) return Refuse(IoStatus("renaming", temporary_, result));
  state_ = State::kSyncingName;
  loop_.disk().SyncDirectory(directory_, op_.Then<&DiskSnapshotStore::OnNameSynced>(this));
}

void DiskSnapshotStore::OnNameSynced(int64_t result) {
  URSULA_CHECK(state_ == State::kSyncingName);
  if (result < 0) {
    // Perhaps it is there after a crash, perhaps not: both are whole chains. But a chain that goes
    // on from an older file must not meet it as the newest one: the next number is higher.
    state_ = State::kIdle;
    return Answer(IoStatus("syncing", directory_, result));
  }
  Chain& chain = chains_[current_.group];
  if (current_.base) {
    URSULA_SOMETIMES("storage: a base replaces a chain");
    for (uint64_t number : chain.numbers) removals_.push_back({PathOf(current_.group, number)});
    // Given back when the last of them has gone.
    if (!chain.numbers.empty()) {
      removals_.back().bytes = chain.size.base_bytes + chain.size.delta_bytes;
    }
    chain.numbers.clear();
    chain.size = {};
  }
  chain.numbers.push_back(number_);
  ++chain.size.files;
  (current_.base ? chain.size.base_bytes : chain.size.delta_bytes) += offset_;
  finished_bytes_ += offset_;
  ++stats_.snapshots;
  stats_.written_bytes += offset_;
  Answer(Status());
}

void DiskSnapshotStore::Refuse(Status status) {
  file_.reset();
  refusal_ = std::move(status);
  URSULA_SOMETIMES("storage: a snapshot is refused");
  state_ = State::kCleaning;
  loop_.disk().Remove(temporary_, op_.Then<&DiskSnapshotStore::OnCleaned>(this));
}

void DiskSnapshotStore::OnCleaned(int64_t /*result*/) {
  URSULA_CHECK(state_ == State::kCleaning);
  Answer(std::exchange(refusal_, Status()));
}

void DiskSnapshotStore::Answer(Status status) {
  if (!status.ok() && log_) log_(LogLevel::kWarning, "no snapshot: " + status.message());
  state_ = State::kIdle;
  Request ended = std::exchange(current_, {});
  BeginLater();
  ended.done(std::move(status));
}

// What a base replaced, while there is nothing better to do.
void DiskSnapshotStore::RemoveNext() {
  if (removals_.empty()) return;
  removing_ = std::move(removals_.front());
  removals_.pop_front();
  state_ = State::kRemoving;
  loop_.disk().Remove(removing_.path, op_.Then<&DiskSnapshotStore::OnRemoved>(this));
}

void DiskSnapshotStore::OnRemoved(int64_t result) {
  URSULA_CHECK(state_ == State::kRemoving);
  if (result < 0 && log_) {
    log_(LogLevel::kWarning, IoStatus("removing", removing_.path, result).message());
  }
  finished_bytes_ -= removing_.bytes;
  state_ = State::kIdle;
  Begin();
}

SnapshotStats DiskSnapshotStore::stats() const {
  SnapshotStats stats = stats_;
  stats.disk_bytes = finished_bytes_ + (file_ == nullptr ? 0 : offset_ + written_);
  return stats;
}

std::vector<FileScrub::Item> DiskSnapshotStore::ScrubItems() {
  std::vector<FileScrub::Item> items;
  for (const auto& [group, chain] : chains_) {
    for (uint64_t number : chain.numbers) {
      items.push_back({.owner = Raw(group), .number = number, .path = PathOf(group, number)});
    }
  }
  std::sort(items.begin(), items.end(), [](const FileScrub::Item& a, const FileScrub::Item& b) {
    return a.owner != b.owner ? a.owner < b.owner : a.number < b.number;
  });
  return items;
}

bool DiskSnapshotStore::IsScrubbed(const FileScrub::Item& item) const {
  auto chain = chains_.find(GroupId{static_cast<uint32_t>(item.owner)});
  return chain != chains_.end() &&
         std::ranges::find(chain->second.numbers, item.number) != chain->second.numbers.end();
}

std::unique_ptr<FileCheck> DiskSnapshotStore::CheckOf(const FileScrub::Item& item) const {
  const SnapshotFileName name{GroupId{static_cast<uint32_t>(item.owner)}, item.number};
  return std::make_unique<SnapshotCheck>(SnapshotSeed(directory_id_, name));
}

void DiskSnapshotStore::OnFileDamaged(const FileScrub::Item& item, const Status& status) {
  if (log_) log_(LogLevel::kError, status.message() + "; a new snapshot takes its place");
  if (damaged_) damaged_(GroupId{static_cast<uint32_t>(item.owner)}, status);
}

void DiskSnapshotStore::Stop(Function<void()> done) {
  URSULA_CHECK(!stopping_);
  stopping_ = true;
  stop_done_ = std::move(done);
  std::deque<Request> refused = std::move(queue_);
  queue_.clear();
  auto waiting = std::make_shared<std::deque<Request>>(std::move(refused));
  loop_.Defer([waiting] {
    for (Request& request : *waiting) {
      request.done(Status(StatusCode::kCancelled, "the snapshot store is stopping"));
    }
  });
  BeginLater();
}

}  // namespace ursula::storage
