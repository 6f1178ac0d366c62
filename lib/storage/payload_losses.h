// lib/storage/payload_losses.h
//
// What a core's payload files are known to have lost, for messages. Rare, so a list will do.

#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lib/storage/payload_file.h"
#include "lib/storage/payload_format.h"

namespace ursula::storage {

class PayloadLosses {
 public:
  void Add(std::vector<LostPayload> losses) { losses_ = std::move(losses); }

  // Where the key's byte at `from` was, or may have been.
  std::string Where(PayloadKey key, uint64_t from) const;

 private:
  std::vector<LostPayload> losses_;
};

}  // namespace ursula::storage
