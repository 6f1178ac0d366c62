#include "server/output.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ursula::server {

// Not by O_NONBLOCK: the pipe's other end, and other processes, share that flag.
bool Output::AwaitRoom() {
  for (;;) {
    pollfd room = {fd_, POLLOUT, 0};
    int ready = poll(&room, 1, stuck_ ? 0 : kPatienceMs);
    if (ready < 0 && errno == EINTR) continue;
    stuck_ = ready == 0;
    return ready > 0;
  }
}

bool Output::Write(std::string_view text) {
  // pipe(7): what is at most this long is written at once where poll sees room.
  constexpr std::size_t kAtOnceMax = PIPE_BUF;
  if (cut_ && AwaitRoom() && write(fd_, "\n", 1) == 1) cut_ = false;
  if (cut_) return false;
  while (!text.empty()) {
    if (!AwaitRoom()) return false;
    ssize_t written = write(fd_, text.data(), std::min(text.size(), kAtOnceMax));
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
    cut_ = !text.empty();
  }
  return true;
}

}  // namespace ursula::server
