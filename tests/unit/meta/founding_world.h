// tests/unit/meta/founding_world.h
//
// Nodes that found a cluster, step by step: what each has on disk, its process, and the hellos on
// their way. A hello goes from one process to one process, in order; it is lost with the process
// that it goes to, but not with the one that sent it, and may come late. After every step the
// world looks whether a rule was broken.

#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/base/random.h"
#include "lib/meta/founding.h"

namespace ursula::meta {

class FoundingWorld {
 public:
  enum class Fault : uint8_t {
    kCrash,         // What is being persisted isn't durable.
    kCrashDurable,  // It is, and nobody was told.
    kWipe,          // The disk is gone; a new process begins on an empty one.
    kCut,           // Its connections break.
    kWipeTwo,       // It and the next node.
  };
  static constexpr int kFaults = 5;

  FoundingWorld(uint64_t nodes, uint64_t seed) : random_(seed) {
    for (uint64_t i = 1; i <= nodes; ++i) founders_.push_back(NodeId{i});
    for (NodeId node : founders_) Start(node);
  }

  // One step: something has become durable, a hello arrives, or a node's tick.
  void Step() {
    for (NodeId node : founders_) {
      if (At(node).founding->ToPersist() != nullptr && random_.OneIn(3)) return Persisted(node);
    }
    std::vector<std::pair<uint64_t, uint64_t>> ready;
    for (const auto& [key, hellos] : channels_) {
      const Node* to = Find(key.second);
      if (hellos.empty() || to == nullptr) continue;
      if (to->founding->ToPersist() == nullptr) ready.push_back(key);
    }
    if (!ready.empty() && !random_.OneIn(12)) {
      Deliver(ready[random_.Below(ready.size())]);
    } else {
      Tick(founders_[random_.Below(founders_.size())]);
    }
    Look();
  }

  // Whether all have ended. Where a node was refused because of a member whose disk was wiped
  // since, it is started again, as an operator would.
  bool EndedOrStarted() {
    bool ended = true;
    for (auto& [id, node] : nodes_) {
      if (members() == 0 && !node.founding->refusal().empty()) Start(id);
      ended = ended && (node.founding->ended() || (members() > 0 && node.founding->joins()));
    }
    return ended;
  }

  void Do(Fault fault, NodeId node) {
    switch (fault) {
      case Fault::kCrashDurable:
        if (const FoundingRecord* record = At(node).founding->ToPersist()) {
          At(node).disk = *record;
          NoteRecord(node);
        }
        [[fallthrough]];
      case Fault::kCrash:
        Start(node);
        break;
      case Fault::kWipeTwo:
        Wipe(founders_[Raw(node) % founders_.size()]);
        [[fallthrough]];
      case Fault::kWipe:
        Wipe(node);
        break;
      case Fault::kCut:
        Cut(node);
        break;
    }
    Look();
  }

  // What is wrong, once all have ended: who must be a member is, who must be refused is.
  void LookAtEnd() {
    std::optional<uint64_t> cluster;
    for (const auto& [id, node] : nodes_) {
      if (node.disk.state == FoundingState::kMember) cluster = node.disk.plan.cluster_id;
    }
    if (!cluster) return Break("nobody is a member");
    for (const auto& [id, node] : nodes_) {
      const bool held = holders_[*cluster].contains({id, node.directory});
      const bool member = node.disk.state == FoundingState::kMember;
      if (held != member) Break(Name(id) + (held ? " isn't" : " is") + " a member");
      if (member != node.founding->member()) Break(Name(id) + " doesn't know that it is a member");
      if (!held && !node.founding->joins()) Break(Name(id) + " doesn't wait to be admitted");
    }
  }

  // Changes with what is durable, or is about to be, and with who has ended.
  std::string Situation() const {
    std::string text;
    for (const auto& [id, node] : nodes_) {
      text += std::to_string(node.disk.plan.cluster_id) + "/" +
              std::to_string(static_cast<int>(node.disk.state)) +
              (node.founding->ToPersist() != nullptr ? "+" : "") +
              (node.founding->ended() ? "." : "") + (node.founding->joins() ? "?" : "") + " ";
    }
    return text;
  }

  const std::string& broken() const { return broken_; }
  uint64_t members() const {
    return static_cast<uint64_t>(std::count_if(nodes_.begin(), nodes_.end(), [](const auto& node) {
      return node.second.disk.state == FoundingState::kMember;
    }));
  }
  const FoundingRecord& disk(NodeId node) { return At(node).disk; }
  const Founding& founding(NodeId node) { return *At(node).founding; }
  const std::vector<NodeId>& founders() const { return founders_; }
  uint64_t plans() const { return holders_.size(); }  // Ever held.

