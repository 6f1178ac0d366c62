// ursula/stats.h
//
// What others than its caller see of an engine: how its opening goes, and counters and histograms
// since then.

#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ursula/status.h"
#include "ursula/types.h"

namespace ursula {

// Two buckets an octave: bucket i counts values in (Bound(i - 1), Bound(i)]; the last all above.
struct Histogram {
  static constexpr int kBuckets = 32;
  static constexpr uint64_t Bound(int i) {  // 16, 24, 32, 48, 64 ...
    return (i % 2 == 0 ? uint64_t{16} : uint64_t{24}) << (i / 2);
  }
  static constexpr int BucketOf(uint64_t value) {
    if (value <= Bound(0)) return 0;
    if (value > Bound(kBuckets - 2)) return kBuckets - 1;
    int octave = static_cast<int>(std::bit_width(value - 1)) - 5;  // (16, 32] is the first.
    return 2 * octave + (value <= Bound(2 * octave + 1) ? 1 : 2);
  }
  std::array<uint64_t, kBuckets> counts = {};
  uint64_t count = 0;
  uint64_t sum = 0;

  void Add(uint64_t value) {
    ++counts[static_cast<std::size_t>(BucketOf(value))];
    ++count;
    sum += value;
  }
  void Merge(const Histogram& other) {
    for (int i = 0; i < kBuckets; ++i) {
      counts[static_cast<std::size_t>(i)] += other.counts[static_cast<std::size_t>(i)];
    }
    count += other.count;
    sum += other.sum;
  }
};

struct EngineStats {
  uint64_t appends = 0;  // Acknowledged.
  uint64_t append_bytes = 0;
  uint64_t reads = 0;
  uint64_t read_bytes = 0;
  uint64_t streams = 0;  // Live now.
  uint64_t waiters = 0;  // Reads waiting at a tail now.
  uint64_t proposals_pending = 0;
  uint64_t inflight_bytes = 0;       // Of appends proposed and not yet applied.
  uint64_t inflight_read_bytes = 0;  // Read from disk and not yet let go of by readers.
  uint64_t hot_bytes = 0;            // Payload in memory now.
  uint64_t wal_bytes = 0;            // Write-ahead log files on disk now.
  uint64_t wal_written_bytes = 0;    // Padded, as written.
  uint64_t wal_record_bytes = 0;     // Before padding: the ratio is the amplification.
  uint64_t wal_batches = 0;
  uint64_t wal_syncs = 0;
  uint64_t payload_bytes = 0;  // Payload segment files on disk now.
  uint64_t payload_written_bytes = 0;
  uint64_t payload_index_bytes = 0;    // Of memory: where on disk each byte of payload is.
  uint64_t payload_lost_bytes = 0;     // Of streams: found damaged or missing, and nobody has them.
  uint64_t payload_damaged_bytes = 0;  // Found damaged or missing on this node's disk.
  uint64_t payload_repaired_bytes = 0;  // Of these, written anew from what a peer had.
  uint64_t payload_lacking_bytes = 0;   // Now: on peers' disks alone, and on their way here.
  uint64_t rejoin_bytes = 0;            // Fetched, or sent to who was behind, at their pace.
  uint64_t rejoin_waited_us = 0;        // For that pace, cores one after the other.
  uint64_t scrubbed_bytes = 0;          // Read and checked in the background.
  uint64_t scrub_rounds = 0;            // Over all of a core's files.
  uint64_t files_damaged = 0;           // Of logs and snapshots, found so while running.
  uint64_t snapshots = 0;
  uint64_t snapshot_bytes = 0;    // Snapshot files on disk now.
  uint64_t long_turns = 0;        // Of the cores' loops: over 20 ms, while nothing else got on.
  uint64_t clock_ahead_ms = 0;    // Of the wall clock, of the group's time that is furthest ahead.
  uint64_t refused_inflight = 0;  // Appends refused at inflight_bytes_max.
  uint64_t refused_disk_full = 0;
  uint64_t refused_waiters = 0;
  uint64_t refused_reads = 0;  // At inflight_read_bytes_max, or with too many under way.
  // Of reads and heads that may be a little old, as each group that they asked met them.
  uint64_t local_reads = 0;
  uint64_t local_reads_waited = 0;  // What was here was too old: the leader was asked.
  uint64_t local_reads_behind = 0;  // And didn't answer.
  uint64_t disks_hung = 0;          // Now: volumes that don't answer, as each core sees them.
  uint64_t disks_full = 0;          // Now: cores that refuse what needs space on a disk.
  // Of a node with peers.
  uint64_t leads_given_up = 0;  // Hand-overs begun because it is to lead nothing, as its disk is.
  uint64_t groups_led = 0;      // Now.
  uint64_t groups_leaderless = 0;  // Now: it knows of no leader.
  uint64_t forwarded_calls = 0;    // To a group's leader on another node.
  uint64_t elections_won = 0;      // How often a replica of this node became leader,
  uint64_t handed_over = 0;        // and of that, because the leader before had asked it to.
  uint64_t read_rounds = 0;        // Of ReadIndex, begun: one serves all reads that wait for it.
  uint64_t entries_applied = 0;    // Of all groups' logs.
  uint64_t peer_sent_entries =
      0;  // Of logs: two for each with three nodes, and what is sent again.
  uint64_t peer_sent_frames = 0;
  uint64_t peer_sent_bytes = 0;
  uint64_t peer_dropped_letters = 0;  // There was no connection, or too much waited for it.
  Histogram append_us = {};           // From the call to its completion on the owning core.
  Histogram sync_us = {};             // One write-ahead log batch, write and sync.

