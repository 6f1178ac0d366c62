#include "lib/storage/disk_wal.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

std::unique_ptr<Wal> MakeDiskWal(io::Loop* loop, const DataDirectory& directory, uint32_t ordinal,
                                 DiskWalOptions options, Wal::Listener* listener) {
  return std::make_unique<DiskWal>(loop, directory, ordinal, std::move(options), listener);
}

DiskWal::DiskWal(io::Loop* loop, const DataDirectory& directory, uint32_t ordinal,
                 DiskWalOptions options, Wal::Listener* listener)
    : loop_(*loop),
      directory_id_(directory.id()),
      path_(directory.wal_path()),
      log_(MakeLogId(directory.generation(), ordinal)),
      ordinal_(ordinal),
      options_(std::move(options)),
      listener_(*listener),
      watch_(
          loop, directory, [this] { return PathOf(end_.segment); },
          [this](Status lost) { Fail(std::move(lost)); }),
      keeper_(loop, {path_, options_.segment_bytes, options_.direct}, this),
      scrub_(loop, this),
      reader_(loop, directory.id(), log_, this) {
  URSULA_CHECK(ordinal < 1 << 16);
  URSULA_CHECK(options_.segment_bytes % kWalBlockBytes == 0);
  URSULA_CHECK(options_.segment_bytes >= 4 * kWalBlockBytes);
  URSULA_CHECK(options_.log_count > 0);
  // Small enough for a log to accept before its second segment is reserved.
  options_.batch_bytes_max = std::min(options_.batch_bytes_max, options_.segment_bytes / 4);
  // What is accepted fits in the segment that is prepared, whatever else the disk has to take.
  options_.staged_bytes_max =
      std::min<uint64_t>(options_.staged_bytes_max, options_.segment_bytes / 2);
  seal_timer_.Then<&DiskWal::OnSealTimer>(this);
  space_timer_.Then<&DiskWal::OnSpaceTimer>(this);
  keep_timer_.Then<&DiskWal::OnKeepTimer>(this);
  if (options_.old_logs == nullptr) return;
  if (ordinal_ == 0) options_.old_logs->Attach(loop);
  // Before: this log may be the first to release something.
  URSULA_CHECK(options_.old_logs->attached());
}

DiskWal::~DiskWal() {
  URSULA_CHECK(!op_.pending());
  if (linked()) Unlink();
}

uint32_t DiskWal::record_bytes_max() const {
  return options_.segment_bytes - kBatchHeaderBytes - kRecordHeaderBytes;
}

bool DiskWal::Fits(const Work& work) const {
  uint64_t wanted = staged_bytes_;
  if (work.frees_space) {
    wanted += kReserveBytes;
  } else {
    // A batch more for the padding of all that, which is small or fills whole batches. A small
    // first segment may be all there is at the log's limit: it takes what is small.
    const uint64_t batch = file_bytes_ < options_.segment_bytes
                               ? std::min(options_.batch_bytes_max, file_bytes_ / 8)
                               : options_.batch_bytes_max;
    wanted += batch + std::max(work.bytes, batch);
  }
  return wanted <= file_bytes_ - end_.offset;
}

Status DiskWal::ReadyFor(const Work& work) const {
  if (!failure_.ok()) return Status(StatusCode::kUnavailable, failure_.message());
  if (state_ == State::kNew || state_ == State::kStarting) {
    return Status(StatusCode::kUnavailable, "the log is being opened");
  }
  if (stopping_) return Status(StatusCode::kUnavailable, "the log is stopping");
  if (staged_bytes_ <= options_.staged_bytes_max &&
      (next_reserved_ || room_for_next_ || Fits(work))) {
    return {};
  }
  if (space_missing_) {
    return Status(space_status_, "no space left for the write-ahead log");
  }
  if (!next_reserved_ && !may_grow()) {
    return Status(StatusCode::kResourceExhausted, "the write-ahead log is at its limit");
  }
  return Status(StatusCode::kResourceExhausted, "the write-ahead log is behind");
}

DiskWal::Batch& DiskWal::BatchFor(uint32_t record_bytes) {
  const bool fits = !staged_.empty() && !staged_.back().seal &&
                    staged_.back().size + record_bytes <= options_.batch_bytes_max;
  if (!fits) {
    staged_.emplace_back();
    std::swap(staged_.back().buffer, spare_);
  }
  return staged_.back();
}

