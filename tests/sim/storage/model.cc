#include "tests/sim/storage/model.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::storage::sim {
namespace {

// The log that these entries make, index by index.
std::map<uint64_t, std::string> Replay(const std::vector<Appended>& entries, uint64_t released) {
  std::map<uint64_t, std::string> log;
  for (const Appended& entry : entries) {
    log.erase(entry.reset ? log.begin() : log.lower_bound(entry.index), log.end());
    if (!entry.reset) log[entry.index] = entry.payload;
  }
  log.erase(log.begin(), log.upper_bound(released));
  return log;
}

// The same for those after `after`, without copies.
std::map<uint64_t, const Appended*> ReplayAfter(const std::vector<Appended>& entries,
                                                uint64_t after) {
  std::map<uint64_t, const Appended*> log;
  for (const Appended& entry : entries) {
    log.erase(entry.reset ? log.begin() : log.lower_bound(entry.index), log.end());
    if (entry.index > after && !entry.reset) log[entry.index] = &entry;
  }
  return log;
}

std::size_t CountDurable(const std::vector<Appended>& records, uint64_t lsn) {
  return static_cast<std::size_t>(std::count_if(
      records.begin(), records.end(), [lsn](const Appended& record) { return record.lsn <= lsn; }));
}

}  // namespace

std::string Snapshot::Text() const {
  return std::to_string(index) + " " + std::to_string(incarnation) + " " + std::to_string(end);
}

std::string GroupModel::Fault(const std::string& what) const {
  return "group " + std::to_string(group_) + ": " + what;
}

uint64_t GroupModel::last() const {
  const uint64_t logged = entries_.empty() ? 0 : entries_.back().index;
  return std::max({logged, released_, commit()});
}

void GroupModel::OnEntry(uint64_t lsn, uint64_t index, std::string payload) {
  URSULA_CHECK(index > commit());
  entries_.push_back({lsn, index, std::move(payload), false});
}

void GroupModel::OnState(uint64_t lsn, std::string payload) {
  states_.push_back({lsn, 0, std::move(payload), false});
}

uint64_t GroupModel::LastDurable(uint64_t durable_lsn) const {
  // The entries of the log as it is now, of which all up to some index are durable.
  uint64_t last = commit();
  for (const auto& [index, entry] : ReplayAfter(entries_, commit())) {
    if (index != last + 1 || entry->lsn > durable_lsn) break;
    last = index;
  }
  return last;
}

void GroupModel::Commit(uint64_t index) {
  const std::map<uint64_t, const Appended*> log = ReplayAfter(entries_, commit());
  while (commit() < index) CommitOne(log.at(commit() + 1)->payload);
}

void GroupModel::CommitOne(const std::string& payload) {
  Committed next;
  next.incarnation = committed_.empty() ? 1 : committed_.back().incarnation;
  if (!committed_.empty() && !payload.empty() && payload[0] == kNewStream) ++next.incarnation;
  std::string& content = contents_[next.incarnation];
  next.offset = content.size();
  next.payload = payload;
  content += payload;
  committed_.push_back(std::move(next));
}

void GroupModel::OnLeftBehind(const std::vector<std::string>& payloads) {
  for (const std::string& payload : payloads) CommitOne(payload);
  behind_ = commit();
  reset_lsn_ = 0;
}

void GroupModel::OnReset(uint64_t lsn) {
  reset_lsn_ = lsn;
  entries_.push_back({lsn, behind_, "", true});
}

Snapshot GroupModel::At(uint64_t index) const {
  const Committed& entry = committed_.at(index - 1);
  return {index, entry.incarnation, entry.offset + entry.payload.size()};
}

const std::string& GroupModel::Content(uint64_t incarnation) const {
  static const std::string kNone;
  auto found = contents_.find(incarnation);
  return found == contents_.end() ? kNone : found->second;
}

