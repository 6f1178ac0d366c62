// lib/io/loop.h
//
// One core's event loop: the seam through which everything above it meets time, disk, sockets and
// other cores. A turn is: submit what is queued and wait; reap completions; run their callbacks,
// due timers, then posted and deferred functions; run the turn's hooks. The simulator implements it
// in virtual time.

#pragma once

#include <cstdint>
#include <memory>

#include "lib/base/intrusive_list.h"
#include "lib/io/disk.h"
#include "lib/io/socket.h"
#include "lib/io/timer.h"
#include "lib/io/turn_meter.h"
#include "ursula/function.h"
#include "ursula/types.h"

namespace ursula::io {

// Runs once at the end of the turn in which it was scheduled: where work of a turn is batched.
class TurnHook : public ListHook<TurnHook> {
 public:
  virtual ~TurnHook() = default;
  virtual void OnTurnEnd() = 0;  // May schedule itself or others: they run in the same turn's end.
};

class Loop {
 public:
  virtual ~Loop() = default;

  // ---- any thread ----
  virtual CoreId core() const = 0;
  virtual bool InLoop() const = 0;  // Is the caller on this loop's thread?

  // Runs `function` on this loop, soon; in order for one sender. Post is for answers, which are as
  // many as their questions; requests use TryPost, which refuses (false) when more than
  // kMailboxMax requests wait.
  static constexpr uint32_t kMailboxMax = 65536;
  virtual void Post(Function<void()> function) = 0;
  virtual bool TryPost(Function<void()> function) = 0;

  // ---- this loop's thread only ----
  virtual uint64_t now_ns() const = 0;    // CLOCK_BOOTTIME as of this turn's start.
  virtual uint64_t fresh_ns() const = 0;  // CLOCK_BOOTTIME now; for measuring.
  virtual int64_t wall_ms() const = 0;    // Unix time as of this turn's start.
  virtual uint64_t Entropy() = 0;

  virtual void Defer(Function<void()> function) = 0;  // Later in this turn, or in the next.
  virtual void AtTurnEnd(TurnHook* hook) = 0;         // Nothing, if it is scheduled already.

  // Other threads of this CPU may run before the next turn, once what this one sends is with the
  // kernel: for work of many turns, whose results others wait for. Where that takes long it is left
  // out for a while.
  virtual void LetOthersRun() {}

  virtual void StartTimer(Timer* timer, uint64_t deadline_ns) = 0;  // Restarts a running one.
  void CancelTimer(Timer* timer) { TimerHeap::Cancel(timer); }

  // `watcher` is told of long turns until it is unlinked, which is to be done on this thread too.
  void WatchTurns(TurnWatcher* watcher) { turn_watchers_.PushBack(watcher); }
  // For loops, and for tests in virtual time, where no turn is long.
  void TellLongTurn(const LongTurn& turn) {
    for (TurnWatcher& watcher : turn_watchers_) watcher.OnLongTurn(turn);
  }

  virtual Disk& disk() = 0;
  virtual Result<std::unique_ptr<Listener>> Listen(const ListenOptions& options,
                                                   Acceptor* acceptor) = 0;
  // The socket of a descriptor that another loop of the same kind has released. REQUIRES: Listen
  // has succeeded here, which also makes room for what sockets receive.
  virtual std::unique_ptr<Socket> Adopt(int descriptor) = 0;

 private:
  IntrusiveList<TurnWatcher> turn_watchers_;
};

}  // namespace ursula::io
