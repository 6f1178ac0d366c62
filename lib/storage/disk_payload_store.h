// lib/storage/disk_payload_store.h
//
// The payload store on disk: an index in memory over a writer, a reader and the files they share.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "lib/io/loop.h"
#include "lib/storage/payload_compactor.h"
#include "lib/storage/payload_file.h"
#include "lib/storage/payload_index.h"
#include "lib/storage/payload_losses.h"
#include "lib/storage/payload_reader.h"
#include "lib/storage/payload_scrub.h"
#include "lib/storage/payload_sources.h"
#include "lib/storage/payload_store.h"
#include "lib/storage/payload_writer.h"
#include "lib/storage/sequential_reads.h"

namespace ursula::storage {

class DiskPayloadStore final : public PayloadStore,
                               private PayloadWriter::Listener,
                               private PayloadReader::Files {
 public:
  DiskPayloadStore(io::Loop* loop, const DataDirectory& directory, uint32_t ordinal,
                   PayloadStoreOptions options, RecoveredPayload* recovered);
  ~DiskPayloadStore() override;

  void Write(std::vector<PayloadRun> runs, Function<void(Status)> done) override;
  void Read(PayloadKey key, uint64_t from, uint64_t bytes_max,
            Function<void(Result<PayloadSlice>)> done) override;
  uint64_t ReadBytesAdvised() const override;
  void Watch(GroupId group, PayloadWatcher* watcher) override { watchers_[group] = watcher; }
  bool Holds(PayloadKey key, uint64_t from) const override {
    return !index_.Cover(key, from, 1, 1).empty();
  }
  uint64_t Find(PayloadKey key, uint64_t from) const override { return index_.Find(key, from); }
  uint64_t FindNext(PayloadKey key, uint64_t from) const override {
    return index_.FindNext(key, from);
  }
  std::string Where(PayloadKey key, uint64_t from) const override;
  void ForEachKey(GroupId group, Function<void(uint64_t, uint64_t)> visit) const override {
    index_.ForEachKey(group, [&visit](uint64_t one, uint64_t end) { visit(one, end); });
  }
  void Free(PayloadKey key) override { FreeBefore(key, UINT64_MAX); }
  void FreeBefore(PayloadKey key, uint64_t offset) override;
  void Keep(GroupId group, Function<bool(uint64_t)> wanted) override;
  PayloadStats stats() const override;
  ScrubTarget* scrub() override { return &scrub_; }
  void Stop(Function<void()> done) override;

 private:
  friend class PayloadCompactor;
  friend class PayloadScrub;
  struct LocalFile {
    PayloadSource source = {};
    uint64_t bytes = 0;       // The whole file's, once finished.
    uint64_t live_bytes = 0;  // Of this core's extents.
    uint32_t blocks = 0;      // Written, of those
    uint32_t mergeable = 0;   // so many behind a row of small ones.
    uint32_t pins = 0;        // Reads asked for. The file stays while there are any.
    bool finished = false;
    bool compacting = false;  // Asked for, or tried in vain.
  };

  uint32_t AddFile(const std::shared_ptr<PayloadFile>& shared);
  void CountLive(LocalFile* local, uint64_t bytes);
  void OnFreed(uint32_t number, uint64_t bytes);
  bool MayBringBack() const;
  void NoteFreed(PayloadKey key, uint64_t offset);
  void DropIfDead(uint32_t number);
  void CompactIfSparse(uint32_t number);
  void CompactShared();
  void Compact(uint32_t number, PayloadCompactor::Aim aim);
  void OnCompacted(uint32_t number, PayloadCompactor::Aim aim, bool again);
  void RemoveNext();
  void OnRemoved(int64_t result);
  void ContinueStop();

  void OnPayloadDurable(const std::shared_ptr<PayloadFile>& file,
                        const std::vector<PayloadExtent>& extents) override;
  void OnPayloadFinished(const std::shared_ptr<PayloadFile>& file, uint64_t bytes) override;
  void Pin(uint32_t file) override;
  void Unpin(uint32_t file) override;
  PayloadSource* SourceOf(uint32_t file) override { return &files_.at(file)->source; }
  void OnDamaged(const Status& status, PayloadKey key,
                 const std::vector<PayloadIndex::Extent>& damaged) override;
  void LogDamage(const Status& status);
  std::vector<uint32_t> FileNumbers() const;  // In order.
  void OnFooterDamaged(uint32_t file);

  io::Loop& loop_;
  const PayloadStoreOptions options_;
  PayloadSources sources_;  // Outlives those in files_.
  absl::flat_hash_map<uint32_t, std::unique_ptr<LocalFile>> files_;
  std::vector<uint32_t> shared_files_;  // Those in which other cores have blocks, as it was opened.
  uint32_t next_file_ = 0;
  uint32_t writing_file_ = 0;  // The number of the writer's file, if it has one.
  std::shared_ptr<PayloadFile> writing_;
  std::deque<std::string> removals_;
  std::string removing_;
  // What was freed while writes or a compaction were under way, which must not bring it back.
  absl::flat_hash_map<PayloadKey, uint64_t> freed_before_;
  absl::flat_hash_map<GroupId, PayloadWatcher*> watchers_;
  PayloadLosses losses_;
  absl::flat_hash_set<std::string> logged_;  // Of damage: each message once.
  PayloadStats stats_;
  uint64_t live_bytes_ = 0;
  PayloadIndex index_;
  PayloadWriter writer_;
  PayloadReader reader_;
  SequentialReads read_ahead_;
  PayloadCompactor compactor_;
  PayloadScrub scrub_;
  bool stopping_ = false;
  int stops_pending_ = 0;
  Function<void()> stop_done_;
  io::Op op_;  // A removal.
};

}  // namespace ursula::storage
