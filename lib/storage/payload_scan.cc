#include "lib/storage/payload_scan.h"

#include <algorithm>
#include <optional>

#include "lib/base/crc32c.h"
#include "lib/storage/aligned_buffer.h"

namespace ursula::storage {
namespace {

constexpr uint64_t kBatchAlignment = AlignedBuffer::kAlignment;  // Of direct writes.

uint64_t RoundUp(uint64_t offset, uint64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

class Scanner {
 public:
  Scanner(std::string_view bytes, uint32_t seed) : bytes_(bytes), seed_(seed) {}

  PayloadScan Run() {
    uint64_t gap = 0;  // Where what is known ends.
    for (uint64_t at = 0; at + kPayloadBlockHeaderBytes <= bytes_.size();) {
      std::optional<PayloadBlock> block =
          ParsePayloadHeader(bytes_.substr(at), seed_, static_cast<uint32_t>(at));
      if (!block.has_value()) {
        at += kPayloadAlignment;
        continue;
      }
      const uint64_t attested = std::min<uint64_t>(block->attested, at);
      scan_.attested = std::max(scan_.attested, attested);
      if (gap < at) gaps_.push_back({gap, at, attested >= gap});
      at = gap = Take(*block, at);
    }
    if (gap < bytes_.size()) gaps_.push_back({gap, bytes_.size(), true});
    for (const Gap& one : gaps_) Judge(one);
    for (PayloadLoss& loss : damaged_) {
      loss.synced = uint64_t{loss.offset} + loss.bytes <= scan_.attested;
      scan_.losses.push_back(loss);
    }
    Sort();
    return std::move(scan_);
  }

 private:
  struct Gap {
    uint64_t begin = 0;
    uint64_t end = 0;
    bool padded = false;  // A batch ends in it: another begins where what it attests ends.
  };

  // Returns where the next block may begin.
  uint64_t Take(const PayloadBlock& block, uint64_t at) {
    const uint64_t end = at + block.header_bytes + uint64_t{block.length};
    const uint64_t next = std::min<uint64_t>(RoundUp(end, kPayloadAlignment), bytes_.size());
    const uint32_t offset = static_cast<uint32_t>(at);
    if (block.length == 0) return next;
    if (end <= bytes_.size() &&
        Crc32c(PayloadBlockSeed(seed_, offset),
               bytes_.substr(at + block.header_bytes, block.length)) == block.payload_crc) {
      scan_.extents.push_back({block.key, block.start, block.length, offset, block.header_bytes});
      scan_.sound_end = next;
    } else {
      const uint32_t there = static_cast<uint32_t>(std::min<uint64_t>(end, bytes_.size()) - at);
      damaged_.push_back({offset, there, false, block.key, block.start, block.length});
    }
    return next;
  }

  void Judge(Gap gap) {
    if (gap.begin < scan_.attested && scan_.attested < gap.end) {
      Judge({gap.begin, scan_.attested, true});
      gap.begin = scan_.attested;
    }
    const bool synced = gap.end <= scan_.attested;
    // Direct writes are padded, and so the next begins at a block of the file system.
    const uint64_t padding_end = std::min(RoundUp(gap.begin, kBatchAlignment), gap.end);
    if (gap.padded && Zeros(gap.begin, padding_end)) gap.begin = padding_end;
    if (gap.begin == gap.end || (!synced && Zeros(gap.begin, gap.end))) return;
    scan_.losses.push_back(
        {static_cast<uint32_t>(gap.begin), static_cast<uint32_t>(gap.end - gap.begin), synced});
  }

  bool Zeros(uint64_t begin, uint64_t end) const {
    return bytes_.substr(begin, end - begin).find_first_not_of('\0') == std::string_view::npos;
  }

  void Sort() {
    std::vector<PayloadLoss>& losses = scan_.losses;
    std::sort(losses.begin(), losses.end(),
              [](const PayloadLoss& a, const PayloadLoss& b) { return a.offset < b.offset; });
    if (losses.size() <= kPayloadLossesMax) return;
    PayloadLoss rest = {losses[kPayloadLossesMax - 1].offset};
    for (std::size_t i = kPayloadLossesMax - 1; i < losses.size(); ++i) {
      rest.bytes = losses[i].offset + losses[i].bytes - rest.offset;
      rest.synced = rest.synced || losses[i].synced;
    }
    losses.resize(kPayloadLossesMax - 1);
    losses.push_back(rest);
  }

  const std::string_view bytes_;
  const uint32_t seed_;
  PayloadScan scan_;
  std::vector<Gap> gaps_;
  std::vector<PayloadLoss> damaged_;  // Their headers are sound.
};

}  // namespace

PayloadScan ScanPayload(std::string_view bytes, uint32_t seed) {
  return Scanner(bytes, seed).Run();
}

}  // namespace ursula::storage
