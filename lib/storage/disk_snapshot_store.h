// lib/storage/disk_snapshot_store.h
//
// Writes snapshot files, one at a time: a temporary file in chunks, a sync, a rename, a sync of the
// directory. Only then does the new file count and what it replaces go.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/io/loop.h"
#include "lib/storage/file_scrub.h"
#include "lib/storage/snapshot_store.h"

namespace ursula::storage {

class DiskSnapshotStore final : public SnapshotStore, private FileScrub::Files {
 public:
  DiskSnapshotStore(io::Loop* loop, const DataDirectory& directory,
                    const std::vector<GroupId>& groups, const SnapshotFiles* files, LogLine log);
  ~DiskSnapshotStore() override;

  void Write(GroupId group, SnapshotMeta meta, bool base, SnapshotRecords records,
             Function<void(Status)> done) override;
  ChainSize chain(GroupId group) const override;
  SnapshotStats stats() const override;
  ScrubTarget* scrub(Function<void(GroupId, const Status&)> damaged) override {
    damaged_ = std::move(damaged);
    return &scrub_;
  }
  void Stop(Function<void()> done) override;

 private:
  enum class State : uint8_t {
    kIdle,
    kOpening,
    kWriting,
    kSyncing,
    kRenaming,
    kSyncingName,
    kCleaning,
    kRemoving,
    kStopped
  };
  struct Chain {
    uint64_t last_number = 0;
    std::vector<uint64_t> numbers = {};  // Base first; empty: no snapshot.
    ChainSize size = {};
  };
  struct Request {
    GroupId group = {};
    SnapshotMeta meta = {};
    bool base = false;
    SnapshotRecords records = {};
    Function<void(Status)> done = {};
  };

  void Begin();
  void BeginLater();
  void OnOpened(int64_t result);
  void FillChunk();
  void WriteRest();
  void OnWritten(int64_t result);
  void OnSynced(int64_t result);
  void OnRenamed(int64_t result);
  void OnNameSynced(int64_t result);
  void Refuse(Status status);
  void OnCleaned(int64_t result);
  void RemoveNext();
  void OnRemoved(int64_t result);
  void Answer(Status status);
  std::string PathOf(GroupId group, uint64_t number) const;
  std::vector<FileScrub::Item> ScrubItems() override;
  bool IsScrubbed(const FileScrub::Item& item) const override;
  std::unique_ptr<FileCheck> CheckOf(const FileScrub::Item& item) const override;
  void OnFileDamaged(const FileScrub::Item& item, const Status& status) override;

  io::Loop& loop_;
  const std::string directory_;
  const uint64_t directory_id_;
  LogLine log_;
  State state_ = State::kIdle;
  absl::flat_hash_map<GroupId, Chain> chains_;
  std::deque<Request> queue_;
  bool begin_deferred_ = false;

  Request current_;
  uint64_t number_ = 0;
  uint32_t seed_ = 0;
  std::string path_;
  std::string temporary_;
  std::unique_ptr<io::File> file_;
  uint64_t record_count_ = 0;  // In chunk_ and before it.
  bool ended_ = false;         // The end frame is in chunk_.
  std::string body_;
  std::string chunk_;
  std::size_t written_ = 0;  // Of chunk_.
  uint64_t offset_ = 0;      // Of chunk_ in the file.
  Status refusal_;

  struct Removal {
    std::string path = {};
    uint64_t bytes = 0;
  };
  std::deque<Removal> removals_;
  Removal removing_;
  uint64_t finished_bytes_ = 0;  // Of all files but the one that is being written.
  SnapshotStats stats_;
  bool stopping_ = false;
  Function<void()> stop_done_;
  FileScrub scrub_;
  Function<void(GroupId, const Status&)> damaged_;
  io::Op op_;
};

}  // namespace ursula::storage
