// The segments of a DiskWal: which one is written, which one is next, which ones go.

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/storage/disk_wal.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

namespace {
constexpr uint64_t kPinnedIntervalNs = 10'000'000;
constexpr uint64_t kRottenIntervalNs = 500'000'000;
constexpr uint64_t kRoomSeenNs = 100'000'000;
// A log that had no room for what was wanted has hardly more a moment later.
constexpr uint64_t kGaveUpNs = 60'000'000'000;
}  // namespace

void DiskWal::Start(Function<void(Status)> done) {
  URSULA_CHECK(state_ == State::kNew);
  state_ = State::kStarting;
  start_done_ = std::move(done);
  if (options_.old_logs != nullptr) {
    const auto& last_indexes = options_.old_logs->last_indexes();
    for (GroupId group : options_.groups) {
      auto found = last_indexes.find(group);
      if (found == last_indexes.end()) continue;
      old_last_.insert(*found);
      tracker_.SetLast(group, found->second);
    }
  }
  room_for_next_ = RoomForNext();
  unused_ = room_for_next_ && FirstSegmentBytes() < options_.segment_bytes;
  PrepareNext();
}

// For two of each log, so that none is refused what this one was promised.
bool DiskWal::RoomForNext() const {
  return HasRoomFor(2) && disk_bytes() + options_.segment_bytes <= options_.log_bytes_max;
}

bool DiskWal::HasRoomFor(uint64_t segments) const {
  const Result<uint64_t> free = loop_.disk().FreeBytes(path_);
  return free.ok() && *free >= segments * options_.segment_bytes * options_.log_count;
}

// As small as the states allow: a process that dies before it has appended anything leaves one. But
// where space is scarce all of it is reserved before anything is accepted, if it is there at all.
uint32_t DiskWal::FirstSegmentBytes() const {
  const Result<uint64_t> free = loop_.disk().FreeBytes(path_);
  const bool scarce = !room_for_next_ && free.ok() && *free >= options_.segment_bytes;
  const bool at_limit = disk_bytes() + options_.segment_bytes > options_.log_bytes_max;
  if (scarce && !at_limit) return options_.segment_bytes;
  uint64_t states = 0;
  for (const RecoveredState& state : options_.states) {
    states += kRecordHeaderBytes + state.payload.size();
  }
  const uint64_t bytes =
      (options_.first_segment_bytes + 2 * states) / kWalBlockBytes * kWalBlockBytes;
  return static_cast<uint32_t>(std::min<uint64_t>(options_.segment_bytes, bytes));
}

// Newest states leave the old logs at once, so that only entries keep those.
void DiskWal::AppendRecoveredStates() {
  for (const RecoveredState& state : options_.states) {
    states_lsn_ = Append({.group = state.group,
                          .kind = RecordKind::kState,
                          .index = state.index,
                          .term = state.term,
                          .parts = {state.payload, {}}});
  }
  options_.states.clear();
  if (states_lsn_ == 0) ReleaseHeld();
}

void DiskWal::ReleaseHeld() {
  states_durable_ = true;
  used_from_ = end_.offset + options_.first_segment_bytes / 16;
  if (options_.old_logs == nullptr) return;
  for (const auto& [group, last] : old_last_) options_.old_logs->Release(group, Index{0});
  std::vector<std::pair<GroupId, Index>> held = std::move(held_);
  held_.clear();
  for (const auto& [group, upto] : held) ReleaseOld(group, upto);
  if (ordinal_ == 0) options_.old_logs->Begin();
}

void DiskWal::Release(GroupId group, Index upto) {
  const Index effective = tracker_.Release(group, upto);
  ReleaseOld(group, effective);
  Maintain();
}

void DiskWal::Keep(GroupId group, Index from) {
  if (tracker_.Keep(group, from)) Maintain();
}

// Others may fill the volume while this log has nothing to do.
void DiskWal::WatchKept() {
  if (stopping_ || keep_timer_.running() || tracker_.kept_segments() == 0) return;
  loop_.StartTimer(&keep_timer_, loop_.now_ns() + options_.space_retry_ns);
}

void DiskWal::OnKeepTimer() { Maintain(); }

void DiskWal::ReleaseOld(GroupId group, Index upto) {
  auto found = old_last_.find(group);
  if (found == old_last_.end()) return;
  if (states_durable_) {
    options_.old_logs->Release(group, upto);
  } else {
    held_.emplace_back(group, upto);
  }
  if (upto >= found->second && states_durable_) old_last_.erase(found);
}

