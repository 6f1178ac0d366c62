#include "tests/unit/raft/replica.h"

#include <algorithm>

#include "lib/base/check.h"

namespace ursula::raft {

Term MemoryLog::TermAt(Index index) const {
  URSULA_CHECK(index >= compacted_.index);
  URSULA_CHECK(index <= last());
  return index == compacted_.index ? compacted_.term : entries_[index - first()].term;
}

bool MemoryLog::Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const {
  URSULA_CHECK(first() <= low);
  URSULA_CHECK(low < high);
  URSULA_CHECK(high <= last() + 1);
  if (!resident_) return false;
  uint64_t bytes = 0;
  for (Index at = low; at < high; at = at + 1) {
    const Entry& entry = entries_[at - first()];
    bytes += EntryBytes(entry);
    if (at != low && bytes > bytes_max) break;
    out->push_back(entry);
  }
  return true;
}

void MemoryLog::Persist(const StorageAppend& append) {
  if (append.hard_state) hard_ = *append.hard_state;
  if (!append.snapshot.empty()) {
    entries_.clear();
    compacted_ = append.snapshot.meta;
    conf_ = compacted_.conf;
    snapshot_ = append.snapshot;
  }
  for (const Entry& entry : append.entries) {
    if (entry.index < first()) continue;
    URSULA_CHECK(entry.index <= last() + 1);
    entries_.resize(entry.index - first());
    entries_.push_back(entry);
  }
}

void MemoryLog::Compact(Index index, const ConfState& conf) {
  const SnapshotMeta meta{index, TermAt(index), conf};
  entries_.erase(entries_.begin(), entries_.begin() + (index - compacted_.index));
  compacted_ = meta;
  conf_ = conf;
  if (!snapshot_ || snapshot_->meta.index < index) SetNewest(meta);
}

std::vector<Entry> EntriesOfTerms(std::initializer_list<uint64_t> terms) {
  std::vector<Entry> entries;
  for (uint64_t term : terms) {
    entries.push_back({Term{term}, Index{entries.size() + 1}, EntryKind::kNormal, {}});
  }
  return entries;
}

ConfState Voters(uint64_t count) {
  ConfState conf;
  for (uint64_t id = 1; id <= count; ++id) conf.voters.push_back(ReplicaId{id});
  return conf;
}

Config PlainConfig(ReplicaId self) {
  Config config;
  config.self = self;
  config.pre_vote = false;
  config.check_quorum = false;
  return config;
}

void Replica::Start() {
  sent_.clear();
  Result<std::unique_ptr<Core>> core =
      Core::Create(config_, {log.hard(), log.conf(), log.first() - 1}, &log, this);
  URSULA_CHECK(core.ok());
  core_ = std::move(*core);
}

void Replica::Drain() {
  Ready ready;
  while (core_->HasReady()) {
    core_->TakeReady(&ready);
    for (Message& message : ready.messages) sent_.push_back(std::move(message));
    for (ReadState& read : ready.reads) reads_.push_back(std::move(read));
    if (ready.append) {
      log.Persist(*ready.append);
      for (Message& response : ready.append->responses) {
        if (response.to == id()) {
          (void)core_->Step(std::move(response));
        } else {
          sent_.push_back(std::move(response));
        }
      }
    }
    if (ready.apply) {
      Apply(ready.apply->entries);
      (void)core_->Step(std::move(ready.apply->response));
    }
  }
}

void Replica::Apply(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    applied_.push_back(entry);
    if (entry.kind != EntryKind::kNormal) {
      Result<ConfChange> change = DecodeConfChange(entry.kind, entry.payload.view());
      URSULA_CHECK(change.ok());
      (void)core_->ApplyConfChange(*change);
    }
    log.SetNewest({entry.index, entry.term, core_->Configuration()});
  }
}

std::vector<Message> Replica::Send(Message message) {
  (void)core_->Step(std::move(message));
  Drain();
  return TakeSent();
}

Proposal Replica::Propose(const std::string& command) {
  const Bytes bytes = Bytes::Copy(command);
  return core_->Propose(std::span<const Bytes>(&bytes, 1));
}

std::vector<std::string> Replica::AppliedCommands() const {
  std::vector<std::string> commands;
  for (const Entry& entry : applied_) {
    if (entry.kind == EntryKind::kNormal && !entry.payload.empty()) {
      commands.emplace_back(entry.payload.view());
    }
  }
  return commands;
}

Group::Group(uint64_t voters, const std::function<void(Config*)>& adjust) {
  for (uint64_t id = 1; id <= voters; ++id) {
    Config config = PlainConfig(ReplicaId{id});
    if (adjust) adjust(&config);
    replicas_.push_back(std::make_unique<Replica>(config));
    replicas_.back()->log.conf() = Voters(voters);
    replicas_.back()->Start();
  }
}

void Group::Add(const std::function<void(Config*)>& adjust) {
  Config config = PlainConfig(ReplicaId{replicas_.size() + 1});
  if (adjust) adjust(&config);
  replicas_.push_back(std::make_unique<Replica>(config));
  replicas_.back()->Start();
}

void Group::Run() {
  for (bool more = true; more;) {
    more = false;
    std::vector<Message> wire;
    for (auto& replica : replicas_) {
      replica->Drain();
      for (Message& message : replica->TakeSent()) wire.push_back(std::move(message));
    }
    for (Message& message : wire) {
      if (isolated_.contains(message.from) || isolated_.contains(message.to)) continue;
      if (lose && lose(message)) continue;
      if (Raw(message.to) > replicas_.size()) continue;
      more = true;
      (void)(*this)[Raw(message.to)].core().Step(std::move(message));
    }
  }
}

void Group::Elect(uint64_t id) {
  (*this)[id].core().Campaign();
  Run();
}

void Group::Propose(uint64_t id, const std::string& command) {
  (void)(*this)[id].Propose(command);
  Run();
}

void Group::ChangeConf(uint64_t id, const ConfChange& change) {
  (void)(*this)[id].core().ProposeConfChange(change);
  Run();
}

void Group::TickAll(uint32_t ticks) {
  for (uint32_t i = 0; i < ticks; ++i) {
    for (auto& replica : replicas_) replica->core().Tick();
    Run();
  }
}

Message MakeMessage(MessageKind kind, uint64_t from, uint64_t to, uint64_t term) {
  Message message;
  message.kind = kind;
  message.from = ReplicaId{from};
  message.to = ReplicaId{to};
  message.term = Term{term};
  return message;
}

Message MakeAppend(uint64_t from, uint64_t to, uint64_t term, uint64_t index, uint64_t log_term,
                   std::vector<Entry> entries, uint64_t commit) {
  Message message = MakeMessage(MessageKind::kAppend, from, to, term);
  message.index = Index{index};
  message.log_term = Term{log_term};
  message.entries = std::move(entries);
  message.commit = Index{commit};
  return message;
}

}  // namespace ursula::raft
