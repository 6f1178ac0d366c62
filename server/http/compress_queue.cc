#include "server/http/compress_queue.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::http {

CompressJob::CompressJob(CompressQueue* queue, protocol::Compression compression,
                         Function<void()> done)
    : queue_(queue),
      compression_(std::move(compression)),
      done_(std::move(done)),
      large_(compression_.bytes_left() > CompressQueue::kSliceBytes) {}

CompressJob::~CompressJob() { queue_->Remove(this); }

void CompressJob::Start() { queue_->Add(this); }

CompressQueue::CompressQueue(io::Loop* loop) : loop_(loop) {
  timer_.Then<&CompressQueue::OnTimer>(this);
}

void CompressQueue::Add(CompressJob* job) {
  URSULA_CHECK(!job->linked() && !job->compression_.done());
  const bool idle = active_.empty();
  if (job->large_ && large_active_ >= kLargeActiveMax) {
    waiting_.PushBack(job);
  } else {
    Activate(job);
  }
  if (!idle) return;  // The timer runs, or RunSlices does.
  if (turn_ns_ != loop_->now_ns()) turn_bytes_ = 0;
  RunSlices();
}

void CompressQueue::Activate(CompressJob* job) {
  active_.PushBack(job);
  job->active_ = true;
  if (job->large_) ++large_active_;
}

void CompressQueue::Remove(CompressJob* job) {
  if (job->linked()) job->Unlink();
  if (!std::exchange(job->active_, false) || !job->large_) return;
  --large_active_;
  if (CompressJob* next = waiting_.PopFront(); next != nullptr) Activate(next);
}

void CompressQueue::OnTimer() {
  turn_bytes_ = 0;
  RunSlices();
}

void CompressQueue::RunSlices() {
  turn_ns_ = loop_->now_ns();
  while (turn_bytes_ < kTurnBytesMax && !active_.empty()) {
    CompressJob* job = active_.PopFront();
    const std::size_t left = job->compression_.bytes_left();
    job->compression_.Step(std::min(kSliceBytes, kTurnBytesMax - turn_bytes_));
    turn_bytes_ += left - job->compression_.bytes_left();
    if (!job->compression_.done()) {
      active_.PushBack(job);
      continue;
    }
    Remove(job);
    Function<void()> done = std::move(job->done_);
    done();
  }
  if (!active_.empty() && !timer_.running()) loop_->StartTimer(&timer_, loop_->now_ns());
}

}  // namespace ursula::http