// The last of an index is the one that counts.
std::string GroupModel::CheckReadBack(uint64_t from, const std::vector<WalEntry>& entries) const {
  const WalEntry* last = nullptr;
  for (const WalEntry& entry : entries) {
    if (Raw(entry.index) < from) return Fault("read back: an entry before what was asked for");
    if (Raw(entry.index) == from) last = &entry;
  }
  if (last == nullptr) return Fault("read back: entry " + std::to_string(from) + " is not there");
  if (last->payload.view() == committed_.at(from - 1).payload) return "";
  return Fault("read back: entry " + std::to_string(from) + " is another one");
}

PayloadRun GroupModel::RunOf(uint64_t from, uint64_t to) const {
  PayloadRun run;
  const uint64_t incarnation = committed_.at(to - 1).incarnation;
  run.key = KeyOf(incarnation);
  while (from < to && committed_[from].incarnation != incarnation) ++from;
  run.start = committed_[from].offset;
  for (; from < to; ++from) run.messages.push_back(Bytes::Copy(committed_[from].payload));
  return run;
}

void GroupModel::OnSnapshotDurable(uint64_t index) {
  snapshot_ = std::max(snapshot_, index);
  released_ = snapshot_;
}

void GroupModel::OnFlushed(uint64_t index) { flushed_ = std::max(flushed_, index); }

void GroupModel::OnFreed(uint64_t incarnation, uint64_t before) {
  uint64_t& freed = freed_[incarnation];
  freed = std::max(freed, before);
}

uint64_t GroupModel::freed(uint64_t incarnation) const {
  auto found = freed_.find(incarnation);
  return found == freed_.end() ? 0 : found->second;
}

void GroupModel::OnClosed(uint64_t durable_lsn) {
  durable_entries_ = CountDurable(entries_, durable_lsn);
  durable_states_ = CountDurable(states_, durable_lsn);
  if (reset_lsn_ != 0 && reset_lsn_ <= durable_lsn) behind_ = reset_lsn_ = 0;
}

std::string GroupModel::CheckLog(const Found& found) {
  std::string wrong = CheckEntries(found);
  return wrong.empty() ? CheckState(found) : wrong;
}

std::string GroupModel::CheckEntries(const Found& found) {
  std::vector<Appended> recovered;
  for (const RecoveredRecord& record : found.records) {
    if (Raw(record.group) != group_ || record.kind == RecordKind::kState) continue;
    const bool reset = record.kind == RecordKind::kReset;
    recovered.push_back({0, Raw(record.index), std::string(record.payload.view()), reset});
    // Not acknowledged, and there all the same.
    if (reset && recovered.back().index == behind_) behind_ = 0;
  }
  // A contiguous piece of what was appended (the last such one: short payloads are alike) ...
  reset_lsn_ = 0;
  std::size_t begin = durable_entries_;
  if (!recovered.empty()) {
    const auto piece =
        std::find_end(entries_.begin(), entries_.end(), recovered.begin(), recovered.end(),
                      [](const Appended& a, const Appended& b) {
                        return a.index == b.index && a.payload == b.payload && a.reset == b.reset;
                      });
    if (piece == entries_.end()) {
      return Fault("its entries from " + std::to_string(recovered.front().index) + " to " +
                   std::to_string(recovered.back().index) + " are no piece of what was appended");
    }
    begin = static_cast<std::size_t>(piece - entries_.begin());
  }
  // ... that holds all that was durable, as far as no snapshot holds it.
  const std::size_t end = begin + recovered.size();
  if (end < durable_entries_) {
    return Fault("acknowledged entry " + std::to_string(entries_[end].index) + " is lost");
  }
  entries_.resize(end);
  const auto wanted = Replay(entries_, released_);
  const auto got = Replay(recovered, released_);
  if (wanted != got) {
    return Fault("the log has " + std::to_string(got.size()) + " entries after " +
                 std::to_string(released_) + ", of " + std::to_string(wanted.size()));
  }
  entries_ = std::move(recovered);
  durable_entries_ = entries_.size();
  if (last() < commit()) return Fault("a committed entry is lost");
  return "";
}

