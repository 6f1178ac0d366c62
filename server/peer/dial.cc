#include "server/peer/dial.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace ursula::peer {
namespace {

constexpr int kUnacknowledgedMs = 4000;
constexpr int kBacklog = 1024;

using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

// An error's text is empty if there is none.
Addresses Resolve(const HostPort& at, bool to_listen, std::string* error) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int code = getaddrinfo(at.host.empty() ? nullptr : at.host.c_str(),
                               std::to_string(at.port).c_str(), &hints, &found);
  if (code != 0) *error = "can't resolve " + at.host + ": " + gai_strerror(code);
  return Addresses(code == 0 ? found : nullptr, [](addrinfo* list) {
    if (list != nullptr) freeaddrinfo(list);
  });
}

Dialled Fail(int code) {
  Dialled failed;
  failed.refused = code == ECONNREFUSED;
  failed.error = std::strerror(code);
  return failed;
}

Dialled DialOne(const addrinfo& to, int ms_max, int stop) {
  Fd fd(socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Fail(errno);
  SetSocketOptions(fd.get());
  if (connect(fd.get(), to.ai_addr, to.ai_addrlen) != 0) {
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

Result<HostPort> ParseHostPort(const std::string& text) {
  const Status bad(StatusCode::kInvalidArgument, "'" + text + "' isn't HOST:PORT");
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return bad;
  HostPort parsed;
  parsed.host = text.substr(0, colon);
  if (parsed.host.starts_with('[') && parsed.host.ends_with(']')) {
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  } else if (parsed.host.find(':') != std::string::npos) {
    return bad;
  }
  const std::string port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != port.npos) {
    return bad;
  }
  const int number = std::stoi(port);
  if (number > 65535) return bad;
  parsed.port = static_cast<uint16_t>(number);
  return parsed;
}

Dialled Dial(const std::string& address, int ms_max, int stop) {
  Dialled last;
  Result<HostPort> at = ParseHostPort(address);
  if (!at.ok()) {
    last.error = at.status().message();
    return last;
  }
  Addresses found = Resolve(*at, false, &last.error);
  for (const addrinfo* to = found.get(); to != nullptr; to = to->ai_next) {
    last = DialOne(*to, ms_max, stop);
    if (last.fd) return last;
  }
  return last;
}

Result<Listener> Listen(const std::string& address) {
  Result<HostPort> at = ParseHostPort(address);
  if (!at.ok()) return at.status();
  std::string error;
  Addresses found = Resolve(*at, true, &error);
  for (const addrinfo* to = found.get(); to != nullptr; to = to->ai_next) {
    Listener listener;
    listener.fd = Fd(socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (listener.fd) {
      SetInt(listener.fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
      if (bind(listener.fd.get(), to->ai_addr, to->ai_addrlen) == 0 &&
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
