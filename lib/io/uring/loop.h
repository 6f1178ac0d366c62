// lib/io/uring/loop.h
//
// The Loop of one core on io_uring. Its thread constructs nothing and shares nothing: what reaches
// it from outside comes through the mailbox.
//
// Invariant: a turn sleeps only after it has said so (asleep_) and then found the mailbox empty; so
// no Post goes unnoticed, and a busy loop is never woken. The kernel is entered once a turn and
// once for each write to a disk; while the disk works for this loop it polls, too, before it sleeps
// (docs/decisions/0010).

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/io/loop.h"
#include "lib/io/mailbox.h"
#include "lib/io/uring/disk.h"
#include "lib/io/uring/poll_pace.h"
#include "lib/io/uring/receive_buffers.h"
#include "lib/io/uring/ring.h"
#include "lib/io/uring/socket.h"

namespace ursula::io::uring {

class UringLoop final : public Loop {
 public:
  // `family` tells loops that live equally long (one Runtime's) from others.
  // `poll_ns`: how long it polls before it sleeps while the disk works for it.
  UringLoop(CoreId core, const void* family, uint64_t poll_ns, PollPace pace = PollPace());
  ~UringLoop() override;  // REQUIRES: its thread has ended.

  // ---- its thread ----
  Status Start(uint32_t ring_entries);
  void Run();  // Until Stop.

  // ---- any thread ----
  void Stop();  // What was posted before runs first.
  static UringLoop* Current();
  const void* family() const { return family_; }
  // How often it has waited in the kernel, which includes waits that ended at once.
  uint64_t sleeps() const { return sleeps_.load(std::memory_order_relaxed); }
  uint64_t polls() const { return polls_.load(std::memory_order_relaxed); }  // Before it slept.
  uint64_t gave_way() const { return gave_way_.load(std::memory_order_relaxed); }  // To others.

  CoreId core() const override { return core_; }
  bool InLoop() const override { return Current() == this; }
  void Post(Function<void()> function) override;
  bool TryPost(Function<void()> function) override;

  // ---- its thread ----
  uint64_t now_ns() const override { return now_ns_; }
  uint64_t fresh_ns() const override;
  int64_t wall_ms() const override { return wall_ms_; }
  uint64_t Entropy() override;
  void Defer(Function<void()> function) override { deferred_.push_back(std::move(function)); }
  void AtTurnEnd(TurnHook* hook) override;
  void LetOthersRun() override { others_first_ = true; }
  void StartTimer(Timer* timer, uint64_t deadline_ns) override {
    timers_.Start(timer, deadline_ns);
  }
  Disk& disk() override { return disk_; }
  Result<std::unique_ptr<Listener>> Listen(const ListenOptions& options,
                                           Acceptor* acceptor) override;
  std::unique_ptr<Socket> Adopt(int descriptor) override;

  // For the sockets of this loop.
  Ring& ring() { return ring_; }
  ReceiveBuffers& receive_buffers() { return receive_buffers_; }
  SendScratchPool& send_scratch() { return send_scratch_; }

 private:
  void Turn();
  void GiveWay();
  bool Poll();
  uint64_t WaitNs();
  void ReadClocks();
  uint32_t RunDeferred();
  uint32_t RunTurnHooks();

  void Wake();
  void SignalFromOutside();
  void ArmWakeUp();
  void OnWokenFromOutside(int32_t result, uint32_t flags);
  void OnWakeFailed(int32_t result, uint32_t flags);  // Runs on the thread of the one who woke.

  const CoreId core_;
  const void* const family_;
  const uint64_t poll_ns_;
  bool stopping_ = false;
  bool others_first_ = false;
  uint64_t now_ns_ = 0;
  int64_t wall_ms_ = 0;
  uint64_t entropy_[32] = {};
  uint32_t entropy_left_ = 0;

  PollPace pace_;
  WayPace way_pace_;
  TurnMeter meter_;
  TimerHeap timers_;
  std::vector<Function<void()>> deferred_;
  std::vector<Function<void()>> running_;
  IntrusiveList<TurnHook> hooks_;

  Mailbox mailbox_{kMailboxMax};
  std::atomic<bool> asleep_{false};
  std::atomic<uint64_t> sleeps_{0};
  std::atomic<uint64_t> polls_{0};
  std::atomic<uint64_t> gave_way_{0};
  int event_fd_ = -1;
  Completion woken_;
  Completion wake_failed_;

  SendScratchPool send_scratch_;
  ReceiveBuffers receive_buffers_;
  Ring ring_;  // Goes first: the kernel lets go of what is above.
  UringDisk disk_;
};

}  // namespace ursula::io::uring
