#include "lib/group/checkpoint.h"

#include <string>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "lib/group/recovery.h"
#include "lib/io/errors.h"

namespace ursula::group {
namespace {

constexpr uint64_t kFlushBytesMax = 8 << 20;  // Of one write to the payload store.
constexpr uint32_t kDeltasMax = 64;           // A chain of files, before a base replaces it.
// Between two tries that fail: each collects the group's whole state.
constexpr uint64_t kRetryNs = 1'000'000'000;

}  // namespace

CheckpointJob::CheckpointJob(const Services& services, GroupId group, CheckpointHost* host)
    : services_(services), group_(group), host_(*host) {
  collect_timer_.Then<&CheckpointJob::OnCollectTimer>(this);
}

void CheckpointJob::Request() {
  if (stopping_ || payload_failed_ || draining_) return;
  checkpoint_wanted_ = true;
  if (state_ == State::kIdle) Finish();
}

void CheckpointJob::RequestBase() {
  if (stopping_ || payload_failed_ || draining_ || for_peers_) return;
  base_wanted_ = true;
  if (state_ == State::kIdle) Finish();
}

void CheckpointJob::Drain(Function<void()> done) {
  draining_ = true;
  drain_done_ = std::move(done);
  checkpoint_wanted_ = flush_wanted_ = base_wanted_ = false;
  if (state_ != State::kSnapshotting) {
    GiveUp();
    flushing_for_checkpoint_ = false;
  }
  if (state_ == State::kIdle) Finish();
}

void CheckpointJob::Resume(stream::Machine* machine) {
  URSULA_CHECK(draining_ && !drain_done_ && state_ == State::kIdle);
  draining_ = false;
  machine_ = machine;
  base_needed_ = false;
}

void CheckpointJob::Flush() {
  if (stopping_ || payload_failed_ || draining_) return;
  flush_wanted_ = true;
  if (state_ == State::kIdle) Finish();
}

void CheckpointJob::Tick() {
  const bool wanted = checkpoint_wanted_ || base_wanted_ || flush_wanted_ || drain_done_;
  if (state_ == State::kIdle && (wanted || meta_)) Finish();
}

void CheckpointJob::NoteStorage(const Status& status, bool* full) {
  const bool is_full = status.code() == StatusCode::kStorageFull;
  const bool was_full = services_.budget->storage_full();
  if (is_full || status.ok()) *full = is_full;
  if (is_full && !was_full) {
    services_.Log(3, "the disk is full: " + status.message());
  } else if (was_full && !services_.budget->storage_full()) {
    services_.Log(1, "there is space on the disk again");
  }
  if (!status.ok()) retry_ns_ = services_.loop->now_ns() + kRetryNs;
}

// Nothing is under way: starts what is wanted, or ends.
void CheckpointJob::Finish() {
  URSULA_CHECK(state_ == State::kIdle);
  if (stopping_) {
    if (stop_done_) std::exchange(stop_done_, nullptr)();
    return;
  }
  if (services_.loop->now_ns() < retry_ns_) return;
  if (draining_) {
    if (!drain_done_ || payload_failed_) return;
    if (ring_->UnflushedBytes() > 0) return StartFlush();
    return std::exchange(drain_done_, nullptr)();
  }
  if ((checkpoint_wanted_ || base_wanted_) && !meta_ && !collection_) StartCollecting();
  if (meta_ || flush_wanted_) StartFlush();
}

void CheckpointJob::OnCollectTimer() {
  Collect();
  if (meta_ && state_ == State::kIdle) Finish();
}

void CheckpointJob::StartCollecting() {
  if (services_.budget->collecting) return;  // Tick looks again.
  if (!host_.AppliedMeta(base_wanted_)) {
    checkpoint_wanted_ = base_wanted_ = false;
    return;
  }
  for_peers_ = std::exchange(base_wanted_, false);
  // A delta chain stays shorter than its base, so that loading costs at most twice the state.
  storage::SnapshotStore::ChainSize chain = services_.snapshots->chain(group_);
  base_ = for_peers_ || base_needed_ || chain.files == 0 || chain.files > kDeltasMax ||
          chain.delta_bytes > chain.base_bytes + (uint64_t{1} << 20);
  base_needed_ = true;  // Until this one is durable: what it takes is in no file.
  records_.clear();
  services_.budget->collecting = true;
  collection_.emplace(machine_, base_, services_.budget->collection_step);
  Collect();
}

void CheckpointJob::Collect() {
  stream::Machine::Emit emit = [this](std::string_view key, std::optional<std::string_view> value) {
    storage::SnapshotRecord record;
    record.key = key;
    record.tombstone = !value.has_value();
    if (value) record.value = Bytes::Copy(*value);
    records_.push_back(std::move(record));
  };
  if (!collection_->Step(&emit)) {
    services_.loop->StartTimer(&collect_timer_, services_.loop->now_ns());
    return;
  }
  collection_.reset();
  services_.budget->collecting = false;
  checkpoint_wanted_ = false;
  meta_ = host_.AppliedMeta(for_peers_);
}

// What was collected so far is lost, also to later deltas.
void CheckpointJob::GiveUp() {
  services_.loop->CancelTimer(&collect_timer_);
  if (collection_) services_.budget->collecting = false;
  collection_.reset();
  meta_.reset();
  records_.clear();
  for_peers_ = false;
}

void CheckpointJob::StartFlush() {
  flush_wanted_ = false;
  flushing_for_checkpoint_ = meta_.has_value();
  // For a checkpoint everything there is: it holds all that entries up to its index appended.
  to_flush_ = ring_->CollectUnflushed(meta_ ? UINT64_MAX : kFlushBytesMax);
  next_run_ = next_part_ = 0;
  FlushSome();
}

// After the last request the snapshot.
void CheckpointJob::FlushSome() {
  flushing_.clear();
  std::vector<storage::PayloadRun> runs = TakeSome();
  if (runs.empty()) {
    to_flush_.clear();
    if (flushing_for_checkpoint_) StartSnapshot();
    return;
  }
  state_ = State::kFlushing;
  services_.payload->Write(std::move(runs),
                           [this](Status status) { OnPayloadWritten(std::move(status)); });
}

// The next of to_flush_: about kFlushBytesMax, at least one append. Nothing: there is no more.
std::vector<storage::PayloadRun> CheckpointJob::TakeSome() {
  uint64_t bytes = 0;
  std::vector<storage::PayloadRun> runs;
  while (next_run_ < to_flush_.size() && bytes < kFlushBytesMax) {
    const stream::UnflushedRun& from = to_flush_[next_run_];
    if (next_part_ == 0) next_start_ = from.start;
    // Freed since, the store would keep it.
    if (next_part_ == from.parts.size() || !machine_->OwnRange(from.incarnation)) {
      ++next_run_;
      next_part_ = 0;
      continue;
    }
    storage::PayloadRun& run = runs.emplace_back();
    run.key = {group_, Raw(from.incarnation)};
    run.start = next_start_;
    while (next_part_ < from.parts.size() && bytes < kFlushBytesMax) {
      run.messages.push_back(from.parts[next_part_++]);
      bytes += run.messages.back().size();
      next_start_ += run.messages.back().size();
    }
    flushing_.push_back({from.incarnation, next_start_});
  }
  return runs;
}

void CheckpointJob::OnPayloadWritten(Status status) {
  URSULA_CHECK(state_ == State::kFlushing);
  state_ = State::kIdle;
  NoteStorage(status, &services_.budget->payload_full);
  if (!status.ok()) {
    if (io::MayPass(status)) {
      if (!draining_) (flushing_for_checkpoint_ ? checkpoint_wanted_ : flush_wanted_) = true;
      // Of an idle group nothing else would make one.
      base_wanted_ = base_wanted_ || (flushing_for_checkpoint_ && for_peers_ && !draining_);
    } else {
      services_.Log(3, group_, "payload can't be written out: " + status.ToString());
    }
    flushing_.clear();
    to_flush_.clear();
    if (flushing_for_checkpoint_) GiveUp();
    if (status.code() == StatusCode::kUnavailable) {
      GiveUp();
      payload_failed_ = true;
      checkpoint_wanted_ = false;
      flush_wanted_ = false;
      host_.OnPayloadFailed(status);
    }
    host_.OnFlushed();
    return Finish();
  }
  for (const Flushed& run : flushing_) ring_->MarkFlushed(run.incarnation, run.end);
  FlushSome();
  host_.OnFlushed();
  if (state_ == State::kIdle) Finish();
}

void CheckpointJob::StartSnapshot() {
  state_ = State::kSnapshotting;
  storage::SnapshotMeta meta;
  meta.index = meta_->index;
  meta.term = meta_->term;
  meta.header = EncodeSnapshotHeader(meta_->conf);
  if (for_peers_) for_them_ = std::make_shared<const BaseSnapshot>(BaseSnapshot{*meta_, records_});
  services_.snapshots->Write(group_, std::move(meta), base_, std::exchange(records_, {}),
                             [this](Status status) { OnSnapshotWritten(std::move(status)); });
}

void CheckpointJob::OnSnapshotWritten(Status status) {
  URSULA_CHECK(state_ == State::kSnapshotting && meta_);
  state_ = State::kIdle;
  raft::SnapshotMeta meta = std::move(*meta_);
  meta_.reset();
  const bool base_was_wanted = std::exchange(for_peers_, false);
  std::shared_ptr<const BaseSnapshot> base = std::exchange(for_them_, nullptr);
  NoteStorage(status, &services_.budget->snapshots_full);
  if (status.ok()) {
    base_needed_ = false;
    host_.OnCheckpointed(meta);
    if (base != nullptr) host_.OnBase(std::move(base));
  } else if (io::MayPass(status)) {
    checkpoint_wanted_ = !draining_;
    base_wanted_ = base_wanted_ || (base_was_wanted && !draining_);
  } else {
    services_.Log(3, group_, "a snapshot can't be written: " + status.ToString());
  }
  if (state_ == State::kIdle) Finish();
}

void CheckpointJob::Stop(Function<void()> done) {
  stopping_ = true;
  stop_done_ = std::move(done);
  if (collection_) GiveUp();
  if (state_ == State::kIdle) Finish();
}

}  // namespace ursula::group
