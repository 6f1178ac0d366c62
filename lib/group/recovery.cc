#include "lib/group/recovery.h"

#include <algorithm>
#include <utility>

#include "lib/base/coding.h"

namespace ursula::group {
namespace {

constexpr uint8_t kStateVersion = 1;
constexpr uint8_t kHeaderVersion = 1;

class SnapshotLoader final : public storage::SnapshotSink {
 public:
  SnapshotLoader(RecoveredGroup* into, Opening* opening) : into_(*into), opening_(*opening) {}

  Status OnSnapshotFile(const storage::SnapshotMeta& meta, bool /*base*/) override {
    Result<raft::ConfState> conf = DecodeSnapshotHeader(meta.header);
    if (!conf.ok()) return conf.status();
    into_.compacted.index = meta.index;
    into_.compacted.term = meta.term;
    into_.compacted.conf = std::move(*conf);
    return {};
  }

  Status OnSnapshotRecord(storage::SnapshotRecord record) override {
    Status status = opening_.Advance(record.key.size() + record.value.size());
    if (!status.ok()) return status;
    if (record.tombstone) return into_.machine->LoadRecord(record.key, std::nullopt);
    return into_.machine->LoadRecord(record.key, record.value.view());
  }

 private:
  RecoveredGroup& into_;
  Opening& opening_;
};

void PutNodes(std::string* out, const std::vector<ReplicaId>& nodes) {
  PutVarint(out, nodes.size());
  for (ReplicaId node : nodes) PutVarint(out, Raw(node));
}

std::vector<ReplicaId> ReadNodes(Reader* reader) {
  std::vector<ReplicaId> nodes;
  uint64_t count = reader->Varint();
  for (uint64_t i = 0; i < count && reader->ok(); ++i) nodes.push_back(ReplicaId{reader->Varint()});
  return nodes;
}

std::string GroupName(GroupId group) { return "group " + std::to_string(Raw(group)); }

}  // namespace

Founding FoundingOf(const storage::DataDirectory& directory) {
  return {directory.founding_voters(), directory.history_id(), RecoveredOf(directory),
          directory.founding_level()};
}

RecoveredGroup NewGroup(GroupId group, const Founding& founding) {
  RecoveredGroup recovered;
  recovered.machine =
      std::make_unique<stream::Machine>(group, founding.history, founding.feature_level);
  recovered.compacted.conf.voters = founding.voters;
  return recovered;
}

std::string EncodeState(const raft::HardState& hard) {
  std::string out;
  out.push_back(static_cast<char>(kStateVersion));
  PutVarint(&out, Raw(hard.term));
  PutVarint(&out, Raw(hard.vote));
  PutVarint(&out, Raw(hard.commit));
  return out;
}

Result<raft::HardState> DecodeState(std::string_view payload) {
  Reader reader(payload);
  uint8_t version = reader.Fixed<uint8_t>();
  raft::HardState hard;
  hard.term = Term{reader.Varint()};
  hard.vote = ReplicaId{reader.Varint()};
  hard.commit = Index{reader.Varint()};
  if (!reader.AtEnd() || version != kStateVersion) {
    return Status(StatusCode::kDataLoss, "a group's state record is malformed");
  }
  return hard;
}

std::string EncodeSnapshotHeader(const raft::ConfState& conf) {
  std::string out;
  out.push_back(static_cast<char>(kHeaderVersion));
  PutNodes(&out, conf.voters);
  PutNodes(&out, conf.learners);
  PutNodes(&out, conf.voters_outgoing);
  PutNodes(&out, conf.learners_next);
  out.push_back(conf.auto_leave ? 1 : 0);
  return out;
}

Result<raft::ConfState> DecodeSnapshotHeader(std::string_view header) {
  Reader reader(header);
  uint8_t version = reader.Fixed<uint8_t>();
  raft::ConfState conf;
  conf.voters = ReadNodes(&reader);
  conf.learners = ReadNodes(&reader);
  conf.voters_outgoing = ReadNodes(&reader);
  conf.learners_next = ReadNodes(&reader);
  conf.auto_leave = reader.Fixed<uint8_t>() != 0;
  if (!reader.AtEnd() || version != kHeaderVersion) {
    return Status(StatusCode::kDataLoss, "a snapshot's membership is malformed");
  }
  return conf;
}

Result<raft::Entry> DecodeEntry(Index index, Term term, const Bytes& record) {
  if (record.empty() || static_cast<uint8_t>(record.data()[0]) >
                            static_cast<uint8_t>(raft::EntryKind::kConfChangeSet)) {
    return Status(StatusCode::kDataLoss, "a log entry's kind is unknown");
  }
  raft::Entry entry;
  entry.index = index;
  entry.term = term;
  entry.kind = static_cast<raft::EntryKind>(record.data()[0]);
  entry.payload = record.Slice(1);
  return entry;
}

Recovery::Recovery(uint32_t group_count, const Founding& founding)
    : recovered_(founding.recovered) {
  for (uint32_t i = 0; i < group_count; ++i) groups_.push_back(NewGroup(GroupId{i}, founding));
  gaps_.resize(group_count);
}

Status Recovery::LoadSnapshots(io::Disk& disk, storage::SnapshotFiles* files, Opening* opening) {
  Opening unwatched;
  if (opening == nullptr) opening = &unwatched;
  opening->Begin(OpeningStep::kSnapshots, files->Bytes(disk));
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    GroupId group{static_cast<uint32_t>(i)};
    SnapshotLoader loader(&groups_[i], opening);
    Result<bool> found = files->Load(disk, group, &loader);
    if (!found.ok()) return found.status();
    if (!*found) continue;
    Status status = groups_[i].machine->FinishLoad();
    if (!status.ok()) return status;
  }
  return {};
}

