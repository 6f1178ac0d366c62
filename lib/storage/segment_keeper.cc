#include "lib/storage/segment_keeper.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

void SegmentKeeper::Prepare(const SegmentName& name, std::string reuse_path, uint32_t bytes) {
  URSULA_CHECK(idle() && bytes <= options_.segment_bytes_max);
  bytes_ = bytes;
  path_ = options_.directory + "/" + FormatSegmentName(name);
  reuse_path_ = std::move(reuse_path);
  state_ = State::kRenaming;
  // Through the loop in both cases: no callback runs inside the call.
  if (!reuse_path_.empty()) {
    loop_.disk().Rename(reuse_path_, path_, op_.Then<&SegmentKeeper::OnRenamed>(this));
  } else {
    loop_.disk().SyncDirectory(options_.directory, op_.Then<&SegmentKeeper::OnRenamed>(this));
  }
}

void SegmentKeeper::OnRenamed(int64_t result) {
  URSULA_CHECK(state_ == State::kRenaming);
  if (Interrupted()) return;
  if (result < 0) {
    return Refuse(reuse_path_.empty() ? "syncing the directory of" : "renaming", result);
  }
  if (reuse_path_.empty()) return OpenFile();
  state_ = State::kSyncingRename;
  loop_.disk().SyncDirectory(options_.directory, op_.Then<&SegmentKeeper::OnRenameSynced>(this));
}

void SegmentKeeper::OnRenameSynced(int64_t result) {
  URSULA_CHECK(state_ == State::kSyncingRename);
  if (Interrupted()) return;
  if (result < 0) return Refuse("syncing the directory of", result);
  OpenFile();
}

void SegmentKeeper::OpenFile() {
  io::OpenOptions options{.create = true, .write = true, .direct = options_.direct};
  // No file of another opening has this name; what an earlier try left may.
  options.fresh = reuse_path_.empty() && path_ != made_;
  state_ = State::kOpening;
  loop_.disk().Open(path_, options, &file_, op_.Then<&SegmentKeeper::OnOpened>(this));
}

void SegmentKeeper::OnOpened(int64_t result) {
  URSULA_CHECK(state_ == State::kOpening);
  if (Interrupted()) return;
  if (result < 0) return Refuse("opening", result);
  made_ = path_;
  // Its size is how far it was written: reserving leaves it alone.
  const uint64_t has = reuse_path_.empty() ? 0 : file_->size();
  if (has > bytes_) {
    const uint64_t usable = std::min<uint64_t>(has, options_.segment_bytes_max);
    bytes_ = static_cast<uint32_t>(usable / kWalBlockBytes * kWalBlockBytes);
  }
  written_ = !reuse_path_.empty() && has >= bytes_;
  state_ = State::kAllocating;
  file_->Allocate(bytes_, op_.Then<&SegmentKeeper::OnAllocated>(this));
}

void SegmentKeeper::OnAllocated(int64_t result) {
  URSULA_CHECK(state_ == State::kAllocating);
  if (Interrupted()) return;
  const bool reserved = result != -EOPNOTSUPP;  // Zeros reserve as well, later.
  if (reserved && result < 0) return Refuse("allocating", result);
  if (written_) {
    // All of its size: an opening that prepared it may have ended before that was durable.
    state_ = State::kSyncingFile;
    file_->Sync(op_.Then<&SegmentKeeper::OnFileSynced>(this));
    return;
  }
  zeroed_ = 0;
  zeros_.Grow(kZeroBytes, 0);
  std::memset(zeros_.data(), 0, kZeroBytes);
  state_ = State::kZeroing;
  WriteZeros();
  if (reserved) listener_.OnSegmentReserved();
}

void SegmentKeeper::WriteZeros() {
  std::size_t size = std::min(kZeroBytes, bytes_ - zeroed_);
  file_->Write(zeroed_, std::span<const char>(zeros_.data(), size),
               op_.Then<&SegmentKeeper::OnZeroed>(this));
}

