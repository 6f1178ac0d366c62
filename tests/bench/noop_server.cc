// tests/bench/noop_server.cc
//
// The connection stack of ursulad without an engine behind it: every request is read whole, then
// answered with 204. What append throughput is a fraction of. Runs until SIGTERM or SIGINT.
//
// usage: noop_server PORT     (0: the kernel's choice; it prints "listening on URL")

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lib/io/runtime.h"
#include "server/http/server.h"
#include "ursula/runtime.h"

namespace ursula::bench {
namespace {

class NoopHandler final : public http::Handler {
 public:
  void OnRequest(http::Exchange* exchange) override {
    protocol::Response response;
    response.status = 204;
    exchange->Reply(std::move(response));
  }
};

int Fail(const std::string& why) {
  std::fprintf(stderr, "noop_server: %s\n", why.c_str());
  return 1;
}

int Main(std::string_view port) {
  http::HttpOptions options;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), options.port);
  if (error != std::errc() || end != port.data() + port.size())
    return Fail("usage: noop_server PORT");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);  // Before the loops' threads, which inherit it.

  RuntimeOptions cores;
  cores.core_count = 0;
  Result<std::unique_ptr<Runtime>> runtime = NewRuntime(cores);
  if (!runtime.ok()) return Fail(runtime.status().message());
  auto server =
      http::Server::Start(&io::LoopRuntime::Of(**runtime), options, {},
                          [](const http::HandlerCore&) { return std::make_unique<NoopHandler>(); });
  if (!server.ok()) return Fail(server.status().message());
  std::printf("listening on http://127.0.0.1:%u\n", unsigned{(*server)->port()});
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  return (*server)->Stop() ? 0 : Fail("connections are left");
}

}  // namespace
}  // namespace ursula::bench

int main(int argc, char** argv) { return ursula::bench::Main(argc == 2 ? argv[1] : ""); }
