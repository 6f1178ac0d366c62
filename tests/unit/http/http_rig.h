// tests/unit/http/http_rig.h
//
// One core's HTTP server in virtual time, for tests: real CoreServer and connections, fake sockets.

#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "server/http/core_server.h"
#include "tests/support/fake_net.h"
#include "tests/support/manual_loop.h"

namespace ursula::http {

inline constexpr uint64_t kMs = 1'000'000;

// Gives CoreServer the handler that `make(loop, counters)` makes.
class HttpRig {
 public:
  template <class MakeHandler>
  HttpRig(const HttpOptions& http_options, MakeHandler make) : net(&manual), options(http_options) {
    server = std::make_unique<CoreServer>(&net, &options, &shared);
    server->SetHandler(make(&net, &server->counters()));
    EXPECT_TRUE(server->Listen(0).ok());
  }
  ~HttpRig() {
    if (!stop_called) Stop();
    // Everything ends by itself: nothing leaks and nothing hangs.
    EXPECT_TRUE(manual.RunUntil([this] { return stopped; }, 60'000 * kMs));
    EXPECT_TRUE(all_gone);
    EXPECT_EQ(shared.connections.load(), 0u);
    EXPECT_EQ(shared.body_bytes.load(), 0u);
    EXPECT_EQ(server->counters().connections_open.Get(), 0u);
    EXPECT_EQ(server->counters().requests_open.Get(), 0u);
    server.reset();
  }

  void Stop() {
    stop_called = true;
    server->Stop([this](bool gone) {
      stopped = true;
      all_gone = gone;
    });
    manual.RunUntilIdle();
  }

  std::shared_ptr<testing::FakePeer> Connect() { return net.Connect(); }
  void AdvanceMs(uint64_t ms) { manual.AdvanceBy(ms * kMs); }

  testing::ManualLoop manual;
  testing::FakeNetLoop net;
  HttpOptions options;
  SharedUse shared;
  std::unique_ptr<CoreServer> server;
  bool stop_called = false;
  bool stopped = false;
  bool all_gone = false;
};

// Of a whole response.
inline int StatusOf(std::string_view response) {
  if (!response.starts_with("HTTP/1.1 ") || response.size() < 12) return 0;
  return (response[9] - '0') * 100 + (response[10] - '0') * 10 + (response[11] - '0');
}

inline std::string BodyOf(std::string_view response) {
  std::size_t end = response.find("\r\n\r\n");
  return end == std::string_view::npos ? "" : std::string(response.substr(end + 4));
}

inline std::size_t CountOf(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + word.size())) {
    ++count;
  }
  return count;
}

}  // namespace ursula::http
