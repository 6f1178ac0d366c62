// server/peer/cores.h
//
// The cores whose sinks receive, and the way to their threads.
//
// Invariant: a sink is called on its core's thread, between Attach and Detach, and never once Stop
// has returned.

#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "ursula/env.h"
#include "ursula/function.h"
#include "ursula/types.h"

namespace ursula::peer {

// Runs a function on a core's thread, soon, not inside the call; of two calls of which one happens
// before the other, the first one's first. Thread-safe. (io::Loop::Post is such a one.)
using PostFunction = std::function<void(CoreId, Function<void()>)>;

class Cores {
 public:
  // Who receives on a core.
  class Place {
   public:
    FrameSink* sink() const { return sink_.load(std::memory_order_acquire); }

   private:
    friend class Cores;
    std::atomic<FrameSink*> sink_ = nullptr;
    std::mutex running_;  // Held while a sink may be called.
    bool stopped_ = false;
  };

  Cores(uint16_t count, PostFunction post);

  uint16_t count() const { return static_cast<uint16_t>(places_.size()); }
  void Attach(CoreId core, FrameSink* sink);
  void Detach(CoreId core);

  // Calls `work` on the core's thread, unless Stop comes first. Any thread. How many may wait is
  // the caller's to bound.
  void Post(CoreId core, Function<void(const Place&)> work);
  // To the sinks of all cores. Any thread.
  void PostLost(NodeId peer, bool ended);

  void Stop();

 private:
  std::vector<std::shared_ptr<Place>> places_;
  const PostFunction post_;
};

}  // namespace ursula::peer
