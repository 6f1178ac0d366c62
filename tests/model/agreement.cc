#include "tests/model/agreement.h"

#include "lib/group/recovery.h"

namespace ursula::stream {

std::string Agreement::Observe(const std::string& who, uint32_t group, Index index, uint64_t hash) {
  auto [found, first] = said_.try_emplace({group, index}, Said{who, hash});
  if (first) return "";
  ++compared_;
  if (found->second.hash == hash) return "";
  return who + " differs from " + found->second.who + " in group " + std::to_string(group) +
         " at index " + std::to_string(Raw(index));
}

Status LogKeeper::OnRecord(storage::RecoveredRecord record) {
  if (record.kind != storage::RecordKind::kEntry) return {};
  Result<raft::Entry> entry = group::DecodeEntry(record.index, record.term, record.payload);
  if (!entry.ok()) return entry.status();
  std::vector<raft::Entry>& entries = entries_.at(Raw(record.group));
  uint64_t next = entries.size() + 1;
  if (Raw(entry->index) < next) return {};  // Nothing that was committed is ever replaced.
  if (Raw(entry->index) > next) {
    return Status(StatusCode::kDataLoss, "entry " + std::to_string(next) + " was never seen");
  }
  entries.push_back(std::move(*entry));
  return {};
}

std::string Replay::Run(const std::vector<raft::Entry>& entries, Agreement* agreement) {
  for (; applied_ < entries.size(); ++applied_) {
    const raft::Entry& entry = entries[applied_];
    std::string at = " at index " + std::to_string(Raw(entry.index));
    if (entry.kind == raft::EntryKind::kNormal && !entry.payload.empty()) {
      Result<Command> command = Decode(entry.payload);
      if (!command.ok()) return command.status().ToString() + at;
      twin_.SkipTo(Raw(entry.index) - 1);
      std::string difference = twin_.Apply(*command);
      if (!difference.empty()) return "the model: " + difference + at;
      ++commands_;
    }
    if (!agreement->Knows(group_, entry.index)) continue;
    uint64_t hash = twin_.machine().StateHash();
    std::string difference = agreement->Observe("the replay", group_, entry.index, hash);
    if (!difference.empty()) return difference;
  }
  return "";
}

}  // namespace ursula::stream
