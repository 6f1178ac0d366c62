// tests/unit/raft/replica.h
//
// A core over an in-memory log whose writes are durable at once, and groups of them on a network
// that loses nothing but what a test tells it to.

#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/random.h"
#include "lib/raft/core.h"

namespace ursula::raft {

class MemoryLog final : public LogStorage {
 public:
  Index first() const override { return compacted_.index + 1; }
  Index last() const override { return compacted_.index + entries_.size(); }
  Term TermAt(Index index) const override;
  bool Entries(Index low, Index high, uint64_t bytes_max, std::vector<Entry>* out) const override;
  std::optional<Snapshot> NewestSnapshot() const override { return snapshot_; }

  void Persist(const StorageAppend& append);
  // Everything up to `index` goes; `conf` is the configuration there.
  void Compact(Index index, const ConfState& conf);
  // The state machine came this far: that is the snapshot it would send.
  void SetNewest(const SnapshotMeta& meta) { snapshot_ = Snapshot{meta, Bytes::Static("state")}; }
  void set_resident(bool resident) { resident_ = resident; }
  const std::vector<Entry>& entries() const { return entries_; }
  const HardState& hard() const { return hard_; }
  HardState& hard() { return hard_; }
  ConfState& conf() { return conf_; }  // Of the compaction point.

 private:
  SnapshotMeta compacted_;
  ConfState conf_;
  HardState hard_;
  std::vector<Entry> entries_;
  std::optional<Snapshot> snapshot_;
  bool resident_ = true;  // False: entries are not to be had.
};

// One entry for each term, from index 1 on.
std::vector<Entry> EntriesOfTerms(std::initializer_list<uint64_t> terms);
ConfState Voters(uint64_t count);
// Without lease, forwarding and pre-election, so that a test shows one thing.
Config PlainConfig(ReplicaId self);

class Replica final : private Driver {
 public:
  explicit Replica(const Config& config) : config_(config), random_(Raw(config.self)) {}

  // Before Start: what is on the disk.
  MemoryLog log;

  void Start();  // Anew, over `log`.
  // Persists, releases and applies whatever the core wants, until it wants nothing more.
  void Drain();
  // Steps, drains, and returns what it sent.
  std::vector<Message> Send(Message message);
  std::vector<Message> TakeSent() { return std::exchange(sent_, {}); }
  std::vector<ReadState> TakeReads() { return std::exchange(reads_, {}); }
  Proposal Propose(const std::string& command);

  Core& core() { return *core_; }
  ReplicaId id() const { return config_.self; }
  const std::vector<Entry>& applied() const { return applied_; }
  std::vector<std::string> AppliedCommands() const;
  int count(Notice notice) const { return notices_.contains(notice) ? notices_.at(notice) : 0; }
  void Seed(uint64_t seed) { random_ = Random(seed); }
  // How many messages with what followers lack it may still send, and entries that it has sent so.
  uint64_t catch_up_messages = UINT64_MAX;
  uint64_t caught_up_entries = 0;

 private:
  uint32_t Jitter(uint32_t bound) override { return static_cast<uint32_t>(random_.Below(bound)); }
  void OnNotice(Notice notice) override { ++notices_[notice]; }
  bool MayCatchUp(ReplicaId) override { return catch_up_messages > 0 && catch_up_messages--; }
  void OnCatchUp(ReplicaId, uint64_t entries, uint64_t) override { caught_up_entries += entries; }
  void Apply(const std::vector<Entry>& entries);

  const Config config_;
  Random random_;
  std::unique_ptr<Core> core_;
  std::vector<Message> sent_;
  std::vector<ReadState> reads_;
  std::vector<Entry> applied_;
  std::map<Notice, int> notices_;
};

class Group {
 public:
  // Replicas 1 to `voters`.
  explicit Group(uint64_t voters, const std::function<void(Config*)>& adjust = {});

  Replica& operator[](uint64_t id) { return *replicas_.at(id - 1); }
  std::size_t size() const { return replicas_.size(); }
  void Add(const std::function<void(Config*)>& adjust = {});  // Knows no configuration.

  // Delivers until nothing is left.
  void Run();
  void Elect(uint64_t id);
  void Propose(uint64_t id, const std::string& command);
  void ChangeConf(uint64_t id, const ConfChange& change);
  void TickAll(uint32_t ticks);

  void Isolate(uint64_t id) { isolated_.insert({ReplicaId{id}, true}); }
  void Heal() { isolated_.clear(); }
  // Messages for which it is true are lost.
  std::function<bool(const Message&)> lose;

 private:
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::map<ReplicaId, bool> isolated_;
};

Message MakeMessage(MessageKind kind, uint64_t from, uint64_t to, uint64_t term);
Message MakeAppend(uint64_t from, uint64_t to, uint64_t term, uint64_t index, uint64_t log_term,
                   std::vector<Entry> entries, uint64_t commit);

}  // namespace ursula::raft
