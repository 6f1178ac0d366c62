// lib/storage/file_check.h
//
// Whether the bytes of a log segment or of a snapshot hold, taken slice by slice as they come: what
// is checked is never in memory as a whole. Pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/storage/snapshot_format.h"
#include "lib/storage/wal_format.h"

namespace ursula::storage {

// A file is a row of heads of a fixed size, each with a body whose checksum it has.
class FileCheck {
 public:
  virtual ~FileCheck() = default;

  // The next bytes of the file. False: they don't hold; nothing more is taken.
  bool Take(std::string_view bytes);
  // After all of them: the file may end here.
  bool Ends() const { return head_.empty() && body_bytes_ == 0 && skip_bytes_ == 0 && MayEnd(); }
  // Of the head that doesn't hold, or whose body doesn't.
  uint64_t damaged_at() const { return head_at_; }

 protected:
  explicit FileCheck(uint32_t head_bytes) : head_bytes_(head_bytes) {}

  // Sets what comes next. False: it isn't one.
  virtual bool OnHead(std::string_view head) = 0;
  virtual bool OnBody() = 0;  // All of it is in crc_.
  virtual bool MayEnd() const = 0;
  uint64_t head_at() const { return head_at_; }

  uint32_t head_bytes_;      // Of the next head.
  uint64_t body_bytes_ = 0;  // Of its body,
  uint32_t crc_ = 0;         // whose checksum goes on from here.
  uint64_t skip_bytes_ = 0;  // Behind it.

 private:
  uint64_t at_ = 0;
  uint64_t head_at_ = 0;
  std::string head_;  // As much as is there.
};

class SegmentCheck final : public FileCheck {
 public:
  SegmentCheck(uint64_t directory_id, const SegmentName& name, uint64_t first_sequence)
      : FileCheck(kBatchHeaderBytes),
        directory_id_(directory_id),
        name_(name),
        sequence_(first_sequence) {}

 private:
  bool OnHead(std::string_view head) override;
  bool OnBatchHeader(std::string_view head);
  bool OnRecordHeader(std::string_view head);
  bool OnBody() override;
  bool EndBatch();
  bool MayEnd() const override { return !in_batch_; }

  const uint64_t directory_id_;
  const SegmentName name_;
  uint64_t sequence_;  // Of the next batch, or this one.
  bool in_batch_ = false;
  BatchHeader batch_;
  uint32_t seed_ = 0;
  uint32_t sum_ = 0;    // Of the records' checksums.
  uint32_t count_ = 0;  // Of records.
  uint32_t left_ = 0;   // Bytes of them.
  std::string record_crc_;
};

class SnapshotCheck final : public FileCheck {
 public:
  explicit SnapshotCheck(uint32_t seed) : FileCheck(4), seed_(seed) {}

 private:
  bool OnHead(std::string_view head) override;
  bool OnBody() override;
  bool MayEnd() const override { return ended_; }

  const uint32_t seed_;
  bool begun_ = false;
  bool ended_ = false;
  SnapshotFrame frame_;
};

}  // namespace ursula::storage
