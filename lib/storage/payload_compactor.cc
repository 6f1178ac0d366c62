#include "lib/storage/payload_compactor.h"

#include <span>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/crc32c.h"
#include "lib/io/errors.h"
#include "lib/storage/disk_payload_store.h"

namespace ursula::storage {

void PayloadCompactor::Add(uint32_t file) {
  queue_.push_back(file);
  if (busy_ || deferred_) return;
  deferred_ = true;  // Add comes from inside the index.
  loop_.Defer([this] {
    deferred_ = false;
    Begin();
  });
}

void PayloadCompactor::Begin() {
  if (busy_) return;
  if (stopping_) return Finish();
  while (!queue_.empty()) {
    file_ = queue_.front();
    queue_.pop_front();
    Result<PayloadReader::Source*> source = store_.OpenSource(file_);
    if (!source.ok()) {
      store_.Unpin(file_);
      continue;
    }
    source_ = *source;
    busy_ = true;
    return BeginFile();
  }
}

void PayloadCompactor::BeginFile() {
  const uint64_t size = source_->file->size();
  if (size < kPayloadTrailerBytes) return EndFile();
  buffer_bytes_ = kPayloadTrailerBytes;
  buffer_ = std::make_shared_for_overwrite<char[]>(buffer_bytes_);
  source_->file->Read(size - kPayloadTrailerBytes, std::span<char>(buffer_.get(), buffer_bytes_),
                      op_.Then<&PayloadCompactor::OnTrailerRead>(this));
}

void PayloadCompactor::OnTrailerRead(int64_t result) {
  if (stopping_ || result != buffer_bytes_) return EndFile();
  std::optional<PayloadTrailer> trailer =
      ParsePayloadTrailer(std::string_view(buffer_.get(), buffer_bytes_), source_->shared->seed);
  if (!trailer.has_value() || trailer->footer_bytes == 0) return EndFile();
  trailer_ = *trailer;
  buffer_bytes_ = trailer_.footer_bytes;
  buffer_ = std::make_shared_for_overwrite<char[]>(buffer_bytes_);
  source_->file->Read(trailer_.footer_offset, std::span<char>(buffer_.get(), buffer_bytes_),
                      op_.Then<&PayloadCompactor::OnFooterRead>(this));
}

void PayloadCompactor::OnFooterRead(int64_t result) {
  if (stopping_ || result != buffer_bytes_) return EndFile();
  std::optional<PayloadFooter> footer = ParsePayloadFooter(
      std::string_view(buffer_.get(), buffer_bytes_), trailer_, source_->shared->seed);
  if (!footer.has_value()) return EndFile();
  extents_ = std::move(footer->extents);
  next_ = 0;
  MoveSome();
}

void PayloadCompactor::MoveSome() {
  if (stopping_) return EndFile();
  while (next_ < extents_.size() && !store_.index_.Has(extents_[next_].key, extents_[next_].start,
                                                       file_, extents_[next_].offset)) {
    ++next_;
  }
  if (next_ < extents_.size() && copy_bytes_ < kBatchBytes) {
    const PayloadExtent& extent = extents_[next_];
    buffer_bytes_ = extent.header_bytes + extent.length;
    buffer_ = std::make_shared_for_overwrite<char[]>(buffer_bytes_);
    source_->file->Read(extent.offset, std::span<char>(buffer_.get(), buffer_bytes_),
                        op_.Then<&PayloadCompactor::OnBlockRead>(this));
    return;
  }
  if (copies_.empty()) return EndFile();
  store_.writer_.WriteCopies(std::exchange(copies_, {}),
                             [this](Status status) { OnMoved(status); });
}

void PayloadCompactor::OnBlockRead(int64_t result) {
  if (stopping_ || result != buffer_bytes_) return EndFile();
  const PayloadExtent& extent = extents_[next_];
  std::string_view bytes(buffer_.get(), buffer_bytes_);
  const uint32_t seed = source_->shared->seed;
  std::optional<PayloadBlock> block =
      ParsePayloadHeader(bytes.substr(0, extent.header_bytes), seed, extent.offset);
  std::string_view payload = bytes.substr(extent.header_bytes);
  if (!block.has_value() || block->key != extent.key || block->start != extent.start ||
      block->length != extent.length ||
      Crc32c(PayloadBlockSeed(seed, extent.offset), payload) != block->payload_crc) {
    return EndFile();  // Damaged: the file stays, and reading there says so.
  }
  copies_.push_back(
      {extent.key, extent.start, std::move(block->message_ends), Bytes(buffer_, payload)});
  copy_bytes_ += extent.length;
  ++next_;
  MoveSome();
}

void PayloadCompactor::OnMoved(const Status& status) {
  if (status.ok()) moved_bytes_ += copy_bytes_;
  copy_bytes_ = 0;
  if (status.ok()) return MoveSome();
  if (io::MayPass(status)) store_.files_[file_]->compacting = false;  // Worth another try.
  EndFile();
}

void PayloadCompactor::EndFile() {
  busy_ = false;
  source_ = nullptr;
  extents_.clear();
  copies_.clear();
  copy_bytes_ = 0;
  buffer_.reset();
  store_.CloseSource(file_);
  store_.Unpin(file_);
  Begin();
}

void PayloadCompactor::Stop(Function<void()> done) {
  stopping_ = true;
  for (uint32_t file : queue_) store_.Unpin(file);
  queue_.clear();
  stop_done_ = std::move(done);
  if (!busy_) Finish();
}

void PayloadCompactor::Finish() {
  if (!stop_done_) return;
  loop_.Defer([done = std::move(stop_done_)]() mutable { done(); });
  stop_done_ = {};
}

}  // namespace ursula::storage
