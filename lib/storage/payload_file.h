// lib/storage/payload_file.h
//
// One payload segment file. Groups of several cores may have blocks in it: each core that has is an
// owner, and the last to leave removes the file.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/storage/payload_format.h"

namespace ursula::storage {

struct PayloadFile {
  PayloadFileName name = {};
  std::string path = {};
  uint32_t seed = 0;
  bool damaged = false;  // Found so when it was opened. Then it is never rewritten nor removed.
  std::atomic<uint32_t> owners = 0;
  std::atomic<uint64_t> live_bytes = 0;  // Of all owners.
};

struct LostPayload {
  std::string path = {};
  PayloadLoss loss = {};
};

// What RecoverPayload found, by core.
class RecoveredPayload {
 public:
  struct File {
    std::shared_ptr<PayloadFile> file = {};
    uint64_t bytes = 0;                       // The whole file's.
    std::vector<PayloadExtent> extents = {};  // Of this core's groups.
  };
  struct Core {
    std::vector<File> files = {};
    std::vector<LostPayload> losses = {};  // Of its groups, or of nobody knows whom.
  };
  std::vector<Core> cores = {};
  // Files in which there is no whole block, nor anything that is known to have been synced.
  std::vector<std::string> torn = {};
};

}  // namespace ursula::storage
