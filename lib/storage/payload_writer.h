// lib/storage/payload_writer.h
//
// Appends blocks to a core's payload files: what is asked for in one turn, or while a write is
// under way, is written and synced together, encoded a slice a turn (docs/decisions/0020). Direct
// where the file system can: buffered, the same bytes cost another copy and the page cache.
// Invariant: a block is reported only after the sync that made it durable; a file whose sync failed
// is never written again.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "lib/io/loop.h"
#include "lib/storage/aligned_buffer.h"
#include "lib/storage/payload_file.h"
#include "lib/storage/payload_format.h"
#include "lib/storage/payload_store.h"
#include "ursula/function.h"

namespace ursula::storage {

class PayloadWriter final : private io::TurnHook {
 public:
  // So much of a batch is encoded in one turn, or an eighth of it, and up to a block more.
  static constexpr std::size_t kEncodedAtOnceBytes = 512 << 10;

  class Listener {
   public:
    virtual ~Listener() = default;
    // The first call for a file makes this core its owner.
    virtual void OnPayloadDurable(const std::shared_ptr<PayloadFile>& file,
                                  const std::vector<PayloadExtent>& extents) = 0;
    // Nothing more comes in this file, which has `bytes`.
    virtual void OnPayloadFinished(const std::shared_ptr<PayloadFile>& file, uint64_t bytes) = 0;
  };

  struct Options {
    std::string directory = {};
    uint64_t directory_id = 0;
    uint64_t generation = 0;
    uint32_t ordinal = 0;
    uint32_t file_bytes = 0;
    uint32_t write_bytes_max = 0;
    bool direct = true;
    LogLine log = {};
  };

  PayloadWriter(io::Loop* loop, Options options, Listener* listener)
      : loop_(*loop), options_(std::move(options)), listener_(*listener) {
    encode_timer_.Then<&PayloadWriter::EncodeSome>(this);
  }
  ~PayloadWriter() override;

  void Write(std::vector<PayloadRun> runs, Function<void(Status)> done);
  // A block to be, as it was read: for moving it to another file.
  struct Copy {
    PayloadKey key = {};
    uint64_t start = 0;
    std::vector<uint32_t> message_ends = {};
    std::vector<Bytes> parts = {};
  };
  void WriteCopies(std::vector<Copy> copies, Function<void(Status)> done);

  // Of the file being written: the blocks that are durable.
  const std::vector<PayloadExtent>& extents() const { return file_extents_; }
  bool idle() const { return state_ == State::kIdle && queue_.empty(); }
  uint64_t written_bytes() const { return written_total_; }
  // Completes what was asked for and finishes the file.
  void Stop(Function<void()> done);

 private:
  enum class State : uint8_t {
    kIdle,
    kOpening,
    kNaming,
    kEncoding,
    kWriting,
    kSyncing,
    kWritingFooter,
    kSyncingFooter,
    kFailed,
    kStopped
  };
  struct Request {
    std::vector<PayloadRun> runs = {};
    std::vector<Copy> copies = {};
    Function<void(Status)> done = {};
    uint64_t bytes = 0;
  };

  void Enqueue(Request request);
  void OnTurnEnd() override;
  void Begin();
  void OpenFile();
  void OnFileOpened(int64_t result);
  void StartBatch();
  void EncodeSome();  // A slice, and what comes after the last one.
  bool EncodeNext();
  bool EncodeBlockOfRun(const PayloadRun& run);
  void EncodeBlock(PayloadKey key, uint64_t start, std::vector<uint32_t> message_ends,
                   const std::vector<std::string_view>& pieces);
  void StartFooter();
  void Put(std::string_view bytes);
  void PutZeros(std::size_t count);
  void PadTo(std::size_t alignment);
  void WriteRest();
  void OnNamed(int64_t result);
  void OnWritten(int64_t result);
  void OnSynced(int64_t result);
  void OnDurable();
  void OnBatchDurable();
  void OnFileFinished();
  void LeaveFile();
  void Refuse(std::string_view what, int64_t result, bool abandon_file);
  void TakeQueue();  // All of it becomes the batch.
  void RefuseBatch(const Status& status);
  void FailAll(const Status& status);
  void EndBatch(const Status& status);
  void Continue();

  io::Loop& loop_;
  const Options options_;
  Listener& listener_;
  State state_ = State::kIdle;
  // What of batch_ is encoded.
  struct Cursor {
    std::size_t request = 0;
    std::size_t item = 0;  // Of its runs and then its copies.
    std::size_t message = 0;
    std::size_t message_bytes = 0;  // Of that one.
    uint64_t run_bytes = 0;
  };

  Status failure_;
  std::deque<Request> queue_;
  std::vector<Request> batch_;
  Cursor cursor_;
  std::size_t slice_bytes_ = 0;
  io::Timer encode_timer_;  // Of the next slice.
  AlignedBuffer buffer_;
  std::size_t size_ = 0;                 // Of buffer_.
  std::size_t written_ = 0;              // Of that.
  std::size_t writing_ = 0;              // What the write under way asks for.
  uint32_t short_writes_ = 0;            // On the way there.
  std::string header_;                   // Of one block.
  std::vector<PayloadExtent> extents_;   // Of buffer_.
  std::shared_ptr<PayloadFile> shared_;  // The file being written.
  std::unique_ptr<io::File> file_;
  uint32_t offset_ = 0;  // Its durable blocks end here.
  std::vector<PayloadExtent> file_extents_;
  uint32_t next_number_ = 0;
  uint64_t written_total_ = 0;
  bool full_ = false;  // The last batch was refused: said once.
  Function<void()> stop_done_;
  bool stopping_ = false;
  io::Op op_;
};

}  // namespace ursula::storage
