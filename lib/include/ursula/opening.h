// ursula/opening.h
//
// Opening is an Open as others than its caller see it: how far recovery is, and a way to end it.
// One for each Open; it outlives that.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ursula/status.h"

namespace ursula {

enum class OpeningStep : uint8_t {
  kBegun,      // The directory is being locked, or nobody has called Open yet.
  kFounding,   // Nodes of a new cluster: those that have agreed.
  kRejoining,  // Of a rotten directory: 0, it waits for its cluster; 1, it was put aside, and
               // waits.
  kSnapshots,  // Bytes of snapshot files.
  kLog,        // Bytes of the write-ahead logs' files.
  kPayload,    // Bytes of payload files; of finished ones only an index is read.
  kGroups,     // Groups: each applies what the log has of it.
  kDone,
};

struct OpeningProgress {
  OpeningStep step = OpeningStep::kBegun;
  uint64_t done = 0;  // Of this step, in its unit.
  uint64_t total = 0;
};

// Any thread, without locks.
class Opening {
 public:
  OpeningProgress Progress() const {
    const OpeningStep step = step_.load(std::memory_order_acquire);
    const Count& count = counts_[static_cast<std::size_t>(step)];
    return {step, count.done.load(std::memory_order_relaxed),
            count.total.load(std::memory_order_relaxed)};
  }

  // Open ends soon with kCancelled, unless it has come to its end already. The directory is as if
  // the process had been killed meanwhile: nothing is lost. A signal handler may call it.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // ---- the engine's side ----
  void Begin(OpeningStep step, uint64_t total) {
    Count& count = counts_[static_cast<std::size_t>(step)];
    count.done.store(0, std::memory_order_relaxed);
    count.total.store(total, std::memory_order_relaxed);
    step_.store(step, std::memory_order_release);
  }
  // kCancelled: what is under way is to end.
  Status Advance(uint64_t done) {
    const std::size_t step = static_cast<std::size_t>(step_.load(std::memory_order_relaxed));
    counts_[step].done.fetch_add(done, std::memory_order_relaxed);
    return cancelled() ? Status(StatusCode::kCancelled, "the opening was cancelled") : Status();
  }

 private:
  struct Count {
    std::atomic<uint64_t> done = 0;
    std::atomic<uint64_t> total = 0;
  };
  static_assert(std::atomic<bool>::is_always_lock_free);  // For signal handlers.

  std::array<Count, static_cast<std::size_t>(OpeningStep::kDone) + 1> counts_ = {};
  std::atomic<OpeningStep> step_ = OpeningStep::kBegun;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace ursula
