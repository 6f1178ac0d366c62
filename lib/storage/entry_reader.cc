#include "lib/storage/entry_reader.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/storage/file_check.h"
#include "lib/storage/io_status.h"

namespace ursula::storage {

EntryReader::EntryReader(io::Loop* loop, uint64_t directory_id, LogId log, Source* source)
    : loop_(*loop), directory_id_(directory_id), log_(log), source_(*source), reader_(loop) {
  idle_timer_.Then<&EntryReader::OnIdle>(this);
}

EntryReader::~EntryReader() {
  if (linked()) Unlink();
  loop_.CancelTimer(&idle_timer_);
}

void EntryReader::Read(GroupId group, Index from, EntriesRead done) {
  asks_.push_back({group, from, std::move(done)});
  loop_.AtTurnEnd(this);
}

void EntryReader::Go() {
  if (stopped_) EndAsks();
  while (!reading_ && !stopped_ && Next()) {
    if (loaded_) {
      Answer();
      continue;
    }
    reading_ = true;
    if (open_ == chunk_.segment) return OnOpened(0);
    if (open_) reader_.Close();
    open_ = chunk_.segment;
    return reader_.Open(source_.PathOf(chunk_.segment), [this](int64_t r) { OnOpened(r); });
  }
}

bool EntryReader::Next() {
  std::optional<WalChunk> oldest;
  std::vector<EntriesRead> gone;
  for (auto ask = asks_.begin(); ask != asks_.end();) {
    const std::optional<WalChunk> chunk = source_.FindEntry(ask->group, ask->from);
    if (!chunk) {
      gone.push_back(std::move(ask->done));
      ask = asks_.erase(ask);
      continue;
    }
    const auto place = [](const WalChunk& one) { return std::tie(one.segment, one.begin); };
    if (!oldest || place(*chunk) < place(*oldest)) oldest = chunk;
    ++ask;
  }
  if (oldest && *oldest != chunk_) Forget();
  if (oldest) chunk_ = *oldest;
  for (EntriesRead& done : gone) {
    done(Status(StatusCode::kFailedPrecondition, "the log has those entries no more"));
  }
  return oldest.has_value();
}

void EntryReader::OnOpened(int64_t result) {
  if (result < 0) return Fail(IoStatus("opening", source_.PathOf(chunk_.segment), result));
  reader_.Read(chunk_.begin, chunk_.end - chunk_.begin,
               [this](Result<std::string_view> bytes) { OnRead(std::move(bytes)); });
}

void EntryReader::OnRead(Result<std::string_view> bytes) {
  if (!bytes.ok()) return Fail(bytes.status());
  if (bytes->size() != chunk_.end - chunk_.begin || !Take(*bytes)) {
    return Fail(Status(StatusCode::kDataLoss, source_.PathOf(chunk_.segment) +
                                                  ": damaged at or behind offset " +
                                                  std::to_string(chunk_.begin)));
  }
  reading_ = false;
  loaded_ = true;
  if (stopped_) return Stop(std::move(stop_done_));
  Answer();
  Go();
}

// Checked as a scrub does it; what is read afterwards is trusted.
bool EntryReader::Take(std::string_view bytes) {
  records_.clear();
  const SegmentName name{log_, chunk_.segment};
  std::optional<BatchHeader> batch = ParseBatchHeader(bytes, directory_id_, log_, name.segment);
  if (!batch) return false;
  SegmentCheck check(directory_id_, name, batch->sequence);
  if (!check.Take(bytes) || !check.Ends()) return false;
  while (batch) {
    std::string_view rest = bytes.substr(kBatchHeaderBytes, batch->length);
    while (!rest.empty()) {
      const RecordHeader header = LoadRecordHeader(rest.data());
      if (header.kind == RecordKind::kEntry) {
        records_[header.group].push_back({header, rest.substr(kRecordHeaderBytes, header.length)});
      }
      rest.remove_prefix(kRecordHeaderBytes + header.length);
    }
    bytes.remove_prefix(batch->padded_bytes());
    if (bytes.empty()) break;
    batch = ParseBatchHeader(bytes, directory_id_, log_, name.segment);
  }
  return bytes.empty();
}

// All who ask for something there.
void EntryReader::Answer() {
  std::deque<Ask> asks = std::exchange(asks_, {});
  std::vector<std::pair<EntriesRead, std::vector<WalEntry>>> answers;
  for (Ask& ask : asks) {
    const std::optional<WalChunk> chunk = source_.FindEntry(ask.group, ask.from);
    if (!chunk || chunk->segment != chunk_.segment || chunk->begin != chunk_.begin) {
      asks_.push_back(std::move(ask));
      continue;
    }
    std::vector<WalEntry> entries;
    for (const ParsedRecord& record : records_[ask.group]) {
      if (record.header.index < ask.from) continue;
      entries.push_back({record.header.index, record.header.term, Bytes::Copy(record.payload)});
    }
    if (entries.empty() && chunk->end != chunk_.end) {  // It is in what has been written since.
      asks_.push_back(std::move(ask));
      continue;
    }
    answers.emplace_back(std::move(ask.done), std::move(entries));
  }
  if (answers.size() > 1) URSULA_SOMETIMES("storage: several groups were answered by one read");
  loop_.StartTimer(&idle_timer_, loop_.now_ns() + kIdleNs);
  for (auto& [done, entries] : answers) done(std::move(entries));
}

// Whether it is the segment that doesn't hold is told by its being there still.
void EntryReader::Fail(const Status& status) {
  reading_ = false;
  Forget();
  if (open_) reader_.Close();
  open_.reset();
  if (stopped_) return Stop(std::move(stop_done_));
  std::vector<EntriesRead> failed;
  for (auto ask = asks_.begin(); ask != asks_.end();) {
    const std::optional<WalChunk> chunk = source_.FindEntry(ask->group, ask->from);
    const bool there = chunk && chunk->segment == chunk_.segment && chunk->begin == chunk_.begin;
    if (!there) {
      ++ask;
      continue;
    }
    failed.push_back(std::move(ask->done));
    ask = asks_.erase(ask);
  }
  if (!failed.empty() && status.code() == StatusCode::kDataLoss) {
    source_.OnEntriesDamaged(chunk_.segment, status);
  }
  for (EntriesRead& done : failed) done(status);
  loop_.AtTurnEnd(this);
}

void EntryReader::Forget() {
  loaded_ = false;
  records_.clear();
}

void EntryReader::Leave(uint32_t segment) {
  if (reading_ || open_ != segment) return;
  Forget();
  reader_.Close();
  open_.reset();
}

void EntryReader::OnIdle() {
  if (reading_ || !open_) return;
  Leave(*open_);
}

void EntryReader::EndAsks() {
  for (Ask& ask : std::exchange(asks_, {})) {
    ask.done(Status(StatusCode::kUnavailable, "the log is stopping"));
  }
}

void EntryReader::Stop(Function<void()> done) {
  stopped_ = true;
  loop_.CancelTimer(&idle_timer_);
  EndAsks();
  stop_done_ = std::move(done);
  if (reading_) return;
  if (open_) Leave(*open_);
  if (stop_done_) std::exchange(stop_done_, nullptr)();
}

}  // namespace ursula::storage
