// lib/storage/payload_compactor.h
//
// Moves the live blocks of files that are mostly dead to new ones, one file at a time, so that the
// old files can go. A block keeps its stretch and message ends; the index takes the copy only once
// it is durable. Whatever goes wrong, the old file stays as it is.

#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "lib/storage/payload_format.h"
#include "lib/storage/payload_reader.h"
#include "lib/storage/payload_writer.h"

namespace ursula::storage {

class DiskPayloadStore;

class PayloadCompactor {
 public:
  PayloadCompactor(io::Loop* loop, DiskPayloadStore* store) : loop_(*loop), store_(*store) {}

  void Add(uint32_t file);             // Takes a pin of the file over.
  void Stop(Function<void()> done);    // After the step under way; `done` not inside the call.
  bool busy() const { return busy_; }  // With a file: holds bytes of it.
  uint64_t moved_bytes() const { return moved_bytes_; }

 private:
  static constexpr uint32_t kBatchBytes = 4 << 20;

  void Begin();
  void BeginFile();
  void OnTrailerRead(int64_t result);
  void OnFooterRead(int64_t result);
  void MoveSome();
  void OnBlockRead(int64_t result);
  void OnMoved(const Status& status);
  void EndFile();
  void Finish();

  io::Loop& loop_;
  DiskPayloadStore& store_;
  std::deque<uint32_t> queue_;
  bool busy_ = false;
  bool deferred_ = false;
  Function<void()> stop_done_;
  bool stopping_ = false;

  uint32_t file_ = 0;
  PayloadReader::Source* source_ = nullptr;
  PayloadTrailer trailer_;
  std::vector<PayloadExtent> extents_;
  std::size_t next_ = 0;  // In extents_.
  std::vector<PayloadWriter::Copy> copies_;
  uint64_t copy_bytes_ = 0;
  uint64_t moved_bytes_ = 0;
  std::shared_ptr<char[]> buffer_;
  uint32_t buffer_bytes_ = 0;
  io::Op op_;
};

}  // namespace ursula::storage
