#include "lib/storage/payload_compactor.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/io/errors.h"
#include "lib/storage/disk_payload_store.h"

namespace ursula::storage {

void PayloadCompactor::Add(uint32_t file, Aim aim) {
  queue_.emplace_back(file, aim);
  BeginLater();
}

// Add comes from inside the index.
void PayloadCompactor::BeginLater() {
  if (busy_ || deferred_) return;
  deferred_ = true;
  loop_.Defer([this] {
    deferred_ = false;
    Begin();
  });
}

void PayloadCompactor::Begin() {
  if (busy_) return;
  if (stopping_) return Finish();
  if (queue_.empty()) return;
  std::tie(file_, aim_) = queue_.front();
  queue_.pop_front();
  busy_ = true;
  again_ = false;
  source_ = store_.SourceOf(file_);
  if (store_.sources_.Open(source_, this)) BeginFile();
}

void PayloadCompactor::OnSourceOpened(const Status& status) {
  if (!status.ok() || stopping_) return EndFile();
  BeginFile();
}

void PayloadCompactor::BeginFile() {
  const uint64_t size = source_->file->size();
  if (size < kPayloadTrailerBytes) return BeginWithoutFooter();
  buffer_bytes_ = kPayloadTrailerBytes;
  buffer_ = std::make_unique_for_overwrite<char[]>(buffer_bytes_);
  source_->file->Read(size - kPayloadTrailerBytes, std::span<char>(buffer_.get(), buffer_bytes_),
                      op_.Then<&PayloadCompactor::OnTrailerRead>(this));
}

void PayloadCompactor::OnTrailerRead(int64_t result) {
  if (stopping_) return EndFile();
  if (result != buffer_bytes_) return BeginWithoutFooter();
  std::optional<PayloadTrailer> trailer =
      ParsePayloadTrailer(std::string_view(buffer_.get(), buffer_bytes_), source_->shared->seed);
  if (!trailer.has_value() || trailer->footer_bytes == 0) return BeginWithoutFooter();
  trailer_ = *trailer;
  buffer_bytes_ = trailer_.footer_bytes;
  buffer_ = std::make_unique_for_overwrite<char[]>(buffer_bytes_);
  source_->file->Read(trailer_.footer_offset, std::span<char>(buffer_.get(), buffer_bytes_),
                      op_.Then<&PayloadCompactor::OnFooterRead>(this));
}

void PayloadCompactor::OnFooterRead(int64_t result) {
  if (stopping_) return EndFile();
  if (result != buffer_bytes_) return BeginWithoutFooter();
  std::optional<PayloadFooter> footer = ParsePayloadFooter(
      std::string_view(buffer_.get(), buffer_bytes_), trailer_, source_->shared->seed);
  if (!footer.has_value()) return BeginWithoutFooter();
  extents_ = std::move(footer->extents);
  next_ = 0;
  next_from_ = 0;
  MoveSome();
}

// A full disk allowed none, or it has rotten: the index says the same, at the price of a look at
// all of it.
void PayloadCompactor::BeginWithoutFooter() {
  extents_ = store_.index_.InFile(file_);
  next_ = 0;
  next_from_ = 0;
  MoveSome();
}

// The next live extents of this core that are in the file, with small neighbours. Blocks of other
// cores' groups, who move them themselves, are not in the index.
std::vector<PayloadIndex::Extent> PayloadCompactor::NextRun(PayloadKey* key) {
  while (next_ < extents_.size()) {
    const PayloadExtent& block = extents_[next_];
    const uint64_t from = std::max(next_from_, block.start);
    const uint64_t end = block.start + block.length;
    const PayloadIndex::Extent live =
        from < end ? store_.index_.FirstIn(block.key, from, end, file_, block.offset)
                   : PayloadIndex::Extent();
    if (live.length == 0) {
      ++next_;
      next_from_ = 0;
      continue;
    }
    next_from_ = live.end();
    *key = block.key;
    if (taken_.contains({*key, live.start})) continue;
    std::vector<PayloadIndex::Extent> run =
        store_.index_.RunAround(block.key, live.start, SmallBytes(live.length), kMergedMax);
    if (run.size() < kSmallRun) {
      if (aim_ == Aim::kMerge) continue;
      KeepOfFile(&run, live.start);
    }
    // A stretch that is on its way already divides it.
    for (const PayloadIndex::Extent& extent : run) {
      if (taken_.contains({*key, extent.start})) run = {live};
    }
    for (const PayloadIndex::Extent& extent : run) taken_.insert({*key, extent.start});
    return run;
  }
  return {};
}

// Of a short row only what has to be moved anyway.
void PayloadCompactor::KeepOfFile(std::vector<PayloadIndex::Extent>* run, uint64_t start) const {
  auto elsewhere = [this](const PayloadIndex::Extent& extent) { return extent.file != file_; };
  const auto middle = std::find_if(run->begin(), run->end(),
                                   [start](const auto& extent) { return extent.start == start; });
  run->erase(std::find_if(middle, run->end(), elsewhere), run->end());
  const auto before = std::find_if(std::make_reverse_iterator(middle), run->rend(), elsewhere);
  run->erase(run->begin(), before.base());
}

void PayloadCompactor::MoveSome() {
  while (!stopping_ && reads_ < kReadsMax && copy_bytes_ < kBatchBytes) {
    PayloadKey key;
    std::vector<PayloadIndex::Extent> run = NextRun(&key);
    if (run.empty()) break;
    ReadRun(key, std::move(run));
  }
  if (reads_ > 0) return;
  std::erase_if(copies_, [](const PayloadWriter::Copy& copy) { return copy.parts.empty(); });
  if (stopping_ || copies_.empty()) return EndFile();
  copy_bytes_ = 0;  // Without what couldn't be read.
  for (const PayloadWriter::Copy& copy : copies_) {
    for (const Bytes& part : copy.parts) copy_bytes_ += part.size();
  }
  store_.writer_.WriteCopies(std::exchange(copies_, {}),
                             [this](Status status) { OnMoved(status); });
}

void PayloadCompactor::ReadRun(PayloadKey key, std::vector<PayloadIndex::Extent> run) {
  if (run.size() > 1) URSULA_SOMETIMES("storage: small blocks become one");
  const uint64_t start = run.front().start;
  const uint64_t end = run.back().end();
  const std::size_t copy = copies_.size();
  copies_.push_back({key, start, {}, {}});
  copy_bytes_ += end - start;
  ++reads_;
  store_.reader_.Read(key, start, end - start, run, [this, copy, end](Result<PayloadSlice> slice) {
    OnRunRead(copy, end, std::move(slice));
  });
}

void PayloadCompactor::OnRunRead(std::size_t copy, uint64_t end, Result<PayloadSlice> slice) {
  --reads_;
  // What is damaged stays where it is, and so does the file: reading there says so.
  if (slice.ok() && slice->next == end) {
    PayloadWriter::Copy& into = copies_[copy];
    into.parts = std::move(slice->parts);
    for (uint64_t message_end : slice->message_ends) {
      into.message_ends.push_back(static_cast<uint32_t>(message_end - into.start));
    }
  } else {
    // Known by now, and left out the next time.
    const bool rot = slice.ok() || slice.status().code() == StatusCode::kDataLoss;
    again_ = again_ || rot || io::MayPass(slice.status());
  }
  MoveSome();
}

void PayloadCompactor::OnMoved(const Status& status) {
  if (status.ok()) moved_bytes_ += copy_bytes_;
  copy_bytes_ = 0;
  taken_.clear();
  if (status.ok()) return MoveSome();
  again_ = io::MayPass(status);
  EndFile();
}

void PayloadCompactor::EndFile() {
  busy_ = false;
  extents_.clear();
  copies_.clear();
  taken_.clear();
  copy_bytes_ = 0;
  buffer_.reset();
  store_.sources_.Close(std::exchange(source_, nullptr));
  store_.OnCompacted(file_, aim_, again_);
  if (stopping_) return Finish();
  if (!queue_.empty()) BeginLater();
}

void PayloadCompactor::Stop(Function<void()> done) {
  stopping_ = true;
  for (const auto& [file, aim] : queue_) store_.Unpin(file);
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