// The one place that decides what the keeper does next.
void DiskWal::Maintain() {
  if (state_ == State::kNew || state_ == State::kFailed || state_ == State::kStopped) return;
  if (stopping_ && state_ != State::kNoSegment) return;
  const bool old_gone = options_.old_logs == nullptr || options_.old_logs->gone();
  const std::size_t free = old_gone ? tracker_.free_segments() : 0;
  if (free > 0 && !stopping_) {
    for (const WalTracker::State& state : tracker_.StatesToMove()) {
      URSULA_SOMETIMES("storage: states move to a newer segment");
      Append({.group = state.group,
              .kind = RecordKind::kState,
              .index = state.index,
              .term = state.term,
              .parts = {state.payload, {}}});
    }
  }
  LeaveRotten();
  WatchKept();
  if (!keeper_.idle()) return;
  const bool front_may_go = free > 0 && !tracker_.front_has_states();
  if (next_file_ == nullptr) {
    if (unused_) return;
    if (space_missing_ && space_timer_.running() && !front_may_go) return;
    PrepareNextWithinLimit();
  } else if (front_may_go && (rotten_ || FrontIsTooMuch())) {
    keeper_.Remove(NameOf(PopFront()));
  }
}

void DiskWal::PrepareNextWithinLimit() {
  if (may_grow() || !options_.spares.empty() || front_reusable()) return PrepareNext();
  room_for_next_ = false;
  if (space_timer_.running()) return;
  loop_.StartTimer(&space_timer_, loop_.now_ns() + options_.space_retry_ns);
}

bool DiskWal::front_reusable() const {
  const bool old_gone = options_.old_logs == nullptr || options_.old_logs->gone();
  if (!old_gone || tracker_.free_segments() == 0 || tracker_.front_has_states()) return false;
  return !tracker_.front_is_kept() || !MayGrowToKeep();
}

// Of what leaves the oldest goes first, so what isn't wanted before what is.
bool DiskWal::FrontIsTooMuch() {
  if (tracker_.unwanted_segments() > options_.idle_segments_max) return true;
  return tracker_.kept_segments() > 0 && (disk_bytes() > KeptUpTo() || KeepsFromOthers());
}

// What is kept takes the room that somebody needs, as of a moment ago.
bool DiskWal::KeepsFromOthers() {
  if (loop_.now_ns() - room_seen_ns_ >= kRoomSeenNs) {
    room_seen_ns_ = loop_.now_ns();
    room_ = HasRoomFor(2);
  }
  return !room_;
}

// One segment more rather than one that is kept used again. A segment of room more than what makes
// it leave: else its own coming would.
bool DiskWal::MayGrowToKeep() const {
  const bool room = disk_bytes() + options_.segment_bytes <= KeptUpTo();
  return room && !rotten_ && !space_missing_ && HasRoomFor(3);
}

bool DiskWal::KeepsMore() const {
  const bool gave_up = gave_up_ns_ != 0 && loop_.now_ns() - gave_up_ns_ < kGaveUpNs;
  return !gave_up && MayGrowToKeep();
}

// Empty if there is none. A small segment isn't made of a large spare: each opening would keep one.
std::string DiskWal::TakeSpare(uint32_t bytes) {
  auto& spares = options_.spares;
  for (auto spare = spares.begin(); spare != spares.end(); ++spare) {
    if (bytes < options_.segment_bytes && spare->bytes > bytes) continue;
    URSULA_SOMETIMES("storage: a spare segment of an earlier opening is used");
    std::string path = std::move(spare->path);
    spares.erase(spare);
    return path;
  }
  return {};
}

void DiskWal::PrepareNext() {
  loop_.CancelTimer(&space_timer_);
  next_reserved_ = false;
  next_bytes_ = file_ == nullptr ? FirstSegmentBytes() : options_.segment_bytes;
  std::string reuse = TakeSpare(next_bytes_);
  if (reuse.empty() && front_reusable()) {
    next_reserved_ = tracker_.front_bytes() >= options_.segment_bytes;
    reuse = PathOf(PopFront());
    ++stats_.segments_recycled;
    URSULA_SOMETIMES("storage: a segment is used again");
  }
  if (file_ != nullptr) room_for_next_ = RoomForNext();
  const uint32_t number = file_ == nullptr ? 0 : end_.segment + 1;
  keeper_.Prepare(NameOf(number), std::move(reuse), next_bytes_);
}

