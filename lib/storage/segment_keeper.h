// lib/storage/segment_keeper.h
//
// Prepares a log's next segment file and removes those that are no longer needed, one thing at a
// time and in the background. A prepared segment has all its blocks allocated and written, so that
// a batch there changes no metadata and never meets a full disk. Invariant: the removal of a
// segment (by unlink, or by renaming it to a new one) is durable before anything else happens, so
// that a crash never leaves a hole in the row.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lib/io/loop.h"
#include "lib/storage/aligned_buffer.h"
#include "lib/storage/wal_format.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::storage {

class SegmentKeeper {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Its space is there; it is still being written. Not where the file system can't reserve.
    virtual void OnSegmentReserved() = 0;
    virtual void OnSegmentReady(std::unique_ptr<io::File> file, uint32_t bytes) = 0;
    virtual void OnSegmentRemoved() = 0;
    virtual void OnSpaceMissing(Status status) = 0;  // The disk is full; Prepare again later.
    virtual void OnKeeperFailed(Status status) = 0;  // Once; nothing follows.
  };

  struct Options {
    std::string directory = {};
    uint32_t segment_bytes_max = 0;
    bool direct = true;
  };

  SegmentKeeper(io::Loop* loop, Options options, Listener* listener)
      : loop_(*loop), options_(std::move(options)), listener_(*listener) {}

  bool idle() const { return state_ == State::kIdle; }

  // REQUIRES: idle(). Of `reuse_path`, if not empty: a file that nothing needs any more; what it
  // has beyond `bytes` is used too.
  void Prepare(const SegmentName& name, std::string reuse_path, uint32_t bytes);
  void Remove(const SegmentName& name);

  // Gives up what is under way; then `done`, perhaps inside the call. Nothing else is called.
  void Stop(Function<void()> done);

 private:
  enum class State : uint8_t {
    kIdle,
    kRenaming,
    kSyncingRename,
    kOpening,
    kAllocating,
    kZeroing,
    kSyncingFile,
    kSyncingName,
    kRemoving,
    kSyncingRemoval,
    kCleaning,  // What a full disk left of a segment goes, so that it holds no space.
    kFailed,
    kStopped
  };
  static constexpr uint32_t kZeroBytes = 1 << 20;

  bool Interrupted();  // Stop was asked: ends here.
  void OpenFile();
  void WriteZeros();
  void Ready();
  void Refuse(const char* what, int64_t result);
  void Refuse(Status status);
  void OnRenamed(int64_t result);
  void OnRenameSynced(int64_t result);
  void OnOpened(int64_t result);
  void OnAllocated(int64_t result);
  void OnZeroed(int64_t result);
  void OnFileSynced(int64_t result);
  void OnNameSynced(int64_t result);
  void OnRemoved(int64_t result);
  void OnRemovalSynced(int64_t result);
  void OnCleaned(int64_t result);

  io::Loop& loop_;
  const Options options_;
  Listener& listener_;
  State state_ = State::kIdle;
  std::string path_;
  std::string reuse_path_;
  std::string made_;  // By an earlier try.
  std::unique_ptr<io::File> file_;
  bool written_ = false;  // The file's blocks hold data already: no zeros needed.
  uint32_t bytes_ = 0;
  uint32_t zeroed_ = 0;
  AlignedBuffer zeros_;
  Status refusal_;  // Of kCleaning.
  Function<void()> stop_done_;
  io::Op op_;
};

}  // namespace ursula::storage
