#include "server/ctl/deadline.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ursula::ctl {

Deadline::Deadline(uint64_t ms_ahead)
    : timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  ms_ahead = std::max<uint64_t>(ms_ahead, 1);  // 0 would disarm it.
  itimerspec when = {};
  when.it_value.tv_sec = static_cast<time_t>(ms_ahead / 1000);
  when.it_value.tv_nsec = static_cast<long>(ms_ahead % 1000) * 1'000'000;
  timerfd_settime(timer_, 0, &when, nullptr);
}

Deadline::~Deadline() {
  if (timer_ >= 0) close(timer_);
}

bool Deadline::AwaitReady(int fd, short events) const {
  if (timer_ < 0) return false;
  std::array<pollfd, 2> polled = {{{fd, events, 0}, {timer_, POLLIN, 0}}};
  while (poll(polled.data(), polled.size(), -1) < 0) {
    if (errno != EINTR) return false;
  }
  return polled[0].revents != 0;
}

bool Deadline::passed() const {
  if (timer_ < 0) return true;
  pollfd polled = {timer_, POLLIN, 0};
  return poll(&polled, 1, 0) > 0;
}

// A descriptor below 0 is none to poll(2).
void Deadline::Await() const { AwaitReady(-1, 0); }

}  // namespace ursula::ctl
