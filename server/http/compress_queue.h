// server/http/compress_queue.h
//
// Compresses answers on a core's loop a little in each turn, so that a large one holds up neither
// the core's log nor its other clients. A small one is mostly done at once.
//
// Invariant: a turn compresses at most kTurnBytesMax of plain bodies, whoever asked for it.

#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "lib/io/timer.h"
#include "server/protocol/compress.h"
#include "ursula/function.h"

namespace ursula::http {

class CompressQueue;

// One answer on its way through the queue. Destroying it takes it out.
class CompressJob : public ListHook<CompressJob> {
 public:
  // Borrows `queue`. `done` runs once, in Start or in a later turn; it may destroy the job.
  CompressJob(CompressQueue* queue, protocol::Compression compression, Function<void()> done);
  ~CompressJob();

  void Start();
  protocol::Response TakeResponse() { return compression_.TakeResponse(); }

 private:
  friend class CompressQueue;
  CompressQueue* const queue_;
  protocol::Compression compression_;
  Function<void()> done_;
  bool active_ = false;
  bool large_ = false;  // Takes more than one slice.
};

class CompressQueue {
 public:
  static constexpr std::size_t kSliceBytes = 32 << 10;
  static constexpr std::size_t kTurnBytesMax = 64 << 10;
  // Large answers that are compressed in turn, each with an encoder; more of them wait.
  static constexpr std::size_t kLargeActiveMax = 8;

  explicit CompressQueue(io::Loop* loop);

 private:
  friend class CompressJob;
  void Add(CompressJob* job);
  void Remove(CompressJob* job);
  void Activate(CompressJob* job);
  void OnTimer();
  void RunSlices();

  io::Loop* const loop_;
  IntrusiveList<CompressJob> active_;
  IntrusiveList<CompressJob> waiting_;  // Large ones.
  std::size_t large_active_ = 0;
  uint64_t turn_ns_ = 0;        // The turn in which
  std::size_t turn_bytes_ = 0;  // this was taken.
  io::Timer timer_;
};

}  // namespace ursula::http
