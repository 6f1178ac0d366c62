#include "server/peer/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "server/peer/rpc.h"

namespace ursula::peer {
namespace {

Status CanNot(const HostPort& at, const std::string& why) {
  return Status(StatusCode::kUnavailable, "can't resolve " + at.host + ": " + why);
}

bool IsNumeric(const std::string& host) {
  in6_addr ignored = {};
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

}  // namespace

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

Result<SocketAddresses> ResolveNow(const HostPort& at, bool to_listen) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int code = getaddrinfo(at.host.empty() ? nullptr : at.host.c_str(),
                               std::to_string(at.port).c_str(), &hints, &found);
  if (code != 0) return CanNot(at, gai_strerror(code));
  SocketAddresses addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (one->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.address, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
  }
  freeaddrinfo(found);
  return addresses;
}

// Shared with the thread that asks, which may outlive everything else.
struct Resolver::Question {
  Question() : event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Question() {
    if (event >= 0) close(event);
  }

  const int event;  // Readable once it is answered.
  std::mutex mutex;
  std::optional<Result<SocketAddresses>> answer;
};

Resolver::Resolver(ResolveFunction resolve)
    : resolve_(resolve ? std::move(resolve)
                       : [](const HostPort& at) { return ResolveNow(at, false); }) {}

Result<SocketAddresses> Resolver::Resolve(const HostPort& at, int ms_max, int stop) {
  if (IsNumeric(at.host)) return ResolveNow(at, false);
  if (question_ == nullptr) {
    auto question = std::make_shared<Question>();
    if (question->event < 0) return CanNot(at, std::strerror(errno));
    std::thread thread;
    const bool started = StartThread(&thread, [question, at, resolve = resolve_] {
      Result<SocketAddresses> answer = resolve(at);
      std::lock_guard lock(question->mutex);
      question->answer = std::move(answer);
      eventfd_write(question->event, 1);
    });
    if (!started) return CanNot(at, "no thread is to be had");
    thread.detach();
    question_ = std::move(question);
  }
  pollfd polled[2] = {{question_->event, POLLIN, 0}, {stop, POLLIN, 0}};
  (void)poll(polled, 2, ms_max);
  std::unique_lock lock(question_->mutex);
  if (!question_->answer) {
    if (polled[1].revents != 0) return CanNot(at, "stopping");
    return CanNot(at, "the resolver hasn't answered in " + std::to_string(ms_max) +
                          " ms; look at this machine's DNS, or give an address of numbers");
  }
  Result<SocketAddresses> answer = std::move(*question_->answer);
  lock.unlock();
  question_ = nullptr;
  return answer;
}

}  // namespace ursula::peer