void DiskWal::OnSegmentReserved() { next_reserved_ = true; }

void DiskWal::OnSegmentReady(std::unique_ptr<io::File> file, uint32_t bytes) {
  OnSegmentReserved();
  next_bytes_ = bytes;
  space_missing_ = false;
  if (options_.direct && !file->direct() && !fallback_told_) {
    fallback_told_ = true;
    if (options_.log) {
      options_.log(LogLevel::kWarning, path_ +
                                           ": the file system has no direct I/O; the log is "
                                           "written through the page cache and synced");
    }
  }
  next_file_ = std::move(file);
  if (state_ == State::kStarting) {
    state_ = State::kIdle;
    URSULA_CHECK(Rotate());
    watch_.Start();
    AppendRecoveredStates();
    Function<void(Status)> done = std::move(start_done_);
    start_done_ = {};
    done(Status());
  } else if (state_ == State::kNoSegment) {
    StartBatch();
  } else {
    Maintain();
  }
}

bool DiskWal::Rotate() {
  if (next_file_ == nullptr) {
    URSULA_SOMETIMES("storage: a batch waits for its segment");
    state_ = State::kNoSegment;
    unused_ = false;
    Maintain();
    return false;
  }
  if (file_ != nullptr) end_ = {end_.segment + 1, 0};
  file_ = std::move(next_file_);
  file_bytes_ = next_bytes_;
  next_reserved_ = false;
  tracker_.AddSegment(end_.segment, file_bytes_);
  spans_[end_.segment] = {sequence_ + 1, 0};
  if (state_ == State::kNoSegment) state_ = State::kIdle;
  if (stopping_ || unused_) return true;
  if (keeper_.idle()) {
    PrepareNextWithinLimit();
  } else {
    room_for_next_ = RoomForNext();  // Maintain prepares it.
  }
  return true;
}

void DiskWal::OnSegmentRemoved() {
  ++stats_.segments_removed;
  room_seen_ns_ = 0;
  Maintain();
}

void DiskWal::OnSpaceMissing(Status status) {
  next_reserved_ = false;
  room_for_next_ = false;
  URSULA_SOMETIMES("storage: no space for a segment");
  if (!space_missing_ && options_.log) {
    options_.log(LogLevel::kError, "no space for the write-ahead log: " + status.message());
  }
  space_missing_ = true;
  space_status_ = status.code();
  if (state_ == State::kStarting) return Fail(std::move(status));
  if (stopping_) return ContinueStop();
  loop_.StartTimer(&space_timer_, loop_.now_ns() + options_.space_retry_ns);
}

void DiskWal::OnKeeperFailed(Status status) {
  URSULA_SOMETIMES("storage: a segment cannot be prepared");
  // A batch under way ends first; its result no longer matters.
  Fail(std::move(status));
}

uint64_t DiskWal::disk_bytes() const {
  uint64_t bytes = tracker_.segment_bytes() + (next_reserved_ ? next_bytes_ : 0);
  if (options_.old_logs != nullptr) bytes += options_.old_logs->bytes() / options_.log_count;
  return bytes;
}

WalStats DiskWal::stats() const {
  WalStats stats = stats_;
  stats.disk_bytes = disk_bytes();
  stats.segments_kept = tracker_.kept_segments();
  if (state_ == State::kWriting || state_ == State::kSyncing) {
    stats.writing_since_ns = batch_start_ns_;
  }
  return stats;
}

bool DiskWal::may_grow() const {
  if (state_ == State::kNoSegment) return true;
  return disk_bytes() + options_.segment_bytes <= options_.log_bytes_max;
}

// Whoever holds the log back is told again: an earlier attempt to let go may have failed.
void DiskWal::OnSpaceTimer() {
  Maintain();
  TellPinned();
}

