// tests/sim/storage/profile.h
//
// What a seed chooses once: sizes, limits, and how bad the disk is.

#pragma once

#include <cstdint>

#include "lib/base/random.h"
#include "tests/support/fault_disk.h"

namespace ursula::storage::sim {

struct Profile {
  testing::FaultDisk::Faults faults = {};
  uint16_t cores_max = 1;
  uint32_t groups = 4;
  uint32_t segment_bytes = 0;
  uint32_t first_segment_bytes = 0;
  uint32_t batch_bytes_max = 0;
  uint64_t log_bytes_max = 0;
  uint32_t file_bytes = 0;   // Of a payload file.
  bool compacts = false;     // Payload, whenever there is anything to gain.
  uint32_t entry_bytes = 0;  // At most, most of the time.
  // Records of a batch begin with sectors, so that a torn batch consists of whole ones.
  bool aligned = false;
  uint32_t openings = 0;
  uint32_t steps = 0;              // Of one opening, at most.
  uint32_t checkpoint_one_in = 0;  // Of steps, as the next.
  uint32_t error_one_in = 0;       // A write or sync fails. 0: never.
  uint32_t rot_one_in = 0;         // Of openings: rot is tried beforehand. 0: never.
};

Profile MakeProfile(Random* random);

}  // namespace ursula::storage::sim
