// tests/bench/peer_cost.cc
//
// What a frame between two nodes costs, loop to loop: two runtimes of a core each, their peer
// transports on loopback, in one process. Bursts of frames go back and forth.
//
// usage: peer_cost [PORT_ONE PORT_TWO]

#include <sys/resource.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/io/runtime.h"
#include "server/peer/grpc_transport.h"
#include "tests/bench/histogram.h"
#include "ursula/runtime.h"

namespace ursula::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Sends a burst back once it has one; the first one counts.
class Player final : public FrameSink {
 public:
  struct Round {
    Channel channel = Channel::kControl;
    uint64_t burst = 1;
    uint64_t rounds = 0;
    std::size_t frame_bytes = 300;
  };

  Player(uint64_t other, Function<void()> ended) : other_(other), ended_(std::move(ended)) {}

  void set_transport(peer::PeerTransport* transport) { transport_ = transport; }
  void set_round(const Round& round) {
    round_ = round;
    received_ = 0;
    taken_ = {};
  }
  const Histogram& taken() const { return taken_; }
  void Serve() {
    began_ = Clock::now();
    for (uint64_t i = 0; i < round_.burst; ++i) {
      std::vector<Bytes> frame = {Bytes::Take(std::string(round_.frame_bytes, 'x'))};
      const SendOutcome outcome =
          transport_->Send(CoreId{0}, NodeId{other_}, round_.channel, std::move(frame));
      URSULA_CHECK(outcome == SendOutcome::kTaken);
    }
  }

  void OnFrame(NodeId, Channel, Bytes) override {
    if (++received_ % round_.burst != 0) return;
    if (began_ != Clock::time_point()) {
      taken_.Record(static_cast<uint64_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - began_).count()));
    }
    if (round_.rounds > 0 && --round_.rounds == 0) {
      ended_();
      return;
    }
    Serve();
  }
  void OnRoom(NodeId, Channel) override {}
  void OnLost(NodeId, bool) override {}

 private:
  const uint64_t other_;
  Function<void()> ended_;
  peer::PeerTransport* transport_ = nullptr;
  Round round_;
  uint64_t received_ = 0;
  Clock::time_point began_;
  Histogram taken_;
};

struct Node {
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<Player> player;
  std::unique_ptr<peer::PeerTransport> transport;

  io::Loop& loop() { return io::LoopRuntime::Of(*runtime).loop(CoreId{0}); }
  void Run(Function<void()> work) {
    io::LoopRuntime::Of(*runtime).Await(
        [this, work = std::move(work)](Function<void()> finished) mutable {
          loop().Post([work = std::move(work), finished = std::move(finished)]() mutable {
            work();
            finished();
          });
        });
  }
};

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Node MakeNode(uint64_t id, const std::string& listen, uint64_t other, const std::string& other_at,
              Function<void()> ended) {
  Node node;
  Result<std::unique_ptr<Runtime>> runtime = NewRuntime({});
  URSULA_CHECK(runtime.ok());
  node.runtime = std::move(*runtime);
  node.player = std::make_unique<Player>(other, std::move(ended));
  peer::PeerTransportOptions options;
  options.node = NodeId{id};
  options.listen = listen;
  options.peers = {{NodeId{other}, other_at}};
  options.incarnation = id;
  options.post = [runtime = node.runtime.get()](CoreId core, Function<void()> work) {
    io::LoopRuntime::Of(*runtime).loop(core).Post(std::move(work));
  };
  Result<std::unique_ptr<peer::PeerTransport>> made = peer::NewPeerTransport(options);
  if (!made.ok()) std::fprintf(stderr, "%s\n", made.status().message().c_str());
  URSULA_CHECK(made.ok());
  node.transport = std::move(*made);
  node.player->set_transport(node.transport.get());
  node.Run([&] { node.transport->Attach(CoreId{0}, node.player.get()); });
  return node;
}

void Measure(Node* one, Node* two, const Player::Round& round,
             Function<void(Function<void()>)> await) {
  two->Run([&] {
    Player::Round echo = round;
    echo.rounds = 0;
    two->player->set_round(echo);
  });
  one->Run([&] { one->player->set_round(round); });
  const double cpu = CpuSeconds();
  const auto began = Clock::now();
  await([&] { one->loop().Post([&] { one->player->Serve(); }); });
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  const double frames = 2.0 * static_cast<double>(round.rounds * round.burst);
  std::printf(
      "bursts of %4llu x %7zu B: one way p50 %8.1f us, p99 %8.1f us; CPU %6.2f us a frame (both"
      " ends); %8.0f frames/s, %7.1f MB/s\n",
      static_cast<unsigned long long>(round.burst), round.frame_bytes,
      static_cast<double>(one->player->taken().Percentile(50)) / 2000.0,
      static_cast<double>(one->player->taken().Percentile(99)) / 2000.0,
      (CpuSeconds() - cpu) * 1e6 / frames, frames / seconds,
      frames / seconds * static_cast<double>(round.frame_bytes) / 1e6);
}

int Main(const std::string& at_one, const std::string& at_two) {
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
  const auto end = [&] {
    std::lock_guard lock(mutex);
    ended = true;
    changed.notify_all();
  };
  const auto await = [&](Function<void()> start) {
    ended = false;
    start();
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ended; });
  };
  Node one = MakeNode(1, at_one, 2, at_two, end);
  Node two = MakeNode(2, at_two, 1, at_one, [] {});
  while (!one.transport->Peers()[0].connected || !two.transport->Peers()[0].connected) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  Measure(&one, &two, {.burst = 1, .rounds = 2000}, await);  // Warms up.
  std::printf("\n");
  Measure(&one, &two, {.burst = 1, .rounds = 30'000}, await);
  Measure(&one, &two, {.burst = 64, .rounds = 5'000}, await);
  Measure(&one, &two,
          {.channel = Channel::kBulk, .burst = 4, .rounds = 500, .frame_bytes = 256 << 10}, await);
  Measure(&one, &two, {.channel = Channel::kBulk, .burst = 1, .rounds = 50, .frame_bytes = 8 << 20},
          await);
  one.transport->Stop();
  two.transport->Stop();
  return 0;
}

}  // namespace
}  // namespace ursula::bench

int main(int argc, char** argv) {
  const std::string one = argc == 3 ? argv[1] : "21001";
  const std::string two = argc == 3 ? argv[2] : "21002";
  return ursula::bench::Main("127.0.0.1:" + one, "127.0.0.1:" + two);
}
