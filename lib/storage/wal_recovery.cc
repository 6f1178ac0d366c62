#include "lib/storage/wal_recovery.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "lib/base/sometimes.h"
#include "lib/storage/disk_wal_options.h"
#include "lib/storage/io_status.h"
#include "lib/storage/wal_reader.h"

namespace ursula::storage {
namespace {

// A power of two, as the file systems' own blocks.
constexpr std::size_t kSealBytes = kWalBlockBytes;

class Recovery {
 public:
  Recovery(io::Disk* disk, const DataDirectory& directory, RecoverySink* sink, const LogLine& log,
           Opening* opening)
      : disk_(*disk),
        path_(directory.wal_path()),
        directory_id_(directory.id()),
        sink_(*sink),
        log_(log),
        opening_(opening != nullptr ? *opening : unwatched_) {}

  Result<RecoveredLogs> Run();
  bool rotten() const { return rotten_; }

 private:
  struct Segment {
    SegmentName name = {};
    absl::flat_hash_map<GroupId, Index> groups = {};
  };

  Status FindLogs();
  Status ReadLog(LogId log, const std::vector<uint32_t>& segments);
  Status Deliver(const WalReader::Batch& batch);
  void Count(const RecordHeader& header);
  Status EndLog(const WalReader& reader, LogId log, const std::vector<uint32_t>& segments);
  Status KeepSpare(LogId log, const std::vector<uint32_t>& segments, uint32_t first);
  Status Seal(const WalReader& reader, LogId log, WalPosition at);
  Status WriteLastAgain(LogId log);
  void Log(LogLevel level, const std::string& message) const {
    if (log_) log_(level, message);
  }
  uint64_t SizeOf(const SegmentName& name);
  uint64_t SizeOf(LogId log, const std::vector<uint32_t>& segments);