uint64_t DiskWal::Append(const WalRecord& record) {
  URSULA_CHECK(state_ != State::kNew && state_ != State::kStarting);
  URSULA_CHECK(state_ != State::kStopped && !stopping_);
  const uint64_t lsn = ++appended_;
  if (state_ == State::kFailed) return lsn;
  const std::size_t payload_bytes = record.parts[0].size() + record.parts[1].size();
  URSULA_CHECK(payload_bytes <= record_bytes_max());
  const uint32_t record_bytes = kRecordHeaderBytes + static_cast<uint32_t>(payload_bytes);

  Batch& batch = BatchFor(record_bytes);
  // Room for the padding as well, so that it never moves again.
  batch.buffer.Grow(batch.size + record_bytes + kWalBlockBytes,
                    batch.record_count == 0 ? 0 : batch.size);
  char* at = batch.buffer.data() + batch.size;
  StoreRecordHeader(at, {record.group, record.kind, record.index, record.term,
                         static_cast<uint32_t>(payload_bytes)});
  at += kRecordHeaderBytes;
  for (std::string_view part : record.parts) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  batch.size += record_bytes;
  ++batch.record_count;
  batch.last_lsn = lsn;
  staged_bytes_ += record_bytes;
  stats_.record_bytes += record_bytes;
  tracker_.OnAppended(record);
  if (unused_ && states_durable_ && end_.offset + staged_bytes_ >= used_from_) {
    unused_ = false;
    Maintain();
  }
  if (state_ == State::kIdle) loop_.AtTurnEnd(this);
  return lsn;
}

void DiskWal::OnTurnEnd() {
  if (state_ == State::kIdle && !staged_.empty()) StartBatch();
}

void DiskWal::StageSeal() {
  URSULA_CHECK(staged_.empty() && !sealed_);
  StageSealFirst();
}

void DiskWal::StageSealFirst() {
  Batch& batch = staged_.emplace_front();
  std::swap(batch.buffer, spare_);
  batch.buffer.Grow(kWalBlockBytes, 0);
  batch.seal = true;
}

void DiskWal::StartBatch() {
  URSULA_CHECK(state_ == State::kIdle || state_ == State::kNoSegment);
  URSULA_CHECK(!staged_.empty() && !op_.pending());
  padded_ = BatchHeader{.length = staged_.front().size - kBatchHeaderBytes}.padded_bytes();
  if (padded_ > file_bytes_ && end_.offset == 0) {
    // No segment is left without a batch, or the log would seem to end there.
    URSULA_SOMETIMES("storage: a small segment is too small for the log's first batch");
    StageSealFirst();
    padded_ = kWalBlockBytes;
  }
  if ((padded_ > file_bytes_ - end_.offset || LeavesEarly()) && !Rotate()) return;
  batch_ = std::move(staged_.front());
  staged_.pop_front();
  FinishBatch();
  written_ = 0;
  short_writes_ = 0;
  batch_start_ns_ = loop_.fresh_ns();
  state_ = State::kWriting;
  WriteRest();
}

void DiskWal::FinishBatch() {
  char* data = batch_.buffer.data();
  std::memset(data + batch_.size, 0, padded_ - batch_.size);
  ++sequence_;
  const uint32_t seed = BatchSeed(directory_id_, log_, end_.segment, sequence_);
  uint32_t record_sum = seed;
  if (options_.read_back) index_.OnBatch(end_);
  for (uint32_t offset = kBatchHeaderBytes; offset < batch_.size;) {
    char* record = data + offset;
    const RecordHeader header = LoadRecordHeader(record);
    SealRecord(record, kRecordHeaderBytes + header.length, seed);
    record_sum = AddToRecordSum(record_sum, record);
    tracker_.OnWriting(header);
    if (options_.read_back && header.kind == RecordKind::kEntry) {
      index_.OnEntry(header.group, header.index);
    } else if (header.kind == RecordKind::kReset) {
      index_.OnReset(header.group);
    }
    offset += kRecordHeaderBytes + header.length;
  }
  StoreBatchHeader(data,
                   {.log = log_,
                    .segment = end_.segment,
                    .flags = batch_.seal ? kBatchSeal : kBatchSummed,
                    .sequence = sequence_,
                    .attested = attested_,
                    .length = batch_.size - kBatchHeaderBytes,
                    .record_count = batch_.record_count,
                    .segment_bytes = file_bytes_,
                    .record_sum = batch_.seal ? 0 : record_sum},
                   directory_id_);
}

void DiskWal::WriteRest() {
  file_->Write(end_.offset + written_,
               std::span<const char>(batch_.buffer.data() + written_, padded_ - written_),
               op_.Then<&DiskWal::OnWritten>(this));
}

void DiskWal::OnWritten(int64_t result) {
  if (state_ == State::kFailed) return ContinueStop();  // By the keeper, meanwhile.
  URSULA_CHECK(state_ == State::kWriting);
  if (result <= 0)
    return Fail(IoStatus("writing", FormatSegmentName(NameOf(end_.segment)), result));
  written_ += WrittenBytes(result, file_->direct());
  URSULA_CHECK(written_ <= padded_);
  if (written_ < padded_) {
    URSULA_SOMETIMES("storage: a batch is written in several pieces");
    if (++short_writes_ <= kShortWritesMax) return WriteRest();
    return Fail(IoStatus("writing", FormatSegmentName(NameOf(end_.segment)), 0));
  }
  if (file_->direct()) return OnDurable();
  state_ = State::kSyncing;
  file_->Sync(op_.Then<&DiskWal::OnSynced>(this));
}

