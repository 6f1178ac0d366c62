// server/ctl/deadline.h
//
// Deadline is a moment some time ahead, as a descriptor that can be waited for beside others. It
// asks no clock: the kernel's timer says when it has come.

#pragma once

#include <cstdint>

namespace ursula::ctl {

class Deadline {
 public:
  explicit Deadline(uint64_t ms_ahead);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  // Until `fd` has what `events` of poll(2) says, or an error: true. False: the deadline.
  bool AwaitReady(int fd, short events) const;
  bool passed() const;
  void Await() const;

 private:
  const int timer_;  // Below 0: the kernel has none left, and every wait ends at once.
};

// Null: there is none, and it doesn't pass.
inline bool Passed(const Deadline* end) { return end != nullptr && end->passed(); }

}  // namespace ursula::ctl
