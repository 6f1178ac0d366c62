// tests/support/test_network.h
//
// The network between nodes in virtual time, by the contract of ursula/env.h: frames of a
// connection arrive in order and none twice; when it breaks, what is under way is lost and both
// ends are told. A cut swallows frames without a word, in one direction, as a dead switch does.
//
//   TestNetwork network(seed);
//   Transport* transport = network.Join(NodeId{1}, &runtime);
//   network.Cut(NodeId{1}, NodeId{2});
//   network.Leave(NodeId{1}, true);  // Before its runtime goes.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "lib/base/random.h"
#include "tests/support/manual_loop.h"
#include "ursula/env.h"

namespace ursula::testing {

struct NetworkFaults {
  uint64_t delay_ns_min = 50'000;
  uint64_t delay_ns_max = 200'000;
  uint32_t break_per_million = 0;   // Of frames: the connection breaks with it.
  uint32_t repeat_per_million = 0;  // Of frames: against the contract, it comes twice.
  uint64_t buffer_bytes_max = uint64_t{4} << 20;  // Under way on one channel; more is kFull.
};

class TestNetwork {
 public:
  explicit TestNetwork(uint64_t seed = 1, const NetworkFaults& faults = {});
  TestNetwork(const TestNetwork&) = delete;
  TestNetwork& operator=(const TestNetwork&) = delete;
  ~TestNetwork();

  // A process of this node begins. `runtime` is borrowed until Leave.
  Transport* Join(NodeId node, ManualRuntime* runtime);
  // It has ended. `told`: its peers learn of that soon, as where the kernel goes on and resets its
  // connections; else only when another one begins, as where the machine has gone.
  void Leave(NodeId node, bool told);

  void Cut(NodeId from, NodeId to) { cuts_.insert({from, to}); }
  void Isolate(NodeId node);
  void Heal();  // Of every cut.
  void Break(NodeId a, NodeId b);

  void set_faults(const NetworkFaults& faults) { faults_ = faults; }
  uint64_t frames() const { return frames_; }  // Delivered.
  uint64_t lost() const { return lost_; }

 private:
  class Port;
  struct Pair {
    NodeId from = {};
    NodeId to = {};
    friend auto operator<=>(const Pair&, const Pair&) = default;
  };
  // One direction of a connection's channel.
  struct Lane {
    uint64_t arrives_ns = 0;  // Of the last frame.
    uint64_t bytes = 0;       // Under way.
    bool full = false;        // Its sender was told so.
  };
  using LaneKey = std::tuple<NodeId, NodeId, Channel, CoreId>;

  SendOutcome Send(NodeId from, CoreId core, NodeId to, Channel channel, std::vector<Bytes> frame);
  void Deliver(const LaneKey& key, uint64_t connection, Bytes frame);
  void Repeat(const LaneKey& key, Port* receiver, const Bytes& frame);
  void TellLost(NodeId node, NodeId peer, bool ended);
  Port* Find(NodeId node);
  uint64_t& ConnectionOf(NodeId a, NodeId b);
  uint64_t Delay();

  Random random_;
  NetworkFaults faults_;
  std::map<NodeId, std::unique_ptr<Port>> ports_;
  std::set<Pair> cuts_;
  std::set<NodeId> untold_;
  std::map<Pair, uint64_t> connections_;  // By the lower id first: how often it broke.
  std::map<LaneKey, Lane> lanes_;
  uint64_t frames_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace ursula::testing