void DiskWal::TellPinned() {
  const bool kept = tracker_.segment_bytes() > 0 && tracker_.front_is_kept();
  const uint64_t needed = disk_bytes() - (kept ? tracker_.free_bytes() : 0);
  if (stopping_ || (needed <= options_.log_bytes_max / 2 && !rotten_)) return;
  const uint64_t now = loop_.now_ns();
  const uint64_t interval_ns = rotten_ ? kRottenIntervalNs : kPinnedIntervalNs;
  if (pinned_told_ns_ != 0 && now - pinned_told_ns_ < interval_ns) return;
  pinned_told_ns_ = now;
  std::vector<GroupId> groups;
  const bool old_gone = options_.old_logs == nullptr || options_.old_logs->gone();
  if (old_gone) {
    groups = rotten_ ? tracker_.groups_upto(*rotten_) : tracker_.pinning_groups();
  } else {
    for (const auto& [group, last] : old_last_) {
      if (last > Index{0}) groups.push_back(group);
    }
  }
  if (!groups.empty()) listener_.OnWalPinned(groups);
}

// ---- what a scrub finds
// --------------------------------------------------------------------------

uint32_t DiskWal::PopFront() {
  if (tracker_.front_is_kept()) gave_up_ns_ = loop_.now_ns();
  const uint32_t number = tracker_.PopFront();
  index_.PopSegment(number);
  reader_.Leave(number);
  spans_.erase(number);
  if (rotten_ && number >= *rotten_) {
    rotten_.reset();
  }
  return number;
}

// A segment that is to go can't be the newest. Where there is no other yet it takes some more.
bool DiskWal::LeavesEarly() const {
  return rotten_ && end_.segment <= *rotten_ && end_.offset > 0 && next_file_ != nullptr;
}

// Though nothing is appended: an opening would read it.
void DiskWal::LeaveRotten() {
  if (!LeavesEarly() || stopping_ || state_ != State::kIdle || !staged_.empty()) return;
  StageSealFirst();
  loop_.AtTurnEnd(this);
}

std::vector<FileScrub::Item> DiskWal::ScrubItems() {
  std::vector<FileScrub::Item> items;
  if (state_ == State::kFailed) return items;
  for (const auto& [number, span] : spans_) {
    if (span.end == 0 || span.damaged) continue;
    items.push_back({.number = number, .bytes = span.end, .path = PathOf(number)});
  }
  return items;
}

bool DiskWal::IsScrubbed(const FileScrub::Item& item) const {
  return spans_.contains(static_cast<uint32_t>(item.number)) && state_ != State::kFailed;
}

std::unique_ptr<FileCheck> DiskWal::CheckOf(const FileScrub::Item& item) const {
  const uint32_t number = static_cast<uint32_t>(item.number);
  return std::make_unique<SegmentCheck>(directory_id_, NameOf(number),
                                        spans_.at(number).first_sequence);
}

// All that an opening would read of it is in memory, and in a newer snapshot soon: then it goes,
// after those before it.
void DiskWal::OnFileDamaged(const FileScrub::Item& item, const Status& status) {
  OnSegmentDamaged(static_cast<uint32_t>(item.number), status);
}

void DiskWal::OnSegmentDamaged(uint32_t number, const Status& status) {
  spans_.at(number).damaged = true;
  rotten_ = std::max(rotten_.value_or(0), number);
  if (options_.log) {
    options_.log(LogLevel::kError,
                 status.message() + ", below what was synced; snapshots take its place");
  }
  listener_.OnWalDamaged(status);
  pinned_told_ns_ = 0;
  unused_ = false;
  TellPinned();
  Maintain();
}

// ---- what is read back --------------------------------------------------------------------------

Index DiskWal::ReadableFrom(GroupId group) const {
  return state_ == State::kFailed ? Index{UINT64_MAX} : index_.First(group);
}

void DiskWal::ReadEntries(GroupId group, Index from, EntriesRead done) {
  reader_.Read(group, from, std::move(done));
}

std::optional<WalChunk> DiskWal::FindEntry(GroupId group, Index index) const {
  std::optional<WalChunk> chunk = index_.Find(group, index);
  if (!chunk) return std::nullopt;
  const Span& span = spans_.at(chunk->segment);
  chunk->end = std::min(chunk->end, span.end);
  if (chunk->begin >= chunk->end || span.damaged) return std::nullopt;
  return chunk;
}

std::string DiskWal::PathOf(uint32_t segment) const {
  return path_ + "/" + FormatSegmentName(NameOf(segment));
}

void DiskWal::OnEntriesDamaged(uint32_t segment, const Status& status) {
  if (state_ == State::kFailed || stopping_) return;
  OnSegmentDamaged(segment, status);
}

}  // namespace ursula::storage
