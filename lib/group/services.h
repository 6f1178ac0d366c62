// lib/group/services.h
//
// What the replicas of one core share: its loop, its log and stores, and its budgets.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.h"
#include "lib/group/apply_turns.h"
#include "lib/group/pace.h"
#include "lib/group/recovered.h"
#include "lib/io/loop.h"
#include "lib/peers/hub.h"
#include "lib/storage/payload_store.h"
#include "lib/storage/snapshot_store.h"
#include "lib/storage/wal.h"
#include "lib/stream/collection.h"
#include "ursula/function.h"
#include "ursula/stats.h"
#include "ursula/types.h"

namespace ursula::group {

// Limits and counters of one core; its loop only.
struct CoreBudget {
  uint64_t inflight_bytes_max = 0;  // Payload of commands proposed and not yet applied.
  uint64_t inflight_bytes = 0;
  uint64_t hot_bytes_max = 0;  // Payload in memory, of all groups of the core.
  uint64_t hot_bytes = 0;
  uint64_t unflushed_bytes = 0;  // Of that, what the payload store doesn't have yet.
  // Entries of each group that a snapshot holds already, kept for peers that are a little behind.
  uint64_t kept_log_bytes_max = uint64_t{1} << 20;
  // What a peer lacks that was heard of so recently stays in the log itself (log_window.h).
  uint64_t log_kept_ns = 60'000'000'000;
  uint64_t shipment_part_bytes = 256 << 10;  // Of a snapshot on its way to a peer.
  uint64_t apply_page_bytes = 128 << 10;  // Of entries that are applied without a look at the turn.
  // Committed entries that who is made leader may not have applied yet: some 60 ms of small ones.
  uint64_t unapplied_max = 1 << 14;
  uint64_t log_entries_read = 0;           // Back from the log, for peers that were away.
  std::size_t serves = 0;                  // Answers to peers that lack payload, under way.
  uint64_t stored_bytes_max = UINT64_MAX;  // Of the payload store; a limit without a directory.
  // The log's volume doesn't answer: neither a vote nor an entry would become durable, so replicas
  // stand for no election.
  bool log_hangs = false;
  // Nodes that are given no leads, for their disks or an operator's word. None: nobody says.
  std::optional<std::vector<NodeId>> spared = {};
  // The last write of payload, or of a snapshot, met a full disk: memory and log can't shrink.
  bool payload_full = false;
  bool snapshots_full = false;
  bool storage_full() const { return payload_full || snapshots_full; }
  // Payload isn't taken for want of space: from where as much waits for the disk as memory has for
  // it, until the disk has taken half of that. Else one with a little room would take and refuse in
  // turn.
  bool payload_refused = false;
  bool RefusesPayload() {
    if (unflushed_bytes > hot_bytes_max) {
      payload_refused = payload_refused || payload_full;
      return true;
    }
    const bool waits = payload_full && unflushed_bytes > 0;
    if (!waits && unflushed_bytes <= hot_bytes_max / 2) payload_refused = false;
    return payload_refused;
  }
  uint64_t waiters_max = 0;
  uint64_t message_bytes_max = 0;  // One append's payload.
  // With peers: until a leader is found, what was proposed is confirmed, a read's round is
  // answered.
  uint64_t leader_ns_max = 5'000'000'000;
  uint64_t append_ns_max = 10'000'000'000;
  uint64_t read_ns_max = 5'000'000'000;
  // Snapshots are collected a step a turn, of one group at a time.
  stream::CollectionStep collection_step = {};
  bool collecting = false;

  EngineStats stats = {};  // What replicas count themselves; gauges are filled in by the engine.
};

// Told of a group, soon after, that this replica knows of another leader than before, or leads now.
// What is asked of a replica from here is to be asked later.
class LeaderWatch {
 public:
  virtual ~LeaderWatch() = default;
  virtual void OnLeader(GroupId group) = 0;
};

// Of which feature level what is stored here may be.
// Invariant: no log and no snapshot of a directory has a SetFeatureLevel of a level above META's.
class LevelGate {
 public:
  virtual ~LevelGate() = default;
  // The directory is of `level`, or a higher one. False: not yet; it is to be, so that the same may
  // be asked again a moment later, unless this node can't: then it takes part in nothing more.
  // Any core.
  virtual bool Reach(uint64_t level) = 0;
};

// Borrowed, all of it, for the life of the replicas.
struct Services {
  io::Loop* loop = nullptr;
  storage::Wal* wal = nullptr;
  storage::PayloadStore* payload = nullptr;
  storage::SnapshotStore* snapshots = nullptr;
  CoreBudget* budget = nullptr;
  peers::Hub* hub = nullptr;       // Null: there are no peers.
  LeaderWatch* leaders = nullptr;  // May be null.
  LevelGate* levels = nullptr;     // Null: nothing is kept.
  Pace* pace = nullptr;            // Null: there is none.
  ApplyTurns* applies = nullptr;   // Null: a turn applies all there is.
  ReplicaId self{1};
  const Recovered* recovered = nullptr;  // Null: the cluster never was.
  uint64_t opening = 0;                  // Random, of this opening of the node's data.
  Function<void(int level, std::string_view message)>* log = nullptr;  // May be null.

  bool Reaches(uint64_t level) const {
    return level <= 1 || levels == nullptr || levels->Reach(level);
  }
  bool MayApply() const { return applies == nullptr || applies->MayApply(); }
  void Applied(uint64_t entries, uint64_t bytes) const {
    if (applies != nullptr) applies->Applied(entries, bytes);
  }
  bool MayTake(Pace::Waiter* waiter) const { return pace == nullptr || pace->MayTake(waiter); }
  Pace::Taken Take(uint64_t bytes) const {
    return pace == nullptr ? Pace::Taken{bytes, 0} : pace->Take(bytes);
  }
  void Earn(uint64_t bytes) const {
    if (pace != nullptr) pace->Earn(bytes);
  }
  // It turned out to be `bytes`.
  void Correct(const Pace::Taken& taken, uint64_t bytes) const {
    if (pace != nullptr) pace->Correct(taken, bytes);
  }
  void Log(int level, std::string_view message) const {
    if (log != nullptr && *log) (*log)(level, message);
  }
  void Log(int level, GroupId group, std::string_view message) const {
    if (log == nullptr || !*log) return;
    Log(level, "group " + std::to_string(Raw(group)) + ": " + std::string(message));
  }
};

}  // namespace ursula::group