void DiskWal::OnSynced(int64_t result) {
  if (state_ == State::kFailed) return ContinueStop();
  URSULA_CHECK(state_ == State::kSyncing);
  if (result < 0) return Fail(IoStatus("syncing", FormatSegmentName(NameOf(end_.segment)), result));
  OnDurable();
}

void DiskWal::OnDurable() {
  durable_ns_ = loop_.fresh_ns();
  ++stats_.batches;
  ++stats_.syncs;
  stats_.written_bytes += padded_;
  stats_.sync_us.Add((durable_ns_ - batch_start_ns_) / 1000);
  end_.offset += padded_;
  attested_ = end_;
  spans_[end_.segment].end = end_.offset;
  staged_bytes_ -= batch_.size - kBatchHeaderBytes;
  sealed_ = batch_.seal;
  const uint64_t lsn = batch_.last_lsn;
  if (batch_.buffer.capacity() <= 2 * uint64_t{options_.batch_bytes_max}) {
    std::swap(spare_, batch_.buffer);
  }
  batch_ = {};
  tracker_.OnDurable();
  for (GroupId group : tracker_.TakeResets()) ReleaseOld(group, Index{UINT64_MAX});
  state_ = State::kIdle;

  // The next batch starts at the end of this turn: what this turn appends still joins it.
  if (!staged_.empty()) loop_.AtTurnEnd(this);
  if (!sealed_ && !stopping_ && !seal_timer_.running()) {
    loop_.StartTimer(&seal_timer_, durable_ns_ + options_.seal_idle_ns);
  }
  if (lsn != 0) listener_.OnWalDurable(lsn);
  if (!states_durable_ && lsn >= states_lsn_) ReleaseHeld();
  Maintain();
  TellPinned();
  ContinueStop();
}

void DiskWal::OnSealTimer() {
  if (sealed_ || stopping_ || state_ == State::kFailed) return;
  const uint64_t due = durable_ns_ + options_.seal_idle_ns;
  const bool busy = state_ != State::kIdle || !staged_.empty();
  if (busy || loop_.now_ns() < due) {
    loop_.StartTimer(&seal_timer_, busy ? loop_.now_ns() + options_.seal_idle_ns : due);
    return;
  }
  URSULA_SOMETIMES("storage: an idle log is sealed");
  StageSeal();
  StartBatch();
}

// After a failed write or sync the page cache and the disk may disagree, and a retried sync may
// report success for data that was dropped. So the log stops for good.
void DiskWal::Fail(Status status) {
  URSULA_CHECK(!status.ok());
  if (state_ == State::kFailed || state_ == State::kStopped) return;
  state_ = State::kFailed;
  failure_ = Status(status.code(), "the write-ahead log failed: " + status.message());
  URSULA_SOMETIMES("storage: a log fails for good");
  staged_.clear();
  loop_.CancelTimer(&seal_timer_);
  loop_.CancelTimer(&space_timer_);
  loop_.CancelTimer(&keep_timer_);
  if (options_.log) options_.log(LogLevel::kError, failure_.message());
  if (start_done_) {
    Function<void(Status)> done = std::move(start_done_);
    start_done_ = {};
    done(failure_);
  } else {
    listener_.OnWalFailed(failure_);
  }
  ContinueStop();
}

void DiskWal::Stop(Function<void()> done) {
  URSULA_CHECK(!stopping_ && state_ != State::kNew);
  stopping_ = true;
  stop_done_ = std::move(done);
  loop_.CancelTimer(&seal_timer_);
  loop_.Defer([this] { ContinueStop(); });
}

void DiskWal::ContinueStop() {
  if (!stopping_ || state_ == State::kStopped || op_.pending()) return;
  if (state_ == State::kStarting || (state_ == State::kNoSegment && space_missing_)) {
    // Space may never come. What waits was never durable, and its owners learn that.
    return Fail(Status(StatusCode::kResourceExhausted, "stopped on a full disk"));
  }
  if (state_ == State::kNoSegment) return;  // OnSegmentReady goes on.
  if (state_ == State::kIdle) {
    if (staged_.empty() && !sealed_) StageSeal();
    if (!staged_.empty()) return StartBatch();
  }
  FinishStop();
}

void DiskWal::FinishStop() {
  state_ = State::kStopped;
  loop_.CancelTimer(&space_timer_);
  loop_.CancelTimer(&keep_timer_);
  keeper_.Stop([this] { watch_.Stop([this] { reader_.Stop([this] { EndStop(); }); }); });
}

void DiskWal::EndStop() {
  auto finish = [this] { loop_.Defer([done = std::move(stop_done_)]() mutable { done(); }); };
  if (options_.old_logs == nullptr || ordinal_ != 0) return finish();
  options_.old_logs->Stop(std::move(finish));
}

}  // namespace ursula::storage
