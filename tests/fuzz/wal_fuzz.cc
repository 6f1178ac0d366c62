// A write-ahead log read back. The input: batches as a writer would make them (records, new
// segments), some that no writer makes though their checksums hold, then damage. What is recovered
// is a prefix of what was written; what a later batch attests is never cut off; a second opening
// finds the same.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/storage/wal_format.h"
#include "lib/storage/wal_recovery.h"
#include "tests/fuzz/data_directory.h"
#include "tests/fuzz/input.h"

namespace ursula::storage {
namespace {

using fuzz::Input;

constexpr LogId kLog = MakeLogId(1, 0);
constexpr std::size_t kSegmentsMax = 4;
constexpr std::size_t kSegmentBytesMax = 64 << 10;

struct Record {
  RecordHeader header = {};
  std::string payload = {};
};

struct Batch {
  BatchHeader header = {};
  WalPosition position = {};
  std::vector<Record> records = {};
};

struct Recorder final : RecoverySink {
  Status OnRecord(RecoveredRecord record) override {
    records.push_back(std::move(record));
    return {};
  }
  std::vector<RecoveredRecord> records;
};

bool Equal(const RecoveredRecord& got, const Record& put, WalPosition batch) {
  return got.log == kLog && got.batch == batch && got.group == put.header.group &&
         got.kind == put.header.kind && got.index == put.header.index &&
         got.term == put.header.term && got.payload.view() == put.payload;
}

class LogWriter {
 public:
  explicit LogWriter(uint64_t directory_id) : directory_id_(directory_id) { segments_.resize(1); }

  bool odd() const { return odd_; }
  const std::vector<Batch>& batches() const { return batches_; }
  const std::vector<std::string>& segments() const { return segments_; }

  void Step(Input* input) {
    switch (input->Below(8)) {
      case 0:
        // A writer starts a segment with a batch that the last one has no room for.
        if (segments_.size() == kSegmentsMax || batches_.empty()) break;
        if (batches_.back().position.segment + 1 != segments_.size()) break;
        segments_.emplace_back();
        full_ = false;
        break;
      case 1:
        if (full_) break;
        segments_.back().append(std::size_t{kWalBlockBytes}, '\0');  // Prepared, not yet written.
        full_ = true;
        break;
      case 2:
        odd_ = true;
        Append(input, true);
        break;
      default:
        Append(input, false);
        break;
    }
  }

 private:
  void Append(Input* input, bool odd) {
    std::string& file = segments_.back();
    if (file.size() > kSegmentBytesMax) return;
    if (full_) {
      file.resize(file.size() - kWalBlockBytes);
      full_ = false;
    }
    Batch batch;
    batch.position = {static_cast<uint32_t>(segments_.size() - 1),
                      static_cast<uint32_t>(file.size())};
    BatchHeader& header = batch.header;
    header.log = kLog;
    header.segment = batch.position.segment;
    header.sequence = ++sequence_;
    header.attested = batch.position;
    const uint8_t flags = input->Byte();
    const unsigned count = flags & 3u;
    header.flags = count == 0 ? kBatchSeal : 0;
    for (unsigned i = 0; i < count; ++i) batch.records.push_back(AnyRecord(input));
    header.record_count = count;
    for (const Record& record : batch.records) {
      header.length += kRecordHeaderBytes + static_cast<uint32_t>(record.payload.size());
    }
    const uint32_t whole = header.padded_bytes();
    if (odd) MakeOdd(input, &header);
    const std::string bytes = Encode(batch);
    file += bytes;
    file.resize(batch.position.offset + whole);
    batches_.push_back(std::move(batch));
  }

  Record AnyRecord(Input* input) {
    Record record;
    const uint8_t flags = input->Byte();
    record.payload = input->Text();
    if ((flags & 0x80) != 0) record.payload.resize(record.payload.size() + kWalBlockBytes, 'x');
    record.header.group = GroupId{flags & 3u};
    record.header.kind = (flags & 4) != 0 ? RecordKind::kState : RecordKind::kEntry;
    record.header.index = Index{input->Byte() + uint64_t{1}};
    record.header.term = Term{(flags >> 3) & 7u};
    record.header.length = static_cast<uint32_t>(record.payload.size());
    return record;
  }

  static void MakeOdd(Input* input, BatchHeader* header) {
    switch (input->Below(6)) {
      case 0:
        header->sequence = input->Near(header->sequence);
        break;
      case 1:
        header->length = static_cast<uint32_t>(input->Near(header->length));
        break;
      case 2:
        header->record_count = static_cast<uint32_t>(input->Near(header->record_count));
        break;
      case 3:
        header->attested = {static_cast<uint32_t>(input->Near(header->segment)),
                            static_cast<uint32_t>(input->Near(header->attested.offset))};
        break;
      case 4:
        header->flags = static_cast<uint32_t>(input->Fixed64());
        break;
      default:
        header->segment = static_cast<uint32_t>(input->Near(header->segment));
        break;
    }
  }

