// tests/bench/replicas_cost.cc
//
// What a replicated append of 256 B costs in CPU: three nodes in this process, frames between them
// by memory, against one node alone, all of one core and with directories on a disk in memory. A
// closed loop of appends at node 1, each stream's group led by whoever leads it.
//
// usage: replicas_cost [SECONDS [DIRECTORY]]   (5, /dev/shm)
// The last line: entries sent per commit, CPU a replicated append in multiples of a single node's,
// the share of those who didn't take the calls, long turns.

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/ids.h"
#include "ursula/engine.h"
#include "ursula/env.h"
#include "ursula/runtime.h"
#include "ursula/sync.h"

namespace ursula::bench {
namespace {

constexpr int kOutstanding = 64;
constexpr int kStreams = 64;
constexpr std::size_t kBytes = 256;

// A frame is posted to the receiver's core; what is under way has no limit here.
class Port final : public Transport {
 public:
  Port(NodeId self, Runtime* runtime, std::map<NodeId, Port*>* all)
      : self_(self), runtime_(*runtime), all_(*all) {}

  void Attach(CoreId, FrameSink* sink) override { sink_ = sink; }
  void Detach(CoreId) override { sink_ = nullptr; }
  SendOutcome Send(CoreId core, NodeId to, Channel channel, std::vector<Bytes> frame) override {
    Port* peer = all_.at(to);
    std::string joined;
    for (const Bytes& part : frame) joined.append(part.view());
    peer->runtime_.Post(core, [this, peer, channel, bytes = Bytes::Take(std::move(joined))] {
      if (peer->sink_ != nullptr) peer->sink_->OnFrame(self_, channel, bytes);
    });
    return SendOutcome::kTaken;
  }
  uint64_t frame_bytes_wanted() const override { return 256 << 10; }

 private:
  const NodeId self_;
  Runtime& runtime_;
  const std::map<NodeId, Port*>& all_;
  FrameSink* sink_ = nullptr;
};

struct Node {
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<Port> port;
  std::unique_ptr<StreamEngine> engine;

  // Of its core's thread, so far.
  uint64_t CpuNs() const {
    std::mutex mutex;
    std::condition_variable told;
    uint64_t ns = 0;
    runtime->Post(CoreId{0}, [&] {
      timespec time{};
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      const std::lock_guard lock(mutex);
      ns = static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
      told.notify_one();
    });
    std::unique_lock lock(mutex);
    told.wait(lock, [&] { return ns > 0; });
    return ns;
  }
};

class Nodes {
 public:
  Nodes(uint64_t count, const std::string& directory) : nodes_(count) {
    std::filesystem::create_directories(directory);
    for (uint64_t id = 1; id <= count; ++id) {
      Node& node = nodes_[id - 1];
      Result<std::unique_ptr<Runtime>> runtime = NewRuntime({});
      URSULA_CHECK(runtime.ok());
      node.runtime = std::move(*runtime);
      node.port = std::make_unique<Port>(NodeId{id}, node.runtime.get(), &ports_);
      ports_[NodeId{id}] = node.port.get();
    }
    std::vector<std::thread> openings;
    for (uint64_t id = 1; id <= count; ++id) {
      openings.emplace_back([this, id, directory] { Open(id, directory); });
    }
    for (std::thread& opening : openings) opening.join();
  }
  ~Nodes() {
    for (Node& node : nodes_) node.engine.reset();
    for (Node& node : nodes_) node.runtime.reset();
  }
  Node& node(uint64_t id) { return nodes_.at(id - 1); }
  std::vector<Node>& all() { return nodes_; }

 private:
  void Open(uint64_t id, const std::string& directory) {
    EngineOptions options;
    options.data_dir = directory + "/node-" + std::to_string(id);
    options.group_count = 4;
    options.runtime = node(id).runtime.get();
    if (nodes_.size() > 1) {
      options.cluster.transport = node(id).port.get();
      options.cluster.node = NodeId{id};
      for (uint64_t one = 1; one <= nodes_.size(); ++one) {
        options.cluster.founders.push_back(NodeId{one});
      }
    }
    Result<std::unique_ptr<StreamEngine>> opened = StreamEngine::Open(std::move(options));
    if (!opened.ok()) std::fprintf(stderr, "%s\n", opened.status().ToString().c_str());
    URSULA_CHECK(opened.ok());
    node(id).engine = std::move(*opened);
  }

