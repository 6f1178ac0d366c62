#include "server/peer/acceptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "server/peer/rpc.h"

namespace ursula::peer {
namespace {

constexpr int kOutOfFilesMs = 100;

}  // namespace

Acceptor::Acceptor(Listener listener, AcceptorOptions options)
    : listener_(std::move(listener)),
      options_(std::move(options)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Acceptor::~Acceptor() { URSULA_CHECK(!thread_.joinable()); }

bool Acceptor::Start() {
  return StartThread(&thread_, [this] { Run(); });
}

void Acceptor::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
  listener_.fd = Fd();
}

void Acceptor::OnEstablished(std::string_view name) {
  std::lock_guard lock(mutex_);
  for (Connection& connection : connections_) {
    if (connection.name == name) connection.established = true;
  }
}

// Until the oldest connection's deadline.
int Acceptor::PollMs() {
  if (out_of_files_) return kOutOfFilesMs;
  for (const Connection& connection : connections_) {
    if (connection.established) continue;
    const auto deadline =
        connection.accepted + std::chrono::milliseconds(options_.handshake_ms_max);
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return left < 0 ? 0 : static_cast<int>(left) + 1;
  }
  return -1;
}

void Acceptor::Run() {
  std::vector<pollfd> polled;
  while (true) {
    int ms = 0;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      ms = PollMs();
      polled = {{wake_.get(), POLLIN, 0}};
      polled.push_back({out_of_files_ ? -1 : listener_.fd.get(), POLLIN, 0});
      // Only whether it has ended: what comes on it is gRPC's to read.
      for (const Connection& connection : connections_)
        polled.push_back({connection.fd.get(), 0, 0});
      out_of_files_ = false;
    }
    if (poll(polled.data(), polled.size(), ms) < 0 && errno != EINTR) continue;
    std::lock_guard lock(mutex_);
    std::size_t i = 2;
    std::erase_if(connections_, [&](const Connection&) { return polled[i++].revents != 0; });
    CloseSilent();
    if ((polled[1].revents & POLLIN) != 0) Accept();
  }
}

void Acceptor::CloseSilent() {
  const auto now = Clock::now();
  std::erase_if(connections_, [&](const Connection& connection) {
    if (connection.established ||
        now - connection.accepted < std::chrono::milliseconds(options_.handshake_ms_max)) {
      return false;
    }
    shutdown(connection.fd.get(), SHUT_RDWR);
    return true;
  });
}

bool Acceptor::MakeRoom() {
  if (connections_.size() < options_.connections_max) return true;
  if (!said_full_ && options_.log) {
    options_.log("there are " + std::to_string(options_.connections_max) +
                 " peer connections, as many as --peer-connections-max allows: those without a"
                 " handshake give way to new ones");
  }
  said_full_ = true;
  for (auto oldest = connections_.begin(); oldest != connections_.end(); ++oldest) {
    if (oldest->established) continue;
    shutdown(oldest->fd.get(), SHUT_RDWR);
    connections_.erase(oldest);
    return true;
  }
  return false;
}

// One at a time, so that connections that have ended make room first.
void Acceptor::Accept() {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  Fd fd(accept4(listener_.fd.get(), reinterpret_cast<sockaddr*>(&address), &size,
                SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    out_of_files_ = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    return;
  }
  Connection connection;
  connection.fd = Fd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!connection.fd || !MakeRoom()) return;
  SetSocketOptions(fd.get());
  connection.name = PeerName(address);
  connection.accepted = Clock::now();
  connections_.push_back(std::move(connection));
  if (connections_.size() < options_.connections_max / 2) said_full_ = false;
  options_.take(fd.Release());
}

}  // namespace ursula::peer
