// lib/storage/payload_reader.h
//
// Reads blocks from payload files and checks them: a bounded number at once, the rest waits in
// line; and so that those who take their time over what was read for them can't fill the memory,
// of all that was read and is still held by anybody only so many bytes. Invariant: bytes leave only
// through a block whose header and payload checksums hold.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/io/loop.h"
#include "lib/storage/payload_file.h"
#include "lib/storage/payload_index.h"
#include "lib/storage/payload_sources.h"
#include "lib/storage/payload_store.h"
#include "ursula/function.h"

namespace ursula::storage {

class PayloadReader {
 public:
  class Files {
   public:
    virtual ~Files() = default;
    // A pinned file stays, though all of it be freed or moved: what was asked for before is served.
    virtual void Pin(uint32_t file) = 0;
    virtual void Unpin(uint32_t file) = 0;
    virtual PayloadSource* SourceOf(uint32_t file) = 0;  // REQUIRES: pinned.
    // A block doesn't hold, or a file is gone: what of the key is lost with it. Before the read
    // that met it is answered.
    virtual void OnDamaged(const Status& status, PayloadKey key,
                           const std::vector<PayloadIndex::Extent>& damaged) = 0;
  };

  struct Limits {
    uint32_t reads_max = 0;
    uint32_t queue_max = 0;
    uint64_t held_bytes_max = 0;
  };
  PayloadReader(io::Loop* loop, const Limits& limits, Files* files, PayloadSources* sources)
      : loop_(*loop), limits_(limits), files_(*files), sources_(*sources) {}
  ~PayloadReader();

  using Done = Function<void(Result<PayloadSlice>)>;
  // `extents` cover [from, ...) without a gap, at least one.
  void Read(PayloadKey key, uint64_t from, uint64_t bytes_max,
            const std::vector<PayloadIndex::Extent>& extents, Done done);

  // The extent's block, if `bytes`, which begin there, hold it: all of it is read, and belongs
  // there.
  static std::optional<PayloadBlock> BlockOf(std::string_view bytes, const PayloadFile& file,
                                             PayloadKey key, const PayloadIndex::Extent& extent);

  // `extents` are likely to be read next: the kernel may fetch them. Some at once, more are
  // ignored.
  void ReadAhead(const std::vector<PayloadIndex::Extent>& extents);

  // Read, or about to be, and not yet let go of by whoever got it.
  uint64_t held_bytes() const { return held_bytes_->load(std::memory_order_relaxed); }
  uint64_t refused() const { return refused_; }

  // Ends what waits with kCancelled; then `done`, not inside the call.
  void Stop(Function<void()> done);

 private:
  struct Task;
  // Memory of one piece, counted as held from the call of Read until the last slice of it goes, on
  // any thread.
  class Buffer {
   public:
    Buffer(std::shared_ptr<std::atomic<uint64_t>> held, uint32_t bytes)
        : held_(std::move(held)), bytes_(bytes) {
      held_->fetch_add(bytes_, std::memory_order_relaxed);
    }
    ~Buffer() { held_->fetch_sub(bytes_, std::memory_order_relaxed); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    void Allocate() { memory_ = std::make_unique_for_overwrite<char[]>(bytes_); }
    char* data() { return memory_.get(); }

   private:
    std::shared_ptr<std::atomic<uint64_t>> held_;
    uint32_t bytes_ = 0;
    std::unique_ptr<char[]> memory_;
  };
  // Neighbouring blocks of one file, read at once.
  struct Piece final : SourceWaiter {
    PayloadReader* reader = nullptr;
    Task* task = nullptr;
    uint32_t file = 0;
    uint32_t offset = 0;
    uint32_t bytes = 0;
    std::vector<PayloadIndex::Extent> extents = {};
    std::shared_ptr<Buffer> buffer = {};
    PayloadSource* source = nullptr;
    uint32_t filled = 0;
    Status status = {};
    std::vector<PayloadBlock> blocks = {};           // The good ones, from the front.
    std::vector<PayloadIndex::Extent> damaged = {};  // Of extents.
    io::Op op = {};

    void OnSourceOpened(const Status& opened) override { reader->OnPieceOpened(this, opened); }
    void OnRead(int64_t result) { reader->OnPieceRead(this, result); }
  };
  struct Task {
    PayloadKey key = {};
    uint64_t from = 0;
    uint64_t bytes_max = 0;
    Done done = {};
    std::vector<std::unique_ptr<Piece>> pieces = {};
    std::size_t unread = 0;
  };

  struct Advice {
    PayloadReader* reader = nullptr;
    uint32_t file = 0;
    io::Op op = {};

    void OnDone(int64_t) { reader->OnAdvised(this); }
  };
  void Advise(const Piece& piece);
  void OnAdvised(Advice* advice);
  void EndAdvice(Advice* advice);

  static std::vector<std::unique_ptr<Piece>> PiecesOf(
      const std::vector<PayloadIndex::Extent>& extents);
  Status Refusal(const std::vector<std::unique_ptr<Piece>>& pieces) const;
  void Begin();  // As many as may be under way.
  void BeginPiece(Piece* piece);
  void OnPieceOpened(Piece* piece, const Status& opened);
  void ReadRest(Piece* piece);
  void OnPieceRead(Piece* piece, int64_t result);
  static void Check(Piece* piece);
  void EndReading(Piece* piece);
  void EndPiece(Piece* piece);
  void EndTask(Task* task);
  static void AddBlock(const Piece& piece, std::size_t i, const Task& task, PayloadSlice* slice);
  void FinishStop();

  io::Loop& loop_;
  const Limits limits_;
  Files& files_;
  PayloadSources& sources_;
  std::shared_ptr<std::atomic<uint64_t>> held_bytes_ = std::make_shared<std::atomic<uint64_t>>(0);
  std::deque<std::unique_ptr<Task>> tasks_;  // Those not ended.
  std::deque<Piece*> waiting_;
  std::vector<std::unique_ptr<Advice>> advice_;  // Under way.
  uint32_t reading_ = 0;
  uint64_t refused_ = 0;  // Stopping aside.
  bool begin_deferred_ = false;
  bool stopping_ = false;
  Function<void()> stop_done_;
};

}  // namespace ursula::storage
