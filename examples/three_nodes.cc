// Three nodes of a cluster in one process, each with its own directory and runtime, and a Transport
// between them that is nothing but memory. One stops; the others go on with all that was
// acknowledged.

#include <array>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ursula/engine.h"
#include "ursula/env.h"
#include "ursula/outcome.h"
#include "ursula/runtime.h"
#include "ursula/sync.h"

namespace {

using ursula::Bytes;
using ursula::Channel;
using ursula::CoreId;
using ursula::NodeId;

constexpr uint64_t kUnderWayMax = 16 << 20;  // Bytes to one peer; more has to wait.

// One core a node. A frame is posted to the receiver's core, which is where its sink is called.
class Port final : public ursula::Transport {
 public:
  Port(NodeId self, ursula::Runtime* runtime, std::map<NodeId, Port*>* all)
      : self_(self), runtime_(*runtime), all_(*all) {}

  // Both on the core's thread, as every call of the sink.
  void Attach(CoreId /*core*/, ursula::FrameSink* sink) override { sink_ = sink; }
  void Detach(CoreId /*core*/) override { sink_ = nullptr; }

  ursula::SendOutcome Send(CoreId core, NodeId to, Channel channel,
                           std::vector<Bytes> frame) override {
    Port* peer = all_.at(to);
    uint64_t size = 0;
    for (const Bytes& part : frame) size += part.size();
    std::string joined;
    for (const Bytes& part : frame) joined.append(part.view());
    Lane& lane = lanes_[to];
    if (lane.under_way > 0 && lane.under_way + size > kUnderWayMax) {
      lane.full[static_cast<std::size_t>(channel)] = true;
      return ursula::SendOutcome::kFull;
    }
    lane.under_way += size;
    peer->runtime_.Post(core, [this, peer, to, channel, bytes = Bytes::Take(std::move(joined))] {
      const uint64_t taken = bytes.size();
      if (peer->sink_ != nullptr) peer->sink_->OnFrame(self_, channel, bytes);
      runtime_.Post(CoreId{0}, [this, to, taken] { OnTaken(to, taken); });
    });
    return ursula::SendOutcome::kTaken;
  }
  uint64_t frame_bytes_wanted() const override { return 256 << 10; }

 private:
  struct Lane {  // To one peer.
    uint64_t under_way = 0;
    std::array<bool, ursula::kChannelCount> full = {};
  };

  void OnTaken(NodeId to, uint64_t bytes) {
    Lane& lane = lanes_[to];
    lane.under_way -= bytes;
    for (std::size_t channel = 0; channel < lane.full.size(); ++channel) {
      if (!std::exchange(lane.full[channel], false) || sink_ == nullptr) continue;
      sink_->OnRoom(to, static_cast<Channel>(channel));
    }
  }

  const NodeId self_;
  ursula::Runtime& runtime_;
  const std::map<NodeId, Port*>& all_;
  ursula::FrameSink* sink_ = nullptr;
  std::map<NodeId, Lane> lanes_;
};

struct Node {
  std::unique_ptr<ursula::Runtime> runtime;
  std::unique_ptr<Port> port;
  std::unique_ptr<ursula::StreamEngine> engine;
};

void Open(uint64_t id, const std::string& data_dir, Node* node) {
  ursula::EngineOptions options;
  options.data_dir = data_dir + "/node-" + std::to_string(id);
  options.group_count = 4;
  options.runtime = node->runtime.get();
  options.cluster.transport = node->port.get();
  options.cluster.node = NodeId{id};
  options.cluster.founders = {NodeId{1}, NodeId{2}, NodeId{3}};
  auto opened = ursula::StreamEngine::Open(std::move(options));
  if (opened.ok()) {
    node->engine = std::move(*opened);
  } else {
    std::cerr << "node " << id << ": " << opened.status().ToString() << "\n";
  }
}

template <class Reply>
bool Succeeded(const ursula::Result<Reply>& result) {
  ursula::Status status = ursula::StatusOf(result);
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok();
}

const ursula::StreamId kStream{.bucket = ursula::kUpstreamBucket, .name = "shared"};

bool Append(ursula::StreamEngine* engine, const std::string& text) {
  ursula::AppendRequest request{.stream = kStream, .messages = {Bytes::Copy(text)}};
  return Succeeded(ursula::Wait<ursula::AppendReply>(
      [&](auto done) { engine->Append(request, std::move(done)); }));
}

bool Run(std::array<Node, 3>* nodes) {
  ursula::StreamEngine* first = (*nodes)[0].engine.get();
  ursula::CreateRequest create{.stream = kStream, .content_type = "text/plain"};
  if (!Succeeded(ursula::Wait<ursula::CreateReply>(
          [&](auto done) { first->Create(create, std::move(done)); }))) {
    return false;
  }
  // Any node takes it, and brings it to the one that leads the stream's group.
  if (!Append(first, "by node 1\n")) return false;
  if (!Append((*nodes)[1].engine.get(), "by node 2\n")) return false;

  (*nodes)[0].engine.reset();  // It hands over what it leads, and stops.
  if (!Append((*nodes)[1].engine.get(), "by node 2, without node 1\n")) return false;

  ursula::ReadRequest read{.stream = kStream};
  auto reply = ursula::Wait<ursula::ReadReply>(
      [&](auto done) { (*nodes)[2].engine->Read(read, std::move(done)); });
  if (!Succeeded(reply)) return false;
  for (const Bytes& part : reply->parts) std::cout << part.view();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string data_dir = argc > 1 ? argv[1] : "./three-nodes-data";
  std::map<NodeId, Port*> ports;
  std::array<Node, 3> nodes;
  for (uint64_t id = 1; id <= nodes.size(); ++id) {
    Node& node = nodes[id - 1];
    auto runtime = ursula::NewRuntime({});
    if (!runtime.ok()) {
      std::cerr << runtime.status().ToString() << "\n";
      return 1;
    }
    node.runtime = std::move(*runtime);
    node.port = std::make_unique<Port>(NodeId{id}, node.runtime.get(), &ports);
    ports[NodeId{id}] = node.port.get();
  }
  // Each waits for the others, the first time: together they found the cluster.
  std::vector<std::thread> openings;
  for (uint64_t id = 1; id <= nodes.size(); ++id) {
    openings.emplace_back([id, &data_dir, &nodes] { Open(id, data_dir, &nodes[id - 1]); });
  }
  for (std::thread& opening : openings) opening.join();
  bool done = true;
  for (const Node& node : nodes) done = done && node.engine != nullptr;
  done = done && Run(&nodes);
  for (Node& node : nodes) node.engine.reset();
  for (Node& node : nodes) node.runtime.reset();  // Before the ports that its cores may still call.
  return done ? 0 : 1;
}
