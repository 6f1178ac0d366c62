// tests/support/test_cluster.h
//
// Nodes of a cluster in one process and on one thread, in virtual time: real engines on disks and a
// network that are simulated, so that what takes a cluster seconds takes a test milliseconds, and
// goes the same way each time. For tests of programs that use a StreamEngine:
//
//   TestCluster cluster;  // Three nodes.
//   ASSERT_TRUE(cluster.AwaitLeaders());
//   auto reply = cluster.Await<AppendReply>(
//       [&](auto done) { cluster.node(2).Append(request, std::move(done)); });
//   cluster.Crash(1);
//
// Nothing happens but inside Advance, RunUntil and what calls them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ursula/engine.h"
#include "ursula/function.h"
#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::testing {

class FaultDisk;  // tests/support/fault_disk.h

struct TestClusterOptions {
  uint32_t nodes = 3;  // 1, 3 or 5, numbered from 1.
  uint32_t groups = 4;
  uint32_t founders = 0;  // How many of them have founded it; 0: all. The others' disks are empty.
  std::vector<uint16_t> cores = {};  // Of each node in turn; beyond: 1.
  // The feature level that each node in turn can at first; beyond: the highest.
  std::vector<uint32_t> feature_levels = {};
  uint64_t seed = 1;               // Of elections, delays and what a crash keeps of a disk.
  bool open = true;                // False: Open opens them.
  bool rejoin_when_rotten = true;  // As EngineOptions, and so are these.
  uint64_t leader_ms_max = 5000;
  uint64_t append_ms_max = 10'000;
  uint64_t read_ms_max = 5000;
};

class TestCluster {
 public:
  explicit TestCluster(TestClusterOptions options = {});
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;
  ~TestCluster();  // As Crash of all.

  uint32_t size() const;
  bool up(uint64_t node) const;
  // REQUIRES: it is up.
  StreamEngine& node(uint64_t node);

  // Until it has recovered, or, with an empty disk, is a member. REQUIRES: it isn't up.
  Status Open(uint64_t node);
  // As Open, of which `opening`, which outlives it, tells, and which is ended after `ms`.
  Status OpenFor(uint64_t node, uint64_t ms, Opening* opening);
  void SetFeatureLevelMax(uint64_t node, uint32_t level);  // From its next opening on.
  void Crash(uint64_t node);  // Its power fails: what wasn't synced may be gone, or torn.
  void Kill(uint64_t node);   // Its process ends; its peers learn of that soon.
  Status Stop(uint64_t node);
  void Keep(uint64_t node);     // Its disk as it is. REQUIRES: it isn't up, as the next two.
  void PutBack(uint64_t node);  // What was kept.
  void Wipe(uint64_t node);     // Its disk is a new one.
  const std::vector<std::string>& log(uint64_t node) const;  // Lines, since it was last opened.
  FaultDisk& disk(uint64_t node);                            // Whose files are below /data.
  void FailDisk(uint64_t node);             // No write or sync succeeds, until it is opened again.
  void Pause(uint64_t node, uint64_t ms);   // It stands still, as a process that isn't scheduled.
  void Cut(uint64_t from, uint64_t to);     // Nothing arrives any more, in this direction.
  void Isolate(uint64_t node);              // Both ways, from and to all others.
  void Heal();                              // Every cut.
  std::size_t posted(uint64_t node) const;  // From core to core, and not taken yet.
  void RepeatFrames();                      // Against their contract, all come twice from here on.

  uint64_t now_ns() const;
  void Advance(uint64_t ms);
  // False: `ms` have passed without.
  template <class Condition>
  bool RunUntil(Condition condition, uint64_t ms = 60'000) {
    const uint64_t end_ns = now_ns() + ms * 1'000'000;
    while (!condition()) {
      if (!Step(end_ns)) return false;
    }
    return true;
  }
  // As Wait of ursula/sync.h. kInternal: no answer within a minute.
  template <class Reply, class Start>
  Result<Reply> Await(Start&& start) {
    auto answer = std::make_shared<std::optional<Result<Reply>>>();
    std::forward<Start>(start)(
        Done<Reply>([answer](Result<Reply> result) { answer->emplace(std::move(result)); }));
    if (!RunUntil([&] { return answer->has_value(); })) {
      return Status(StatusCode::kInternal, "no answer within a minute");
    }
    return std::move(**answer);
  }

  // Every node that is up and not cut off knows of a leader of each group, and all of the same.
  bool AwaitLeaders();
  // As the nodes that are up say, the newest term's; none: nobody leads.
  std::optional<uint64_t> LeaderOf(GroupId group);

 private:
  struct Node;
  struct Impl;
  bool Step(uint64_t end_ns);  // False: it is `end_ns`.

  std::unique_ptr<Impl> impl_;
};

}  // namespace ursula::testing
