// lib/io/runtime.h
//
// The loops behind a ursula::Runtime. Every Runtime that this library makes is one of these.

#pragma once

#include <utility>

#include "lib/io/loop.h"
#include "ursula/function.h"
#include "ursula/runtime.h"

namespace ursula::io {

class LoopRuntime : public Runtime {
 public:
  virtual Loop& loop(CoreId core) = 0;
  void Post(CoreId core, Function<void()> function) final { loop(core).Post(std::move(function)); }
  // The loop whose thread calls, or null.
  virtual Loop* Current() = 0;
  // Begins `start` and blocks until what it was given has been called: once, on any thread. Not to
  // be called on a loop. One that has no threads turns its loops meanwhile.
  virtual void Await(Function<void(Function<void()> finished)> start);

  static LoopRuntime& Of(Runtime& runtime) { return static_cast<LoopRuntime&>(runtime); }
};

}  // namespace ursula::io
