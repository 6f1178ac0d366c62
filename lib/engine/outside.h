// lib/engine/outside.h
//
// The way to the host's executor (EngineOptions::executor). What is handed to it may be run, late
// or never; it may throw. The engine hears of each of these endings.

#pragma once

#include <atomic>
#include <thread>
#include <utility>

#include "ursula/function.h"

namespace ursula::engine {

using Executor = Function<void(Function<void()>)>;

class Outside {
 public:
  explicit Outside(Executor executor) : executor_(std::move(executor)) {}
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;

  explicit operator bool() const { return static_cast<bool>(executor_); }

  // Nobody waits for the end of `work`, which may come when the engine is no more.
  void Run(Function<void()> work) {
    try {
      executor_(std::move(work));
    } catch (...) {  // The host's: it didn't take the work, which is gone by now.
    }
  }

  // `after(ran)` runs once, on whichever thread: behind `work` or, with false, where the executor
  // destroys it without running it to its end. What `after` ends may be the engine's last call.
  void Run(Function<void()> work, Function<void(bool)> after) {
    Run(Task(this, std::move(work), std::move(after)));
  }

  // Until no thread of the executor is on its way out of an `after`. Its last steps, a few
  // instructions, touch what the engine is about to destroy.
  void AwaitNobody() const {
    while (visitors_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
  }

 private:
  class Task {
   public:
    Task(Outside* outside, Function<void()> work, Function<void(bool)> after)
        : outside_(outside), work_(std::move(work)), after_(std::move(after)) {}
    Task(Task&& other) noexcept
        : outside_(std::exchange(other.outside_, nullptr)),
          work_(std::move(other.work_)),
          after_(std::move(other.after_)) {}
    Task& operator=(Task&&) = delete;
    ~Task() { End(false); }
    void operator()() {
      work_();
      End(true);
    }

   private:
    void End(bool ran) {
      if (outside_ == nullptr) return;  // Moved from, or has ended.
      std::atomic<int>& visitors = std::exchange(outside_, nullptr)->visitors_;
      visitors.fetch_add(1, std::memory_order_relaxed);
      work_ = nullptr;  // What it holds goes first: it may refer to what `after` lets go.
      std::exchange(after_, nullptr)(ran);
      visitors.fetch_sub(1, std::memory_order_release);
    }

    Outside* outside_;
    Function<void()> work_;
    Function<void(bool)> after_;
  };

  Executor executor_;
  std::atomic<int> visitors_ = 0;
};

}  // namespace ursula::engine
