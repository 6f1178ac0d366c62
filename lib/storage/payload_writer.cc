#include "lib/storage/payload_writer.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/crc32c.h"
#include "lib/base/sometimes.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

PayloadWriter::~PayloadWriter() {
  URSULA_CHECK(!op_.pending());
  if (linked()) Unlink();
}

void PayloadWriter::Write(std::vector<PayloadRun> runs, Function<void(Status)> done) {
  Request request;
  request.runs = std::move(runs);
  request.done = std::move(done);
  for (const PayloadRun& run : request.runs) {
    for (const Bytes& message : run.messages) request.bytes += message.size();
  }
  Enqueue(std::move(request));
}

void PayloadWriter::WriteCopies(std::vector<Copy> copies, Function<void(Status)> done) {
  Request request;
  request.copies = std::move(copies);
  request.done = std::move(done);
  for (const Copy& copy : request.copies) {
    for (const Bytes& part : copy.parts) request.bytes += part.size();
  }
  Enqueue(std::move(request));
}

void PayloadWriter::Enqueue(Request request) {
  if (state_ == State::kFailed || state_ == State::kStopped || stopping_) {
    Status status(StatusCode::kUnavailable,
                  failure_.ok() ? "the payload store is stopping" : failure_.message());
    loop_.Defer([done = std::move(request.done), status]() mutable { done(status); });
    return;
  }
  queue_.push_back(std::move(request));
  if (state_ == State::kIdle) loop_.AtTurnEnd(this);
}

void PayloadWriter::OnTurnEnd() {
  if (state_ == State::kIdle) Begin();
}

void PayloadWriter::Begin() {
  URSULA_CHECK(state_ == State::kIdle);
  if (queue_.empty()) return;
  if (file_ != nullptr) return StartBatch();
  OpenFile();
}

void PayloadWriter::OpenFile() {
  shared_ = std::make_shared<PayloadFile>();
  shared_->name = {options_.generation, options_.ordinal, next_number_};
  shared_->path = options_.directory + "/" + FormatPayloadFileName(shared_->name);
  shared_->seed = PayloadSeed(options_.directory_id, shared_->name);
  offset_ = 0;
  state_ = State::kOpening;
  loop_.disk().Open(shared_->path,
                    {.create = true, .fresh = true, .write = true, .direct = options_.direct},
                    &file_, op_.Then<&PayloadWriter::OnFileOpened>(this));
}

void PayloadWriter::OnFileOpened(int64_t result) {
  URSULA_CHECK(state_ == State::kOpening);
  if (result < 0) {
    const Status status = IoStatus("opening", shared_->path, result);
    shared_.reset();
    TakeQueue();
    return io::MayPass(status) ? RefuseBatch(status) : FailAll(status);
  }
  ++next_number_;
  state_ = State::kNaming;
  loop_.disk().SyncDirectory(options_.directory, op_.Then<&PayloadWriter::OnNamed>(this));
}

void PayloadWriter::OnNamed(int64_t result) {
  URSULA_CHECK(state_ == State::kNaming);
  if (result < 0) {
    TakeQueue();
    return Refuse("syncing the name of", result, true);
  }
  StartBatch();
}

