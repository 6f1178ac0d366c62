// tests/sim/engine/profile.h
//
// What a seed chooses once: the engine's size, the disk's pace, and what its callers do.

#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lib/base/random.h"
#include "ursula/types.h"

namespace ursula::engine::sim {

struct Profile {
  uint32_t nodes = 1;   // Above 1: a cluster, and durable.
  bool durable = true;  // Else in memory: each opening begins with nothing.
  uint32_t groups = 4;
  uint16_t cores_max = 2;  // Each opening has a number of its own.
  bool direct = true;      // Disks take O_DIRECT.
  uint64_t latency_min_ns = 0;
  uint64_t latency_max_ns = 0;
  uint64_t network_delay_ns_max = 200'000;  // Of a cluster.
  uint64_t hot_bytes = 4 << 20;
  uint32_t founders = 1;     // Of the nodes; the others come later.
  bool local_reads = false;  // Of a cluster: half of the reads are.
  bool clocks = false;  // Of a cluster: each node has a wall clock of its own, and none is right.

  std::vector<StreamId> names = {};
  uint32_t batches = 0;
  uint32_t batch_max = 4;        // Operations under way together.
  uint64_t window_ns = 0;        // Within which a batch begins.
  uint32_t restart_one_in = 30;  // Batches.
  uint32_t story_one_in = 0;     // Troubles of a cluster; 0: none. What befalls its members.
  uint32_t disk_one_in = 0;      // Troubles; 0: none. Some node's disk fails, or is full.
  uint32_t keep_one_in = 0;      // Ends of a node's process; 0: none. Its directory is copied.
  uint32_t evict_one_in = 6;     // Batches.
  uint32_t advance_one_in = 4;   //
  uint64_t payload_max = 300;    // Mostly.

  // Weights.
  enum Kind : std::size_t { kCreate, kFork, kAppend, kDelete, kRead, kHead, kBucket, kKinds };
  std::array<uint32_t, kKinds> weights = {};
  bool lifetimes = true;
  bool conditions = true;
};

// `nodes`: 1 or 3.
Profile MakeProfile(Random* random, uint32_t nodes);

}  // namespace ursula::engine::sim
