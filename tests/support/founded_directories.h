// tests/support/founded_directories.h
//
// Directories of nodes that have founded a cluster, without the nodes.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/fault_disk.h"

namespace ursula::testing {

// On each disk, all of them new ones, the directory `path` of node 1, 2 ... `seed`: of their ids.
// `feature_level`: that the cluster is founded at.
void FoundDirectories(const std::vector<FaultDisk*>& disks, const std::string& path,
                      uint32_t group_count, uint64_t seed, uint32_t feature_level = 1);

}  // namespace ursula::testing
