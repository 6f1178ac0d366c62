#include "tests/support/tcp_relay.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "lib/base/check.h"

namespace ursula::testing {
namespace {

sockaddr_in LoopbackAddress(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int ListenOn(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = LoopbackAddress(port);
  URSULA_CHECK(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  URSULA_CHECK(listen(fd, 64) == 0);
  return fd;
}

}  // namespace

TcpRelay::TcpRelay(uint16_t port, uint16_t target)
    : listener_(ListenOn(port)), wake_(eventfd(0, EFD_CLOEXEC)), target_(target) {
  thread_ = std::thread([this] { Run(); });
}

TcpRelay::~TcpRelay() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
  close(listener_);
  close(wake_);
}

void TcpRelay::Wake() { eventfd_write(wake_, 1); }

void TcpRelay::Cut() {
  {
    std::lock_guard lock(mutex_);
    cut_ = true;
  }
  Wake();
}

void TcpRelay::set_dead(bool dead) {
  {
    std::lock_guard lock(mutex_);
    dead_ = dead;
  }
  Wake();
}

void TcpRelay::Accept() {
  Wire wire;
  wire.near = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  wire.far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = LoopbackAddress(target_);
  if (connect(wire.far, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(wire.near);
    close(wire.far);
    return;
  }
  const int on = 1;
  setsockopt(wire.near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(wire.far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  wires_.push_back(wire);
}

// False: an end has closed.
bool TcpRelay::PassOn(int from, int to) {
  char bytes[16384];
  const ssize_t count = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);
  if (count <= 0) return false;
  if (dead_) return true;
  ssize_t sent = 0;
  while (sent < count) {
    const ssize_t part =
        send(to, bytes + sent, static_cast<std::size_t>(count - sent), MSG_NOSIGNAL);
    if (part <= 0) return false;
    sent += part;
  }
  return true;
}

void TcpRelay::Run() {
  std::vector<pollfd> polled;
  while (true) {
    polled = {{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const Wire& wire : wires_) {
      polled.push_back({wire.near, POLLIN, 0});
      polled.push_back({wire.far, POLLIN, 0});
    }
    poll(polled.data(), polled.size(), -1);
    std::lock_guard lock(mutex_);
    if (polled[0].revents != 0) {
      eventfd_t count = 0;
      eventfd_read(wake_, &count);
    }
    std::size_t i = 2;
    for (auto wire = wires_.begin(); wire != wires_.end(); i += 2) {
      bool open = !cut_ && !stopping_;
      if (open && polled[i].revents != 0) open = PassOn(wire->near, wire->far);
      if (open && polled[i + 1].revents != 0) open = PassOn(wire->far, wire->near);
      if (open) {
        ++wire;
        continue;
      }
      close(wire->near);
      close(wire->far);
      wire = wires_.erase(wire);
    }
    cut_ = false;
    if (stopping_) return;
    if (polled[1].revents != 0 && !dead_) Accept();
  }
}

}  // namespace ursula::testing
