// lib/io/op.h
//
// An Op is one operation under way. Its issuer owns it, usually as a member, and keeps it and its
// buffers where they are until the callback has run: an Op is never allocated per operation. No
// call completes its Op before returning.

#pragma once

#include <cstdint>

#include "lib/base/check.h"

namespace ursula::io {

class Op {
 public:
  Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  ~Op() { URSULA_CHECK(!pending_); }

  // Names what runs on completion: op.Then<&WalWriter::OnWritten>(this). The method takes an
  // int64_t: a count, or -errno.
  template <auto kMethod, class Owner>
  Op* Then(Owner* owner) {
    URSULA_CHECK(!pending_);
    owner_ = owner;
    callback_ = [](Op& op) { (static_cast<Owner*>(op.owner_)->*kMethod)(op.result_); };
    return this;
  }

  bool pending() const { return pending_; }

  // ---- for loops only ----
  void Begin() {
    URSULA_CHECK(!pending_ && callback_ != nullptr);
    pending_ = true;
  }
  void Complete(int64_t result) {
    URSULA_CHECK(pending_);
    pending_ = false;
    result_ = result;
    callback_(*this);  // May destroy this.
  }
  // The world that this operation was under way in has crashed: nobody will be called. Simulators.
  void Abandon() { pending_ = false; }
  Op* next = nullptr;  // The loop's queue of completed operations.
  int64_t queued_result = 0;

 private:
  void (*callback_)(Op&) = nullptr;
  void* owner_ = nullptr;
  int64_t result_ = 0;
  bool pending_ = false;
};

}  // namespace ursula::io
