#include "server/ctl/http_call.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "server/ctl/deadline.h"

namespace ursula::ctl {
namespace {

Status Unavailable(std::string what) { return Status(StatusCode::kUnavailable, std::move(what)); }

class Socket {
 public:
  Socket(const addrinfo& address, const Deadline* deadline)
      : deadline_(*deadline),
        fd_(socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  Status Connect(const addrinfo& address) {
    if (fd_ < 0) return Unavailable(std::strerror(errno));
    if (connect(fd_, address.ai_addr, address.ai_addrlen) == 0) return {};
    if (errno != EINPROGRESS) return Unavailable(std::strerror(errno));
    if (!deadline_.AwaitReady(fd_, POLLOUT)) return Unavailable("it doesn't answer");
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 ? Status() : Unavailable(std::strerror(error));
  }

  Status Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN) {
        if (!deadline_.AwaitReady(fd_, POLLOUT)) return Unavailable("it doesn't read");
      } else if (errno != EINTR) {
        return Unavailable(std::strerror(errno));
      }
    }
    return {};
  }

  // 0: the other end has ended it.
  Result<std::size_t> Read(char* into, std::size_t bytes_max) {
    for (;;) {
      const ssize_t got = recv(fd_, into, bytes_max, 0);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Unavailable(std::strerror(errno));
      if (!deadline_.AwaitReady(fd_, POLLIN)) return Unavailable("it doesn't answer");
    }
  }

 private:
  const Deadline& deadline_;
  const int fd_;
};

Result<HttpResponse> CallAt(const addrinfo& address, const std::string& request,
                            const Deadline& deadline) {
  Socket socket(address, &deadline);
  Status status = socket.Connect(address);
  if (status.ok()) status = socket.Write(request);
  if (!status.ok()) return status;
  ResponseParser parser;
  ResponseParser::State state = ResponseParser::State::kNeedMore;
  std::array<char, 16384> piece;
  while (state == ResponseParser::State::kNeedMore) {
    // A drip of bytes has the same time as all others.
    if (deadline.passed()) return Unavailable("it doesn't answer in time");
    const Result<std::size_t> got = socket.Read(piece.data(), piece.size());
    if (!got.ok()) return got.status();
    state = *got == 0 ? parser.End() : parser.Feed({piece.data(), *got});
  }
  if (state == ResponseParser::State::kBad) {
    return Status(StatusCode::kInternal, "its answer isn't HTTP: " + parser.reason());
  }
  return std::move(parser.response());
}

}  // namespace

Result<HttpResponse> HttpCall(const server::HostPort& address, const std::string& request,
                              uint64_t timeout_ms) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return Unavailable(gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> held(found, freeaddrinfo);
  const Deadline deadline(timeout_ms);
  Result<HttpResponse> response = Unavailable("it has no address");
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    response = CallAt(*one, request, deadline);
    if (response.status().code() != StatusCode::kUnavailable) break;
  }
  return response;
}

}  // namespace ursula::ctl
