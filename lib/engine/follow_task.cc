#include "lib/engine/follow_task.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::engine {
namespace {

constexpr uint64_t kReadBytesMax = 1 << 20;
constexpr uint64_t kWaitMs = 30'000;

}  // namespace

FollowTask::FollowTask(StreamEngine* engine, io::Loop* loop, Outside* outside,
                       FollowRequest request, Follower* follower, Function<void()> ended)
    : engine_(*engine),
      loop_(*loop),
      outside_(outside),
      request_(std::move(request)),
      follower_(follower),
      ended_(std::move(ended)) {}

void FollowTask::Start(Status valid) {
  if (!valid.ok()) return End(std::move(valid), Outcome::kOk);
  ReadNext();
}

void FollowTask::ReadNext() {
  URSULA_CHECK(state_ == State::kIdle);
  if (cancelled_) return End(Status(StatusCode::kCancelled, "cancelled"), Outcome::kOk);
  // Out of credit it reads no data, but is told when the stream is gone, and counts as a reader of
  // it, for whose sake it doesn't expire.
  state_ = HasCredit() ? State::kReading : State::kPaused;
  ReadRequest read;
  read.stream = request_.stream;
  read.from = request_.from;
  read.from_tail = request_.from_tail;
  if (HasCredit()) {
    read.bytes_max = std::min(request_.unread_bytes_max - unread_bytes_, kReadBytesMax);
  } else {
    read.bytes_max = 0;
  }
  read.wait_ms = kWaitMs;
  read.boundaries = request_.boundaries;
  read.incarnation = incarnation_ ? incarnation_ : request_.incarnation;
  if (!incarnation_) {  // The first.
    read.consistency = request_.consistency;
    read.staleness_ms_max = request_.staleness_ms_max;
  }
  read_ticket_ = engine_.Read(
      std::move(read),
      [self = shared_from_this()](Result<ReadReply> result) { self->OnRead(std::move(result)); });
}

void FollowTask::OnRead(Result<ReadReply> result) {
  URSULA_CHECK(state_ == State::kReading || state_ == State::kPaused);
  const bool paused = state_ == State::kPaused;
  state_ = State::kIdle;
  read_ticket_ = 0;
  if (cancelled_) return End(Status(StatusCode::kCancelled, "cancelled"), Outcome::kOk);
  if (paused && result.status().code() == StatusCode::kCancelled) return ReadNext();  // By Grant.
  if (paused && result.status().code() == StatusCode::kResourceExhausted && !HasCredit()) {
    state_ = State::kPaused;  // No room for one more that waits: Grant will come.
    return;
  }
  if (result.status().code() == StatusCode::kFailedPrecondition) {
    return End(Status(StatusCode::kCancelled, "the engine is stopping"), Outcome::kOk);
  }
  if (!result.ok()) return End(result.status(), Outcome::kOk);
  if (result->outcome != Outcome::kOk) {
    return End(Status(StatusCode::kFailedPrecondition, "the stream can't be read on"),
               result->outcome);
  }
  if (paused) return ReadNext();
  incarnation_ = result->info.incarnation;
  request_.from = result->next;
  request_.from_tail = false;
  bool closed_at_tail = result->up_to_date && result->info.closed;
  if (result->parts.empty() && !closed_at_tail) return ReadNext();  // The wait ran out.
  Deliver(std::move(*result));
}

void FollowTask::Deliver(ReadReply reply) {
  state_ = State::kDelivering;
  bool last = reply.up_to_date && reply.info.closed;
  for (const Bytes& part : reply.parts) unread_bytes_ += part.size();
  Run([this, reply = std::move(reply)]() mutable { follower_->OnData(std::move(reply)); },
      [this, last] { OnDelivered(last); });
}

void FollowTask::OnDelivered(bool last) {
  URSULA_CHECK(state_ == State::kDelivering);
  state_ = State::kIdle;
  if (last && !cancelled_) return End(Status(), Outcome::kOk);
  ReadNext();
}

void FollowTask::Grant(uint64_t bytes) {
  unread_bytes_ -= std::min(bytes, unread_bytes_);
  if (state_ == State::kPaused && HasCredit()) Wake();
}

void FollowTask::Cancel() {
  cancelled_ = true;
  if (state_ == State::kReading || state_ == State::kPaused) Wake();
}

void FollowTask::Wake() {
  if (read_ticket_ != 0) return engine_.Cancel(read_ticket_);
  state_ = State::kIdle;
  ReadNext();
}

void FollowTask::End(Status status, Outcome outcome) {
  URSULA_CHECK(state_ != State::kEnded);
  state_ = State::kEnded;
  Run([this, status = std::move(status),
       outcome]() mutable { follower_->OnEnd(std::move(status), outcome); },
      [this] { ended_(); });
}

void FollowTask::Run(Function<void()> call, Function<void()> after) {
  auto self = shared_from_this();
  if (outside_ == nullptr) {
    call();
    after();
    return;
  }
  outside_->Run(std::move(call), [self, after = std::move(after)](bool ran) mutable {
    self->loop_.Post([self, ran, after = std::move(after)]() mutable {
      if (!ran) self->cancelled_ = true;  // What the executor dropped would be a gap.
      after();
    });
  });
}

}  // namespace ursula::engine