  std::map<NodeId, Port*> ports_;
  std::vector<Node> nodes_;
};

// Appends at one engine, each as soon as another has been answered.
class Load {
 public:
  explicit Load(StreamEngine* engine) : engine_(*engine), payload_(std::string(kBytes, 'x')) {
    for (int i = 0; i < kStreams; ++i) {
      CreateRequest create{.stream = StreamOf(i), .content_type = "text/plain"};
      auto created = Wait<CreateReply>([&](auto done) { engine_.Create(create, std::move(done)); });
      URSULA_CHECK(created.ok());
    }
  }

  // How many were acknowledged.
  uint64_t Run(double seconds) {
    acknowledged_ = 0;
    running_ = true;
    open_ = kOutstanding;
    for (int i = 0; i < kOutstanding; ++i) Next(i);
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    running_ = false;
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return open_ == 0; });
    return acknowledged_;
  }

 private:
  static StreamId StreamOf(int number) {
    return {.bucket = kUpstreamBucket, .name = "s" + std::to_string(number % kStreams)};
  }
  void Next(int number) {
    AppendRequest request{.stream = StreamOf(number), .messages = {Bytes::Copy(payload_)}};
    engine_.Append(std::move(request), [this, number](Result<AppendReply> reply) {
      if (reply.ok() && reply->outcome == Outcome::kOk) ++acknowledged_;
      if (running_) return Next(number);
      const std::lock_guard lock(mutex_);
      if (--open_ == 0) ended_.notify_one();
    });
  }

  StreamEngine& engine_;
  const std::string payload_;
  std::atomic<uint64_t> acknowledged_ = 0;
  std::atomic<bool> running_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  int open_ = 0;
};

struct Cost {
  double us = 0;      // Of all nodes, an append.
  double others = 0;  // The part of those that weren't asked.
  double sent = 0;    // Entries to peers, for each that was applied.
  uint64_t long_turns = 0;
};

Cost Measure(uint64_t count, double seconds, const std::string& directory) {
  Nodes nodes(count, directory);
  Load load(nodes.node(1).engine.get());
  (void)load.Run(1);
  auto sums = [&nodes] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // Figures are published.
    EngineStats stats;
    for (Node& node : nodes.all()) stats.Add(node.engine->Stats());
    return stats;
  };
  const EngineStats stats_before = sums();
  std::vector<uint64_t> before;
  for (Node& node : nodes.all()) before.push_back(node.CpuNs());
  const uint64_t appends = load.Run(seconds);
  uint64_t all = 0;
  uint64_t others = 0;
  for (std::size_t i = 0; i < nodes.all().size(); ++i) {
    const uint64_t ns = nodes.all()[i].CpuNs() - before[i];
    all += ns;
    if (i > 0) others += ns;
  }
  const EngineStats stats = sums();
  URSULA_CHECK(appends > 0);
  Cost cost;
  cost.us = static_cast<double>(all) / 1000 / static_cast<double>(appends);
  cost.others = static_cast<double>(others) / static_cast<double>(all);
  const double applied = static_cast<double>(stats.entries_applied - stats_before.entries_applied);
  const uint64_t sent = stats.peer_sent_entries - stats_before.peer_sent_entries;
  cost.sent = static_cast<double>(sent) * static_cast<double>(count) / applied;
  cost.long_turns = stats.long_turns;
  std::printf("%llu nodes: %.0f appends/s, %.2f us of CPU each, %.0f %% of it at the others\n",
              static_cast<unsigned long long>(count), static_cast<double>(appends) / seconds,
              cost.us, 100 * cost.others);
  return cost;
}

int Run(double seconds, const std::string& parent) {
  const std::string directory = parent + "/ursula-replicas-" + std::to_string(getpid());
  const Cost one = Measure(1, seconds, directory + "/one");
  const Cost three = Measure(3, seconds, directory + "/three");
  std::filesystem::remove_all(directory);
  const double ratio = three.us / one.us;
  std::printf(
      "%.2f entries sent per commit, %.2fx the CPU of a single node's append, %.0f %% of it at "
      "those "
      "who weren't asked, %llu turns above 20 ms\n",
      three.sent, ratio, 100 * three.others, static_cast<unsigned long long>(three.long_turns));
  return three.sent <= 2.2 && ratio <= 4 ? 0 : 1;
}

}  // namespace
}  // namespace ursula::bench

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::strtod(argv[1], nullptr) : 5;
  return ursula::bench::Run(seconds > 0 ? seconds : 5, argc > 2 ? argv[2] : "/dev/shm");
}