  io::Disk& disk_;
  const std::string path_;
  const uint64_t directory_id_;
  RecoverySink& sink_;
  const LogLine& log_;
  Opening unwatched_;
  Opening& opening_;
  std::map<LogId, std::vector<uint32_t>> logs_;
  WalPosition last_batch_;  // Of the log that is being read.
  uint32_t last_batch_bytes_ = 0;
  std::vector<Segment> segments_;  // With records, in the order of their names.
  absl::flat_hash_map<GroupId, Index> last_;
  std::map<GroupId, RecoveredState> states_;
  RecoveredLogs recovered_;
  bool rotten_ = false;
};

Result<RecoveredLogs> Recovery::Run() {
  Status found = FindLogs();
  if (!found.ok()) return found;
  uint64_t bytes = 0;
  for (const auto& [log, segments] : logs_) bytes += SizeOf(log, segments);
  opening_.Begin(OpeningStep::kLog, bytes);
  for (const auto& [log, segments] : logs_) {
    Status read = ReadLog(log, segments);
    if (!read.ok()) return read;
  }
  std::vector<OldSegment> old;
  for (Segment& segment : segments_) {
    OldSegment& added = old.emplace_back();
    added.name = segment.name;
    added.bytes = SizeOf(segment.name);
    added.groups.assign(segment.groups.begin(), segment.groups.end());
    std::sort(added.groups.begin(), added.groups.end());
  }
  recovered_.old_logs = std::make_shared<OldLogs>(path_, std::move(old), log_);
  for (auto& [group, state] : states_) recovered_.states.push_back(std::move(state));
  return std::move(recovered_);
}

Status Recovery::FindLogs() {
  Result<std::vector<std::string>> names = disk_.List(path_);
  if (!names.ok()) return names.status();
  for (const std::string& file : *names) {
    std::optional<SegmentName> name = ParseSegmentName(file);
    if (!name.has_value()) {
      Log(LogLevel::kWarning, path_ + "/" + file + ": not a log segment; left alone");
      continue;
    }
    logs_[name->log].push_back(name->segment);
  }
  for (auto& [log, segments] : logs_) {
    std::sort(segments.begin(), segments.end());
    for (std::size_t i = 1; i < segments.size(); ++i) {
      if (segments[i] == segments[i - 1] + 1) continue;
      rotten_ = true;
      return Status(StatusCode::kDataLoss,
                    path_ + "/" + FormatSegmentName({log, segments[i - 1] + 1}) +
                        ": missing between two others; restore this directory or let its peers "
                        "rebuild it");
    }
  }
  return {};
}

Status Recovery::ReadLog(LogId log, const std::vector<uint32_t>& segments) {
  WalReader reader(&disk_, path_, directory_id_, log, segments);
  uint64_t unread = SizeOf(log, segments);
  while (true) {
    Result<std::optional<WalReader::Batch>> batch = reader.Next();
    if (!batch.ok()) {
      rotten_ = reader.rotten();
      return batch.status();
    }
    if (!batch->has_value()) break;
    last_batch_ = (*batch)->position;
    last_batch_bytes_ = (*batch)->header.padded_bytes();
    Status delivered = Deliver(**batch);
    if (delivered.ok()) delivered = opening_.Advance(last_batch_bytes_);
    if (!delivered.ok()) return delivered;
    unread -= std::min<uint64_t>(unread, last_batch_bytes_);
  }
  Status ended = opening_.Advance(unread);
  return ended.ok() ? EndLog(reader, log, segments) : ended;
}

Status Recovery::Deliver(const WalReader::Batch& batch) {
  const SegmentName name{batch.header.log, batch.position.segment};
  if (segments_.empty() || segments_.back().name != name) segments_.push_back({.name = name});
  for (const ParsedRecord& parsed : batch.records) {
    Count(parsed.header);
    RecoveredRecord record;
    record.group = parsed.header.group;
    record.kind = parsed.header.kind;
    record.index = parsed.header.index;
    record.term = parsed.header.term;
    // A copy: one record that is kept must not keep its whole segment in memory.
    record.payload = Bytes::Copy(parsed.payload);
    record.log = batch.header.log;
    record.batch = batch.position;
    if (record.kind == RecordKind::kState) {
      states_[record.group] = {record.group, record.index, record.term,
                               std::string(parsed.payload)};
    }
    ++recovered_.records;
    Status taken = sink_.OnRecord(std::move(record));
    if (!taken.ok()) return taken;
  }
  return {};
}

void Recovery::Count(const RecordHeader& header) {
  Index& highest = segments_.back().groups[header.group];
  if (header.kind == RecordKind::kState) return;
  if (header.kind == RecordKind::kReset) {
    for (Segment& segment : segments_) {
      auto found = segment.groups.find(header.group);
      if (found != segment.groups.end()) found->second = Index{0};
    }
    last_[header.group] = header.index;
    return;
  }
  auto [last, is_new] = last_.try_emplace(header.group, header.index);
  if (!is_new && header.index <= last->second) {
    URSULA_SOMETIMES("storage: an entry replaces others in the logs");
    // It replaces what stood there, which nobody needs any more.
    for (Segment& segment : segments_) {
      auto found = segment.groups.find(header.group);
      if (found != segment.groups.end()) found->second = std::min(found->second, header.index - 1);
    }
  }
  last->second = header.index;
  highest = std::max(highest, header.index);
}

Status Recovery::EndLog(const WalReader& reader, LogId log, const std::vector<uint32_t>& segments) {
  const WalPosition end = reader.end();
  if (reader.torn_bytes() > 0) {
    URSULA_SOMETIMES("storage: a torn batch is cut");
    recovered_.cut_bytes += reader.torn_bytes();
    Log(LogLevel::kWarning, path_ + "/" + FormatSegmentName({log, end.segment}) + ": cut " +
                                std::to_string(reader.torn_bytes()) +
                                " bytes of a batch that a crash tore, at offset " +
                                std::to_string(end.offset));
  }
  Status kept = KeepSpare(log, segments, reader.empty() ? segments.front() : end.segment + 1);
  if (!kept.ok()) return kept;
  // The log's first batch in a segment may be the torn one: then that segment is still listed, so
  // that it is removed in its turn.
  const SegmentName last{log, end.segment};
  if (reader.empty() || (reader.sealed() && reader.torn_bytes() == 0)) return {};
  if (segments_.back().name != last) segments_.push_back({.name = last});
  URSULA_SOMETIMES("storage: an end that a crash left is sealed");
  // At the beginning of a segment there is no better place, however short its file is.
  const bool fits = end.offset == 0 || end.offset + kSealBytes <= SizeOf(last);
  if (fits) return Seal(reader, log, end);
  // The segment is full to its last block: the seal starts the next one.
  URSULA_SOMETIMES("storage: the seal starts a segment of its own");
  const SegmentName next{log, end.segment + 1};
  const std::string next_path = path_ + "/" + FormatSegmentName(next);
  std::erase_if(recovered_.spares,
                [&next_path](const SpareSegment& spare) { return spare.path == next_path; });
  segments_.push_back({.name = next});
  return Seal(reader, log, {next.segment, 0});
}

// Of the segments from `first` on, none of which has a batch. One: whoever takes one of several
// could leave a hole in the row if a crash follows.
Status Recovery::KeepSpare(LogId log, const std::vector<uint32_t>& segments, uint32_t first) {
  for (auto segment = segments.rbegin(); segment != segments.rend() && *segment > first;
       ++segment) {
    URSULA_SOMETIMES("storage: a second spare segment is removed");
    Status removed = disk_.RemoveNow(path_ + "/" + FormatSegmentName({log, *segment}));
    if (removed.ok()) removed = disk_.SyncDirectoryNow(path_);
    if (!removed.ok()) return removed;
  }
  const SegmentName name{log, first};
  if (segments.back() >= first) {
    recovered_.spares.push_back({path_ + "/" + FormatSegmentName(name), SizeOf(name)});
  }
  return {};
}

// Through the page cache, the last batch may be one whose sync failed: it can be read and counts as
// clean, and only writing it again brings it to the disk. The same bytes, so that a crash meanwhile
// does no harm.
Status Recovery::WriteLastAgain(LogId log) {
  const std::string path = path_ + "/" + FormatSegmentName({log, last_batch_.segment});
  Result<std::unique_ptr<io::File>> file = disk_.Open(path, {.write = true, .direct = true});
  if (!file.ok()) return file.status();
  if ((*file)->direct()) return {};
  std::string bytes(last_batch_bytes_, '\0');
  const int64_t count = (*file)->ReadNow(last_batch_.offset, std::span<char>(bytes));
  if (count != static_cast<int64_t>(bytes.size())) return IoStatus("reading", path, count);
  const int64_t again = (*file)->WriteSyncedNow(last_batch_.offset, std::span<const char>(bytes));
  return again < 0 ? IoStatus("writing again", path, again) : Status();
}

// What was read may have been in the page cache only: the sync makes it as durable as it is now
// taken to be.
Status Recovery::Seal(const WalReader& reader, LogId log, WalPosition at) {
  const std::string path = path_ + "/" + FormatSegmentName({log, at.segment});
  std::array<char, kSealBytes> block = {};
  StoreBatchHeader(block.data(),
                   {.log = log,
                    .segment = at.segment,
                    .flags = kBatchSeal,
                    .sequence = reader.last_sequence() + 1,
                    .attested = reader.end()},
                   directory_id_);
  Status again = WriteLastAgain(log);
  if (!again.ok()) return again;
  if (at.segment != reader.end().segment) {
    Result<std::unique_ptr<io::File>> full =
        disk_.Open(path_ + "/" + FormatSegmentName({log, reader.end().segment}), {.write = true});
    if (!full.ok()) return full.status();
    const int64_t synced = (*full)->WriteSyncedNow(0, {});
    if (synced < 0) return IoStatus("syncing", path, synced);
  }
  Result<std::unique_ptr<io::File>> file = disk_.Open(path, {.create = true, .write = true});
  if (!file.ok()) return file.status();
  const int64_t written =
      (*file)->WriteSyncedNow(at.offset, std::span<const char>(block.data(), block.size()));
  if (written < 0) return IoStatus("sealing", path, written);
  return disk_.SyncDirectoryNow(path_);
}

uint64_t Recovery::SizeOf(const SegmentName& name) {
  Result<std::unique_ptr<io::File>> file = disk_.Open(path_ + "/" + FormatSegmentName(name), {});
  return file.ok() ? (*file)->size() : 0;
}

uint64_t Recovery::SizeOf(LogId log, const std::vector<uint32_t>& segments) {
  uint64_t bytes = 0;
  for (uint32_t segment : segments) bytes += SizeOf(SegmentName{log, segment});
  return bytes;
}

}  // namespace

Result<RecoveredLogs> RecoverLogs(io::Disk& disk, const DataDirectory& directory,
                                  RecoverySink* sink, const LogLine& log, Opening* opening,
                                  bool* rotten) {
  Recovery recovery(&disk, directory, sink, log, opening);
  Result<RecoveredLogs> recovered = recovery.Run();
  if (rotten != nullptr) *rotten = recovery.rotten();
  return recovered;
}

void ShareRecovered(RecoveredLogs* from, uint32_t ordinal, uint32_t log_count,
                    const std::vector<GroupId>& groups, DiskWalOptions* options) {
  options->old_logs = from->old_logs;
  options->log_count = log_count;
  options->groups = groups;
  for (RecoveredState& state : from->states) {
    if (std::find(groups.begin(), groups.end(), state.group) == groups.end()) continue;
    options->states.push_back(state);
  }
  for (std::size_t i = ordinal; i < from->spares.size(); i += log_count) {
    options->spares.push_back(from->spares[i]);
  }
}

}  // namespace ursula::storage