  void Add(const EngineStats& other);
};

inline void EngineStats::Add(const EngineStats& other) {
  appends += other.appends;
  append_bytes += other.append_bytes;
  reads += other.reads;
  read_bytes += other.read_bytes;
  streams += other.streams;
  waiters += other.waiters;
  proposals_pending += other.proposals_pending;
  inflight_bytes += other.inflight_bytes;
  inflight_read_bytes += other.inflight_read_bytes;
  hot_bytes += other.hot_bytes;
  wal_bytes += other.wal_bytes;
  wal_written_bytes += other.wal_written_bytes;
  wal_record_bytes += other.wal_record_bytes;
  wal_batches += other.wal_batches;
  wal_syncs += other.wal_syncs;
  payload_bytes += other.payload_bytes;
  payload_written_bytes += other.payload_written_bytes;
  payload_index_bytes += other.payload_index_bytes;
  payload_lost_bytes += other.payload_lost_bytes;
  payload_damaged_bytes += other.payload_damaged_bytes;
  payload_repaired_bytes += other.payload_repaired_bytes;
  payload_lacking_bytes += other.payload_lacking_bytes;
  rejoin_bytes += other.rejoin_bytes;
  rejoin_waited_us += other.rejoin_waited_us;
  scrubbed_bytes += other.scrubbed_bytes;
  scrub_rounds += other.scrub_rounds;
  files_damaged += other.files_damaged;
  snapshots += other.snapshots;
  snapshot_bytes += other.snapshot_bytes;
  long_turns += other.long_turns;
  clock_ahead_ms = clock_ahead_ms > other.clock_ahead_ms ? clock_ahead_ms : other.clock_ahead_ms;
  refused_inflight += other.refused_inflight;
  refused_disk_full += other.refused_disk_full;
  refused_waiters += other.refused_waiters;
  refused_reads += other.refused_reads;
  local_reads += other.local_reads;
  local_reads_waited += other.local_reads_waited;
  local_reads_behind += other.local_reads_behind;
  disks_hung += other.disks_hung;
  disks_full += other.disks_full;
  leads_given_up += other.leads_given_up;
  groups_led += other.groups_led;
  groups_leaderless += other.groups_leaderless;
  forwarded_calls += other.forwarded_calls;
  elections_won += other.elections_won;
  handed_over += other.handed_over;
  read_rounds += other.read_rounds;
  entries_applied += other.entries_applied;
  peer_sent_entries += other.peer_sent_entries;
  peer_sent_frames += other.peer_sent_frames;
  peer_sent_bytes += other.peer_sent_bytes;
  peer_dropped_letters += other.peer_dropped_letters;
  append_us.Merge(other.append_us);
  sync_us.Merge(other.sync_us);
}

// Why a group can't count on the replica of one of its voters, as its leader sees it.
struct ReplicaTrouble {
  enum class Kind : uint8_t {
    kAway,      // It hasn't been heard of for some seconds.
    kBehind,    // It lacks many entries.
    kNotWhole,  // It lacks payload of entries that it has, or doesn't say that it doesn't.
  };
  NodeId node = {};
  Kind kind = Kind::kAway;
  friend bool operator==(const ReplicaTrouble&, const ReplicaTrouble&) = default;
};

// What this node knows of one of its groups.
struct GroupStatus {
  GroupId group = {};
  NodeId leader = {};    // 0: of none.
  uint64_t term = 0;     // Of Raft.
  uint64_t applied = 0;  // The index of the last entry that is applied here.
  // At its leader alone: how many vote, and those of them that couldn't take another one's place.
  uint32_t voters = 0;
  std::vector<ReplicaTrouble> troubles = {};
};

// How a node's disk does; each is worse than the one before. A node whose disk is worse than that
// of others leads nothing.
enum class DiskState : uint8_t {
  kFine,
  kSlow,   // Its syncs take more than twice as long as those of another node.
  kFull,   // It refuses what needs space.
  kHangs,  // A volume doesn't answer, or takes no writes.
};

// What this node knows of a node of its cluster, itself included.
struct MemberStatus {
  enum class Stage : uint8_t {
    kMember,
    kJoining,  // Its directory is new: groups take it in, one after the other.
    kLeaving,
    kInvited,  // It may join, once it is there with an empty directory.
  };
  NodeId node = {};
  Stage stage = Stage::kMember;
  bool cordoned = false;      // It is to lead nothing.
  uint64_t lives_before = 0;  // Directories that it had in this cluster before.
  uint64_t openings = 0;      // Of its directory, as far as the cluster was told.
  // The highest feature level that its process says it can; 0: it wasn't heard of.
  uint32_t feature_level_max = 0;
  DiskState disk = DiskState::kFine;  // As it said lately; of one that said nothing, too.
  uint64_t sync_p50_us = 0;           // Of its log, lately, as it said; 0: not known.
};

struct ClusterStatus {
  NodeId node = {};
  uint64_t cluster_id = 0;                 // 0: everything is in memory.
  std::vector<GroupStatus> groups = {};    // By number.
  std::vector<MemberStatus> members = {};  // By node. Without a directory: none.
  // While members join or leave: how many groups have done their part, and whom the others wait
  // for. Told by the leader of group 0 alone.
  uint32_t groups_settled = 0;
  std::string members_wait_for = {};
  // Where a rotten directory of this node is kept; empty: there is none.
  std::string aside = {};
  bool rejoins = false;            // It hasn't been taken in again since then.
  uint64_t message_bytes_max = 0;  // Of one append, as this node's log takes it.
  uint32_t feature_level = 0;      // In force, as this node knows. It is never lowered.
  uint32_t feature_level_max = 0;  // That this node can.
  // Why it isn't raised, though a node can more; empty: no node can.
  std::string feature_level_waits_for = {};
};

// How the survivors of a cluster that has lost the majority of a group for ever become a cluster of
// their own. What no survivor has is lost, though it was acknowledged; which of them has the most
// they find out by themselves, group by group.
struct RecoveryPlan {
  struct Survivor {
    NodeId node = {};
    uint64_t directory = 0;  // RecoveryStatus::directory.
    uint64_t lives_before =
        0;  // One more than it had: as another replica nobody of before knows it.
    friend bool operator==(const Survivor&, const Survivor&) = default;
  };
  uint64_t number = 0;  // One more than any survivor's RecoveryStatus::number.
  uint64_t cluster_before = 0;
  uint64_t cluster_id = 0;  // Random, as the next.
  uint64_t history_id = 0;
  uint64_t term = 0;                     // Above every RecoveryGroup::term.
  std::vector<Survivor> survivors = {};  // Ascending by node.
  std::vector<NodeId> lost = {};         // Ascending. With the survivors, all that there are.
  friend bool operator==(const RecoveryPlan&, const RecoveryPlan&) = default;
};

// What a node has of a group, and whom it takes for the group's voters; of a joint configuration
// those of its other half, too.
struct RecoveryGroup {
  GroupId group = {};
  bool has_leader = false;
  uint64_t term = 0;
  uint64_t last_term = 0;      // Of its log's last entry,
  uint64_t last_index = 0;     // and where that stands.
  uint64_t commit = 0;         // What it knows to be committed.
  uint64_t lacking_bytes = 0;  // Payload that it has the entries of, and not the bytes.
  std::vector<NodeId> voters = {};
  std::vector<NodeId> voters_outgoing = {};
};

struct RecoveryStatus {
  NodeId node = {};
  uint64_t cluster_id = 0;
  uint64_t directory = 0;  // Its id, drawn with it.
  uint64_t lives_before = 0;
  uint64_t number = 0;  // Of the recovery that it went through last; 0: none.
  // That one, or a newer one that it has stored for its next opening.
  std::optional<RecoveryPlan> plan = {};
  bool stored = false;               // The latter.
  std::vector<NodeId> members = {};  // That it knows of, itself included.
  std::vector<RecoveryGroup> groups = {};
};

// ---- opening ----------------------------------------------------------------------------------
// Opening is an Open as others than its caller see it: how far recovery is, and a way to end it.
// One for each Open; it outlives that.

enum class OpeningStep : uint8_t {
  kBegun,      // The directory is being locked, or nobody has called Open yet.
  kFounding,   // Nodes of a new cluster: those that have agreed.
  kRejoining,  // Of a rotten directory: 0, it waits for its cluster; 1, it was put aside, and
               // waits.
  kSnapshots,  // Bytes of snapshot files.
  kLog,        // Bytes of the write-ahead logs' files.
  kPayload,    // Bytes of payload files; of finished ones only an index is read.
  kGroups,     // Groups: each applies what the log has of it.
  kDone,
};

struct OpeningProgress {
  OpeningStep step = OpeningStep::kBegun;
  uint64_t done = 0;  // Of this step, in its unit.
  uint64_t total = 0;
};

// Any thread, without locks.
class Opening {
 public:
  OpeningProgress Progress() const {
    const OpeningStep step = step_.load(std::memory_order_acquire);
    const Count& count = counts_[static_cast<std::size_t>(step)];
    return {step, count.done.load(std::memory_order_relaxed),
            count.total.load(std::memory_order_relaxed)};
  }

  // Open ends soon with kCancelled, unless it has come to its end already. The directory is as if
  // the process had been killed meanwhile: nothing is lost. A signal handler may call it.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // ---- the engine's side ----
  void Begin(OpeningStep step, uint64_t total) {
    Count& count = counts_[static_cast<std::size_t>(step)];
    count.done.store(0, std::memory_order_relaxed);
    count.total.store(total, std::memory_order_relaxed);
    step_.store(step, std::memory_order_release);
  }
  // kCancelled: what is under way is to end.
  Status Advance(uint64_t done) {
    const std::size_t step = static_cast<std::size_t>(step_.load(std::memory_order_relaxed));
    counts_[step].done.fetch_add(done, std::memory_order_relaxed);
    return cancelled() ? Status(StatusCode::kCancelled, "the opening was cancelled") : Status();
  }

 private:
  struct Count {
    std::atomic<uint64_t> done = 0;
    std::atomic<uint64_t> total = 0;
  };
  static_assert(std::atomic<bool>::is_always_lock_free);  // For signal handlers.

  std::array<Count, static_cast<std::size_t>(OpeningStep::kDone) + 1> counts_ = {};
  std::atomic<OpeningStep> step_ = OpeningStep::kBegun;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace ursula
