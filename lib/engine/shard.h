// lib/engine/shard.h
//
// One core's share of an engine: its log, its stores, and the replicas of its groups. Everything
// runs on the core's loop, except what is said to be for any thread.

#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/strings.h"
#include "lib/engine/fence_waits.h"
#include "lib/engine/follow_task.h"
#include "lib/engine/forwarder.h"
#include "lib/engine/pauses.h"
#include "lib/engine/sync_window.h"
#include "lib/engine/turn_log.h"
#include "lib/group/pace.h"
#include "lib/group/replica.h"
#include "lib/group/services.h"
#include "lib/io/guarded.h"
#include "lib/io/loop.h"
#include "lib/storage/disk_wal_options.h"
#include "lib/storage/disk_watch.h"
#include "lib/storage/payload_store.h"
#include "lib/storage/scrub.h"
#include "lib/storage/snapshot_store.h"
#include "ursula/engine.h"

namespace ursula::engine {

using Log = Function<void(int level, std::string_view message)>;

// What one core starts from.
struct ShardStart {
  const storage::DataDirectory* directory = nullptr;  // Null: everything in memory.
  ReplicaId self{1};                                  // What Raft calls this replica.
  const group::Recovered* after_recovery = nullptr;   // Services::recovered.
  group::LevelGate* levels = nullptr;                 // Services::levels.
  storage::DiskWalOptions wal = {};
  std::shared_ptr<storage::RecoveredPayload> payload = {};
  storage::SnapshotFiles* snapshots = nullptr;  // Read inside Start's call only.
  std::vector<GroupId> groups = {};
  std::vector<group::RecoveredGroup> recovered = {};  // As `groups`.
  // Peers. Null: there are none. Else there is a directory.
  Transport* transport = nullptr;
  ForwarderHost* host = nullptr;
  Opening* opening = nullptr;  // Told of each group, asked whether to go on. Until `done`.
  uint32_t core_count = 1;
  uint64_t window_bytes_max = 16 << 20;  // ClusterOptions'.
  uint64_t inflight_read_bytes_max = uint64_t{256} << 20;
  storage::Scrub::Options scrub = {};
  group::Pace::Options pace = {};
  group::CoreBudget budget = {};
};

// How the disk does, as one core sees it.
struct ShardDisk {
  bool hangs = false;        // Any volume of the directory.
  bool log_hangs = false;    // The log's.
  bool full = false;         // What needs space is refused.
  Histogram recent_us = {};  // Of the log's syncs, and of probes.
};

class Shard final : private storage::Wal::Listener {
 public:
  Shard(io::Loop* loop, Log* log);
  ~Shard() override;

  io::Loop& loop() { return loop_; }  // Any thread.

  // Opens the log and brings every group to where it can commit; then `done`, once.
  void Start(ShardStart start, Function<void(Status)> done);

  // REQUIRES: the group lives here.
  group::Replica& replica(GroupId group) { return *replicas_.at(group); }
  bool Has(GroupId group) const { return replicas_.contains(group); }
  std::vector<group::Replica*> Replicas();
  Forwarder* forwarder() { return forwarder_.get(); }  // Null: there are no peers.

  // No replica takes part or answers any more.
  void Refuse(const std::string& why);

  // Ends what is under way and closes the log; then `done`.
  void Stop(Function<void()> done);
  // Frees what Stop has ended. Afterwards the shard may be destroyed on any thread.
  void Close();
  // In place of Stop and Close, once the world it ran in has crashed. Simulators.
  void Abandon();

  // ---- for flows ----
  // What is known of buckets; a hint that the group's fence corrects.
  std::optional<stream::BucketStamp> KnownBucket(std::string_view bucket) const;
  void LearnBucket(std::string_view bucket, stream::BucketStamp stamp);
  void ForgetBucket(std::string_view bucket);

  std::map<Ticket, std::shared_ptr<FollowTask>>& follows() { return follows_; }

  // What hasn't run by Close never does.
  void RunLater(uint64_t delay_ns, Function<void()> function) {
    pauses_.Run(&loop_, delay_ns, std::move(function));
  }

  // As RunLater.
  void AwaitFence(FenceWaits::Held held, Function<void(bool passed)> go_on) {
    fence_waits_.Add(&loop_, std::move(held), std::move(go_on));
  }
  void LookAtFences(const group::Replica& replica) { fence_waits_.Look(replica); }

  // Called every tick of this core, for work that spans groups.
  void SetTickHook(Function<void()> hook) { tick_hook_ = std::move(hook); }

