// lib/storage/volume_probe.h
//
// Asks a volume whether it takes writes: a block of a file of its own is written and synced, as the
// log's are. The file loses its name as soon as it is open, so nobody finds it.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lib/io/loop.h"
#include "lib/storage/aligned_buffer.h"
#include "ursula/function.h"
#include "ursula/status.h"

namespace ursula::storage {

class VolumeProbe {
 public:
  struct Options {
    std::string folder = {};
    std::string name = {};  // Of the file, for a moment. No other probe of the folder has it.
    bool direct = true;
  };
  struct Answer {
    Status status = {};    // Ok: it is durable. One that may pass (io::MayPass) is an answer.
    uint64_t took_ns = 0;  // In all,
    uint64_t sync_ns = 0;  // and the write and its sync alone; 0: it didn't come that far.
  };

  VolumeProbe(io::Loop* loop, Options options);

  const std::string& folder() const { return options_.folder; }
  bool busy() const { return state_ != State::kClosed && state_ != State::kOpen; }
  // When the step that is under way was asked for. REQUIRES: busy().
  uint64_t since_ns() const { return since_ns_; }

  // Begins. `done` once, not inside the call. REQUIRES: not busy().
  void Ask(Function<void(Answer)> done);

  // Waits for what is under way, which is told to nobody any more; then `done`, perhaps inside the
  // call.
  void Stop(Function<void()> done);

 private:
  enum class State : uint8_t { kClosed, kOpening, kUnnaming, kOpen, kWriting, kSyncing };

  io::Op* Next(State state);  // The Op of a step that begins now.
  void Write();
  void OnStep(int64_t result);
  void End(Status status);

  io::Loop& loop_;
  const Options options_;
  const std::string path_;
  State state_ = State::kClosed;
  std::unique_ptr<io::File> file_;
  AlignedBuffer block_;
  uint64_t asked_ns_ = 0;
  uint64_t since_ns_ = 0;
  uint64_t write_ns_ = 0;  // When the write was asked for; 0: not yet.
  Function<void(Answer)> done_;
  Function<void()> stop_done_;
  io::Op op_;
};

}  // namespace ursula::storage
