#include "lib/io/above_stdio.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace ursula::io {

int AboveStdio(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  int error = errno;
  close(fd);
  errno = error;
  return copy;
}

}  // namespace ursula::io
