// ursula/runtime.h
//
// The default Runtime: one thread and one io_uring loop per core. An embedder either lets
// StreamEngine::Open own one (one core, unpinned) or makes one here, keeps it alive for as long as
// an engine runs on it, and shares it between engines.

#pragma once

#include <cstdint>
#include <memory>

#include "ursula/function.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula {

class Runtime {
 public:
  virtual ~Runtime() = default;  // Stops the loops and joins their threads.
  virtual uint16_t core_count() const = 0;
  // Runs `function` on a core's thread, soon; in order for one caller. Any thread. For Transports
  // (ursula/env.h). What is posted must not outlive what it uses: the runtime runs all of it, or
  // drops it at its end.
  virtual void Post(CoreId core, Function<void()> function) = 0;

 protected:
  Runtime() = default;
};

struct RuntimeOptions {
  uint16_t core_count = 1;       // 0: one per CPU this process may use.
  bool pin_threads = false;      // Pin core i to the i-th allowed CPU.
  uint32_t ring_entries = 1024;  // Submission queue entries of each core's io_uring.
  // Microseconds that a core whose disk operations are under way polls, yielding its CPU, each time
  // before it sleeps; 0: it sleeps at once. At most 10 000.
  uint32_t busy_poll_us = 200;
};

// kFailedPrecondition when the kernel or a policy refuses io_uring, kResourceExhausted when there
// is no thread or descriptor left; the message names the limit and the fix.
Result<std::unique_ptr<Runtime>> NewRuntime(const RuntimeOptions& options);

}  // namespace ursula
