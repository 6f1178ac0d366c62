// lib/storage/disk_wal.h
//
// The log of one core on disk. One batch is under way at a time; what is appended meanwhile is the
// next one (group commit). A batch is written once, into blocks that were zeroed or recycled
// before, and padded: no block that holds synced records is ever written again. So a batch that is
// there proves that everything before it was synced.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/io/loop.h"
#include "lib/storage/aligned_buffer.h"
#include "lib/storage/directory_watch.h"
#include "lib/storage/disk_wal_options.h"
#include "lib/storage/entry_reader.h"
#include "lib/storage/file_scrub.h"
#include "lib/storage/segment_keeper.h"
#include "lib/storage/wal.h"
#include "lib/storage/wal_index.h"
#include "lib/storage/wal_tracker.h"

namespace ursula::storage {

class DiskWal final : public Wal,
                      private io::TurnHook,
                      private SegmentKeeper::Listener,
                      private FileScrub::Files,
                      private EntryReader::Source {
 public:
  DiskWal(io::Loop* loop, const DataDirectory& directory, uint32_t ordinal, DiskWalOptions options,
          Wal::Listener* listener);
  ~DiskWal() override;

  void Start(Function<void(Status)> done) override;
  uint64_t Append(const WalRecord& record) override;
  uint32_t record_bytes_max() const override;
  void Release(GroupId group, Index upto) override;
  void Keep(GroupId group, Index from) override;
  bool KeepsMore() const override;
  Index ReadableFrom(GroupId group) const override;
  void ReadEntries(GroupId group, Index from, EntriesRead done) override;
  Status ReadyFor(const Work& work) const override;
  WalStats stats() const override;
  ScrubTarget* scrub() override { return &scrub_; }
  void Stop(Function<void()> done) override;

 private:
  enum class State : uint8_t {
    kNew,
    kStarting,  // The first segment is being prepared.
    kIdle,
    kNoSegment,  // A batch waits for the next segment.
    kWriting,
    kSyncing,
    kFailed,
    kStopped
  };

  // Of a segment: for what frees space once no other segment is to be had.
  static constexpr uint32_t kReserveBytes = 4 * kWalBlockBytes;

  struct Batch {
    AlignedBuffer buffer = {};
    uint32_t size = kBatchHeaderBytes;  // Header and records.
    uint32_t record_count = 0;
    uint64_t last_lsn = 0;
    bool seal = false;
  };

  // ---- batches (disk_wal.cc) ----
  Batch& BatchFor(uint32_t record_bytes);
  void StageSeal();
  void StageSealFirst();  // Before what is staged.
  void OnTurnEnd() override;
  void StartBatch();
  void FinishBatch();  // Header, checksums and padding of batch_.
  void WriteRest();
  void OnWritten(int64_t result);
  void OnSynced(int64_t result);
  void OnDurable();
  void OnSealTimer();
  void Fail(Status status);
  void ContinueStop();
  void FinishStop();
  void EndStop();

  // ---- segments (disk_wal_segments.cc) ----
  void Maintain();
  void PrepareNext();
  void PrepareNextWithinLimit();
  bool front_reusable() const;
  bool FrontIsTooMuch();
  bool KeepsFromOthers();
  bool MayGrowToKeep() const;
  // With the current segment and the next, so that half of the log is for what is kept.
  uint64_t KeptUpTo() const { return options_.log_bytes_max / 4 * 3; }
  void WatchKept();
  void OnKeepTimer();
  bool Rotate();  // False: the next segment isn't ready; OnSegmentReady goes on.
  void AppendRecoveredStates();
  void ReleaseOld(GroupId group, Index upto);
  void ReleaseHeld();
  void TellPinned();
  uint64_t disk_bytes() const;
  bool may_grow() const;  // By a segment.
  bool RoomForNext() const;
  bool HasRoomFor(uint64_t segments) const;  // Of each log, on the volume.
  uint32_t FirstSegmentBytes() const;
  std::string TakeSpare(uint32_t bytes);
  // The next segment isn't sure: whether the work fits in this one.
  bool Fits(const Work& work) const;
  SegmentName NameOf(uint32_t segment) const { return {log_, segment}; }
  void OnSpaceTimer();
  void OnSegmentReserved() override;
  void OnSegmentReady(std::unique_ptr<io::File> file, uint32_t bytes) override;
  void OnSegmentRemoved() override;
  void OnSpaceMissing(Status status) override;
  void OnKeeperFailed(Status status) override;
  uint32_t PopFront();
  bool LeavesEarly() const;
  void LeaveRotten();
  std::vector<FileScrub::Item> ScrubItems() override;
  bool IsScrubbed(const FileScrub::Item& item) const override;
  std::unique_ptr<FileCheck> CheckOf(const FileScrub::Item& item) const override;
  void OnFileDamaged(const FileScrub::Item& item, const Status& status) override;
  void OnSegmentDamaged(uint32_t number, const Status& status);
  std::optional<WalChunk> FindEntry(GroupId group, Index index) const override;
  std::string PathOf(uint32_t segment) const override;
  void OnEntriesDamaged(uint32_t segment, const Status& status) override;

  io::Loop& loop_;
  const uint64_t directory_id_;
  const std::string path_;
  const LogId log_;
  const uint32_t ordinal_;
  DiskWalOptions options_;
  Wal::Listener& listener_;
  State state_ = State::kNew;
  Status failure_;
  Function<void(Status)> start_done_;
  Function<void()> stop_done_;
  bool stopping_ = false;

  std::deque<Batch> staged_;
  Batch batch_;            // Under way.
  AlignedBuffer spare_;    // Of a batch that is done.
  uint64_t appended_ = 0;  // The last lsn given.
  uint64_t staged_bytes_ = 0;
  uint64_t sequence_ = 0;  // Of the last batch started.
  uint32_t padded_ = 0;    // Of the batch under way.
  uint32_t written_ = 0;
  uint32_t short_writes_ = 0;  // Of the batch under way.
  uint64_t batch_start_ns_ = 0;
  uint64_t durable_ns_ = 0;
  bool sealed_ = true;  // Nothing was written since the last seal.

  std::unique_ptr<io::File> file_;
  uint32_t file_bytes_ = 0;  // Of the segment.
  WalPosition end_;  // Where the next batch goes. Invariant: all before it is durable when idle.
  WalPosition attested_;  // Everything before it is durable.
  std::unique_ptr<io::File> next_file_;
  uint32_t next_bytes_ = 0;  // Of next_file_, or as much as is reserved for it.
  bool next_reserved_ = false;
  // Nothing much was appended yet, so no second segment is prepared.
  bool unused_ = false;
  uint64_t used_from_ = 0;  // Offset in the first segment.
  // The next segment isn't reserved yet, and there is more than enough room for it: what comes
  // meanwhile is accepted.
  bool room_for_next_ = false;
  bool space_missing_ = false;
  StatusCode space_status_ = StatusCode::kStorageFull;  // Why, if so.
  bool fallback_told_ = false;

  DirectoryWatch watch_;
  WalTracker tracker_;
  WalIndex index_;
  bool room_ = true;           // Besides what is kept, as of
  uint64_t room_seen_ns_ = 0;  // then.
  uint64_t gave_up_ns_ = 0;    // When something that was kept left last.
  SegmentKeeper keeper_;
  std::map<GroupId, Index> old_last_;            // Old logs' groups of this core, not yet released.
  std::vector<std::pair<GroupId, Index>> held_;  // Releases to old logs that wait for the states.
  uint64_t states_lsn_ = 0;                      // Of the recovered states, appended again.
  bool states_durable_ = false;
  uint64_t pinned_told_ns_ = 0;
  struct Span {
    uint64_t first_sequence = 0;
    uint32_t end = 0;  // What is before it is durable.
    bool damaged = false;
  };
  std::map<uint32_t, Span> spans_;  // Of each segment of this log.
  std::optional<uint32_t> rotten_;  // The last segment that is: all up to it are to go.

  WalStats stats_;
  FileScrub scrub_;
  EntryReader reader_;
  io::Timer seal_timer_;
  io::Timer space_timer_;  // Another try to get a segment.
  io::Timer keep_timer_;
  io::Op op_;
};

}  // namespace ursula::storage