 private:
  struct Node {
    uint64_t directory = 0;
    FoundingRecord disk = {};
    uint64_t process = 0;
    FoundingNode self = {};
    std::optional<Founding> founding = {};
  };
  using Directory = std::pair<NodeId, uint64_t>;

  static std::string Name(NodeId node) { return "node " + std::to_string(Raw(node)); }
  Node& At(NodeId node) { return nodes_[node]; }

  void Start(NodeId id) {
    Node& node = At(id);
    if (node.directory == 0) node.directory = ++ids_;
    node.process = ++ids_;
    node.self = {id, node.directory, node.process};
    node.founding.emplace(FoundingOptions{.self = node.self,
                                          .record = node.disk,
                                          .wish = {.founders = founders_},
                                          .group_count_if_new = 8,
                                          .seed = ++ids_});
    std::erase_if(channels_, [this](const auto& channel) { return !Find(channel.first.second); });
    for (NodeId peer : founders_) {
      if (peer != id && random_.OneIn(2)) Lose(peer, id);
    }
    Say(id);
  }

  void Lose(NodeId node, NodeId peer) {
    std::optional<Founding>& founding = At(node).founding;
    if (founding.has_value() && founding->ToPersist() == nullptr) founding->OnLost(peer);
  }

  void Wipe(NodeId id) {
    At(id).directory = 0;
    At(id).disk = {};
    Start(id);
  }

  void Cut(NodeId id) {
    std::erase_if(channels_, [process = At(id).process](const auto& channel) {
      return channel.first.first == process || channel.first.second == process;
    });
    for (NodeId peer : founders_) {
      if (peer == id) continue;
      Lose(peer, id);
      Lose(id, peer);
    }
  }

  Node* Find(uint64_t process) {
    for (auto& [id, node] : nodes_) {
      if (node.process == process) return &node;
    }
    return nullptr;
  }

  void Send(const Node& from, NodeId to, const FoundingHello& hello) {
    if (At(to).founding.has_value()) channels_[{from.process, At(to).process}].push_back(hello);
  }

  void Say(NodeId id) {
    Node& node = At(id);
    if (!node.founding->TakeChanged()) return;
    const FoundingHello hello = node.founding->Hello();
    for (NodeId peer : node.founding->peers()) Send(node, peer, hello);
  }

  void Tick(NodeId id) {
    Node& node = At(id);
    if (node.founding->ended() || node.founding->ToPersist() != nullptr) return;
    node.founding->OnTick();
    const FoundingHello hello = node.founding->Hello();
    for (NodeId peer : node.founding->peers()) {
      const auto& channel = channels_[{node.process, At(peer).process}];
      if (channel.size() < 4) Send(node, peer, hello);
    }
    Say(id);
  }

  void Deliver(std::pair<uint64_t, uint64_t> key) {
    const FoundingHello hello = channels_[key].front();
    channels_[key].pop_front();
    Node* to = Find(key.second);
    if (to == nullptr) return;
    const NodeId id = to->self.node;
    if (to->founding->member()) {
      if (hello.number == 0) return;
      return Send(*to, hello.from.node,
                  AnswerTo(hello, to->self, to->disk, {.founders = founders_}));
    }
    if (to->founding->ended()) return;
    to->founding->OnHello(hello);
    Say(id);
  }

  void Persisted(NodeId id) {
    Node& node = At(id);
    node.disk = *node.founding->ToPersist();
    NoteRecord(id);
    node.founding->OnPersisted();
    Say(id);
    Look();
  }

  // Of each plan: who held it before it had a member.
  void NoteRecord(NodeId id) {
    const Node& node = At(id);
    const uint64_t cluster = node.disk.plan.cluster_id;
    const Directory directory{id, node.directory};
    if (node.disk.state == FoundingState::kFounding) {
      if (!begun_.contains(cluster)) holders_[cluster].insert(directory);
      return;
    }
    begun_.insert(cluster);
    if (!holders_[cluster].contains(directory)) {
      Break(Name(id) + " became a member with a directory from after the first member");
    }
    if (holders_[cluster].size() < founders_.size()) Break("a member before all held the plan");
  }

  void Look() {
    std::set<uint64_t> clusters;
    for (const auto& [id, node] : nodes_) {
      if (node.disk.state == FoundingState::kMember) clusters.insert(node.disk.plan.cluster_id);
    }
    if (clusters.size() > 1) Break("two clusters have members");
  }

  void Break(const std::string& what) {
    if (broken_.empty()) broken_ = what;
  }

  Random random_;
  std::vector<NodeId> founders_;
  std::map<NodeId, Node> nodes_;
  std::map<std::pair<uint64_t, uint64_t>, std::deque<FoundingHello>> channels_;  // By processes.
  std::map<uint64_t, std::set<Directory>> holders_;                              // By cluster.
  std::set<uint64_t> begun_;
  uint64_t ids_ = 100;
  std::string broken_;
};

}  // namespace ursula::meta
