#include "lib/storage/memory_wal.h"

#include <utility>

#include "lib/base/check.h"

namespace ursula::storage {

MemoryWal::~MemoryWal() {
  if (linked()) Unlink();
}

void MemoryWal::Start(Function<void(Status)> done) {
  loop_.Defer([done = std::move(done)]() mutable { done(Status()); });
}

uint64_t MemoryWal::Append(const WalRecord& record) {
  URSULA_CHECK(!stopped_);
  stats_.record_bytes += kRecordHeaderBytes + record.parts[0].size() + record.parts[1].size();
  loop_.AtTurnEnd(this);
  return ++appended_;
}

Status MemoryWal::ReadyFor(const Work& /*work*/) const {
  return stopped_ ? Status(StatusCode::kUnavailable, "the log has stopped") : Status();
}

void MemoryWal::OnTurnEnd() {
  if (durable_ == appended_) return;
  durable_ = appended_;
  ++stats_.batches;
  listener_.OnWalDurable(durable_);
}

void MemoryWal::Stop(Function<void()> done) {
  URSULA_CHECK(!stopped_);
  stopped_ = true;
  loop_.Defer([this, done = std::move(done)]() mutable {
    OnTurnEnd();
    done();
  });
}

}  // namespace ursula::storage
