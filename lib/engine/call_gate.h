// lib/engine/call_gate.h
//
// Who may call an engine, and when the last one has gone. A count alone would do until somebody
// came after it had reached zero; so "closed" and the count are one word, and from closed on it
// only falls.

#pragma once

#include <atomic>
#include <cstdint>

namespace ursula::engine {

// Any thread. Invariant: Leave answers true once at most, and nobody is let in afterwards.
class CallGate {
 public:
  void Open() { word_.store(0, std::memory_order_release); }  // Before any other call. Else closed.

  // Every Enter that answers true is followed by one Leave.
  bool Enter() {
    uint64_t word = word_.load(std::memory_order_relaxed);
    do {
      if ((word & kClosed) != 0) return false;
    } while (!word_.compare_exchange_weak(word, word + 1, std::memory_order_acquire,
                                          std::memory_order_relaxed));
    return true;
  }

  // Once. The caller is inside until it leaves.
  void Close() {
    word_.fetch_add(1, std::memory_order_acq_rel);
    word_.fetch_or(kClosed, std::memory_order_acq_rel);
  }
  bool closed() const { return (word_.load(std::memory_order_acquire) & kClosed) != 0; }

  // True: that was the last one, and the gate is closed.
  bool Leave() { return word_.fetch_sub(1, std::memory_order_acq_rel) == (kClosed | 1); }

 private:
  static constexpr uint64_t kClosed = uint64_t{1} << 63;
  std::atomic<uint64_t> word_ = kClosed;
};

}  // namespace ursula::engine
