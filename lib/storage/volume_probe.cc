#include "lib/storage/volume_probe.h"

#include <cstring>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {
namespace {

constexpr std::size_t kBytes = AlignedBuffer::kAlignment;

}  // namespace

VolumeProbe::VolumeProbe(io::Loop* loop, Options options)
    : loop_(*loop), options_(std::move(options)), path_(options_.folder + "/" + options_.name) {
  block_.Grow(kBytes, 0);
  std::memset(block_.data(), 0, kBytes);
}

io::Op* VolumeProbe::Next(State state) {
  state_ = state;
  since_ns_ = loop_.fresh_ns();
  return op_.Then<&VolumeProbe::OnStep>(this);
}

void VolumeProbe::Ask(Function<void(Answer)> done) {
  URSULA_CHECK(!busy() && !stop_done_);
  done_ = std::move(done);
  asked_ns_ = loop_.fresh_ns();
  write_ns_ = 0;
  if (state_ == State::kOpen) return Write();
  io::Op* op = Next(State::kOpening);
  loop_.disk().Open(path_, {.create = true, .write = true, .direct = options_.direct}, &file_, op);
}

void VolumeProbe::Write() {
  io::Op* op = Next(State::kWriting);
  write_ns_ = since_ns_;
  file_->Write(0, std::span<const char>(block_.data(), kBytes), op);
}

void VolumeProbe::OnStep(int64_t result) {
  switch (state_) {
    case State::kOpening:
      if (result < 0) return End(IoStatus("opening", path_, result));
      return loop_.disk().Remove(path_, Next(State::kUnnaming));
    case State::kUnnaming:
      if (result < 0) return End(IoStatus("removing", path_, result));
      return Write();
    case State::kWriting:
      if (result != static_cast<int64_t>(kBytes)) return End(IoStatus("writing", path_, result));
      if (file_->direct()) return End(Status());
      return file_->Sync(Next(State::kSyncing));
    case State::kSyncing:
      return End(result < 0 ? IoStatus("syncing", path_, result) : Status());
    case State::kClosed:
    case State::kOpen:
      URSULA_CHECK(false);
  }
}

void VolumeProbe::End(Status status) {
  const uint64_t now_ns = loop_.fresh_ns();
  const bool keep = status.ok();
  if (!keep) file_.reset();
  state_ = keep ? State::kOpen : State::kClosed;
  Function<void(Answer)> done = std::exchange(done_, nullptr);
  if (stop_done_) {
    file_.reset();
    state_ = State::kClosed;
    return std::exchange(stop_done_, nullptr)();
  }
  done({std::move(status), now_ns - asked_ns_, write_ns_ == 0 ? 0 : now_ns - write_ns_});
}

void VolumeProbe::Stop(Function<void()> done) {
  URSULA_CHECK(!stop_done_);
  stop_done_ = std::move(done);
  if (busy()) return;
  file_.reset();
  state_ = State::kClosed;
  std::exchange(stop_done_, nullptr)();
}

}  // namespace ursula::storage
