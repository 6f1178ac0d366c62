#include "server/watchdog.h"

#include <utility>

#include "ursula/engine.h"
#include "ursula/sync.h"

namespace ursula::server {

Watchdog::Watchdog(io::LoopRuntime* runtime, const ServiceManager* manager)
    : runtime_(*runtime),
      manager_(*manager),
      interval_ns_(manager->watchdog_us() * 1000 / kTellsPerInterval) {
  timer_.Then<&Watchdog::OnTime>(this);
}

void Watchdog::Start() {
  if (interval_ns_ == 0) return;
  runtime_.loop(CoreId{0}).Post([this] { BeginRound(); });
}

void Watchdog::Stop() {
  if (interval_ns_ == 0) return;
  io::Loop& loop = runtime_.loop(CoreId{0});
  static_cast<void>(Wait<Stopped>([this, &loop](auto done) {
    loop.Post([this, &loop, done = std::move(done)]() mutable {
      loop.CancelTimer(&timer_);
      done(Stopped{});
    });
  }));
}

void Watchdog::BeginRound() {
  const uint16_t cores = runtime_.core_count();
  missing_.store(cores);
  for (uint16_t i = 0; i < cores; ++i) {
    runtime_.loop(CoreId{i}).Post([this] { missing_.fetch_sub(1); });
  }
  io::Loop& loop = runtime_.loop(CoreId{0});
  loop.StartTimer(&timer_, loop.now_ns() + interval_ns_);
}

void Watchdog::OnTime() {
  if (missing_.load() == 0) {
    manager_.Tell("WATCHDOG=1\n");
    return BeginRound();
  }
  io::Loop& loop = runtime_.loop(CoreId{0});
  loop.StartTimer(&timer_, loop.now_ns() + interval_ns_);
}

}  // namespace ursula::server
