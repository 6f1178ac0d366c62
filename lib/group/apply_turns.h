// lib/group/apply_turns.h
//
// How much of what is committed the replicas of one core apply in one turn. After a start there may
// be seconds of it: without a bound its core would answer nothing meanwhile, no probe of a manager
// and no signal.
//
// Who has more to apply than is left of a turn waits, and is called in a later one: in the order of
// asking, so that a group with a long log holds no other one up. One loop's thread.
//
// Invariant: a turn applies about what is worth kTurnCost for those that wait, and once more at
// most for those that don't; one page (Config::applying_bytes_max) goes beyond either. Who waits is
// called, whatever the others do.

#pragma once

#include <cstdint>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "lib/io/timer.h"

namespace ursula::group {

class ApplyTurns final {
 public:
  // Of an unfinished wait its end may be told by nobody: destroying it ends it.
  class Waiter : public ListHook<Waiter> {
   public:
    // It may apply now, and wait once more. Not called inside MayApply or Wait.
    virtual void OnApplyTurn() = 0;
    void StopWaiting() {
      if (linked()) Unlink();
    }

   protected:
    ~Waiter() { StopWaiting(); }
  };

  // Bytes of entries; some 10 ms of small ones.
  static constexpr uint64_t kTurnCost = uint64_t{8} << 20;
  static constexpr uint64_t kEntryCost = 4096;  // What one costs besides its bytes.

  explicit ApplyTurns(io::Loop* loop, uint64_t turn_cost = kTurnCost);
  ~ApplyTurns();  // REQUIRES: nobody waits.

  bool MayApply() const { return loop_.now_ns() != turn_ns_ || used_ < turn_cost_; }
  void Applied(uint64_t entries, uint64_t bytes);
  void Wait(Waiter* waiter);  // Nothing, if it waits already.

 private:
  void OnTimer();

  io::Loop& loop_;
  const uint64_t turn_cost_;
  uint64_t turn_ns_ = 0;  // Which turn that is.
  uint64_t used_ = 0;     // Of it.
  IntrusiveList<Waiter> waiters_;
  io::Timer timer_;
};

}  // namespace ursula::group
