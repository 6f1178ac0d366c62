// lib/storage/payload_scan.h
//
// What is in a payload file without a footer, read block by block. Pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "lib/storage/payload_format.h"

namespace ursula::storage {

struct PayloadScan {
  std::vector<PayloadExtent> extents = {};  // Sound blocks.
  // Where none is and one should be: all that is neither a sound block nor padding. Below
  // `attested` it is damage; above it, what a crash tore looks the same.
  std::vector<PayloadLoss> losses = {};
  uint64_t attested = 0;   // What is before it was synced: a sound header says so.
  uint64_t sound_end = 0;  // Of the last sound block, padded.
};

// More losses than this are joined into the last one.
inline constexpr std::size_t kPayloadLossesMax = 1000;

// `bytes` are the file's, up to 4 GiB.
PayloadScan ScanPayload(std::string_view bytes, uint32_t seed);

}  // namespace ursula::storage
