// lib/io/port_lock.h
//
// Listeners of several cores share a port by SO_REUSEPORT, and so would those of a second server
// that was started by mistake: each would get a part of the connections. A PortLock is the port as
// one server's own, from before its first listener until after its last.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ursula/status.h"

namespace ursula::io {

// How: a socket that is bound to the address with neither SO_REUSEADDR nor SO_REUSEPORT set keeps
// every other socket from it, and from what overlaps with it (0.0.0.0, [::]). To be let in while
// old connections linger in TIME_WAIT it is bound with SO_REUSEADDR all the same; that two may do
// at once, but only one of them may then listen, and that one goes on (docs/decisions/0017).
class PortLock {
 public:
  // The kernel's choice for port 0. kFailedPrecondition: another has it, in this process or not;
  // kInvalidArgument: no numeric address of this machine.
  static Result<std::unique_ptr<PortLock>> Take(const std::string& host, uint16_t port);
  PortLock(const PortLock&) = delete;
  PortLock& operator=(const PortLock&) = delete;
  ~PortLock();

  uint16_t port() const { return port_; }

  // From here on sockets of this user that set SO_REUSEPORT may share the port; whoever takes the
  // lock first, as we do, is kept out as before. REQUIRES: once, before the first listener.
  Status Share();

 private:
  PortLock(int fd, uint16_t port) : fd_(fd), port_(port) {}

  const int fd_;
  const uint16_t port_;
};

}  // namespace ursula::io
