#include "tests/support/test_network.h"

#include <algorithm>
#include <string>

#include "lib/base/check.h"
#include "lib/base/ids.h"

namespace ursula::testing {

class TestNetwork::Port final : public Transport {
 public:
  Port(TestNetwork* network, NodeId node, ManualRuntime* runtime)
      : network_(*network), node_(node), runtime_(*runtime) {}

  void Attach(CoreId core, FrameSink* sink) override { sinks_[core] = sink; }
  void Detach(CoreId core) override { sinks_.erase(core); }
  SendOutcome Send(CoreId core, NodeId to, Channel channel, std::vector<Bytes> frame) override {
    return network_.Send(node_, core, to, channel, std::move(frame));
  }
  uint64_t frame_bytes_wanted() const override { return 256 << 10; }

  ManualRuntime& runtime() { return runtime_; }
  ManualLoop& loop(CoreId core) { return runtime_.manual_loop(core); }
  // The core that a peer's core talks to.
  CoreId CoreFor(CoreId peers) const {
    return CoreId{static_cast<uint16_t>(Raw(peers) % runtime_.core_count())};
  }
  FrameSink* sink(CoreId core) {
    auto found = sinks_.find(core);
    return found == sinks_.end() ? nullptr : found->second;
  }

 private:
  TestNetwork& network_;
  const NodeId node_;
  ManualRuntime& runtime_;
  std::map<CoreId, FrameSink*> sinks_;
};

TestNetwork::TestNetwork(uint64_t seed, const NetworkFaults& faults)
    : random_(seed), faults_(faults) {}

TestNetwork::~TestNetwork() = default;

TestNetwork::Port* TestNetwork::Find(NodeId node) {
  auto found = ports_.find(node);
  return found == ports_.end() ? nullptr : found->second.get();
}

uint64_t& TestNetwork::ConnectionOf(NodeId a, NodeId b) {
  return connections_[{std::min(a, b), std::max(a, b)}];
}

uint64_t TestNetwork::Delay() {
  return faults_.delay_ns_min + random_.Below(faults_.delay_ns_max - faults_.delay_ns_min + 1);
}

Transport* TestNetwork::Join(NodeId node, ManualRuntime* runtime) {
  URSULA_CHECK(Find(node) == nullptr);
  // Whoever didn't hear of the last one's end learns of it from this one.
  if (untold_.erase(node) > 0) {
    for (auto& [peer, port] : ports_) TellLost(peer, node, true);
  }
  ports_[node] = std::make_unique<Port>(this, node, runtime);
  return ports_[node].get();
}

void TestNetwork::Leave(NodeId node, bool told) {
  ports_.erase(node);
  for (auto& [peer, port] : ports_) {
    ++ConnectionOf(node, peer);
    if (told) TellLost(peer, node, true);
  }
  if (!told) untold_.insert(node);
  std::erase_if(lanes_, [node](const auto& entry) {
    return std::get<0>(entry.first) == node || std::get<1>(entry.first) == node;
  });
}

void TestNetwork::Isolate(NodeId node) {
  for (auto& [peer, port] : ports_) {
    if (peer == node) continue;
    Cut(node, peer);
    Cut(peer, node);
  }
}

void TestNetwork::Heal() { cuts_.clear(); }

void TestNetwork::Break(NodeId a, NodeId b) {
  ++ConnectionOf(a, b);
  TellLost(a, b, false);
  TellLost(b, a, false);
  std::erase_if(lanes_, [a, b](const auto& entry) {
    const auto& [from, to, channel, core] = entry.first;
    return (from == a && to == b) || (from == b && to == a);
  });
}

void TestNetwork::TellLost(NodeId node, NodeId peer, bool ended) {
  Port* port = Find(node);
  if (port == nullptr) return;
  for (uint16_t i = 0; i < port->runtime().core_count(); ++i) {
    ManualLoop& loop = port->loop(CoreId{i});
    loop.At(loop.now_ns() + Delay(), [this, port, node, peer, ended, i] {
      if (Find(node) != port || port->sink(CoreId{i}) == nullptr) return;
      port->sink(CoreId{i})->OnLost(peer, ended);
    });
  }
}

SendOutcome TestNetwork::Send(NodeId from, CoreId core, NodeId to, Channel channel,
                              std::vector<Bytes> frame) {
  Port* sender = Find(from);
  Port* receiver = Find(to);
  URSULA_CHECK(sender != nullptr);
  if (receiver == nullptr) return SendOutcome::kUnreachable;
  const LaneKey key{from, to, channel, core};
  Lane& lane = lanes_[key];
  std::string joined;
  for (const Bytes& part : frame) joined.append(part.view());
  if (cuts_.contains({from, to})) {
    ++lost_;
    return SendOutcome::kTaken;
  }
  if (lane.bytes > 0 && lane.bytes + joined.size() > faults_.buffer_bytes_max) {
    lane.full = true;
    return SendOutcome::kFull;
  }
  if (random_.Below(1'000'000) < faults_.break_per_million) {
    ++lost_;
    Break(from, to);
    return SendOutcome::kTaken;
  }
  lane.bytes += joined.size();
  const uint64_t now_ns = sender->loop(core).now_ns();
  lane.arrives_ns = std::max(lane.arrives_ns, now_ns + Delay());
  receiver->loop(receiver->CoreFor(core))
      .At(lane.arrives_ns, [this, key, connection = ConnectionOf(from, to),
                            arriving = Bytes::Take(std::move(joined))]() mutable {
        Deliver(key, connection, std::move(arriving));
      });
  return SendOutcome::kTaken;
}

void TestNetwork::Deliver(const LaneKey& key, uint64_t connection, Bytes frame) {
  const auto& [from, to, channel, core] = key;
  Port* sender = Find(from);
  Port* receiver = Find(to);
  if (receiver == nullptr || ConnectionOf(from, to) != connection) {
    ++lost_;
    return;
  }
  Lane& lane = lanes_[key];
  lane.bytes -= frame.size();
  if (std::exchange(lane.full, false) && sender != nullptr) {
    ManualLoop& loop = sender->loop(core);
    loop.At(loop.now_ns(), [this, sender, from = from, to = to, channel = channel, core = core] {
      if (Find(from) == sender && sender->sink(core) != nullptr) {
        sender->sink(core)->OnRoom(to, channel);
      }
    });
  }
  if (cuts_.contains({from, to})) {
    ++lost_;
    return;
  }
  FrameSink* sink = receiver->sink(receiver->CoreFor(core));
  if (sink == nullptr) return;
  ++frames_;
  if (faults_.repeat_per_million > 0 && random_.Below(1'000'000) < faults_.repeat_per_million) {
    Repeat(key, receiver, frame);
  }
  sink->OnFrame(from, channel, std::move(frame));
}

void TestNetwork::Repeat(const LaneKey& key, Port* receiver, const Bytes& frame) {
  const auto& [from, to, channel, core] = key;
  const CoreId at = receiver->CoreFor(core);
  ManualLoop& loop = receiver->loop(at);
  loop.At(loop.now_ns() + Delay(),
          [this, receiver, from = from, to = to, channel = channel, at, frame]() mutable {
            if (Find(to) != receiver || receiver->sink(at) == nullptr) return;
            receiver->sink(at)->OnFrame(from, channel, std::move(frame));
          });
}

}  // namespace ursula::testing
