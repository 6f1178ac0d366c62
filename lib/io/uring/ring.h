// lib/io/uring/ring.h
//
// One io_uring: set-up, submission entries, a submit-and-wait a turn (and a submission for what
// can't wait for it), and completions by caller-owned objects. Made and used by one thread
// (SINGLE_ISSUER).
//
// Invariant: completions are copied out of the ring first and called afterwards, so that a callback
// may submit as much as it likes.

#pragma once

#include <liburing.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lib/io/op.h"
#include "ursula/status.h"

namespace ursula::io::uring {

// Receives the completions of one submission: one, or with multishot several, of which only the
// last lacks IORING_CQE_F_MORE. Stays where it is until that one has been delivered.
class Completion {
 public:
  Completion() = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  template <auto kMethod, class Owner>
  void Bind(Owner* owner) {
    owner_ = owner;
    callback_ = [](void* at, int32_t result, uint32_t flags) {
      (static_cast<Owner*>(at)->*kMethod)(result, flags);
    };
  }
  void Deliver(int32_t result, uint32_t flags) { callback_(owner_, result, flags); }

 private:
  void (*callback_)(void*, int32_t, uint32_t) = nullptr;
  void* owner_ = nullptr;
};

class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring();  // Any thread, once the owner's has ended.

  Status Start(uint32_t entries);
  // The owner's thread is about to end: frees what the kernel keeps per thread.
  void Leave();

  // A fresh entry. When the queue is full, submits it first.
  io_uring_sqe* Entry();
  // For an entry whose completions go to `completion`, or to `op` as its result.
  static void Attach(io_uring_sqe* entry, Completion* completion);
  void Attach(io_uring_sqe* entry, Op* op);

  // Submits what is queued and waits until something completes or `wait_ns` have passed; 0: doesn't
  // wait.
  static constexpr uint64_t kForever = UINT64_MAX;
  void SubmitAndWait(uint64_t wait_ns);
  // Submits what is queued now, not at the turn's end.
  void Submit();
  // Whether something has completed that isn't delivered yet, as of the last SubmitAndWait.
  bool completed() const { return io_uring_cq_ready(&ring_) > 0; }
  // Calls those that have completed, and returns how many.
  uint32_t Deliver();

  // Ops under way: only the disk's take one.
  uint32_t ops_under_way() const { return ops_under_way_; }

  int fd() const { return ring_.ring_fd; }
  io_uring* raw() { return &ring_; }

 private:
  struct Reaped {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
  };

  int TryEnter();
  void Reap();

  io_uring ring_ = {};
  bool started_ = false;
  uint32_t ops_under_way_ = 0;
  std::vector<Reaped> reaped_;
};

// What to tell an operator whose kernel refused `call` with `error`. `disabled` is the sysctl
// kernel.io_uring_disabled, -1 where there is none; `release` what uname says.
Status ExplainRingFailure(const char* call, int error, int disabled, const char* release);
// A limit of this process (RLIMIT_...), as text.
std::string LimitText(int resource);

}  // namespace ursula::io::uring
