// tests/support/manual_loop.h
//
// Loops in virtual time, moved by hand on the test's own thread. Nothing happens but inside RunTurn
// and what calls it; time stands still but inside Advance. Same calls, same order, same result.
//
//   ManualLoop loop;                    // With a FaultDisk of its own.
//   Wal wal(&loop, ...);
//   wal.Append(...);
//   loop.RunUntilIdle();
//
// For a crash: disk.Crash(), loop.Crash(), destroy what ran on them, build it anew on the same
// disk.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "lib/base/random.h"
#include "lib/io/loop.h"
#include "lib/io/runtime.h"
#include "tests/support/fault_disk.h"

namespace ursula::testing {

// Shared by the loops of one runtime.
struct ManualClock {
  uint64_t now_ns = 1'000'000'000;
  int64_t wall_offset_ms = 1'700'000'000'000;
  bool several_loops = false;
  const io::Loop* running = nullptr;  // Whose turn it is.
};

class ManualLoop final : public io::Loop {
 public:
  ManualLoop();  // Owns a FaultDisk without faults.
  // Borrows `disk`, which outlives it, and, where given, `clock`.
  explicit ManualLoop(FaultDisk* disk, CoreId core = CoreId{0}, ManualClock* clock = nullptr,
                      uint64_t seed = 1);
  ~ManualLoop() override;

  // ---- the test's hands ----
  bool RunTurn();               // False: there was nothing to do at this time.
  void RunUntilIdle();          // Turns without advancing time.
  void AdvanceTo(uint64_t ns);  // Time stops at each timer and completion on the way.
  void AdvanceBy(uint64_t ns) { AdvanceTo(now_ns() + ns); }
  // Turns, and time where there is nothing else to do, until `done()`; false once `ns` have passed.
  template <class Condition>
  bool RunUntil(Condition done, uint64_t ns = 60'000'000'000) {
    uint64_t end = now_ns() + ns;
    while (!done()) {
      if (RunTurn()) continue;
      uint64_t next = NextEventNs();
      if (next > end) return false;
      clock_->now_ns = next;
    }
    return true;
  }
  void SetWallMs(int64_t wall_ms);
  // Timers, posted, deferred and hooks are dropped: nobody will be called.
  void Crash();

  static constexpr uint64_t kNever = UINT64_MAX;
  uint64_t NextEventNs() const;
  std::size_t posted() const { return posted_.size(); }  // What waits for its next turn.
  uint64_t gave_way() const { return gave_way_; }        // Asked to let others run.
  ManualClock& clock() { return *clock_; }
  FaultDisk& fault_disk() { return *fault_disk_; }
  // Runs `function` in the first turn at or after `ns`. For simulated devices.
  void At(uint64_t ns, Function<void()> function);

  // ---- Loop ----
  CoreId core() const override { return core_; }
  // True on a loop that stands alone; of several, only in its turn.
  bool InLoop() const override { return !clock_->several_loops || clock_->running == this; }
  void Post(Function<void()> function) override;
  bool TryPost(Function<void()> function) override;
  uint64_t now_ns() const override { return clock_->now_ns; }
  uint64_t fresh_ns() const override { return clock_->now_ns; }
  int64_t wall_ms() const override;
  uint64_t Entropy() override { return random_.Next(); }
  void Defer(Function<void()> function) override { deferred_.push_back(std::move(function)); }
  void AtTurnEnd(io::TurnHook* hook) override;
  void LetOthersRun() override { ++gave_way_; }
  void StartTimer(io::Timer* timer, uint64_t deadline_ns) override {
    timers_.Start(timer, deadline_ns);
  }
  io::Disk& disk() override { return *disk_; }
  // kFailedPrecondition: there are no sockets here.
  Result<std::unique_ptr<io::Listener>> Listen(const io::ListenOptions& options,
                                               io::Acceptor* acceptor) override;
  std::unique_ptr<io::Socket> Adopt(int descriptor) override;  // There are none: it ends here.

 private:
  struct Letter {
    Function<void()> function;
    bool request = false;
  };

  bool RunEvents();
  bool RunTimers();
  bool RunPosted();
  bool RunDeferred();
  bool RunHooks();

  const CoreId core_;
  ManualClock own_clock_;
  ManualClock* const clock_;
  std::unique_ptr<FaultDisk> own_disk_;
  FaultDisk* const fault_disk_;
  Random random_;
  std::unique_ptr<io::Disk> disk_;

  io::TimerHeap timers_;
  std::multimap<uint64_t, Function<void()>> events_;  // Equal times keep their order.
  std::deque<Letter> posted_;
  uint32_t requests_ = 0;
  uint64_t gave_way_ = 0;
  std::vector<Function<void()>> deferred_;
  IntrusiveList<io::TurnHook> hooks_;
};

// Several cores on one thread, one clock and one disk. Their turns alternate.
class ManualRuntime final : public io::LoopRuntime {
 public:
  // Borrows `disk`, which outlives it.
  ManualRuntime(uint16_t core_count, FaultDisk* disk, uint64_t seed = 1);
  ~ManualRuntime() override;

  bool RunTurn();  // One of each loop.
  void RunUntilIdle();
  void AdvanceTo(uint64_t ns);
  void AdvanceBy(uint64_t ns) { AdvanceTo(clock_.now_ns + ns); }
  void StandStill(uint64_t ns) { clock_.now_ns += ns; }  // What fell due meanwhile comes late.
  template <class Condition>
  bool RunUntil(Condition done, uint64_t ns = 60'000'000'000) {
    uint64_t end = clock_.now_ns + ns;
    while (!done()) {
      if (RunTurn()) continue;
      uint64_t next = NextEventNs();
      if (next > end) return false;
      clock_.now_ns = next;
    }
    return true;
  }
  void Crash();

  uint64_t now_ns() const { return clock_.now_ns; }
  uint64_t NextEventNs() const;
  ManualLoop& manual_loop(CoreId core);

  uint16_t core_count() const override { return static_cast<uint16_t>(loops_.size()); }
  io::Loop& loop(CoreId core) override { return manual_loop(core); }
  io::Loop* Current() override;
  void Await(Function<void(Function<void()> finished)> start) override;
  // What Await does, in place of a turn, while it waits: for a world with other runtimes in it.
  // False: nothing can happen any more.
  void SetStep(Function<bool()> step) { step_ = std::move(step); }

 private:
  ManualClock clock_;
  Function<bool()> step_;
  std::vector<std::unique_ptr<ManualLoop>> loops_;
};

}  // namespace ursula::testing