  std::string Encode(const Batch& batch) const {
    std::string bytes(kBatchHeaderBytes, '\0');
    StoreBatchHeader(bytes.data(), batch.header, directory_id_);
    const uint32_t seed =
        BatchSeed(directory_id_, kLog, batch.header.segment, batch.header.sequence);
    for (const Record& record : batch.records) {
      std::string one(kRecordHeaderBytes, '\0');
      StoreRecordHeader(one.data(), record.header);
      one += record.payload;
      SealRecord(one.data(), static_cast<uint32_t>(one.size()), seed);
      bytes += one;
    }
    return bytes;
  }

  const uint64_t directory_id_;
  std::vector<std::string> segments_;
  std::vector<Batch> batches_;
  uint64_t sequence_ = 0;
  bool odd_ = false;
  bool full_ = false;  // A block of zeros stands at the end.
};

// How many of the batches were recovered whole, from the first; every record is one of theirs.
std::size_t CheckPrefix(const std::vector<RecoveredRecord>& records,
                        const std::vector<Batch>& batches) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    for (std::size_t r = 0; r < batches[i].records.size(); ++r) {
      if (at == records.size()) {
        URSULA_CHECK(r == 0);  // Never half a batch.
        return i;
      }
      URSULA_CHECK(Equal(records[at++], batches[i].records[r], batches[i].position));
    }
  }
  URSULA_CHECK(at == records.size());
  return batches.size();
}

// Batches of an odd log may be skipped, but each record is one that was put there.
void CheckEachWasWritten(const std::vector<RecoveredRecord>& records,
                         const std::vector<Batch>& batches) {
  for (const RecoveredRecord& record : records) {
    bool found = false;
    for (const Batch& batch : batches) {
      for (const Record& put : batch.records) found = found || Equal(record, put, batch.position);
    }
    URSULA_CHECK(found);
  }
}

bool HeaderIntact(const Batch& batch, const std::vector<std::string>& before,
                  const std::vector<std::string>& after) {
  const std::string_view was = before[batch.position.segment];
  const std::string_view is = after[batch.position.segment];
  return is.size() > batch.position.offset &&
         was.substr(batch.position.offset, kBatchHeaderBytes) ==
             is.substr(batch.position.offset, kBatchHeaderBytes);
}

std::vector<std::string> DamageSome(Input* input, std::vector<std::string> segments) {
  while (!input->empty()) {
    std::string& file = segments[input->Below(static_cast<unsigned>(segments.size()))];
    const std::size_t high = input->Byte();
    const std::size_t offset = high << 8 | input->Byte();
    if (offset == 0xffff) {
      file.resize(file.size() - std::min<std::size_t>(file.size(), input->Byte() * 64u));
    } else {
      fuzz::Overwrite(&file, {offset, std::string(input->Text())});
    }
  }
  return segments;
}

void Run(Input input) {
  fuzz::FuzzDirectory world;
  LogWriter writer(world.directory().id());
  const unsigned steps = input.Below(16);
  for (unsigned i = 0; i < steps; ++i) writer.Step(&input);
  const std::vector<std::string> segments = DamageSome(&input, writer.segments());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    world.Write(
        world.directory().wal_path() + "/" + FormatSegmentName({kLog, static_cast<uint32_t>(i)}),
        segments[i]);
  }
  Recorder first;
  const Result<RecoveredLogs> recovered = RecoverLogs(world.disk(), world.directory(), &first, {});
  CheckEachWasWritten(first.records, writer.batches());
  if (!recovered.ok()) {
    const StatusCode code = recovered.status().code();
    // What passes its checksum and means nothing here is a newer release's.
    URSULA_CHECK(code == StatusCode::kDataLoss ||
                 (code == StatusCode::kFailedPrecondition && writer.odd()));
    URSULA_CHECK(recovered.status().message().find(".wal") != std::string::npos);
    URSULA_CHECK(segments != writer.segments() || writer.odd());
    return;
  }
  if (writer.odd()) return;
  const std::vector<Batch>& batches = writer.batches();
  const std::size_t whole = CheckPrefix(first.records, batches);
  if (segments == writer.segments()) URSULA_CHECK(whole == batches.size());
  for (std::size_t i = whole + 1; i < batches.size(); ++i) {
    // Nothing that is still there said that the first one lost was synced.
    URSULA_CHECK(!HeaderIntact(batches[i], writer.segments(), segments) ||
                 batches[i].header.attested <= batches[whole].position);
  }
  Recorder again;
  const Result<RecoveredLogs> sealed = RecoverLogs(world.disk(), world.directory(), &again, {});
  URSULA_CHECK(sealed.ok());
  // A log without one whole batch is not sealed: its segments are spares.
  URSULA_CHECK(sealed->cut_bytes == 0 ||
               (first.records.empty() && sealed->cut_bytes == recovered->cut_bytes));
  URSULA_CHECK(CheckPrefix(again.records, batches) == whole);
}

}  // namespace
}  // namespace ursula::storage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::storage::Run(ursula::fuzz::Input(data, size));
  return 0;
}
