// lib/meta/feature_levels.h
//
// When a cluster's feature level is raised: once every node that it counts on has said, in the
// process that runs now, that it can, and all of them have gone on to be there for kSettleNs. Then
// each writes it into its META, and once all have said so, too, it is proposed: a node that can't
// write holds the raise, and not the groups. It is judged on every node; the leader of the group of
// cluster facts writes and acts first.
//
// This decides only when a raise does nobody harm. That nothing of a level reaches a node that
// can't is kept by each node itself, in what it stores (group::LevelGate).

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ursula/types.h"

namespace ursula::meta {

// A directory of the cluster: learners, cordoned nodes and those that are leaving included.
struct LevelMember {
  NodeId node = {};
  uint64_t lives_before = 0;
  friend auto operator<=>(const LevelMember&, const LevelMember&) = default;
};

struct LevelVerdict {
  uint32_t level = 0;          // To be raised to; 0: it isn't to be.
  bool stored_by_all = false;  // So it may be proposed.
  std::string waits_for = {};  // What is to come first. Empty: no node can more.
};

class FeatureLevels {
 public:
  static constexpr uint64_t kSettleNs = 10'000'000'000;
  static constexpr uint64_t kHeardNs = 12'000'000'000;  // Members say it each 5 s.

  // What a member's process says that it can, and what its META has, again and again. This node's
  // own is said, too.
  void OnSaid(const LevelMember& member, uint32_t level_max, uint32_t stored, uint64_t now_ns);
  // Its connection broke: what runs there next may be another release.
  void OnLost(NodeId node);

  // `away`: members of which something else tells that they aren't there. `in_force`: the level
  // now.
  LevelVerdict Judge(const std::vector<LevelMember>& members, const std::vector<NodeId>& away,
                     uint32_t in_force, uint64_t now_ns);

  uint32_t MaxOf(NodeId node) const;     // 0: not known.
  uint32_t StoredOf(NodeId node) const;  // As that.

 private:
  struct Said {
    uint64_t lives_before = 0;
    uint32_t level_max = 0;
    uint32_t stored = 0;
    uint64_t heard_ns = 0;
  };

  const Said* Find(const LevelMember& member, uint64_t now_ns) const;
  LevelVerdict Wait(std::string why);
  LevelVerdict Ripe(uint32_t level) const;

  std::map<NodeId, Said> said_;
  std::vector<LevelMember> members_;  // As judged last.
  uint32_t candidate_ = 0;            // That all can; 0: none.
  uint64_t since_ns_ = 0;             // When it became that.
};

}  // namespace ursula::meta
