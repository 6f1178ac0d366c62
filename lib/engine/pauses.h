// lib/engine/pauses.h
//
// Functions that run a little later. What hasn't run when it ends never does. One loop's thread.

#pragma once

#include <cstdint>
#include <iterator>
#include <list>
#include <utility>

#include "lib/io/loop.h"
#include "ursula/function.h"

namespace ursula::engine {

class Pauses {
 public:
  void Run(io::Loop* loop, uint64_t delay_ns, Function<void()> function) {
    Pause& pause = pauses_.emplace_back(this, std::move(function));
    pause.self = std::prev(pauses_.end());
    loop->StartTimer(pause.timer.Then<&Pause::OnDue>(&pause), loop->now_ns() + delay_ns);
  }
  // Destroying a function may not begin another pause.
  void Clear() { pauses_.clear(); }

 private:
  struct Pause {
    Pause(Pauses* pauses, Function<void()> what) : owner(pauses), function(std::move(what)) {}
    void OnDue() {
      Function<void()> due = std::move(function);
      owner->pauses_.erase(self);
      due();
    }

    Pauses* const owner;
    Function<void()> function;
    std::list<Pause>::iterator self = {};
    io::Timer timer;
  };

  std::list<Pause> pauses_;
};

}  // namespace ursula::engine
