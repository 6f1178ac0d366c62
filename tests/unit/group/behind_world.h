// tests/unit/group/behind_world.h
//
// Replicas of which one was away, and comes back too far behind for the log.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/ids.h"
#include "tests/unit/group/cluster_world.h"

namespace ursula::group {

inline constexpr uint64_t kSecond = 1'000'000'000;

inline WorldOptions KeepsNothing() {
  WorldOptions options;
  options.kept_log_bytes_max = 0;
  return options;
}

// Three of which one was cut off while the others went on and checkpointed.
struct Behind {
  // Nodes beyond the third are open and no members.
  explicit Behind(uint64_t seed = 1, const WorldOptions& options = KeepsNothing(),
                  uint32_t nodes = 3)
      : cluster(nodes, seed, options, 3) {
    cluster.OpenAll();
    Check(cluster.CreateNow("s"));
    Append("before ");
    leader = *cluster.Leader();
    away = leader % 3 + 1;
  }

  void Check(bool ok) { EXPECT_TRUE(ok); }
  void Append(const std::string& text) {
    Check(cluster.AppendNow("s", text));
    all += text;
  }
  void CutOff() {
    cluster.network().Isolate(NodeId{away});
    cluster.RunFor(kSecond / 10);
  }
  // The leader, with as many entries of its own that come to nothing, until another one leads.
  std::vector<Asked> CutOffLeader(int appends, uint64_t ns = 60 * kSecond) {
    std::vector<Asked> asked;
    away = leader;
    CutOff();
    for (int i = 0; i < appends; ++i) asked.push_back(cluster.node(away).Append("s", "never"));
    cluster.RunFor(kSecond / 10);
    Check(cluster.RunUntil([&] { return cluster.Leader() && *cluster.Leader() != away; }, ns));
    return asked;
  }
  // Behind by more than any log says.
  void GoOn(int appends = 20, int bytes = 3000) {
    for (int i = 0; i < appends; ++i) Append(std::string(bytes, static_cast<char>('a' + i % 26)));
    Checkpoint();
  }
  void Checkpoint() {
    for (uint64_t id = 1; id <= 3; ++id) {
      if (id == away || !cluster.node(id).open()) continue;
      const uint64_t before = cluster.node(id).budget().stats.snapshots;
      cluster.replica(id).Checkpoint();
      Check(cluster.RunUntil([&] { return cluster.node(id).budget().stats.snapshots > before; }));
    }
  }
  bool Whole(uint64_t id) { return cluster.replica(id).lacking_bytes() == 0; }
  bool Rejoin() {
    cluster.network().Heal();
    return CaughtUp();
  }
  bool CaughtUp() {
    if (!cluster.AwaitLeader() || !cluster.AwaitEqual()) return false;
    return cluster.RunUntil([&] { return Whole(away); });
  }
  // All replicas are alike, and each has every byte on its own.
  void ExpectAlike() {
    for (uint64_t id = 1; id <= 3; ++id) {
      EXPECT_EQ(cluster.Content(id, "s"), all) << id;
      EXPECT_EQ(cluster.replica(id).machine().StateHash(),
                cluster.replica(1).machine().StateHash());
    }
    Check(cluster.node(away).FlushNow());
    const stream::LookupResult found =
        cluster.replica(away).machine().Lookup(NameOf("s"), cluster.replica(away).NowMs());
    EXPECT_EQ(cluster.node(away).payload().Find({GroupId{0}, Raw(found.incarnation)}, 0),
              all.size());
  }

  ClusterWorld cluster;
  uint64_t leader = 0;
  uint64_t away = 0;
  std::string all;
};

// While it is closed.
inline void RemovePayloadFiles(GroupWorld* world) {
  for (const std::string& path : world->disk.Files()) {
    if (!path.ends_with(".pay")) continue;
    testing::ManualLoop loop;
    ASSERT_TRUE(world->disk.OnLoop(&loop)->RemoveNow(path).ok());
    ASSERT_TRUE(world->disk.OnLoop(&loop)->SyncDirectoryNow("/data/payload").ok());
  }
}

}  // namespace ursula::group
