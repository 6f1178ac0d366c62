#include "lib/storage/directory_watch.h"

#include <cerrno>
#include <utility>

#include "lib/base/check.h"

namespace ursula::storage {

DirectoryWatch::DirectoryWatch(io::Loop* loop, const DataDirectory& directory,
                               Function<std::string()> newest, Function<void(Status)> lost)
    : loop_(*loop), directory_(directory), newest_(std::move(newest)), lost_(std::move(lost)) {
  timer_.Then<&DirectoryWatch::OnTime>(this);
}

DirectoryWatch::~DirectoryWatch() { URSULA_CHECK(!op_.pending()); }

void DirectoryWatch::Start() {
  URSULA_CHECK(state_ == State::kIdle && !timer_.running());
  loop_.StartTimer(&timer_, loop_.now_ns() + kIntervalNs);
}

void DirectoryWatch::Stop(Function<void()> done) {
  loop_.CancelTimer(&timer_);
  if (!op_.pending()) {
    state_ = State::kStopped;
    return done();
  }
  stop_done_ = std::move(done);
}

void DirectoryWatch::OnTime() {
  URSULA_CHECK(state_ == State::kIdle);
  places_ = directory_.places();
  if (places_ == nullptr) return void(loop_.StartTimer(&timer_, loop_.now_ns() + kIntervalNs));
  state_ = State::kLooking;
  next_ = 0;
  LookAtNext();
}

void DirectoryWatch::LookAtNext() {
  if (next_ > places_->size()) {
    path_ = directory_.aside_path();
  } else {
    path_ = next_ < places_->size() ? (*places_)[next_].path : newest_();
  }
  loop_.disk().Identify(path_, &found_, op_.Then<&DirectoryWatch::OnLooked>(this));
}

void DirectoryWatch::OnLooked(int64_t result) {
  if (stop_done_) {
    state_ = State::kStopped;
    return std::exchange(stop_done_, nullptr)();
  }
  URSULA_CHECK(state_ == State::kLooking);
  if (next_ > places_->size()) {
    if (result == 0 || result == -ENOENT) directory_.SetAsideGone(result != 0);
    return LookAgainLater();
  }
  Status judged = Judge(result);
  if (!judged.ok()) {
    state_ = State::kLost;
    return lost_(std::move(judged));
  }
  const std::size_t last = places_->size() + (directory_.aside_path().empty() ? 0 : 1);
  if (++next_ <= last) return LookAtNext();
  LookAgainLater();
}

void DirectoryWatch::LookAgainLater() {
  state_ = State::kIdle;
  loop_.StartTimer(&timer_, loop_.now_ns() + kIntervalNs);
}

// An error that leaves it open what is there tells nothing.
Status DirectoryWatch::Judge(int64_t result) {
  const bool newest = next_ == places_->size();
  const char* what = nullptr;
  if (result == -ENOENT || result == -ENOTDIR) {
    if (!newest || path_ == newest_()) {  // Else it went as it should.
      what = " was removed, or its volume unmounted,";
    }
  } else if (result == 0 && !newest && found_ != *(*places_)[next_].identity &&
             directory_.places() == places_) {  // Else by this process, meanwhile.
    what = " was replaced by another";
  }
  if (what == nullptr) return {};
  return Status(StatusCode::kIoError,
                path_ + what +
                    " under the running server, which takes nothing any more: put it back, or "
                    "restore a backup, and start again");
}

}  // namespace ursula::storage
