#include "lib/io/port_lock.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "lib/io/above_stdio.h"
#include "lib/io/address.h"
#include "lib/io/errors.h"

namespace ursula::io {
namespace {

// Port 0: choices of the kernel's, each taken by another just then. Else: two that listen in the
// same microsecond may both be refused, for each announces itself before it looks (Linux,
// inet_csk_listen_start); a holder refuses every try.
constexpr int kTriesMax = 16;

int SetOption(int fd, int option, int value) {
  return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value);
}

// Binds the socket and shuts everybody else out. errno, or 0.
int Exclude(int fd, Address* address) {
  if (SetOption(fd, SO_REUSEADDR, 1) != 0) return errno;
  if (bind(fd, address->raw(), address->size) != 0) return errno;
  if (listen(fd, 1) != 0) return errno;  // The one point at which two of us collide.
  if (SetOption(fd, SO_REUSEADDR, 0) != 0) return errno;
  // It stays bound, but nobody connects to it: a port that was asked for by number isn't let go.
  if (shutdown(fd, SHUT_RD) != 0) return errno;
  return getsockname(fd, address->raw(), &address->size) != 0 ? errno : 0;
}

// A port that is free just now.
int Choose(Address* address) {
  int fd = socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  int error = 0;
  if (bind(fd, address->raw(), address->size) != 0 ||
      getsockname(fd, address->raw(), &address->size) != 0) {
    error = errno;
  }
  close(fd);
  return error;
}

Status Refused(const std::string& name, int error) {
  if (error == EADDRINUSE) return Status(StatusCode::kFailedPrecondition, name + " is in use");
  if (error == EADDRNOTAVAIL) {
    return Status(StatusCode::kInvalidArgument, name + " is no address of this machine");
  }
  return IoError("bind", name, error);
}

}  // namespace

Result<std::unique_ptr<PortLock>> PortLock::Take(const std::string& host, uint16_t port) {
  Result<Address> wanted = ParseAddress(host, port);
  if (!wanted.ok()) return wanted.status();
  const std::string name = FormatAddress(*wanted);
  int error = 0;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    Address address = *wanted;
    error = port == 0 ? Choose(&address) : 0;
    if (error != 0) break;
    int fd = AboveStdio(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd < 0) return IoError("socket", name, errno);
    error = Exclude(fd, &address);
    if (error == 0) return std::unique_ptr<PortLock>(new PortLock(fd, address.port()));
    close(fd);
    if (error != EADDRINUSE) break;
  }
  return Refused(name, error);
}

PortLock::~PortLock() { close(fd_); }

Status PortLock::Share() {
  if (SetOption(fd_, SO_REUSEPORT, 1) == 0) return {};
  return IoError("share", "the port", errno);
}

}  // namespace ursula::io
