// One HTTP connection, from its first byte to its end, over an engine in memory. The input: a byte
// that says how the connection ends, then what the client sends. Whatever it is, the answers are
// whole and well formed, nothing of the connection is left, and how the bytes were cut into packets
// makes no difference.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"
#include "server/http/core_server.h"
#include "server/http/stream_handler.h"
#include "tests/fuzz/http_text.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_net.h"
#include "tests/support/manual_loop.h"

namespace ursula::http {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// Small, so that an input can come to them.
HttpOptions SmallLimits() {
  HttpOptions options;
  options.limits = {.line_bytes_max = 256,
                    .header_bytes_max = 1024,
                    .header_count_max = 16,
                    .body_bytes_max = 2048};
  options.pipelined_bytes_max = 1024;
  return options;
}

protocol::ProtocolConfig SmallPages() {
  protocol::ProtocolConfig config;
  config.body_bytes_max = 2048;
  config.json_messages_max = 16;
  config.json_depth_max = 8;
  config.read_bytes_max = 64;
  config.sse_read_bytes_max = 32;
  config.compress_bytes_min = 48;
  return config;
}

class Server {
 public:
  Server() : net_(&manual_), core_(&net_, &options_, &shared_), engine_(&net_) {
    core_.SetHandler(std::make_unique<StreamHandler>(&engine_, &config_, &live_, &frames_, &net_,
                                                     &core_.counters()));
    URSULA_CHECK(core_.Listen(0).ok());
  }

  // Serves one connection to its end, and says what the client got.
  std::string Serve(std::string_view bytes, std::size_t packet_bytes, uint8_t ending) {
    const std::shared_ptr<testing::FakePeer> peer = net_.Connect();
    if ((ending & 4) != 0) peer->Stall();
    for (std::string_view rest = bytes; !rest.empty();) {
      const std::string_view packet = rest.substr(0, packet_bytes);
      peer->Write(packet);
      rest.remove_prefix(packet.size());
    }
    if ((ending & 8) != 0) peer->Unstall();
    if ((ending & 1) != 0) peer->End();
    if ((ending & 2) != 0) peer->Break(104);
    manual_.AdvanceBy(200 * kSecond);
    Stop();
    URSULA_CHECK(peer->closed());
    return peer->TakeReceived();
  }

 private:
  void Stop() {
    bool stopped = false;
    bool all_gone = false;
    core_.Stop([&](bool gone) {
      stopped = true;
      all_gone = gone;
    });
    URSULA_CHECK(manual_.RunUntil([&stopped] { return stopped; }, 60 * kSecond));
    URSULA_CHECK(all_gone);
    URSULA_CHECK(shared_.connections.load() == 0 && shared_.body_bytes.load() == 0);
    URSULA_CHECK(core_.counters().connections_open.Get() == 0);
    URSULA_CHECK(core_.counters().requests_open.Get() == 0);
  }

  testing::ManualLoop manual_;
  testing::FakeNetLoop net_;
  const HttpOptions options_ = SmallLimits();
  const protocol::ProtocolConfig config_ = SmallPages();
  const LiveOptions live_;
  SharedFrames frames_;
  SharedUse shared_;
  CoreServer core_;
  testing::FakeEngine engine_;
};

// What doesn't depend on packets: 100 Continue is only for a client that still waits.
std::vector<std::string> Comparable(const std::vector<fuzz::HttpResponse>& responses) {
  std::vector<std::string> texts;
  for (const fuzz::HttpResponse& response : responses) {
    if (response.status == 100) continue;
    std::string text = std::to_string(response.status);
    for (const std::string& line : response.lines) {
      if (!line.starts_with("X-Request-Id: ")) text += "\n" + line;
    }
    texts.push_back(text + "\n\n" + response.body);
  }
  return texts;
}

void Run(std::string_view input) {
  if (input.empty()) return;
  const uint8_t ending = static_cast<uint8_t>(input.front());
  input.remove_prefix(1);
  std::vector<std::string> wanted;
  for (const std::size_t packet_bytes : {input.size() + 1, std::size_t{1}, std::size_t{13}}) {
    Server server;
    const std::string received = server.Serve(input, packet_bytes, ending);
    const std::vector<std::string> got = Comparable(fuzz::HttpReader(received).Read());
    if (packet_bytes > input.size()) wanted = got;
    // A client that stalls or breaks off gets what had left by then.
    if ((ending & 6) == 0) URSULA_CHECK(got == wanted);
  }
}

}  // namespace
}  // namespace ursula::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::http::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
