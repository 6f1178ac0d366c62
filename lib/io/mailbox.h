// lib/io/mailbox.h
//
// What other threads hand to a loop: many producers, one consumer, no lock. Producers push on a
// stack by compare-and-swap; the consumer takes the whole stack and turns it round.
//
// Invariant: functions of one sender are taken in the order in which it pushed them. What a sender
// wrote before Push is visible to the function (release on push, acquire on take).

#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "ursula/function.h"

namespace ursula::io {

class Mailbox {
 public:
  explicit Mailbox(uint32_t requests_max) : requests_max_(requests_max) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox() { Clear(); }

  // ---- any thread ----
  void Push(Function<void()> function) { Link(new Letter{std::move(function), false, nullptr}); }
  // False, and nothing is kept, when requests_max requests wait.
  bool TryPush(Function<void()> function) {
    if (requests_.fetch_add(1, std::memory_order_relaxed) >= requests_max_) {
      requests_.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    Link(new Letter{std::move(function), true, nullptr});
    return true;
  }
  // seq_cst, as Push is: the loop announces its sleep and then looks here; a sender pushes and then
  // looks whether the loop sleeps. One of the two sees the other.
  bool empty() const { return top_.load(std::memory_order_seq_cst) == nullptr; }

  // ---- the consumer ----
  // Runs what waits now, not what comes meanwhile. Returns how many.
  uint32_t RunWaiting() {
    uint32_t count = 0;
    for (Letter* letter = TakeAll(); letter != nullptr; ++count) {
      Letter* next = letter->next;
      if (letter->request) requests_.fetch_sub(1, std::memory_order_relaxed);
      Function<void()> function = std::move(letter->function);
      delete letter;
      function();
      letter = next;
    }
    return count;
  }
  // Destroys what waits without running it.
  void Clear() {
    for (Letter* letter = TakeAll(); letter != nullptr;) {
      Letter* next = letter->next;
      if (letter->request) requests_.fetch_sub(1, std::memory_order_relaxed);
      delete letter;
      letter = next;
    }
  }

 private:
  struct Letter {
    Function<void()> function;
    bool request;
    Letter* next;
  };

  void Link(Letter* letter) {
    letter->next = top_.load(std::memory_order_relaxed);
    while (!top_.compare_exchange_weak(letter->next, letter, std::memory_order_seq_cst,
                                       std::memory_order_relaxed)) {
    }
  }

  // The waiting letters, oldest first.
  Letter* TakeAll() {
    if (top_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    Letter* newest = top_.exchange(nullptr, std::memory_order_acquire);
    Letter* oldest = nullptr;
    while (newest != nullptr) {
      Letter* next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }

  const uint32_t requests_max_;
  alignas(64) std::atomic<Letter*> top_{nullptr};
  alignas(64) std::atomic<uint32_t> requests_{0};
};

}  // namespace ursula::io
