// What a service manager is told of an opening: who only waits for other nodes isn't to be ended
// for it.

#include "server/recovery_report.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "server/service_manager.h"
#include "tests/support/manual_loop.h"
#include "ursula/engine.h"

namespace ursula::server {
namespace {

class RecoveryReportTest : public ::testing::Test {
 protected:
  RecoveryReportTest() : name_("ursula-recovery-report-" + std::to_string(getpid())) {
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data(), name_.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
  }
  ~RecoveryReportTest() override { close(fd_); }

  std::string Told() {
    char bytes[4096];
    const ssize_t count = recv(fd_, bytes, sizeof(bytes), 0);
    return count < 0 ? std::string() : std::string(bytes, static_cast<std::size_t>(count));
  }

  // How many of so many reports, which say that nothing has got on, ask for more time.
  int AsksForTime(OpeningStep step, int reports) {
    const std::string socket_name = "@" + name_;
    ServiceManager manager({.notify_socket = socket_name.c_str()}, getpid());
    Opening opening;
    opening.Begin(step, 1);
    testing::ManualLoop loop;
    RecoveryReport report(&loop, &opening, &manager);
    report.Start();
    int asks = 0;
    for (int i = 0; i < reports; ++i) {
      loop.AdvanceBy(RecoveryReport::kIntervalMs * 1'000'000);
      const std::string told = Told();
      EXPECT_TRUE(told.starts_with("STATUS=recovering: ")) << told;
      asks += told.find("EXTEND_TIMEOUT_USEC=60000000") != std::string::npos ? 1 : 0;
    }
    loop.Crash();
    return asks;
  }

  const std::string name_;
  int fd_ = -1;
};

TEST_F(RecoveryReportTest, WhoWaitsForOthersIsGivenTimeAgainAndAgain) {
  EXPECT_EQ(AsksForTime(OpeningStep::kFounding, 5), 5);
  EXPECT_EQ(AsksForTime(OpeningStep::kRejoining, 5), 5);
}

TEST_F(RecoveryReportTest, WhatHangsIsGivenItOnce) {
  EXPECT_EQ(AsksForTime(OpeningStep::kLog, 5), 1);
}

}  // namespace
}  // namespace ursula::server