void SegmentKeeper::OnZeroed(int64_t result) {
  URSULA_CHECK(state_ == State::kZeroing);
  if (Interrupted()) return;
  if (result <= 0) return Refuse("writing", result);
  const uint32_t written = WrittenBytes(result, file_->direct());
  if (written == 0) return Refuse("writing", 0);
  zeroed_ += written;
  if (zeroed_ < bytes_) return WriteZeros();
  zeros_ = {};
  state_ = State::kSyncingFile;
  // Under O_DSYNC too: the file's size must be there as well.
  file_->Sync(op_.Then<&SegmentKeeper::OnFileSynced>(this));
}

void SegmentKeeper::OnFileSynced(int64_t result) {
  URSULA_CHECK(state_ == State::kSyncingFile);
  if (Interrupted()) return;
  if (result < 0) return Refuse("syncing", result);
  if (written_) return Ready();
  state_ = State::kSyncingName;
  loop_.disk().SyncDirectory(options_.directory, op_.Then<&SegmentKeeper::OnNameSynced>(this));
}

void SegmentKeeper::OnNameSynced(int64_t result) {
  URSULA_CHECK(state_ == State::kSyncingName);
  if (Interrupted()) return;
  if (result < 0) return Refuse("syncing the directory of", result);
  Ready();
}

void SegmentKeeper::Ready() {
  state_ = State::kIdle;
  listener_.OnSegmentReady(std::move(file_), bytes_);
}

void SegmentKeeper::Remove(const SegmentName& name) {
  URSULA_CHECK(idle());
  path_ = options_.directory + "/" + FormatSegmentName(name);
  state_ = State::kRemoving;
  loop_.disk().Remove(path_, op_.Then<&SegmentKeeper::OnRemoved>(this));
}

void SegmentKeeper::OnRemoved(int64_t result) {
  URSULA_CHECK(state_ == State::kRemoving);
  if (Interrupted()) return;
  if (result < 0) return Refuse("removing", result);
  state_ = State::kSyncingRemoval;
  loop_.disk().SyncDirectory(options_.directory, op_.Then<&SegmentKeeper::OnRemovalSynced>(this));
}

void SegmentKeeper::OnRemovalSynced(int64_t result) {
  URSULA_CHECK(state_ == State::kSyncingRemoval);
  if (Interrupted()) return;
  if (result < 0) return Refuse("syncing the directory of", result);
  state_ = State::kIdle;
  listener_.OnSegmentRemoved();
}

void SegmentKeeper::Refuse(const char* what, int64_t result) {
  Refuse(IoStatus(what, path_, result));
}

void SegmentKeeper::Refuse(Status status) {
  const bool opened = file_ != nullptr;
  file_.reset();
  if (io::MayPass(status)) {
    refusal_ = std::move(status);
    state_ = State::kCleaning;
    if (!opened) return OnCleaned(0);
    // Some file systems keep what they could allocate. Others need it now: the log itself can't
    // shrink before a snapshot finds room.
    return loop_.disk().Remove(path_, op_.Then<&SegmentKeeper::OnCleaned>(this));
  }
  state_ = State::kFailed;
  listener_.OnKeeperFailed(std::move(status));
}

// Whatever came of it: an empty segment at the log's end is one that was never used.
void SegmentKeeper::OnCleaned(int64_t /*result*/) {
  URSULA_CHECK(state_ == State::kCleaning);
  if (Interrupted()) return;
  state_ = State::kIdle;
  listener_.OnSpaceMissing(std::exchange(refusal_, Status()));
}

void SegmentKeeper::Stop(Function<void()> done) {
  URSULA_CHECK(!stop_done_ && state_ != State::kStopped);
  stop_done_ = std::move(done);
  if (!op_.pending()) Interrupted();
}

bool SegmentKeeper::Interrupted() {
  if (!stop_done_) return false;
  state_ = State::kStopped;
  file_.reset();
  Function<void()> done = std::move(stop_done_);
  stop_done_ = {};
  done();
  return true;
}

}  // namespace ursula::storage
