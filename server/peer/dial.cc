#include "server/peer/dial.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ursula::peer {
namespace {

constexpr int kUnacknowledgedMs = 4000;
constexpr int kBacklog = 1024;

Dialled Fail(int code) {
  Dialled failed;
  failed.refused = code == ECONNREFUSED;
  failed.error = std::strerror(code);
  return failed;
}

Dialled DialOne(const SocketAddress& to, int ms_max, int stop) {
  Fd fd(socket(to.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Fail(errno);
  SetSocketOptions(fd.get());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to.address), to.size) != 0) {
    if (errno != EINPROGRESS) return Fail(errno);
    pollfd polled[2] = {{fd.get(), POLLOUT, 0}, {stop, POLLIN, 0}};
    if (poll(polled, 2, ms_max) <= 0) return Fail(ETIMEDOUT);
    if (polled[1].revents != 0) return Fail(ECANCELED);
    int code = 0;
    socklen_t size = sizeof(code);
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &code, &size) != 0) return Fail(errno);
    if (code != 0) return Fail(code);
  }
  Dialled dialled;
  dialled.fd = std::move(fd);
  return dialled;
}

uint16_t PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

void SetInt(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

Dialled Dial(const std::string& address, int ms_max, int stop, Resolver* resolver) {
  Dialled last;
  Result<HostPort> at = ParseHostPort(address);
  if (!at.ok()) {
    last.error = at.status().message();
    return last;
  }
  Result<SocketAddresses> found = resolver->Resolve(*at, ms_max, stop);
  if (!found.ok()) {
    last.error = found.status().message();
    return last;
  }
  for (const SocketAddress& to : *found) {
    last = DialOne(to, ms_max, stop);
    if (last.fd) return last;
  }
  return last;
}

Result<Listener> Listen(const std::string& address) {
  Result<HostPort> at = ParseHostPort(address);
  if (!at.ok()) return at.status();
  Result<SocketAddresses> found = ResolveNow(*at, true);
  if (!found.ok()) return Status(StatusCode::kIoError, found.status().message());
  std::string error;
  for (const SocketAddress& to : *found) {
    Listener listener;
    listener.fd = Fd(socket(to.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (listener.fd) {
      SetInt(listener.fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
      if (bind(listener.fd.get(), reinterpret_cast<const sockaddr*>(&to.address), to.size) == 0 &&
          listen(listener.fd.get(), kBacklog) == 0) {
        listener.port = PortOf(listener.fd.get());
        return listener;
      }
    }
    error = "can't listen on " + address + ": " + std::strerror(errno);
  }
  return Status(StatusCode::kIoError, error);
}

void SetSocketOptions(int fd) {
  SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnacknowledgedMs);
}

std::string PeerName(const sockaddr_storage& address) {
  char host[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
    return "ipv4:" + std::string(host) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  const std::string port = std::to_string(ntohs(v6.sin6_port));
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], host, sizeof(host));
    return "ipv4:" + std::string(host) + ":" + port;
  }
  inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
  return "ipv6:%5B" + std::string(host) + "%5D:" + port;
}

}  // namespace ursula::peer
