#include "server/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include "server/config/values.h"

namespace ursula::server {

ServiceManager::ServiceManager(const Environment& environment, int64_t process_id) {
  if (environment.notify_socket == nullptr) return;
  address_ = environment.notify_socket;
  if (address_.size() < 2 || address_.size() >= sizeof(sockaddr_un::sun_path)) return;
  if (address_[0] != '/' && address_[0] != '@') return;
  if (address_[0] == '@') address_[0] = '\0';
  fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  auto number = [](const char* text) { return text == nullptr ? std::nullopt : ParseNumber(text); };
  // The variables are inherited: they may be meant for the process that started this one.
  const std::optional<uint64_t> watched = number(environment.watchdog_pid);
  if (watched.has_value() && *watched != static_cast<uint64_t>(process_id)) return;
  watchdog_us_ = number(environment.watchdog_usec).value_or(0);
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) close(fd_);
}

void ServiceManager::Tell(std::string_view lines) const { Send(lines, MSG_DONTWAIT); }
void ServiceManager::TellSurely(std::string_view lines) const { Send(lines, 0); }

void ServiceManager::Send(std::string_view lines, int flags) const {
  if (fd_ < 0) return;
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const socklen_t size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size() +
                             (address_[0] == '\0' ? 0 : 1));  // A path ends with a zero.
  while (sendto(fd_, lines.data(), lines.size(), flags | MSG_NOSIGNAL,
                reinterpret_cast<const sockaddr*>(&to), size) < 0 &&
         errno == EINTR) {
  }
}

}  // namespace ursula::server