void PayloadWriter::StartBatch() {
  size_ = 0;
  extents_.clear();
  cursor_ = {};
  uint64_t bytes = 0;
  while (!queue_.empty() && (batch_.empty() || bytes < options_.write_bytes_max)) {
    bytes += queue_.front().bytes;
    batch_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  slice_bytes_ = std::max<std::size_t>(kEncodedAtOnceBytes, bytes / 8);
  buffer_.Grow(bytes + bytes / 16, 0);  // Most of what it takes, so that little is copied again.
  state_ = State::kEncoding;
  EncodeSome();
}

void PayloadWriter::EncodeSome() {
  URSULA_CHECK(state_ == State::kEncoding);
  const std::size_t end = size_ + slice_bytes_;
  while (EncodeNext()) {
    if (size_ < end) continue;
    return loop_.StartTimer(&encode_timer_, loop_.now_ns() + 1);
  }
  if (file_->direct()) PadTo(loop_.disk().block_bytes());
  written_ = 0;
  short_writes_ = 0;
  state_ = State::kWriting;
  if (size_ == 0) return OnBatchDurable();
  WriteRest();
}

// One block. False: there is no more.
bool PayloadWriter::EncodeNext() {
  while (cursor_.request < batch_.size()) {
    const Request& request = batch_[cursor_.request];
    const std::size_t runs = request.runs.size();
    if (cursor_.item < runs && EncodeBlockOfRun(request.runs[cursor_.item])) return true;
    if (cursor_.item >= runs && cursor_.item - runs < request.copies.size()) {
      const Copy& copy = request.copies[cursor_.item++ - runs];
      std::vector<std::string_view> pieces;
      for (const Bytes& part : copy.parts) pieces.push_back(part.view());
      EncodeBlock(copy.key, copy.start, copy.message_ends, pieces);
      return true;
    }
    const bool last = cursor_.item + 1 >= runs + request.copies.size();
    cursor_ = {.request = cursor_.request + (last ? 1 : 0), .item = last ? 0 : cursor_.item + 1};
  }
  return false;
}

// Blocks end at message ends where that fits; a message longer than a block goes on in the next.
bool PayloadWriter::EncodeBlockOfRun(const PayloadRun& run) {
  uint32_t length = 0;
  std::vector<std::string_view> pieces;
  std::vector<uint32_t> ends;
  for (; cursor_.message < run.messages.size(); ++cursor_.message, cursor_.message_bytes = 0) {
    const std::string_view message = run.messages[cursor_.message].view();
    const std::string_view rest = message.substr(cursor_.message_bytes);
    if (rest.empty()) continue;
    const bool begins = cursor_.message_bytes == 0;
    if (begins && length > 0 && length + rest.size() > kPayloadBlockBytesMax) break;
    const std::string_view piece = rest.substr(0, kPayloadBlockBytesMax - length);
    pieces.push_back(piece);
    length += static_cast<uint32_t>(piece.size());
    cursor_.message_bytes += piece.size();
    if (cursor_.message_bytes < message.size()) break;
    const bool whole = !run.cut || cursor_.message + 1 < run.messages.size();
    if (whole) ends.push_back(length);
  }
  if (length == 0) return false;
  EncodeBlock(run.key, run.start + cursor_.run_bytes, std::move(ends), pieces);
  cursor_.run_bytes += length;
  return true;
}

void PayloadWriter::EncodeBlock(PayloadKey key, uint64_t start, std::vector<uint32_t> message_ends,
                                const std::vector<std::string_view>& pieces) {
  URSULA_CHECK(offset_ + size_ < UINT32_MAX / 2);
  const uint32_t offset = offset_ + static_cast<uint32_t>(size_);
  PayloadBlock block;
  block.key = key;
  block.start = start;
  block.attested = offset_;
  block.message_ends = std::move(message_ends);
  block.payload_crc = PayloadBlockSeed(shared_->seed, offset);
  for (std::string_view piece : pieces) {
    block.payload_crc = Crc32c(block.payload_crc, piece);
    block.length += static_cast<uint32_t>(piece.size());
  }
  header_.clear();
  const uint32_t header_bytes = AppendPayloadHeader(&header_, block, shared_->seed, offset);
  Put(header_);
  for (std::string_view piece : pieces) Put(piece);
  PadTo(kPayloadAlignment);
  extents_.push_back({key, start, block.length, offset, header_bytes});
}

// The footer ends the file, so what a direct write has to be padded with comes before it.
void PayloadWriter::StartFooter() {
  URSULA_SOMETIMES("storage: a payload file is finished");
  std::string footer = EncodePayloadFooter({file_extents_, {}}, shared_->seed, offset_);
  size_ = 0;
  if (file_->direct()) {
    const std::size_t alignment = loop_.disk().block_bytes();
    PutZeros((alignment - footer.size() % alignment) % alignment);
    footer = EncodePayloadFooter({file_extents_, {}}, shared_->seed,
                                 offset_ + static_cast<uint32_t>(size_));
  }
  Put(footer);
  written_ = 0;
  short_writes_ = 0;
  state_ = State::kWritingFooter;
  WriteRest();
}

void PayloadWriter::Put(std::string_view bytes) {
  if (bytes.empty()) return;
  buffer_.Grow(size_ + bytes.size(), size_);
  std::memcpy(buffer_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void PayloadWriter::PutZeros(std::size_t count) {
  if (count == 0) return;
  buffer_.Grow(size_ + count, size_);
  std::memset(buffer_.data() + size_, 0, count);
  size_ += count;
}

void PayloadWriter::PadTo(std::size_t alignment) {
  PutZeros((alignment - size_ % alignment) % alignment);
}

// In parts, so that the log's writes needn't wait for all of a large batch.
void PayloadWriter::WriteRest() {
  constexpr std::size_t kWriteBytesMax = 8 << 20;
  writing_ = std::min(size_ - written_, kWriteBytesMax);
  file_->Write(offset_ + written_, std::span<const char>(buffer_.data() + written_, writing_),
               op_.Then<&PayloadWriter::OnWritten>(this));
}

void PayloadWriter::OnWritten(int64_t result) {
  URSULA_CHECK(state_ == State::kWriting || state_ == State::kWritingFooter);
  if (result <= 0) return Refuse("writing", result, false);
  const bool whole = static_cast<std::size_t>(result) == writing_;
  written_ += WrittenBytes(result, file_->direct());
  if (written_ < size_) {
    if (whole || ++short_writes_ <= kShortWritesMax) return WriteRest();
    return Refuse("writing", 0, false);
  }
  if (file_->direct()) return OnDurable();
  state_ = state_ == State::kWriting ? State::kSyncing : State::kSyncingFooter;
  file_->Sync(op_.Then<&PayloadWriter::OnSynced>(this));
}

void PayloadWriter::OnSynced(int64_t result) {
  URSULA_CHECK(state_ == State::kSyncing || state_ == State::kSyncingFooter);
  if (result < 0) return Refuse("syncing", result, true);
  OnDurable();
}

void PayloadWriter::OnDurable() {
  written_total_ += size_;
  offset_ += static_cast<uint32_t>(size_);
  const bool footer = state_ == State::kWritingFooter || state_ == State::kSyncingFooter;
  if (footer) return OnFileFinished();
  OnBatchDurable();
}

void PayloadWriter::OnBatchDurable() {
  full_ = false;
  file_extents_.insert(file_extents_.end(), extents_.begin(), extents_.end());
  if (!extents_.empty()) listener_.OnPayloadDurable(shared_, extents_);
  EndBatch(Status());
}

void PayloadWriter::OnFileFinished() {
  std::shared_ptr<PayloadFile> shared = shared_;
  const uint64_t bytes = offset_;
  LeaveFile();
  state_ = State::kIdle;
  listener_.OnPayloadFinished(shared, bytes);
  Continue();
}

void PayloadWriter::LeaveFile() {
  file_.reset();
  shared_.reset();
  file_extents_.clear();
  offset_ = 0;
}

// A full disk refuses this batch only: its owners keep the bytes and come again. The file ends
// there, so that it can go once nobody needs its blocks: that may be all the space there is to
// gain. After a failed sync nothing is known of what the file holds past its last one, so it is
// left as it is; anything but a full disk ends the store's writing for good.
void PayloadWriter::Refuse(std::string_view what, int64_t result, bool abandon_file) {
  const Status status = IoStatus(what, shared_->path, result);
  const bool full = io::MayPass(status);
  if (state_ == State::kWritingFooter || state_ == State::kSyncingFooter) abandon_file = true;
  if (abandon_file || !full || offset_ > 0) {
    std::shared_ptr<PayloadFile> shared = shared_;
    const uint64_t bytes = offset_;
    LeaveFile();
    listener_.OnPayloadFinished(shared, bytes);
  }
  if (!full) return FailAll(status);
  RefuseBatch(status);
}

void PayloadWriter::TakeQueue() {
  batch_.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
  queue_.clear();
}

void PayloadWriter::RefuseBatch(const Status& status) {
  URSULA_SOMETIMES("storage: payload meets a full disk");
  if (!full_ && options_.log) options_.log(LogLevel::kWarning, status.message());
  full_ = true;
  EndBatch(status);
}

void PayloadWriter::FailAll(const Status& status) {
  failure_ = Status(StatusCode::kUnavailable, "the payload store failed: " + status.message());
  URSULA_SOMETIMES("storage: the payload store fails for good");
  if (options_.log) options_.log(LogLevel::kError, failure_.message());
  state_ = State::kFailed;
  for (Request& request : queue_) batch_.push_back(std::move(request));
  queue_.clear();
  std::vector<Request> batch = std::move(batch_);
  batch_.clear();
  for (Request& request : batch) {
    if (request.done) request.done(failure_);
  }
  Continue();
}

void PayloadWriter::EndBatch(const Status& status) {
  state_ = State::kIdle;
  if (buffer_.capacity() > 2 * std::size_t{options_.write_bytes_max}) buffer_ = {};
  std::vector<Request> batch = std::move(batch_);
  batch_.clear();
  for (Request& request : batch) {
    if (request.done) request.done(status);
  }
  Continue();
}

// The next step after anything has ended: `done`s may have asked for more, or for Stop.
void PayloadWriter::Continue() {
  if (op_.pending() || state_ == State::kStopped || state_ == State::kEncoding) return;
  if (state_ == State::kIdle) {
    if (file_ != nullptr && offset_ >= options_.file_bytes) return StartFooter();
    if (!queue_.empty()) {
      loop_.AtTurnEnd(this);
      return;
    }
    if (stopping_ && file_ != nullptr && !file_extents_.empty()) return StartFooter();
  }
  if (!stopping_) return;
  state_ = State::kStopped;
  if (shared_ != nullptr) LeaveFile();
  loop_.Defer([done = std::move(stop_done_)]() mutable { done(); });
}

void PayloadWriter::Stop(Function<void()> done) {
  URSULA_CHECK(!stopping_);
  stopping_ = true;
  stop_done_ = std::move(done);
  Continue();
}

}  // namespace ursula::storage
