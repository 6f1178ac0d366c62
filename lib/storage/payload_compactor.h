// lib/storage/payload_compactor.h
//
// Moves live blocks to new files, one file at a time: of a file that is mostly dead, so that it can
// go; and where a stream lies in many small blocks, so that the index needn't hold as many. Small
// neighbours become one block, whatever files they are in. What is moved is read as for a reader:
// nothing damaged gets a new checksum. The index takes the copy only once it is durable. Whatever
// goes wrong, the old file stays as it is.

#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "lib/storage/payload_format.h"
#include "lib/storage/payload_index.h"
#include "lib/storage/payload_reader.h"
#include "lib/storage/payload_sources.h"
#include "lib/storage/payload_writer.h"

namespace ursula::storage {

class DiskPayloadStore;

class PayloadCompactor final : private SourceWaiter {
 public:
  // So many extents in a row are worth a block of their own, if all of them are small: at most 4
  // KiB, and of much the same size, so that a byte is moved a few times only before it lies in a
  // large one.
  static constexpr uint32_t kSmallRun = 8;
  static constexpr uint32_t SmallBytes(uint32_t length) {
    return length > 4096 ? 0 : std::min<uint32_t>(4096, 8 * length);
  }

  enum class Aim : uint8_t { kEmpty, kMerge };  // The whole file, or only small blocks in a row.

  PayloadCompactor(io::Loop* loop, DiskPayloadStore* store) : loop_(*loop), store_(*store) {}

  void Add(uint32_t file, Aim aim);    // Takes a pin of the file over.
  void Stop(Function<void()> done);    // After the step under way; `done` not inside the call.
  bool busy() const { return busy_; }  // With a file: holds bytes of it.
  uint64_t moved_bytes() const { return moved_bytes_; }

 private:
  static constexpr uint32_t kBatchBytes = 4 << 20;
  static constexpr uint32_t kReadsMax = 8;
  static constexpr uint32_t kMergedMax = 64;  // Extents that become one.

  void BeginLater();
  void Begin();
  void OnSourceOpened(const Status& status) override;
  void BeginFile();
  void OnTrailerRead(int64_t result);
  void OnFooterRead(int64_t result);
  void BeginWithoutFooter();
  std::vector<PayloadIndex::Extent> NextRun(PayloadKey* key);
  void KeepOfFile(std::vector<PayloadIndex::Extent>* run, uint64_t start) const;
  void MoveSome();
  void ReadRun(PayloadKey key, std::vector<PayloadIndex::Extent> run);
  void OnRunRead(std::size_t copy, uint64_t end, Result<PayloadSlice> slice);
  void OnMoved(const Status& status);
  void EndFile();
  void Finish();

  io::Loop& loop_;
  DiskPayloadStore& store_;
  std::deque<std::pair<uint32_t, Aim>> queue_;
  bool busy_ = false;
  bool deferred_ = false;
  Function<void()> stop_done_;
  bool stopping_ = false;

  uint32_t file_ = 0;
  Aim aim_ = Aim::kEmpty;
  bool again_ = false;  // What went wrong may pass.
  PayloadSource* source_ = nullptr;
  PayloadTrailer trailer_;
  std::vector<PayloadExtent> extents_;
  std::size_t next_ = 0;    // In extents_.
  uint64_t next_from_ = 0;  // In its stretch.
  std::vector<PayloadWriter::Copy> copies_;
  absl::flat_hash_set<std::pair<PayloadKey, uint64_t>> taken_;  // Extents in copies_, by start.
  uint32_t reads_ = 0;
  uint64_t copy_bytes_ = 0;
  uint64_t moved_bytes_ = 0;
  std::unique_ptr<char[]> buffer_;
  uint32_t buffer_bytes_ = 0;
  io::Op op_;
};

}  // namespace ursula::storage