  // ---- any thread ----
  EngineStats Stats() const { return published_stats_.Get(); }
  Status Ready() const { return published_ready_.Get(); }
  ShardDisk Disk() const { return published_disk_.Get(); }
  std::vector<GroupStatus> Groups() const { return published_groups_.Get(); }
  // It has had no leader for some seconds, as of the last tick. REQUIRES: the group lives here.
  bool IsLeaderless(GroupId group) const {
    return leaderless_[Raw(group) / start_.core_count].load(std::memory_order_relaxed);
  }

 private:
  // storage::Wal::Listener
  void OnWalDurable(uint64_t lsn) override;
  void OnWalFailed(Status status) override;
  void OnWalPinned(std::span<const GroupId> groups) override;
  void OnWalDamaged(const Status& status) override;

  void CheckpointReplayed();
  void StartScrub();

  void OnWalStarted(Status status);
  void OnReplicaReady(Status status);
  void TellReplicas();
  void TellNextReplica();
  void FinishStart(Status status);
  void OnTick();
  void WatchDisk();
  using Leads = std::vector<std::pair<uint32_t, NodeId>>;
  void SpreadLeaders();
  static Leads ByCount(const std::map<NodeId, uint32_t>& led);
  void GiveUpLeads(const LeadAdvice& advice, std::map<NodeId, uint32_t> led);
  Status Readiness();
  Status WithPlace(Status full) const;
  void Balance();
  void FlushMost();
  void EvictHot();
  void Publish();
  void StopStores();

  io::Loop& loop_;
  Log* const log_;
  ShardStart start_;
  group::CoreBudget budget_;
  std::unique_ptr<storage::Wal> wal_;
  std::unique_ptr<storage::PayloadStore> payload_;
  std::unique_ptr<storage::SnapshotStore> snapshots_;
  std::unique_ptr<group::Pace> pace_;
  std::unique_ptr<group::ApplyTurns> applies_;
  std::map<GroupId, std::unique_ptr<group::Replica>> replicas_;  // Visited in order.
  std::unique_ptr<storage::DiskWatch> disk_watch_;               // Null: everything is in memory.
  std::unique_ptr<storage::Scrub> scrub_;  // Once all have started; of the stores before it.
  std::unique_ptr<Forwarder> forwarder_;
  std::map<GroupId, Index> replayed_;  // Groups that found entries in old logs, up to this one.
  uint64_t replayed_until_ns_ = 0;     // Then what another leader has cut off isn't waited for.
  uint64_t log_bytes_per_group_max_ = 0;
  std::size_t starting_ = 0;
  // Until the start is over: replicas hear of what is durable one a turn, for each then applies
  // what the log has of its group.
  uint64_t durable_lsn_ = 0;
  std::size_t told_ = 0;  // Of start_.groups, in this round.
  bool telling_ = false;
  bool tell_again_ = false;
  bool cancelled_ = false;  // The opening was: nobody is told anything any more.
  Status start_status_;
  Function<void(Status)> start_done_;
  Function<void()> stop_done_;
  std::size_t stopping_ = 0;
  bool stopped_ = false;

  // Not in step with leaders, who begin to count anew who is there every so many ticks.
  static constexpr uint64_t kSpreadNs = 700'000'000;
  static constexpr uint64_t kReplayNs = 5'000'000'000;
  static constexpr std::size_t kGiveUpsAtOnce = 8;  // In kSpreadNs.
  static constexpr uint64_t kGiveUpLagMax = 256;    // What it lacks of a log under load.
  // Of a disk that is only slower: what a group has been led for here before it is handed over.
  static constexpr uint64_t kSlowMoveNs = 10'000'000'000;
  uint64_t spread_turn_ = 0;  // The last one looked at.

  static constexpr std::size_t kKnownBucketsMax = 16384;
  StringMap<stream::BucketStamp> known_buckets_;
  std::map<Ticket, std::shared_ptr<FollowTask>> follows_;

  SyncWindow sync_window_;
  bool full_ = false;  // As published.
  Pauses pauses_;
  FenceWaits fence_waits_;
  TurnLog turn_log_;
  io::Timer tick_;
  Function<void()> tick_hook_;
  std::vector<std::atomic<bool>> leaderless_;  // By group, of those that live here.
  io::Guarded<EngineStats> published_stats_;
  io::Guarded<ShardDisk> published_disk_;
  io::Guarded<std::vector<GroupStatus>> published_groups_;
  io::Guarded<Status> published_ready_{Status(StatusCode::kUnavailable, "starting")};
};

}  // namespace ursula::engine