std::string GroupModel::CheckState(const Found& found) {
  const RecoveredRecord* newest = nullptr;
  for (const RecoveredRecord& record : found.records) {
    if (Raw(record.group) == group_ && record.kind == RecordKind::kState) newest = &record;
  }
  if (newest == nullptr) {
    states_.clear();
    return durable_states_ == 0 ? "" : Fault("its acknowledged state is lost");
  }
  std::size_t at = 0;
  while (at < states_.size() && states_[at].payload != newest->payload.view()) ++at;
  if (at == states_.size()) return Fault("a state that nobody appended");
  if (at + 1 < durable_states_)
    return Fault("an acknowledged state is lost, an older one is there");
  states_.resize(at + 1);
  for (Appended& state : states_) state.lsn = 0;
  durable_states_ = states_.size();
  return "";
}

std::string GroupModel::CheckSnapshot(const Found& found) {
  auto it = found.snapshots.find(group_);
  if (it == found.snapshots.end()) {
    return snapshot_ == 0 ? "" : Fault("its acknowledged snapshot is lost");
  }
  const uint64_t index = Raw(it->second.meta.index);
  auto asked = asked_.find(index);
  if (asked == asked_.end()) return Fault("a snapshot that nobody asked for");
  const std::map<std::string, std::string> wanted = {{"at", asked->second.Text()}};
  if (it->second.records != wanted || it->second.meta.header != asked->second.Text()) {
    return Fault("its snapshot at " + std::to_string(index) + " has other content");
  }
  if (index < snapshot_) return Fault("its snapshot is older than an acknowledged one");
  snapshot_ = index;
  released_ = std::max(released_, index);
  flushed_ = std::max(flushed_, index);
  // What the log still has goes on from it. REQUIRES: CheckLog.
  uint64_t next = index + 1;
  for (const auto& [logged, entry] : ReplayAfter(entries_, index)) {
    if (logged != next) {
      return Fault("the log has no entry " + std::to_string(next) + " after the snapshot");
    }
    ++next;
  }
  return "";
}

std::string GroupModel::CheckPayload(
    Node* node, bool all, const std::function<Refusal(const std::string&)>& refused) const {
  PayloadStore& store = *node->core_of(group_).payload;
  for (const auto& [incarnation, content] : contents_) {
    const PayloadKey key = KeyOf(incarnation);
    uint64_t covered = freed(incarnation);
    for (uint64_t at = store.FindNext(key, 0); at != UINT64_MAX; at = store.FindNext(key, at)) {
      const uint64_t end = store.Find(key, at);
      if (end > content.size()) return Fault("payload that nobody wrote");
      if (at <= covered) covered = std::max(covered, end);
      while (at < end) {
        Result<PayloadSlice> slice = node->ReadPayload(key, at, 1 << 20);
        if (!slice.ok()) {
          if (slice.status().code() == StatusCode::kIoError) continue;  // By chance: again.
          const Refusal refusal = refused(slice.status().message());
          if (refusal == Refusal::kAgain) continue;
          if (refusal == Refusal::kIsWrong) {
            return Fault("payload is refused: " + slice.status().message());
          }
          at = end;
          break;
        }
        for (const Bytes& part : slice->parts) {
          if (content.compare(at, part.size(), part.view()) != 0) {
            return Fault("wrong payload was served at " + std::to_string(at));
          }
          at += part.size();
        }
      }
    }
    if (snapshot_ == 0) continue;
    const Snapshot held = At(snapshot_);
    if (held.incarnation != incarnation || covered >= held.end) continue;
    if (all) return Fault("acknowledged payload is lost from " + std::to_string(covered));
    if (node->ReadPayload(key, covered, 1).status().code() != StatusCode::kDataLoss) {
      return Fault("payload that is lost is not said to be, at " + std::to_string(covered));
    }
  }
  return "";
}

}  // namespace ursula::storage::sim
