#include "lib/storage/old_logs.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

OldLogs::OldLogs(std::string directory, std::vector<OldSegment> segments, LogLine log)
    : directory_(std::move(directory)), segments_(std::move(segments)), log_(std::move(log)) {
  uint64_t bytes = 0;
  for (const OldSegment& segment : segments_) {
    bytes += std::max<uint64_t>(segment.bytes, 1);
    for (const auto& [group, last] : segment.groups) {
      Index& highest = last_indexes_[group];
      highest = std::max(highest, last);
    }
  }
  bytes_.store(bytes, std::memory_order_relaxed);
}

OldLogs::~OldLogs() { URSULA_CHECK(!op_.pending()); }

void OldLogs::Release(GroupId group, Index upto) {
  if (gone()) return;
  loop_->Post([self = shared_from_this(), group, upto] { self->OnReleased(group, upto); });
}

void OldLogs::OnReleased(GroupId group, Index upto) {
  Index& released = released_.try_emplace(group, upto).first->second;
  released = std::max(released, upto);
  if (state_ == State::kIdle) Continue();
}

void OldLogs::Begin() {
  if (gone()) return;
  loop_->Post([self = shared_from_this()] {
    if (self->state_ == State::kIdle) self->Continue();
  });
}

bool OldLogs::FrontIsFree() const {
  for (const auto& [group, last] : segments_[front_].groups) {
    auto found = released_.find(group);
    if (found == released_.end() || found->second < last) return false;
  }
  return true;
}

void OldLogs::Continue() {
  URSULA_CHECK(state_ == State::kIdle);
  if (front_ == segments_.size() || !FrontIsFree()) return;
  state_ = State::kRemoving;
  removing_path_ = directory_ + "/" + FormatSegmentName(segments_[front_].name);
  loop_->disk().Remove(removing_path_, op_.Then<&OldLogs::OnRemoved>(this));
}

void OldLogs::OnRemoved(int64_t result) {
  URSULA_CHECK(state_ == State::kRemoving);
  if (result < 0 && result != -ENOENT) return Fail("removing", result);
  state_ = State::kSyncing;
  loop_->disk().SyncDirectory(directory_, op_.Then<&OldLogs::OnSynced>(this));
}

void OldLogs::OnSynced(int64_t result) {
  URSULA_CHECK(state_ == State::kSyncing);
  if (result < 0) return Fail("syncing the directory after removing", result);
  bytes_.fetch_sub(std::max<uint64_t>(segments_[front_].bytes, 1), std::memory_order_release);
  URSULA_SOMETIMES("storage: an old segment goes");
  ++front_;
  state_ = State::kIdle;
  if (stop_done_) return FinishStop();
  Continue();
}

// Nothing is lost: the segments stay, and the next opening reads them again.
void OldLogs::Fail(const char* what, int64_t result) {
  state_ = State::kFailed;
  if (log_) log_(LogLevel::kError, IoStatus(what, removing_path_, result).message());
  if (stop_done_) FinishStop();
}

void OldLogs::Stop(Function<void()> done) {
  URSULA_CHECK(!stop_done_ && state_ != State::kStopped);
  stop_done_ = std::move(done);
  if (state_ == State::kIdle || state_ == State::kFailed) FinishStop();
}

void OldLogs::FinishStop() {
  state_ = State::kStopped;
  loop_->Defer([self = shared_from_this(), done = std::move(stop_done_)]() mutable { done(); });
  stop_done_ = {};
}

}  // namespace ursula::storage
