// tests/sim/engine/site.h
//
// One engine, or a cluster of them, on simulated disks and a simulated network, all on one thread:
// opened, stopped, crashed and opened again. Which core's turn is next, and how time passes
// meanwhile, the seed decides.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/random.h"
#include "lib/engine/engine.h"
#include "tests/sim/engine/profile.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "tests/support/test_network.h"
#include "ursula/engine.h"
#include "ursula/status.h"

namespace ursula::engine::sim {

class Site {
 public:
  // Borrows both.
  Site(const Profile* profile, Random* random);
  ~Site();

  // All nodes that aren't open; of a cluster, until its groups have leaders.
  Status Open();
  bool up(std::size_t node) const { return nodes_[node].engine != nullptr; }

  // A turn of some core, or else time, up to `limit_ns`.
  void Step(uint64_t limit_ns);
  // Until `done()`; false once `ns` have passed.
  template <class Condition>
  bool RunUntil(Condition done, uint64_t ns) {
    const uint64_t limit_ns = now_ns() + ns;
    while (!done()) {
      if (now_ns() >= limit_ns) return false;
      Step(limit_ns);
    }
    return true;
  }
  void Advance(uint64_t ns);
  uint64_t now_ns() const { return now_ns_; }
  int64_t wall_ms() const;

  // Runs `call` at some node that is up, in a turn of a core or at once from outside. Which node.
  std::size_t Call(Function<void(StreamEngine&)> call);

  // ---- all nodes ----
  void BeginStop();
  bool stopped() const;
  void Close();  // Once stopped.
  enum class Fall : uint8_t { kPower, kProcess };
  void Crash(Fall fall);
  void Wipe();  // REQUIRES: none is open.

  // ---- of a cluster ----
  // Something happens to some of its nodes, or between them. What it was.
  std::string Trouble();
  // Everything is well again, and whatever was under way has come to its end.
  Status Mend();
  // Until nothing that was asked before is carried out any more: calls have deadlines, and what
  // leaders resolve for others (forks, deletions of buckets) has ended.
  void Settle();

  // Payload is written out and leaves memory; metadata goes into snapshots.
  void Evict();
  void Checkpoint();

 private:
  struct Node {
    std::unique_ptr<testing::FaultDisk> disk = {};
    std::unique_ptr<testing::ManualRuntime> runtime = {};
    std::unique_ptr<StreamEngine> engine = {};
    uint16_t lazy_core = 0;  // Has fewer turns than others, in some openings.
    uint64_t lazy_one_in = 1;
    uint64_t paused_until_ns = 0;
    bool stopping = false;
    bool stopped = false;
  };

  bool cluster() const { return nodes_.size() > 1; }
  NodeId IdOf(std::size_t node) const { return NodeId{node + 1}; }
  Status OpenNode(std::size_t node);
  void CrashNode(std::size_t node, Fall fall);
  void StopNode(std::size_t node);
  void CloseNode(std::size_t node);
  bool HasLeaders() const;
  bool RunSomeTurn();
  template <class Each>
  void OnReplicas(Each each);

  const Profile& profile_;
  Random& random_;
  testing::TestNetwork network_;
  std::vector<Node> nodes_;
  uint64_t now_ns_ = 1'000'000'000;
  bool founded_ = false;
};

}  // namespace ursula::engine::sim
