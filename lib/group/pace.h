// lib/group/pace.h
//
// How fast a core brings replicas up that lack something, its own or those of peers: a rate for all
// of its groups together. Appends and reads that come meanwhile share disks, network and cores with
// it, and somebody waits for them.
//
// Who has something to send, or to ask for, asks whether he may, and is told later if he may not
// yet: in the order of asking, so that none waits for another's end. What is hurried is taken
// without asking; the others wait the longer for it. One loop's thread.
//
// Invariant: in any span of time what was asked for is at most the rate's share of it, a burst of
// kBurstNs, and one take; what was hurried on comes on top, and holds up the rest for kDebtNsMax at
// most: however much is hurried, so long after the last one was called another is.

#pragma once

#include <cstdint>

#include "lib/base/intrusive_list.h"
#include "lib/io/loop.h"
#include "lib/io/timer.h"

namespace ursula::group {

class Pace {
 public:
  struct Options {
    uint64_t bytes_per_second = 0;  // 0: as fast as can be.
  };
  struct Stats {
    uint64_t bytes = 0;      // Taken.
    uint64_t waited_ns = 0;  // In which somebody waited.
  };
  struct Taken {
    uint64_t bytes = 0;
    uint64_t ns = 0;  // By which it holds up the next.
  };

  // Of an unfinished wait its end may be told by nobody: destroying it ends it.
  class Waiter : public ListHook<Waiter> {
   public:
    // It may ask again, and isn't refused the first time. Not called inside MayTake.
    virtual void OnPace() = 0;
    void StopWaiting() {
      if (linked()) Unlink();
    }

   protected:
    ~Waiter() { StopWaiting(); }
  };

  // What was saved up while nobody took anything.
  static constexpr uint64_t kBurstNs = 10'000'000;
  // The longest that one take holds up the next.
  static constexpr uint64_t kDebtNsMax = 10'000'000'000;

  Pace(io::Loop* loop, const Options& options);
  ~Pace();  // REQUIRES: nobody waits.

  bool limited() const { return options_.bytes_per_second > 0; }
  // Whether something may be taken now, however much it turns out to be. False: `waiter` waits, if
  // it didn't before, and is called.
  bool MayTake(Waiter* waiter);
  Taken Take(uint64_t bytes);
  // It turned out to be `bytes`.
  void Correct(const Taken& taken, uint64_t bytes);
  // Besides the rate: what is written here meanwhile, so that who is behind catches up with it.
  void Earn(uint64_t bytes);

  Stats stats() const;

 private:
  void OnTimer();
  void Wait();
  void Hasten(uint64_t ns);
  bool due() const { return loop_.now_ns() >= due_ns_; }

  io::Loop& loop_;
  const Options options_;
  uint64_t due_ns_ = 0;   // When the next take is.
  uint64_t held_ns_ = 0;  // Since when the first one waits; it was called last, or began to.
  IntrusiveList<Waiter> waiters_;
  Waiter* called_ = nullptr;  // It goes first.
  uint64_t waits_since_ns_ = 0;
  Stats stats_;
  io::Timer timer_;
};

}  // namespace ursula::group
