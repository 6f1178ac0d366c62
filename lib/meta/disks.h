// lib/meta/disks.h
//
// How the disks of a cluster's nodes do, as each says of its own: so every node sees by itself
// where leaders are well kept. What a node hasn't said lately, or at all, speaks neither for nor
// against it: its disk is taken for a fine one, and none is slow beside it.
//
// This decides where leaders had better be, and nothing that has to be right: two nodes may judge
// by words of different moments.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "ursula/stats.h"
#include "ursula/types.h"

namespace ursula::meta {

// A node's word of its own disk.
struct DiskReport {
  bool hangs = false;        // A volume doesn't answer, or takes no writes.
  bool full = false;         // What needs space is refused.
  uint64_t sync_p50_us = 0;  // Of its log, lately; 0: not known.
  friend bool operator==(const DiskReport&, const DiskReport&) = default;
};

class Disks {
 public:
  static constexpr uint64_t kHeardNs = 12'000'000'000;  // Members say it each 5 s.
  // Quicker disks are all alike.
  static constexpr uint64_t kSlowUsMin = 2000;

  // Again and again; this node's own is said when the others are told, too. A word moves the median
  // that is known by less than a factor of two.
  void OnSaid(NodeId node, const DiskReport& report, uint64_t now_ns);
  // Its connection broke.
  void OnLost(NodeId node);

  // `nodes`: those that may lead something, but for their disks. A disk is slow from where it takes
  // more than twice as long as the quickest of theirs that is neither full nor hangs, until it
  // takes no more than half as long again.
  std::map<NodeId, DiskState> Judge(const std::vector<NodeId>& nodes, uint64_t now_ns);

  std::optional<DiskReport> Find(NodeId node, uint64_t now_ns) const;

 private:
  struct Said {
    DiskReport report = {};
    uint64_t heard_ns = 0;
  };

  bool IsSlow(NodeId node, uint64_t sync_p50_us, uint64_t best_us) const;

  std::map<NodeId, Said> said_;
  std::set<NodeId> slow_;  // As judged last.
};

}  // namespace ursula::meta
