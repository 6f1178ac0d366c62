// lib/storage/payload_scrub.h
//
// The part of a scrub that reads payload files: the blocks that streams still own, as a footer, or
// the writer, lists them. A block that doesn't hold is told as a reader's would be. A footer that
// doesn't hold is no loss, but without it an opening reads the whole file: its blocks move.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "lib/storage/payload_format.h"
#include "lib/storage/payload_index.h"
#include "lib/storage/scrub.h"
#include "lib/storage/slice_reader.h"
#include "ursula/function.h"

namespace ursula::storage {

class DiskPayloadStore;

class PayloadScrub final : public ScrubTarget {
 public:
  PayloadScrub(io::Loop* loop, DiskPayloadStore* store)
      : loop_(*loop), store_(*store), reader_(loop) {}

  void BeginRound(uint64_t random) override;
  void CheckNext(Function<void(uint64_t bytes)> done) override;
  void EndRound() override;

 private:
  struct Block {
    PayloadKey key = {};
    PayloadIndex::Extent extent = {};
  };

  void OnOpened(int64_t result);
  void ReadFooter();
  void OnTrailerRead(const Result<std::string_view>& bytes);
  void OnFooterRead(const PayloadTrailer& trailer, const Result<std::string_view>& bytes);
  void GiveUpFile(const Status& status);
  void FooterDamaged();
  std::vector<Block> NextBlocks();
  bool IsLive(const Block& block) const;
  void ReadNext();
  void OnRead(const std::vector<Block>& blocks, const Result<std::string_view>& bytes);
  void Damaged(const Block& block, const char* what);
  void EndFile();
  void Answer(uint64_t bytes);

  io::Loop& loop_;
  DiskPayloadStore& store_;
  SliceReader reader_;
  std::deque<uint32_t> files_;
  bool in_file_ = false;
  uint32_t file_ = 0;
  bool footer_holds_ = true;
  std::vector<PayloadExtent> extents_;  // By offset.
  std::size_t next_ = 0;                // In extents_.
  Function<void(uint64_t)> done_;
};

}  // namespace ursula::storage
