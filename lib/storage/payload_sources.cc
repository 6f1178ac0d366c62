#include "lib/storage/payload_sources.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

PayloadSource::~PayloadSource() {
  if (linked()) Unlink();
  if (owner_ != nullptr && (file != nullptr || opening_)) --owner_->open_;
}

void PayloadSource::OnOpened(int64_t result) {
  opening_ = false;
  Status status;
  if (result == -ENOENT) {
    status = Status(StatusCode::kDataLoss, shared->path + ": missing");
  } else if (result < 0) {
    status = IoStatus("opening", shared->path, result);
  }
  if (!status.ok()) {
    file.reset();
    --owner_->open_;
  }
  // Each keeps the source where it is until it has heard; those who begin to wait are not these.
  for (SourceWaiter* waiter : std::exchange(waiters_, {})) waiter->OnSourceOpened(status);
}

PayloadSources::~PayloadSources() {
  while (idle_.PopFront() != nullptr) {
  }
}

bool PayloadSources::Open(PayloadSource* source, SourceWaiter* waiter) {
  ++source->users_;
  if (source->linked()) source->Unlink();
  if (source->open()) return true;
  source->waiters_.push_back(waiter);
  if (source->opening_) return false;
  CloseSome();
  ++open_;
  source->owner_ = this;
  source->opening_ = true;
  loop_.disk().Open(source->shared->path, {}, &source->file,
                    source->op_.Then<&PayloadSource::OnOpened>(source));
  return false;
}

void PayloadSources::Close(PayloadSource* source) {
  URSULA_CHECK(source->users_ > 0);
  if (--source->users_ == 0 && source->open()) idle_.PushBack(source);
}

void PayloadSources::CloseSome() {
  while (open_ >= open_max_) {
    PayloadSource* source = idle_.PopFront();
    if (source == nullptr) return;
    source->file.reset();
    --open_;
  }
}

}  // namespace ursula::storage