Status Recovery::OnRecord(storage::RecoveredRecord record) {
  uint32_t group = Raw(record.group);
  if (group >= groups_.size()) {
    return Status(StatusCode::kDataLoss, "the log names " + GroupName(record.group) +
                                             ", which this directory doesn't have");
  }
  if (record.kind == storage::RecordKind::kState) {
    Result<raft::HardState> hard = DecodeState(record.payload.view());
    if (!hard.ok()) return hard.status();
    groups_[group].hard = *hard;
    return {};
  }
  if (record.kind == storage::RecordKind::kReset) return OnReset(record.index, record.group);
  Result<raft::Entry> entry = DecodeEntry(record.index, record.term, record.payload);
  if (!entry.ok()) return entry.status();
  return OnEntry(std::move(*entry), record.group);
}

Status Recovery::OnEntry(raft::Entry entry, GroupId group) {
  RecoveredGroup& into = groups_[Raw(group)];
  std::vector<raft::Entry>& entries = into.entries;
  // A slot written again: what stood there and above is gone (raft/ready.h, StorageAppend), also
  // where the snapshot has the slot itself.
  while (!entries.empty() && entries.back().index >= entry.index) entries.pop_back();
  if (entry.index <= into.compacted.index) {
    // The snapshot has it, or another entry in its place: then what follows here isn't what follows
    // the snapshot.
    gaps_[Raw(group)] = Status();
    into.reset_missing = entry.index == into.compacted.index && entry.term != into.compacted.term;
    return {};
  }
  if (into.reset_missing) return {};
  Index expected = entries.empty() ? into.compacted.index + 1 : entries.back().index + 1;
  if (entry.index != expected) {
    gaps_[Raw(group)] = Status(
        StatusCode::kDataLoss,
        "the log of " + GroupName(group) + " goes from entry " + std::to_string(Raw(expected) - 1) +
            " to " + std::to_string(Raw(entry.index)) + "; entries between them are missing");
    return {};
  }
  gaps_[Raw(group)] = Status();
  entries.push_back(std::move(entry));
  return {};
}

// The snapshot was durable before the record was written. Term and vote outlive it.
Status Recovery::OnReset(Index index, GroupId group) {
  RecoveredGroup& into = groups_[Raw(group)];
  if (index > into.compacted.index) {
    rotten_ = true;
    return Status(StatusCode::kDataLoss, "the log of " + GroupName(group) +
                                             " starts after a snapshot at entry " +
                                             std::to_string(Raw(index)) + ", which is missing");
  }
  into.entries.clear();
  into.reset_missing = false;
  gaps_[Raw(group)] = Status();
  return {};
}

Result<std::vector<RecoveredGroup>> Recovery::Finish() {
  for (Status& gap : gaps_) {
    if (gap.ok()) continue;
    rotten_ = true;
    return std::move(gap);
  }
  for (uint32_t id = 0; id < groups_.size(); ++id) {
    RecoveredGroup& group = groups_[id];
    Term before = group.compacted.term;
    for (const raft::Entry& entry : group.entries) {
      if (entry.term < before) {
        return Status(StatusCode::kDataLoss,
                      "a group's term falls at entry " + std::to_string(Raw(entry.index)));
      }
      before = entry.term;
    }
    Index last = group.entries.empty() ? group.compacted.index : group.entries.back().index;
    // The commit index is written seldom: entries tell more. A snapshot is committed. What the
    // index names was durable here.
    if (group.hard.commit > last) {
      rotten_ = true;
      return Status(StatusCode::kDataLoss,
                    GroupName(GroupId{id}) + ": entry " + std::to_string(Raw(group.hard.commit)) +
                        " was durable, and its snapshots and log end at entry " +
                        std::to_string(Raw(last)) + ": a snapshot or a log file is missing");
    }
    group.hard.commit = std::max(group.hard.commit, group.compacted.index);
    // An installed snapshot may be durable before the state record of its term: then no vote of
    // that term was, and none has left.
    if (group.hard.term < group.compacted.term) {
      group.hard.term = group.compacted.term;
      group.hard.vote = raft::kNoReplica;
    }
    Term last_term = group.entries.empty() ? group.compacted.term : group.entries.back().term;
    if (group.hard.term < last_term) {
      return Status(StatusCode::kDataLoss, "a group's term is older than its log");
    }
    if (recovered_) BeginAnew(&group);
  }
  return std::move(groups_);
}

// Says the same however often it is said: what was written since is of that term or a higher one.
void Recovery::BeginAnew(RecoveredGroup* group) const {
  if (group->compacted.term < recovered_->term) group->compacted.conf = recovered_->conf;
  if (group->hard.term >= recovered_->term) return;
  group->hard.term = recovered_->term;
  group->hard.vote = raft::kNoReplica;
}

}  // namespace ursula::group
