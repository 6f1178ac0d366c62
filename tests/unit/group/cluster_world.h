// tests/unit/group/cluster_world.h
//
// Several GroupWorlds with the same groups, a network between them, and one time for all.
//
//   ClusterWorld cluster(3);
//   cluster.OpenAll();
//   ASSERT_TRUE(cluster.AwaitLeader());
//   EXPECT_TRUE(cluster.AppendNow("s", "abc"));

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/test_network.h"
#include "tests/unit/group/group_world.h"

namespace ursula::group {

class ClusterWorld {
 public:
  // The first `voters` (0: all) nodes found the groups.
  explicit ClusterWorld(uint32_t nodes, uint64_t seed = 1, const WorldOptions& options = {},
                        uint32_t voters = 0);
  ClusterWorld(const ClusterWorld&) = delete;
  ClusterWorld& operator=(const ClusterWorld&) = delete;
  ~ClusterWorld();  // Crashes what is open.

  // Nodes are numbered from 1, as their replicas are.
  GroupWorld& node(uint64_t id) { return *nodes_.at(id - 1); }
  Replica& replica(uint64_t id, uint32_t group = 0) { return node(id).replica(group); }
  uint64_t size() const { return nodes_.size(); }
  testing::TestNetwork& network() { return network_; }
  uint64_t now_ns() const { return now_ns_; }

  Status Open(uint64_t id);  // And until it has recovered.
  void OpenAll();
  void Crash(uint64_t id) { node(id).Crash(); }
  void Kill(uint64_t id) { node(id).Kill(); }
  bool StopNode(uint64_t id);
  // It stands still for so long, as a process that isn't scheduled; 0: it goes on.
  void Pause(uint64_t id, uint64_t ns) { paused_until_ns_[id] = now_ns_ + ns; }

  // Time goes on, for all, until it holds; false after `ns`.
  template <class Condition>
  bool RunUntil(Condition condition, uint64_t ns = 60'000'000'000) {
    const uint64_t end_ns = now_ns_ + ns;
    while (!condition()) {
      if (!Step(end_ns)) return false;
    }
    return true;
  }
  void RunFor(uint64_t ns) {
    (void)RunUntil([] { return false; }, ns);
  }

  // The one that leads, of the newest term.
  std::optional<uint64_t> Leader(uint32_t group = 0);
  // Of those that aren't cut off: until one leads, and may propose.
  bool AwaitLeader(uint32_t group = 0);
  // Voters and learners, as the one who leads sees them.
  std::vector<uint64_t> Members(uint32_t group = 0);
  // At the leader: how it ended.
  Status ChangeMembers(const raft::ConfChange& change, uint32_t group = 0);
  // Until each open replica has applied what the others have.
  bool AwaitEqual(uint32_t group = 0);

  // At the leader, in time for it to change: whether it was acknowledged in the end.
  bool CreateNow(std::string_view name);
  bool AppendNow(std::string_view name, std::string_view bytes);
  bool Finish(const Asked& asked);
  std::string Content(uint64_t id, std::string_view name) { return ContentOf(id, name, 0); }
  std::string ContentOf(uint64_t id, std::string_view name, uint32_t group);

 private:
  bool Step(uint64_t end_ns);
  template <class Ask>
  bool AtLeader(Ask ask);

  uint64_t now_ns_ = 1'000'000'000;
  std::map<uint64_t, uint64_t> paused_until_ns_;
  testing::TestNetwork network_;
  std::vector<std::unique_ptr<GroupWorld>> nodes_;
};

}  // namespace ursula::group
