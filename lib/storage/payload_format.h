// lib/storage/payload_format.h
//
// The bytes of payload segment files: docs/formats/payload.md. A file is a row of blocks, each one
// stretch of one stream with its message ends, and, once it is finished, a footer that lists them,
// and what the scan of an unfinished file has found to be lost.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula::storage {

// A stream's content, apart from what had its name before or after.
struct PayloadKey {
  GroupId group = {};
  uint64_t incarnation = 0;
  friend auto operator<=>(const PayloadKey&, const PayloadKey&) = default;
  template <class H>
  friend H AbslHashValue(H hash, const PayloadKey& key) {
    return H::combine(std::move(hash), static_cast<uint32_t>(key.group), key.incarnation);
  }
};

// Unique for the directory's life. "00000000000a-0001-00000003.pay": generation, ordinal, number.
struct PayloadFileName {
  uint64_t generation = 0;
  uint32_t ordinal = 0;
  uint32_t number = 0;
  friend auto operator<=>(const PayloadFileName&, const PayloadFileName&) = default;
};
std::string FormatPayloadFileName(const PayloadFileName& name);
std::optional<PayloadFileName> ParsePayloadFileName(std::string_view name);

inline constexpr uint32_t kPayloadBlockMagic = 0x31425055;    // "UPB1"
inline constexpr uint32_t kPayloadFooterMagic = 0x31465055;   // "UPF1"
inline constexpr uint32_t kPayloadAlignment = 16;             // Of every block and of the footer.
inline constexpr uint32_t kPayloadBlockHeaderBytes = 64;      // Without the message ends.
inline constexpr uint32_t kPayloadTrailerBytes = 32;          // The file's last bytes.
inline constexpr uint32_t kPayloadBlockBytesMax = 256 << 10;  // Payload of one block.

struct PayloadBlock {
  PayloadKey key = {};
  uint64_t start = 0;         // Stream offset of the first byte.
  uint32_t length = 0;        // Payload bytes.
  uint32_t header_bytes = 0;  // Header and message ends: the payload follows.
  uint32_t payload_crc = 0;
  uint32_t attested = 0;  // All of the file before it was synced when this block was made.
  std::vector<uint32_t> message_ends = {};  // Relative to `start`, ascending, 1 to length.

  uint64_t padded_bytes() const {
    return (uint64_t{header_bytes} + length + kPayloadAlignment - 1) / kPayloadAlignment *
           kPayloadAlignment;
  }
};

// What the checksums of one file start from.
uint32_t PayloadSeed(uint64_t directory_id, const PayloadFileName& file);

// What the checksums of the block at `offset` start from, its payload's included.
uint32_t PayloadBlockSeed(uint32_t seed, uint32_t offset);

// Appends the header of `block` for the file's `offset`; returns its size, which goes by its
// message ends (header_bytes isn't looked at).
uint32_t AppendPayloadHeader(std::string* out, const PayloadBlock& block, uint32_t seed,
                             uint32_t offset);
// `bytes` start at the block; they may go on past its header. Nothing: no header of this place.
std::optional<PayloadBlock> ParsePayloadHeader(std::string_view bytes, uint32_t seed,
                                               uint32_t offset);

// What the footer says of one block.
struct PayloadExtent {
  PayloadKey key = {};
  uint64_t start = 0;
  uint32_t length = 0;
  uint32_t offset = 0;  // Of the block in the file.
  uint32_t header_bytes = 0;
  friend bool operator==(const PayloadExtent&, const PayloadExtent&) = default;
};
// Bytes where a block is expected and no sound one is.
struct PayloadLoss {
  uint32_t offset = 0;  // In the file.
  uint32_t bytes = 0;
  bool synced = false;  // They were, which a later block attests: damaged. Else perhaps torn.
  // What the block holds, where its header can be read; length 0: unknown.
  PayloadKey key = {};
  uint64_t start = 0;
  uint32_t length = 0;
  friend bool operator==(const PayloadLoss&, const PayloadLoss&) = default;
};
struct PayloadFooter {
  std::vector<PayloadExtent> extents = {};
  std::vector<PayloadLoss> losses = {};
  friend bool operator==(const PayloadFooter&, const PayloadFooter&) = default;
};
// The footer and trailer of a file whose blocks end at `offset`.
std::string EncodePayloadFooter(const PayloadFooter& footer, uint32_t seed, uint32_t offset);
// Where the footer is, from a file's last kPayloadTrailerBytes.
struct PayloadTrailer {
  uint32_t footer_offset = 0;
  uint32_t footer_bytes = 0;  // Without the trailer.
  uint32_t footer_crc = 0;
  uint32_t extent_count = 0;
  uint32_t loss_count = 0;
};
std::optional<PayloadTrailer> ParsePayloadTrailer(std::string_view bytes, uint32_t seed);
std::optional<PayloadFooter> ParsePayloadFooter(std::string_view bytes,
                                                const PayloadTrailer& trailer, uint32_t seed);

}  // namespace ursula::storage
