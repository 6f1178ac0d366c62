#include "lib/storage/file_check.h"

#include <algorithm>
#include <optional>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"

namespace ursula::storage {

bool FileCheck::Take(std::string_view bytes) {
  auto next = [&](uint64_t wanted) {
    const std::size_t size = static_cast<std::size_t>(std::min<uint64_t>(wanted, bytes.size()));
    const std::string_view taken = bytes.substr(0, size);
    bytes.remove_prefix(size);
    at_ += size;
    return taken;
  };
  while (!bytes.empty()) {
    if (body_bytes_ > 0) {
      const std::string_view body = next(body_bytes_);
      crc_ = Crc32c(crc_, body);
      body_bytes_ -= body.size();
      if (body_bytes_ == 0 && !OnBody()) return false;
    } else if (skip_bytes_ > 0) {
      skip_bytes_ -= next(skip_bytes_).size();
    } else {
      if (head_.empty()) head_at_ = at_;
      head_.append(next(head_bytes_ - head_.size()));
      if (head_.size() < head_bytes_) continue;
      const std::string head = std::exchange(head_, {});
      if (!OnHead(head)) return false;
      if (body_bytes_ == 0 && !OnBody()) return false;
    }
  }
  return true;
}

bool SegmentCheck::OnHead(std::string_view head) {
  return in_batch_ ? OnRecordHeader(head) : OnBatchHeader(head);
}

bool SegmentCheck::OnBatchHeader(std::string_view head) {
  const std::optional<BatchHeader> header =
      ParseBatchHeader(head, directory_id_, name_.log, name_.segment);
  if (!header.has_value() || header->sequence != sequence_) return false;
  batch_ = *header;
  in_batch_ = true;
  seed_ = sum_ = BatchSeed(directory_id_, name_.log, name_.segment, sequence_);
  count_ = 0;
  left_ = batch_.length;
  head_bytes_ = kRecordHeaderBytes;
  record_crc_.clear();
  return true;
}

bool SegmentCheck::OnRecordHeader(std::string_view head) {
  const uint32_t length = LoadFixed<uint32_t>(head.data() + 4);
  if (left_ < kRecordHeaderBytes || length > left_ - kRecordHeaderBytes) return false;
  left_ -= kRecordHeaderBytes + length;
  ++count_;
  record_crc_.assign(head.substr(0, 4));
  crc_ = Crc32c(seed_, head.substr(4));
  body_bytes_ = length;
  return true;
}

bool SegmentCheck::OnBody() {
  if (!record_crc_.empty()) {
    if (LoadFixed<uint32_t>(record_crc_.data()) != crc_) return false;
    sum_ = AddToRecordSum(sum_, record_crc_.data());
    record_crc_.clear();
  }
  return left_ > 0 || EndBatch();
}

bool SegmentCheck::EndBatch() {
  in_batch_ = false;
  ++sequence_;
  head_bytes_ = kBatchHeaderBytes;
  skip_bytes_ = batch_.padded_bytes() - kBatchHeaderBytes - batch_.length;
  const bool summed = (batch_.flags & kBatchSummed) != 0;
  return count_ == batch_.record_count && (!summed || sum_ == batch_.record_sum);
}

bool SnapshotCheck::OnHead(std::string_view head) {
  if (!begun_) {
    begun_ = true;
    head_bytes_ = kSnapshotFrameHeaderBytes;
    frame_ = {};
    return LoadFixed<uint32_t>(head.data()) == kSnapshotMagic;
  }
  const std::optional<SnapshotFrame> frame = ParseSnapshotFrame(head);
  if (!frame.has_value() || ended_) return false;
  frame_ = *frame;
  crc_ = SnapshotFrameSum(frame_, seed_, head_at());
  body_bytes_ = frame_.length;
  return true;
}

bool SnapshotCheck::OnBody() {
  if (frame_.kind == SnapshotFrameKind{}) return true;  // That was the magic.
  ended_ = frame_.kind == SnapshotFrameKind::kEnd;
  return frame_.crc == crc_;
}

}  // namespace ursula::storage
