// lib/storage/payload_reader.h
//
// Reads blocks from payload files and checks them: a bounded number at once, the rest waits in
// line. Invariant: bytes leave only through a block whose header and payload checksums hold.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "lib/io/loop.h"
#include "lib/storage/payload_file.h"
#include "lib/storage/payload_index.h"
#include "lib/storage/payload_store.h"
#include "ursula/function.h"

namespace ursula::storage {

class PayloadReader {
 public:
  // What a file is to the reader. It stays open while `readers` is above zero.
  struct Source {
    std::shared_ptr<PayloadFile> shared = {};
    std::unique_ptr<io::File> file = {};
    uint32_t readers = 0;
  };
  class Sources {
   public:
    virtual ~Sources() = default;
    // A pinned file stays, though all of it be freed or moved: what was asked for before is served.
    virtual void Pin(uint32_t file) = 0;
    virtual void Unpin(uint32_t file) = 0;
    virtual Result<Source*> OpenSource(uint32_t file) = 0;  // Counts a reader. REQUIRES: pinned.
    virtual void CloseSource(uint32_t file) = 0;            // One reader less.
  };

  PayloadReader(io::Loop* loop, uint32_t reads_max, uint32_t queue_max, Sources* sources)
      : loop_(*loop), reads_max_(reads_max), queue_max_(queue_max), sources_(*sources) {}
  ~PayloadReader();

  using Done = Function<void(Result<PayloadSlice>)>;
  // `extents` cover [from, ...) without a gap, at least one.
  void Read(PayloadKey key, uint64_t from, uint64_t bytes_max,
            const std::vector<PayloadIndex::Extent>& extents, Done done);

  // Ends what waits with kCancelled; then `done`, not inside the call.
  void Stop(Function<void()> done);

 private:
  struct Task;
  // Neighbouring blocks of one file, read at once.
  struct Piece {
    PayloadReader* reader = nullptr;
    Task* task = nullptr;
    uint32_t file = 0;
    uint32_t offset = 0;
    uint32_t bytes = 0;
    std::vector<PayloadIndex::Extent> extents = {};
    std::shared_ptr<char[]> buffer = {};
    Source* source = nullptr;
    uint32_t filled = 0;
    Status status = {};
    std::vector<PayloadBlock> blocks = {};  // The good ones, from the front.
    io::Op op = {};

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

  void Begin();  // As many as may be under way.
  void BeginPiece(Piece* piece);
  void ReadRest(Piece* piece);
  void OnPieceRead(Piece* piece, int64_t result);
  static void Check(Piece* piece);
  void EndPiece(Piece* piece);
  void EndTask(Task* task);
  static void AddBlock(const Piece& piece, std::size_t i, const Task& task, PayloadSlice* slice);
  void FinishStop();

  io::Loop& loop_;
  const uint32_t reads_max_;
  const uint32_t queue_max_;
  Sources& sources_;
  std::deque<std::unique_ptr<Task>> tasks_;  // Those not ended.
  std::deque<Piece*> waiting_;
  uint32_t reading_ = 0;
  bool begin_deferred_ = false;
  bool stopping_ = false;
  Function<void()> stop_done_;
};

}  // namespace ursula::storage
