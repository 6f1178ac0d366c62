// server/service_manager.h
//
// What ursulad tells whoever runs it, in sd_notify(3)'s protocol: datagrams of VARIABLE=VALUE lines
// to $NOTIFY_SOCKET. Nobody listens: nothing is told. Why not libsystemd: docs/decisions/0036.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ursula::server {

class ServiceManager {
 public:
  // The values of the variables of those names; null: not set.
  struct Environment {
    const char* notify_socket = nullptr;  // A path, or "@" and an abstract name.
    const char* watchdog_usec = nullptr;
    const char* watchdog_pid = nullptr;
  };
  ServiceManager(const Environment& environment, int64_t process_id);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // How often it wants to hear WATCHDOG=1; 0: never.
  uint64_t watchdog_us() const { return fd_ < 0 ? 0 : watchdog_us_; }

  // Any thread. Never waits: what its socket has no room for is lost. A line each.
  void Tell(std::string_view lines) const;
  // The same for what must not be lost; waits until there is room. Not on a core.
  void TellSurely(std::string_view lines) const;

 private:
  void Send(std::string_view lines, int flags) const;

  int fd_ = -1;
  std::string address_;  // As sun_path.
  uint64_t watchdog_us_ = 0;
};

}  // namespace ursula::server
