// tests/bench/peer_cost.cc
//
// What a frame between two nodes costs, loop to loop: two processes with a runtime of one core
// each, their peer transports on loopback. Bursts of frames go back and forth. At the
// end one is stopped, goes on, and is killed: how soon the other is told.
//
// usage: peer_cost [PORT_ONE PORT_TWO]

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
#include "lib/base/coding.h"
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
  // Sends back what comes, as the bursts say themselves that they are.
  void set_echo() { echo_ = true; }
  const Histogram& taken() const { return taken_; }
  void Serve() {
    began_ = Clock::now();
    for (uint64_t i = 0; i < round_.burst; ++i) {
      std::string text(round_.frame_bytes, 'x');
      StoreFixed<uint64_t>(text.data(), round_.burst);
      std::vector<Bytes> frame = {Bytes::Take(std::move(text))};
      const SendOutcome outcome =
          transport_->Send(CoreId{0}, NodeId{other_}, round_.channel, std::move(frame));
      URSULA_CHECK(outcome == SendOutcome::kTaken);
    }
  }

  void OnFrame(NodeId, Channel channel, Bytes frame) override {
    if (echo_) {
      round_ = {.channel = channel,
                .burst = LoadFixed<uint64_t>(frame.data()),
                .rounds = 0,
                .frame_bytes = frame.size()};
    }
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
  void OnLost(NodeId, bool ended) override {
    if (awaits_loss_ && (ended || !awaits_end_)) ended_();
  }
  // Ends with the next loss, or with the process's end.
  void AwaitLoss(bool end) {
    awaits_loss_ = true;
    awaits_end_ = end;
  }

 private:
  const uint64_t other_;
  Function<void()> ended_;
  peer::PeerTransport* transport_ = nullptr;
  Round round_;
  uint64_t received_ = 0;
  bool echo_ = false;
  bool awaits_loss_ = false;
  bool awaits_end_ = false;
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

double Seconds(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
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

class Game {
 public:
  Game(Node* node, pid_t other) : node_(*node), other_(other) {
    clock_getcpuclockid(other, &other_clock_);
  }

  void Play(const Player::Round& round) {
    node_.Run([&] { node_.player->set_round(round); });
    const double cpu = CpuSeconds();
    const double began = Seconds(CLOCK_MONOTONIC);
    ended_ = false;
    node_.loop().Post([&] { node_.player->Serve(); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_; });
    const double seconds = Seconds(CLOCK_MONOTONIC) - began;
    const double frames = 2.0 * static_cast<double>(round.rounds * round.burst);
    std::printf(
        "bursts of %2llu x %7zu B: one way p50 %8.1f us, p99 %8.1f us; CPU %7.2f us a frame (both"
        " ends); %7.0f frames/s, %7.1f MB/s\n",
        static_cast<unsigned long long>(round.burst), round.frame_bytes, OneWayUs(50), OneWayUs(99),
        (CpuSeconds() - cpu) * 1e6 / frames, frames / seconds,
        frames / seconds * static_cast<double>(round.frame_bytes) / 1e6);
  }
  // By a signal to the other process.
  void Lose(const char* what, int signal, bool end) {
    node_.Run([&] { node_.player->AwaitLoss(end); });
    ended_ = false;
    const double began = Seconds(CLOCK_MONOTONIC);
    kill(other_, signal);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_; });
    std::printf("%s: told after %.1f ms\n", what, (Seconds(CLOCK_MONOTONIC) - began) * 1e3);
  }
  void End() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

 private:
  double OneWayUs(double percent) {
    return static_cast<double>(node_.player->taken().Percentile(percent)) / 2000.0;
  }
  double CpuSeconds() { return Seconds(CLOCK_PROCESS_CPUTIME_ID) + Seconds(other_clock_); }

  Node& node_;
  const pid_t other_;
  clockid_t other_clock_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

void AwaitConnected(const Node& node) {
  while (true) {
    const peer::PeerStatus status = node.transport->Peers()[0];
    if (status.connected && status.connected_from) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// Until the pipe's other end closes.
int Echo(const std::string& at_one, const std::string& at_two, int pipe) {
  Node two = MakeNode(2, at_two, 1, at_one, [] {});
  two.player->set_echo();
  char byte = 0;
  while (read(pipe, &byte, 1) > 0) {
  }
  two.transport->Stop();
  return 0;
}

int Main(const std::string& at_one, const std::string& at_two) {
  int ends[2];
  URSULA_CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    return Echo(at_one, at_two, ends[0]);
  }
  Game* game = nullptr;
  Node one = MakeNode(1, at_one, 2, at_two, [&game] { game->End(); });
  AwaitConnected(one);
  Game played(&one, child);
  game = &played;
  played.Play({.burst = 1, .rounds = 2000});  // Warms up.
  std::printf("\n");
  played.Play({.burst = 1, .rounds = 30'000});
  played.Play({.burst = 64, .rounds = 5'000});
  played.Play({.channel = Channel::kBulk, .burst = 4, .rounds = 500, .frame_bytes = 256 << 10});
  played.Play({.channel = Channel::kBulk, .burst = 1, .rounds = 50, .frame_bytes = 8 << 20});
  played.Lose("stopped", SIGSTOP, false);
  kill(child, SIGCONT);
  AwaitConnected(one);
  played.Lose("killed", SIGKILL, true);
  one.transport->Stop();
  close(ends[1]);
  waitpid(child, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace ursula::bench

int main(int argc, char** argv) {
  const std::string one = argc == 3 ? argv[1] : "21001";
  const std::string two = argc == 3 ? argv[2] : "21002";
  return ursula::bench::Main("127.0.0.1:" + one, "127.0.0.1:" + two);
}
