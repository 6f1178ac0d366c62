// tests/unit/io/real_loops.h
//
// A real runtime under a test, and what a test's thread needs to wait for it.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include "lib/base/check.h"
#include "lib/io/runtime.h"
#include "ursula/runtime.h"

namespace ursula::io {

// Counts down once for each Done, on any thread; Wait returns at zero.
class Countdown {
 public:
  explicit Countdown(int count = 1) : left_(count) {}
  void Done() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (--left_ == 0) changed_.notify_all();  // Under the lock: the waiter may destroy this.
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return left_ <= 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int left_;
};

// Waits for one operation of a loop.
struct Waiter {
  Op op;
  Countdown done;
  int64_t result = 0;
  Op* Armed() { return op.Then<&Waiter::OnDone>(this); }
  void OnDone(int64_t value) {
    result = value;
    done.Done();
  }
};

class RealLoops {
 public:
  explicit RealLoops(uint16_t core_count = 1) {
    Result<std::unique_ptr<Runtime>> made = NewRuntime({.core_count = core_count});
    if (!made.ok()) std::fprintf(stderr, "%s\n", made.status().ToString().c_str());
    URSULA_CHECK(made.ok());
    runtime_ = std::move(*made);
  }
  LoopRuntime& runtime() { return LoopRuntime::Of(*runtime_); }
  Loop& loop(uint16_t core = 0) { return runtime().loop(CoreId{core}); }

  // Runs `function` on the loop and waits for it.
  template <class F>
  void Run(F function, uint16_t core = 0) {
    Countdown done;
    loop(core).Post([&] {
      function();
      done.Done();
    });
    done.Wait();
  }

  // Starts one operation on the loop, waits for its completion and gives its result:
  // loops.Do([&](Op* op) { file->Sync(op); }).
  template <class F>
  int64_t Do(F start, uint16_t core = 0) {
    Waiter waiter;
    loop(core).Post([&] { start(waiter.Armed()); });
    waiter.done.Wait();
    return waiter.result;
  }

 private:
  std::unique_ptr<Runtime> runtime_;
};

}  // namespace ursula::io
