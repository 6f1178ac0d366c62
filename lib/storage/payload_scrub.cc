#include "lib/storage/payload_scrub.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/check.h"
#include "lib/storage/disk_payload_store.h"

namespace ursula::storage {

void PayloadScrub::BeginRound(uint64_t random) {
  std::vector<uint32_t> files = store_.FileNumbers();
  if (!files.empty()) {
    std::rotate(files.begin(), files.begin() + static_cast<std::ptrdiff_t>(random % files.size()),
                files.end());
  }
  files_.assign(files.begin(), files.end());
}

void PayloadScrub::CheckNext(Function<void(uint64_t bytes)> done) {
  URSULA_CHECK(!done_);
  done_ = std::move(done);
  if (in_file_) return ReadNext();
  while (!files_.empty() && !store_.files_.contains(files_.front())) files_.pop_front();
  if (files_.empty()) {
    loop_.Defer([this] { Answer(0); });
    return;
  }
  file_ = files_.front();
  files_.pop_front();
  in_file_ = true;
  store_.Pin(file_);
  reader_.Open(store_.SourceOf(file_)->shared->path, [this](int64_t result) { OnOpened(result); });
}

void PayloadScrub::OnOpened(int64_t result) {
  footer_holds_ = true;
  next_ = 0;
  const DiskPayloadStore::LocalFile& local = *store_.files_.at(file_);
  if (result == -ENOENT) {
    extents_ = store_.index_.InFile(file_);
    for (std::vector<Block> blocks = NextBlocks(); !blocks.empty(); blocks = NextBlocks()) {
      for (const Block& block : blocks) Damaged(block, ": missing");
    }
  }
  if (result < 0) {  // Otherwise the next round may open it.
    EndFile();
    return Answer(1);
  }
  if (local.finished) return ReadFooter();
  extents_ = store_.writer_.extents();
  ReadNext();
}

void PayloadScrub::ReadFooter() {
  const uint64_t size = reader_.size();
  if (size < kPayloadTrailerBytes) return FooterDamaged();
  reader_.Read(size - kPayloadTrailerBytes, kPayloadTrailerBytes,
               [this](const Result<std::string_view>& bytes) { OnTrailerRead(bytes); });
}

void PayloadScrub::OnTrailerRead(const Result<std::string_view>& bytes) {
  if (!bytes.ok()) return GiveUpFile(bytes.status());
  const uint32_t seed = store_.SourceOf(file_)->shared->seed;
  const std::optional<PayloadTrailer> trailer = ParsePayloadTrailer(*bytes, seed);
  if (!trailer.has_value() || trailer->footer_bytes == 0) return FooterDamaged();
  reader_.Read(trailer->footer_offset, trailer->footer_bytes,
               [this, trailer = *trailer](const Result<std::string_view>& footer) {
                 OnFooterRead(trailer, footer);
               });
}

void PayloadScrub::OnFooterRead(const PayloadTrailer& trailer,
                                const Result<std::string_view>& bytes) {
  if (!bytes.ok()) return GiveUpFile(bytes.status());
  const uint32_t seed = store_.SourceOf(file_)->shared->seed;
  std::optional<PayloadFooter> footer = ParsePayloadFooter(*bytes, trailer, seed);
  if (!footer.has_value()) return FooterDamaged();
  extents_ = std::move(footer->extents);
  Answer(std::max<uint64_t>(bytes->size(), 1));
}

void PayloadScrub::GiveUpFile(const Status& status) {
  store_.LogDamage(status);
  EndFile();
  Answer(1);
}

// A crash on a full disk may have left none either.
void PayloadScrub::FooterDamaged() {
  footer_holds_ = false;
  extents_ = store_.index_.InFile(file_);
  Answer(1);
}

bool PayloadScrub::IsLive(const Block& block) const {
  const PayloadIndex::Extent& extent = block.extent;
  return store_.index_.FirstIn(block.key, extent.start, extent.end(), file_, extent.offset).length >
         0;
}

// Those that one read holds. One stretch of a block is enough to check all of it.
std::vector<PayloadScrub::Block> PayloadScrub::NextBlocks() {
  std::vector<Block> blocks;
  for (; next_ < extents_.size(); ++next_) {
    const PayloadExtent& listed = extents_[next_];
    Block block{listed.key,
                store_.index_.FirstIn(listed.key, listed.start, listed.start + listed.length, file_,
                                      listed.offset)};
    if (block.extent.length == 0) continue;
    const uint64_t end = uint64_t{block.extent.offset} + block.extent.bytes;
    if (!blocks.empty() && end - blocks.front().extent.offset > kScrubSliceBytes) break;
    blocks.push_back(block);
  }
  return blocks;
}

void PayloadScrub::ReadNext() {
  std::vector<Block> blocks = NextBlocks();
  if (blocks.empty()) {
    EndFile();
    loop_.Defer([this] { Answer(1); });
    return;
  }
  const uint64_t from = blocks.front().extent.offset;
  const uint64_t to = uint64_t{blocks.back().extent.offset} + blocks.back().extent.bytes;
  reader_.Read(from, to - from,
               [this, blocks = std::move(blocks)](const Result<std::string_view>& bytes) {
                 OnRead(blocks, bytes);
               });
}

void PayloadScrub::OnRead(const std::vector<Block>& blocks, const Result<std::string_view>& bytes) {
  if (!bytes.ok()) {  // Nothing is known by that; the next round may read it.
    store_.LogDamage(bytes.status());
    return Answer(1);
  }
  const PayloadFile& file = *store_.SourceOf(file_)->shared;
  const uint64_t base = blocks.front().extent.offset;
  for (const Block& block : blocks) {
    if (!IsLive(block)) continue;  // Freed meanwhile, or moved, or met by a reader.
    std::string_view there = *bytes;
    there.remove_prefix(std::min<std::size_t>(there.size(), block.extent.offset - base));
    if (PayloadReader::BlockOf(there, file, block.key, block.extent).has_value()) continue;
    Damaged(block, ": damaged at offset ");
  }
  Answer(std::max<uint64_t>(bytes->size(), 1));
}

void PayloadScrub::Damaged(const Block& block, const char* what) {
  std::string where = store_.SourceOf(file_)->shared->path + what;
  if (what[2] == 'd') where += std::to_string(block.extent.offset);
  store_.OnDamaged(Status(StatusCode::kDataLoss, std::move(where)), block.key, {block.extent});
}

void PayloadScrub::EndFile() {
  in_file_ = false;
  reader_.Close();
  extents_.clear();
  extents_.shrink_to_fit();
  if (!footer_holds_) store_.OnFooterDamaged(file_);
  store_.Unpin(file_);
}

void PayloadScrub::EndRound() {
  files_.clear();
  footer_holds_ = true;
  if (in_file_) EndFile();
}

void PayloadScrub::Answer(uint64_t bytes) { std::exchange(done_, nullptr)(bytes); }

}  // namespace ursula::storage
