#include "lib/engine/shard.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/storage/memory_wal.h"

namespace ursula::engine {

Shard::Shard(io::Loop* loop, Log* log) : loop_(*loop), log_(log), turn_log_(loop, log) {
  tick_.Then<&Shard::OnTick>(this);
}

Shard::~Shard() { URSULA_CHECK(replicas_.empty() && wal_ == nullptr); }

void Shard::Start(ShardStart start, Function<void(Status)> done) {
  loop_.WatchTurns(&turn_log_);
  start_ = std::move(start);
  start_done_ = std::move(done);
  budget_ = std::move(start_.budget);
  if (!start_.groups.empty()) {
    leaderless_ = std::vector<std::atomic<bool>>(Raw(start_.groups.back()) / start_.core_count + 1);
  }
  uint64_t groups = std::max<uint64_t>(1, start_.groups.size());
  log_bytes_per_group_max_ = std::max<uint64_t>(256 << 10, budget_.hot_bytes_max / (4 * groups));
  budget_.kept_log_bytes_max = log_bytes_per_group_max_;
  if (start_.directory == nullptr) {
    storage::Wal::Listener* listener = this;
    wal_ = std::make_unique<storage::MemoryWal>(&loop_, listener);
    payload_ = storage::MakeMemoryPayloadStore(&loop_);
    snapshots_ = storage::MakeMemorySnapshotStore(&loop_);
  } else {
    uint32_t ordinal = Raw(loop_.core());
    storage::LogLine log = start_.wal.log;
    const bool direct = start_.wal.direct;
    start_.wal.read_back = start_.transport != nullptr;
    wal_ = storage::MakeDiskWal(&loop_, *start_.directory, ordinal, std::move(start_.wal), this);
    storage::PayloadStoreOptions options;
    options.held_bytes_max = start_.inflight_read_bytes_max;
    options.log = log;
    disk_watch_ = std::make_unique<storage::DiskWatch>(
        &loop_, *start_.directory, ordinal,
        storage::DiskWatch::Options{.idle = ordinal == 0, .direct = direct, .log = log});
    payload_ = storage::MakePayloadStore(&loop_, *start_.directory, ordinal, std::move(options),
                                         start_.payload.get());
    snapshots_ =
        storage::MakeSnapshotStore(&loop_, *start_.directory, start_.groups, start_.snapshots, log);
  }
  pace_ = std::make_unique<group::Pace>(&loop_, start_.pace);
  applies_ = std::make_unique<group::ApplyTurns>(&loop_);
  wal_->Start([this](Status status) { OnWalStarted(std::move(status)); });
}

void Shard::OnWalStarted(Status status) {
  if (!status.ok()) return FinishStart(std::move(status));
  group::Services services;
  services.loop = &loop_;
  services.wal = wal_.get();
  services.payload = payload_.get();
  services.snapshots = snapshots_.get();
  services.budget = &budget_;
  services.self = start_.self;
  services.recovered = start_.after_recovery;
  services.levels = start_.levels;
  services.pace = pace_.get();
  services.applies = applies_.get();
  services.opening = loop_.Entropy();
  services.log = log_;
  if (start_.transport != nullptr) {
    peers::HubOptions options;
    options.opening = start_.directory->nonce();
    options.cluster_id = start_.directory->cluster_id();
    options.window_bytes_max = start_.window_bytes_max;
    forwarder_ = std::make_unique<Forwarder>(&loop_, start_.transport, start_.host, &replicas_,
                                             &budget_, start_.directory->nonce(), options);
    services.hub = forwarder_->hub();
    services.leaders = forwarder_.get();
  }
  for (std::size_t i = 0; i < start_.groups.size(); ++i) {
    const std::vector<raft::Entry>& entries = start_.recovered[i].entries;
    if (!entries.empty()) replayed_.emplace(start_.groups[i], entries.back().index);
    Result<std::unique_ptr<group::Replica>> replica =
        group::Replica::Create(services, start_.groups[i], std::move(start_.recovered[i]));
    if (!replica.ok()) return FinishStart(replica.status());
    replicas_.emplace(start_.groups[i], std::move(*replica));
  }
  starting_ = replicas_.size() + 1;
  for (auto& [id, replica] : replicas_) {
    replica->Start([this](Status started) {
      Status goes_on = start_.opening->Advance(1);
      OnReplicaReady(started.ok() ? std::move(goes_on) : std::move(started));
    });
  }
  loop_.StartTimer(&tick_, loop_.now_ns() + group::Replica::kTickMs * 1'000'000);
  OnReplicaReady(Status());
}

void Shard::OnReplicaReady(Status status) {
  if (!status.ok() && start_status_.ok()) start_status_ = std::move(status);
  if (--starting_ == 0) FinishStart(start_status_);
}

// Once: an opening that is cancelled doesn't wait for the other replicas.
void Shard::FinishStart(Status status) {
  if (!start_done_) return;
  start_.payload.reset();
  if (status.ok()) {
    replayed_until_ns_ = loop_.now_ns() + kReplayNs;
    CheckpointReplayed();
    StartScrub();
  }
  Publish();
  std::exchange(start_done_, nullptr)(std::move(status));
}

// What was replayed goes into a snapshot, so that old logs end and the next start is short. With
// peers it is applied once a leader has said how much of it is committed.
void Shard::CheckpointReplayed() {
  std::erase_if(replayed_, [this](const auto& one) {
    group::Replica& replayed = replica(one.first);
    const bool waits = loop_.now_ns() < replayed_until_ns_ || replayed.lags();
    if (replayed.applied() < one.second && waits) return false;
    replayed.Checkpoint();
    return true;
  });
}

std::vector<group::Replica*> Shard::Replicas() {
  std::vector<group::Replica*> all;
  for (GroupId group : start_.groups) {
    auto found = replicas_.find(group);
    if (found != replicas_.end()) all.push_back(found->second.get());
  }
  return all;
}

void Shard::OnWalDurable(uint64_t lsn) {
  durable_lsn_ = lsn;
  if (!start_done_) return TellReplicas();
  tell_again_ = telling_;
  if (!telling_) TellNextReplica();
}

void Shard::TellReplicas() {
  for (auto& [id, replica] : replicas_) {
    // Of a cancelled opening: those that have applied their logs and wait for what they have
    // proposed since. A stop waits for them.
    if (!cancelled_ || replica->proposals_pending() > 0) replica->OnWalDurable(durable_lsn_);
  }
  if (!cancelled_) Balance();
}

void Shard::TellNextReplica() {
  if (start_done_) {
    Status goes_on = start_.opening->Advance(0);
    cancelled_ = !goes_on.ok();
    if (cancelled_) FinishStart(std::move(goes_on));
  }
  if (told_ == start_.groups.size() && std::exchange(tell_again_, false)) told_ = 0;
  telling_ = told_ < start_.groups.size() && !cancelled_;
  if (!telling_) {
    told_ = 0;
    return;
  }
  replica(start_.groups[told_++]).OnWalDurable(durable_lsn_);
  if (start_done_) return loop_.Post([this] { TellNextReplica(); });
  telling_ = false;  // That was the last one that was waited for.
  if (!cancelled_) TellReplicas();
}

void Shard::OnWalFailed(Status status) {
  if (log_ != nullptr && *log_) (*log_)(3, "the log has failed: " + status.ToString());
  for (auto& [id, replica] : replicas_) replica->OnWalFailed(status);
  Publish();
}

void Shard::OnWalPinned(std::span<const GroupId> groups) {
  for (GroupId group : groups) {
    auto found = replicas_.find(group);
    if (found != replicas_.end()) found->second->Checkpoint();
  }
}

void Shard::OnWalDamaged(const Status& /*status*/) { ++budget_.stats.files_damaged; }

void Shard::StartScrub() {
  auto damaged = [this](GroupId group, const Status& /*status*/) {
    ++budget_.stats.files_damaged;
    auto found = replicas_.find(group);
    if (found != replicas_.end()) found->second->RenewSnapshot();
  };
  std::vector<storage::ScrubTarget*> targets;
  for (storage::ScrubTarget* target :
       {wal_->scrub(), snapshots_->scrub(std::move(damaged)), payload_->scrub()}) {
    if (target != nullptr) targets.push_back(target);
  }
  scrub_ = std::make_unique<storage::Scrub>(&loop_, start_.scrub, std::move(targets));
  scrub_->Start();
}

void Shard::OnTick() {
  loop_.StartTimer(&tick_, loop_.now_ns() + group::Replica::kTickMs * 1'000'000);
  WatchDisk();
  if (start_done_ && !cancelled_) {  // Groups apply their logs over many turns.
    Status goes_on = start_.opening->Advance(0);
    cancelled_ = !goes_on.ok();
    if (cancelled_) FinishStart(std::move(goes_on));
  }
  for (auto& [id, replica] : replicas_) replica->Tick();
  if (forwarder_ != nullptr) forwarder_->Tick();
  if (!start_done_ && !stop_done_ && !cancelled_) CheckpointReplayed();
  SpreadLeaders();
  Balance();
  Publish();
  if (tick_hook_) tick_hook_();
}

void Shard::WatchDisk() {
  if (disk_watch_ == nullptr || start_done_ || stop_done_) return;
  const storage::WalStats wal = wal_->stats();
  disk_watch_->Tick({.log = wal.syncs,
                     .payload = payload_->stats().written_bytes,
                     .snapshots = budget_.stats.snapshots,
                     .log_writing_since_ns = wal.writing_since_ns});
  Histogram syncs = wal.sync_us;
  syncs.Merge(disk_watch_->probe_us());
  sync_window_.Note(syncs, loop_.now_ns());
  ShardDisk disk;
  disk.hangs = disk_watch_->hanging() > 0;
  disk.log_hangs = disk_watch_->log_hangs();
  disk.full = full_;
  disk.recent_us = sync_window_.Recent();
  published_disk_.Set(disk);
  // Where all disks are slow somebody has to lead nevertheless.
  budget_.log_hangs = disk_watch_->log_stuck();
}

// After a restart a node leads nothing, and the others more than their share: now and then whoever
// leads two more than another hands one over. Each node sees by itself who leads what. Its cores
// take turns, so that they don't all mend the same.
void Shard::SpreadLeaders() {
  if (forwarder_ == nullptr || stop_done_) return;
  const LeadAdvice advice = start_.host->Advice();
  budget_.spared = advice.spared;
  const uint64_t turn = loop_.now_ns() / kSpreadNs;
  const bool due = std::exchange(spread_turn_, turn) != turn;
  // Where the log hangs nobody's writes get on.
  if (!due && !advice.log_hangs) return;
  std::map<NodeId, uint32_t> led;
  bool settled = true;
  for (NodeId leader : start_.host->Leaders()) {
    if (leader == kNoNode) settled = false;
    if (leader != kNoNode) ++led[leader];
  }
  for (auto& [id, replica] : replicas_) {
    for (ReplicaId voter : replica->members().voters) led.try_emplace(NodeOf(voter), 0);
  }
  const NodeId self = NodeOf(start_.self);
  const uint32_t own = led.contains(self) ? led[self] : 0;
  for (NodeId node : advice.spared) led.erase(node);
  if (advice.leads_nothing) return GiveUpLeads(advice, std::move(led));
  if (advice.disk == DiskState::kHangs) return;  // All do: nobody would take over.
  if (led.empty() || !settled || !due || turn % start_.core_count != Raw(loop_.core())) return;
  // One that is away leads nothing, and takes nothing: the others share what there is nevertheless.
  for (const auto& [count, node] : ByCount(led)) {
    if (own < count + 2) return;
    for (auto& [id, replica] : replicas_) {
      if (replica->HandOverTo(node)) return;
    }
  }
}

// Of nodes that may lead: how many groups each leads, who leads fewest first.
Shard::Leads Shard::ByCount(const std::map<NodeId, uint32_t>& led) {
  Leads order;
  for (const auto& [node, count] : led) order.emplace_back(count, node);
  std::ranges::sort(order);
  return order;
}

// `led`: by node that may lead.
void Shard::GiveUpLeads(const LeadAdvice& advice, std::map<NodeId, uint32_t> led) {
  led.erase(NodeOf(start_.self));
  const bool slow = advice.disk == DiskState::kSlow;
  const std::size_t at_once = advice.log_hangs ? replicas_.size() : kGiveUpsAtOnce;
  std::size_t begun = 0;
  for (auto& [id, replica] : replicas_) {
    if (!replica->leads() || replica->hands_over()) continue;
    if (slow && loop_.now_ns() < replica->leads_since_ns() + kSlowMoveNs) continue;
    for (const auto& [count, node] : ByCount(led)) {
      if (!replica->HandOverTo(node, kGiveUpLagMax)) continue;
      ++led[node];
      ++begun;
      ++budget_.stats.leads_given_up;
      break;
    }
    if (begun == at_once) return;
  }
}

// Keeps memory within its budget: payload goes out early, what is out is evicted, and the entries
// that hold it are dropped from the log.
void Shard::Balance() {
  if (stop_done_) return;
  for (auto& [id, replica] : replicas_) {
    if (replica->log_bytes() > log_bytes_per_group_max_) replica->Checkpoint();
  }
  // Where payload was refused nothing else may ask for what is left to be written.
  if (budget_.unflushed_bytes > budget_.hot_bytes_max / 4 || budget_.payload_refused) FlushMost();
  if (budget_.hot_bytes > budget_.hot_bytes_max) EvictHot();
}

void Shard::FlushMost() {
  group::Replica* most = nullptr;
  for (auto& [id, replica] : replicas_) {
    if (!replica->may_flush()) continue;
    if (most == nullptr || replica->unflushed_bytes() > most->unflushed_bytes()) {
      most = replica.get();
    }
  }
  if (most != nullptr) most->Flush();
}

void Shard::EvictHot() {
  double keep =
      0.875 * static_cast<double>(budget_.hot_bytes_max) / static_cast<double>(budget_.hot_bytes);
  for (auto& [id, replica] : replicas_) {
    replica->EvictTo(static_cast<uint64_t>(static_cast<double>(replica->hot_bytes()) * keep));
  }
}

void Shard::Publish() {
  Status ready = Readiness();
  EngineStats stats = budget_.stats;
  stats.inflight_bytes = budget_.inflight_bytes;
  stats.hot_bytes = budget_.hot_bytes;
  stats.long_turns = turn_log_.count();
  std::vector<GroupStatus> groups;
  groups.reserve(replicas_.size());
  for (auto& [id, replica] : replicas_) {
    const NodeId leader = replica->LeaderHeard();
    GroupStatus& group = groups.emplace_back();
    group = {id, leader, Raw(replica->term()), uint64_t{Raw(replica->applied())}};
    if (replica->leads()) {
      group.voters = static_cast<uint32_t>(replica->members().voters.size());
      group.troubles = replica->Troubles();
    }
    stats.streams += replica->machine().stream_count();
    stats.proposals_pending += replica->proposals_pending();
    stats.payload_lacking_bytes += replica->lacking_bytes();
    stats.read_rounds += replica->read_rounds();
    if (replica->leads()) ++stats.groups_led;
    if (leader == kNoNode) ++stats.groups_leaderless;
    leaderless_[Raw(id) / start_.core_count].store(replica->leaderless(),
                                                   std::memory_order_relaxed);
    const int64_t ahead_ms = std::max<int64_t>(replica->ClockAheadMs(), 0);
    stats.clock_ahead_ms = std::max(stats.clock_ahead_ms, static_cast<uint64_t>(ahead_ms));
  }
  if (wal_ != nullptr) {
    storage::WalStats wal = wal_->stats();
    stats.wal_bytes = wal.disk_bytes;
    stats.wal_written_bytes = wal.written_bytes;
    stats.wal_record_bytes = wal.record_bytes;
    stats.wal_batches = wal.batches;
    stats.wal_syncs = wal.syncs;
    stats.sync_us = wal.sync_us;
    storage::PayloadStats payload = payload_->stats();
    stats.payload_bytes = payload.disk_bytes;
    stats.payload_written_bytes = payload.written_bytes;
    stats.payload_index_bytes = payload.index_bytes;
    stats.inflight_read_bytes = payload.held_bytes;
    stats.refused_reads = payload.refused_reads;
    stats.snapshot_bytes = snapshots_->stats().disk_bytes;
    stats.files_damaged += payload.damaged_footers;
  }
  if (pace_ != nullptr) {
    stats.rejoin_bytes = pace_->stats().bytes;
    stats.rejoin_waited_us = pace_->stats().waited_ns / 1000;
  }
  if (disk_watch_ != nullptr) stats.disks_hung = disk_watch_->hanging();
  stats.disks_full = full_ ? 1 : 0;
  if (scrub_ != nullptr) {
    stats.scrubbed_bytes = scrub_->stats().bytes;
    stats.scrub_rounds = scrub_->stats().rounds;
  }
  if (forwarder_ != nullptr) {
    const peers::HubStats& sent = forwarder_->hub()->stats();
    stats.forwarded_calls = forwarder_->forwarded();
    stats.peer_sent_frames = sent.sent_frames;
    stats.peer_sent_bytes = sent.sent_bytes;
    stats.peer_dropped_letters = sent.dropped_letters;
  }
  published_stats_.Set(stats);
  published_groups_.Set(std::move(groups));
  published_ready_.Set(std::move(ready));
}

// What has failed for good comes first; then a disk that hangs, for whatever else keeps groups from
// their work may follow from that.
Status Shard::Readiness() {
  Status ready = disk_watch_ == nullptr ? Status() : disk_watch_->Answers();
  const bool hangs = !ready.ok();
  full_ = false;
  for (auto& [id, replica] : replicas_) {
    Status status = replica->Ready();
    if (status.ok() && replica->lags()) {
      status = Status(StatusCode::kUnavailable, "a group applies what its log has; try again");
    }
    full_ = full_ || status.code() == StatusCode::kStorageFull;
    if ((ready.ok() && !status.ok()) || (hangs && replica->failed())) ready = std::move(status);
  }
  return ready.code() == StatusCode::kStorageFull ? WithPlace(std::move(ready)) : ready;
}

// Which volume that is.
Status Shard::WithPlace(Status full) const {
  if (start_.directory == nullptr) return full;
  std::string place = start_.directory->wal_path();
  if (wal_->Ready().code() != StatusCode::kStorageFull) {
    place = budget_.snapshots_full ? start_.directory->snapshot_path()
                                   : start_.directory->payload_path();
  }
  return Status(full.code(), full.message() + "; make room on the volume of " + place);
}

std::optional<stream::BucketStamp> Shard::KnownBucket(std::string_view bucket) const {
  auto found = known_buckets_.find(bucket);
  if (found == known_buckets_.end()) return std::nullopt;
  return found->second;
}

void Shard::LearnBucket(std::string_view bucket, stream::BucketStamp stamp) {
  if (known_buckets_.size() >= kKnownBucketsMax) known_buckets_.clear();
  known_buckets_[std::string(bucket)] = stamp;
}

void Shard::ForgetBucket(std::string_view bucket) {
  auto found = known_buckets_.find(bucket);
  if (found != known_buckets_.end()) known_buckets_.erase(found);
}

void Shard::Refuse(const std::string& why) {
  for (auto& [id, replica] : replicas_) replica->Refuse(why);
  Publish();
}

void Shard::Stop(Function<void()> done) {
  URSULA_CHECK(!stop_done_);
  stop_done_ = std::move(done);
  tick_hook_ = nullptr;
  published_ready_.Set(Status(StatusCode::kUnavailable, "stopping"));
  if (telling_ || cancelled_) TellReplicas();
  told_ = start_.groups.size();
  tell_again_ = false;
  std::vector<std::shared_ptr<FollowTask>> follows;
  for (auto& [ticket, follow] : follows_) follows.push_back(follow);
  for (auto& follow : follows) follow->Cancel();
  stopping_ = replicas_.size() + 1;
  auto stopped = [this] {
    if (--stopping_ == 0) StopStores();
  };
  for (auto& [id, replica] : replicas_) replica->Stop(stopped);
  if (forwarder_ != nullptr) forwarder_->Stop();
  loop_.Defer(stopped);
}

void Shard::StopStores() {
  loop_.CancelTimer(&tick_);
  if (wal_ == nullptr) return std::exchange(stop_done_, nullptr)();
  if (disk_watch_ != nullptr) {
    return disk_watch_->Stop([this] {
      disk_watch_.reset();
      StopStores();
    });
  }
  if (scrub_ != nullptr) {
    return scrub_->Stop([this] {
      scrub_.reset();
      StopStores();
    });
  }
  payload_->Stop([this] {
    snapshots_->Stop([this] {
      wal_->Stop([this] {
        stopped_ = true;
        std::exchange(stop_done_, nullptr)();
      });
    });
  });
}

void Shard::Abandon() {
  for (auto& [id, replica] : replicas_) replica->Abandon();
  Close();
}

void Shard::Close() {
  if (turn_log_.linked()) turn_log_.Unlink();
  pauses_.Clear();
  fence_waits_.Clear();
  replicas_.clear();
  pace_.reset();
  applies_.reset();
  forwarder_.reset();
  disk_watch_.reset();
  scrub_.reset();
  snapshots_.reset();
  payload_.reset();
  wal_.reset();
  follows_.clear();
}

}  // namespace ursula::engine
