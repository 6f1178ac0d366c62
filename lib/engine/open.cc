// Opening an engine: recovery before any core runs, then every core's start; and its end.

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/engine/engine.h"
#include "lib/engine/founding_task.h"
#include "lib/engine/rejoin_task.h"
#include "lib/group/recovery.h"
#include "lib/io/entropy.h"

namespace ursula::engine {
namespace {

constexpr uint32_t kGroupCountMax = 16384;
constexpr uint32_t kGroupsPerCore = 4;
constexpr uint64_t kMessageBytesMax = 256 << 20;
constexpr ReplicaId kMemorySelf{1};  // Without a directory that names this replica.
constexpr uint64_t kWalBytesPerCoreDefault = 512 << 20;
// Of the write-ahead log. A segment holds the largest append in one record.
constexpr uint64_t kSegmentBytesMax = 64 << 20;
constexpr uint64_t kRecordOverheadBytes = 1 << 20;  // Names, content types, headers.
constexpr uint64_t kSegmentsPerLogMin = 4;
constexpr uint64_t kSegmentsPerLog = 8;
constexpr uint64_t kSegmentBytesLeast = 1 << 20;

uint64_t WalBytesPerCore(const EngineOptions& options, uint64_t cores) {
  return options.wal_bytes_max == 0 ? kWalBytesPerCoreDefault : options.wal_bytes_max / cores;
}

uint64_t SegmentBytesMin(const EngineOptions& options) {
  static_assert(WalBytesMin(1, 0) == kSegmentsPerLogMin * kRecordOverheadBytes);
  return WalBytesMin(1, options.message_bytes_max) / kSegmentsPerLogMin;
}

Status CheckWalLimit(const EngineOptions& options, uint64_t cores) {
  const uint64_t wanted = WalBytesMin(cores, options.message_bytes_max);
  if (cores * WalBytesPerCore(options, cores) >= wanted) return {};
  return Status(StatusCode::kInvalidArgument,
                "wal_bytes_max is too small: " + std::to_string(cores) +
                    " cores and appends of up to " + std::to_string(options.message_bytes_max) +
                    " bytes need " + std::to_string(wanted) + " bytes of write-ahead log");
}

// The core's share, in segments small enough to come and go one by one. Logs leave half of `room`,
// which is free or theirs, to the data: on a small volume they and their largest record are small.
void SizeLog(const EngineOptions& options, uint64_t cores, uint64_t room,
             storage::DiskWalOptions* wal) {
  const uint64_t least = kSegmentsPerLogMin * kSegmentBytesLeast;
  const uint64_t share =
      std::min(WalBytesPerCore(options, cores), std::max(least, room / 2 / cores));
  const uint64_t segment_min = share < kSegmentsPerLogMin * SegmentBytesMin(options)
                                   ? kSegmentBytesLeast
                                   : SegmentBytesMin(options);
  const uint64_t segment =
      std::max(segment_min, std::min(kSegmentBytesMax, share / kSegmentsPerLog));
  wal->segment_bytes = static_cast<uint32_t>(segment & ~uint64_t{(1 << 20) - 1});
  wal->log_bytes_max = share;
  // What a quiet log keeps (one in use, one prepared, these) stays below half of its limit.
  wal->idle_segments_max = share / segment < kSegmentsPerLog ? 0 : 2;
  wal->log_count = static_cast<uint32_t>(cores);
}

// Payload of one append that a segment has room for, with what else is in its record.
uint64_t MessageBytesMax(const EngineOptions& options, uint32_t segment_bytes) {
  const uint64_t overhead = std::min<uint64_t>(kRecordOverheadBytes, segment_bytes / 4);
  return std::min(options.message_bytes_max, segment_bytes - overhead);
}

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint64_t kWaitMsMin = 100;
constexpr uint64_t kWaitMsMax = 600'000;
constexpr uint64_t kWindowBytesMin = 1 << 20;
constexpr uint64_t kWindowBytesMax = 1 << 30;

Status CheckWaits(const EngineOptions& options) {
  auto invalid = [](std::string message) {
    return Status(StatusCode::kInvalidArgument, std::move(message));
  };
  for (auto [name, ms] : {std::pair("leader_ms_max", options.leader_ms_max),
                          std::pair("append_ms_max", options.append_ms_max),
                          std::pair("read_ms_max", options.read_ms_max)}) {
    if (ms >= kWaitMsMin && ms <= kWaitMsMax) continue;
    return invalid(std::string(name) + " is " + std::to_string(ms) + ": 100 to 600000");
  }
  if (options.append_ms_max < options.leader_ms_max) {
    return invalid(
        "append_ms_max is below leader_ms_max: a call that finds its leader late would "
        "have no time left");
  }
  const uint64_t window = options.cluster.window_bytes_max;
  if (window < kWindowBytesMin || window > kWindowBytesMax) {
    return invalid("cluster.window_bytes_max is " + std::to_string(window) + ": 1 MiB to 1 GiB");
  }
  return {};
}

Status CheckOptions(const EngineOptions& options) {
  auto invalid = [](const char* message) { return Status(StatusCode::kInvalidArgument, message); };
  if (options.group_count > kGroupCountMax) return invalid("group_count is above 16384");
  if (options.message_bytes_max > kMessageBytesMax) {
    return invalid("message_bytes_max is above 256 MiB");
  }
  if (options.feature_level_max < 1 || options.feature_level_max > kFeatureLevelMax) {
    return Status(StatusCode::kInvalidArgument,
                  "feature_level_max is " + std::to_string(options.feature_level_max) +
                      ", this build knows 1 to " + std::to_string(kFeatureLevelMax));
  }
  if (options.hot_bytes_max < (1 << 20)) return invalid("hot_bytes_max is below 1 MiB");
  if (options.inflight_bytes_max < (1 << 20)) return invalid("inflight_bytes_max is below 1 MiB");
  if (options.inflight_read_bytes_max < (1 << 20)) {
    return invalid("inflight_read_bytes_max is below 1 MiB");
  }
  const uint64_t rejoin = options.rejoin_bytes_per_second;
  if (rejoin > 0 && rejoin < (1 << 20)) {
    return invalid("rejoin_bytes_per_second is below 1 MiB; 0 is as fast as can be");
  }
  return CheckWaits(options);
}

constexpr uint32_t kGroupsOfCluster = 64;
constexpr uint64_t kFoundersMax = 5;

Status CheckCluster(const EngineOptions& options) {
  const ClusterOptions& cluster = options.cluster;
  if (cluster.transport == nullptr) return {};
  auto invalid = [](const char* message) { return Status(StatusCode::kInvalidArgument, message); };
  if (options.data_dir.empty()) {
    return invalid("a node of a cluster needs a data_dir: it may not forget what it voted for");
  }
  if (options.new_history) return invalid("new_history is for a node that is alone");
  if (Raw(cluster.node) == 0) return invalid("nodes are numbered from 1");
  if (cluster.founders.empty()) return {};
  std::vector<uint64_t> nodes;
  for (NodeId node : cluster.founders) nodes.push_back(Raw(node));
  std::ranges::sort(nodes);
  if (nodes.size() > kFoundersMax || nodes.size() % 2 == 0) {
    return invalid("1, 3 or 5 nodes found a cluster");
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i] != i + 1)
      return invalid("the nodes that found a cluster are numbered 1, 2, 3 ...");
  }
  if (Raw(cluster.node) > nodes.size()) return invalid("this node isn't one of cluster.founders");
  return {};
}

}  // namespace

Engine::Engine(EngineOptions options, std::unique_ptr<Runtime> owned_runtime)
    : options_(std::move(options)),
      owned_runtime_(std::move(owned_runtime)),
      runtime_(io::LoopRuntime::Of(owned_runtime_ ? *owned_runtime_ : *options_.runtime)),
      log_(std::move(options_.log)),
      outside_(std::move(options_.executor)),
      opening_(options_.opening != nullptr ? *options_.opening : unwatched_) {}

Result<std::unique_ptr<StreamEngine>> Engine::Open(EngineOptions options) {
  Status status = CheckOptions(options);
  if (status.ok()) status = CheckCluster(options);
  if (!status.ok()) return status;
  std::unique_ptr<Runtime> owned;
  if (options.runtime == nullptr) {
    Result<std::unique_ptr<Runtime>> runtime = NewRuntime({});
    if (!runtime.ok()) return runtime.status();
    owned = std::move(*runtime);
  }
  std::unique_ptr<Engine> engine(new Engine(std::move(options), std::move(owned)));
  URSULA_CHECK(engine->runtime_.Current() == nullptr &&
               "an engine is opened on one of its cores, which would wait for itself");
  status = engine->Start();
  if (status.ok()) status = engine->opening_.Advance(0);
  if (!status.ok()) {
    engine->StopNow();
    return status;
  }
  engine->opening_.Begin(OpeningStep::kDone, 0);
  return std::unique_ptr<StreamEngine>(std::move(engine));
}

Status Engine::Start() {
  uint16_t cores = runtime_.core_count();
  std::vector<ShardStart> starts(cores);
  if (options_.data_dir.empty()) {
    group_count_ = options_.group_count != 0 ? options_.group_count : cores * kGroupsPerCore;
    const group::Founding founding = {.voters = {kMemorySelf},
                                      .history = io::SystemEntropy(),
                                      .feature_level = options_.feature_level_max};
    published_levels_.Set({options_.feature_level_max, {}});
    for (uint32_t i = 0; i < group_count_; ++i) {
      ShardStart& start = starts[Raw(CoreOf(GroupId{i}, cores))];
      start.groups.push_back(GroupId{i});
      start.recovered.push_back(group::NewGroup(GroupId{i}, founding));
    }
  } else {
    Status status = CheckWalLimit(options_, cores);
    if (status.ok()) status = Recover(&starts);
    if (!status.ok()) return status;
  }
  chores_.resize(group_count_);
  PrepareShards(&starts);
  return StartShards(std::move(starts));
}

// Locks the directory, or makes it; a new one of several founds the cluster with its peers first.
Status Engine::OpenDirectory() {
  const ClusterOptions& cluster = options_.cluster;
  const bool alone = cluster.transport == nullptr;
  // Who is told of no founders founds nothing: an empty directory may be a volume that isn't there.
  const bool several = !alone && cluster.founders.size() != 1;
  const uint32_t if_new = alone ? runtime_.core_count() * kGroupsPerCore : kGroupsOfCluster;
  storage::DirectoryOptions wanted;
  wanted.group_count_wanted = options_.group_count;
  wanted.group_count_if_new = if_new;
  wanted.id_if_new = io::SystemEntropy();
  wanted.nonce = io::SystemEntropy();
  wanted.feature_level_max = options_.feature_level_max;
  wanted.if_new.cluster_id = io::SystemEntropy();
  wanted.if_new.history_id = io::SystemEntropy();
  if (!alone) {
    wanted.if_new.node_id = wanted.node_id_wanted = Raw(cluster.node);
    wanted.cluster_id_wanted = cluster.cluster_id;
    wanted.one_of_several = several;
  }
  founding_terms_.group_count = options_.group_count;
  founding_terms_.group_count_if_new = if_new;
  founding_terms_.feature_level_max = options_.feature_level_max;
  founding_terms_.limits.push_back({"message_bytes_max", options_.message_bytes_max});
  io::Disk& disk = runtime_.loop(CoreId{0}).disk();
  auto directory = storage::DataDirectory::Open(disk, options_.data_dir, wanted);
  if (!directory.ok()) return directory.status();
  directory_ = std::move(*directory);
  return directory_->goes_aside() ? PutAside() : Status();
}

// Until it is a member's.
Status Engine::Join() {
  const ClusterOptions& cluster = options_.cluster;
  const bool alone = cluster.transport == nullptr;
  const bool several = !alone && cluster.founders.size() != 1;
  if (several && !cluster.founders.empty()) {
    Status founded = Found();
    if (!founded.ok()) return founded;
  }
  auto refusal = [this](const std::string& why) {
    return Status(StatusCode::kFailedPrecondition, directory_->path() + why);
  };
  if (directory_->state() == storage::DirectoryState::kFounding) {
    return refusal(
        " holds no data yet, and nobody said which nodes found its cluster: give the "
        "founders, or, of a cluster that has begun, this node's own directory");
  }
  if (directory_->state() != storage::DirectoryState::kMember) {
    return refusal(
        " is no member of its cluster any more: another directory has taken its place, or an older "
        "state of it was put back; nothing in it may be served. Start the node with an empty "
        "directory");
  }
  // It would wait for votes for ever.
  if (alone && directory_->founding_voters().size() > 1) {
    return refusal(" is node " + std::to_string(directory_->node_id()) +
                   "'s of a cluster: say how its peers are reached");
  }
  return {};
}

Status Engine::Found() {
  io::Loop& loop = runtime_.loop(CoreId{0});
  FoundingTask task(&loop, directory_.get(), options_.cluster, founding_terms_, &opening_,
                    StorageLog());
  Status founded;
  runtime_.Await([&](Function<void()> finished) {
    loop.Post([&founded, &task, finished = std::move(finished)]() mutable {
      task.Start([&founded, finished = std::move(finished)](Status status) mutable {
        founded = std::move(status);
        finished();
      });
    });
  });
  return founded;
}

Status Engine::Recover(std::vector<ShardStart>* starts) {
  Status goes_on = OpenDirectory();
  if (goes_on.ok()) goes_on = Join();
  if (goes_on.ok()) goes_on = opening_.Advance(0);
  if (!goes_on.ok()) return goes_on;
  bool rotten = false;
  Status read = ReadDirectory(starts, &rotten);
  if (!rotten || !MayRejoin()) return read;
  // What was only read wrongly isn't rotten.
  StorageLog()(storage::LogLevel::kWarning, read.message() + "; it is read once more");
  const Status again = ReadDirectory(starts, &rotten);
  if (!rotten) return again;
  if (again.message() != read.message()) {
    return Status(again.code(), again.message() + "; read before that, it was another place (" +
                                    read.message() +
                                    "): look at this machine's memory and at the disk's "
                                    "controller, this node doesn't rejoin by itself");
  }
  Status rejoins = Rejoin(read);
  return rejoins.ok() ? ReadDirectory(starts, &rotten) : rejoins;
}

// Of what the log says was in a snapshot or in itself.
Status Engine::Missing(const Status& what, bool* rotten) {
  Status mounted = CheckMounted(runtime_.loop(CoreId{0}).disk(), *directory_, true);
  *rotten = mounted.ok();
  if (mounted.ok()) return what;
  return Status(mounted.code(), what.message() + "; " + mounted.message());
}

// `starts` is as it was unless all of it was read. `rotten`: bytes that were durable are lost.
Status Engine::ReadDirectory(std::vector<ShardStart>* starts, bool* rotten) {
  *rotten = false;
  uint16_t cores = runtime_.core_count();
  io::Disk& disk = runtime_.loop(CoreId{0}).disk();
  group_count_ = directory_->group_count();
  storage::LogLine log = StorageLog();
  if (!directory_->notice().empty()) log(storage::LogLevel::kWarning, directory_->notice());
  auto files = storage::SnapshotFiles::Scan(disk, *directory_, log);
  if (!files.ok()) return files.status();
  snapshot_files_ = std::move(*files);
  const group::Founding founding = group::FoundingOf(*directory_);
  recovered_ = founding.recovered;
  group::Recovery recovery(group_count_, founding);
  Status status = recovery.LoadSnapshots(disk, snapshot_files_.get(), &opening_);
  *rotten = !status.ok() && snapshot_files_->rotten();
  Status mounted = CheckMounted(disk, *directory_, false);
  if (!mounted.ok()) {
    *rotten = false;
    return mounted;
  }
  if (!status.ok()) return status;
  auto logs = storage::RecoverLogs(disk, *directory_, &recovery, log, &opening_, rotten);
  if (!logs.ok()) return recovery.rotten() ? Missing(logs.status(), rotten) : logs.status();
  Result<uint64_t> free = disk.FreeBytes(directory_->wal_path());
  if (!free.ok()) return free.status();
  wal_room_bytes_ = *free + logs->old_logs->bytes();
  auto groups = recovery.Finish();
  if (!groups.ok()) return recovery.rotten() ? Missing(groups.status(), rotten) : groups.status();
  Status levels = CheckLevels(*groups);
  if (!levels.ok()) return levels;
  level_stored_ = directory_->feature_level();
  published_levels_.Set({static_cast<uint32_t>(groups->front().machine->feature_level()), {}});
  auto payload = storage::RecoverPayload(
      disk, *directory_, cores,
      [cores](GroupId group) { return uint32_t{Raw(CoreOf(group, cores))}; }, log, &opening_);
  if (!payload.ok()) return payload.status();
  for (uint32_t i = 0; i < group_count_; ++i) {
    ShardStart& start = (*starts)[Raw(CoreOf(GroupId{i}, cores))];
    start.groups.push_back(GroupId{i});
    start.recovered.push_back(std::move((*groups)[i]));
  }
  recovered_payload_ = *payload;
  logs->old_logs->Attach(&runtime_.loop(CoreId{0}));
  for (ShardStart& start : *starts) {
    start.directory = directory_.get();
    start.levels = this;
    start.self = directory_->replica_id();
    if (recovered_) start.after_recovery = &*recovered_;
    start.payload = *payload;
    start.snapshots = snapshot_files_.get();
    start.wal.old_logs = logs->old_logs;
    start.wal.groups = start.groups;
    start.wal.log = log;
  }
  for (storage::RecoveredState& state : logs->states) {
    (*starts)[Raw(CoreOf(state.group, cores))].wal.states.push_back(std::move(state));
  }
  for (std::size_t i = 0; i < logs->spares.size(); ++i) {
    (*starts)[i % cores].wal.spares.push_back(std::move(logs->spares[i]));
  }
  return {};
}

storage::LogLine Engine::StorageLog() {
  return [this](storage::LogLevel level, std::string_view message) {
    if (log_) log_(static_cast<int>(level), message);
  };
}

// The same for each core, so the last one's is the engine's.
void Engine::LimitMessages(const ShardStart& start, uint64_t cores) {
  if (start.budget.message_bytes_max == options_.message_bytes_max) return;
  options_.message_bytes_max = start.budget.message_bytes_max;
  if (!log_) return;
  log_(static_cast<int>(storage::LogLevel::kWarning),
       "the volume of " + options_.data_dir + " has room for " + std::to_string(wal_room_bytes_) +
           " bytes: write-ahead logs take at most " +
           std::to_string(cores * start.wal.log_bytes_max) + ", one append at most " +
           std::to_string(options_.message_bytes_max));
}

void Engine::PrepareShards(std::vector<ShardStart>* starts) {
  uint64_t cores = starts->size();
  for (std::size_t i = 0; i < cores; ++i) {
    ShardStart& start = (*starts)[i];
    start.core_count = static_cast<uint32_t>(cores);
    start.opening = &opening_;
    start.transport = options_.cluster.transport;
    start.window_bytes_max = options_.cluster.window_bytes_max;
    start.budget.leader_ns_max = options_.leader_ms_max * kNsPerMs;
    start.budget.append_ns_max = options_.append_ms_max * kNsPerMs;
    start.budget.read_ns_max = options_.read_ms_max * kNsPerMs;
    start.host = this;
    start.budget.inflight_bytes_max = options_.inflight_bytes_max / cores;
    start.inflight_read_bytes_max = options_.inflight_read_bytes_max / cores;
    start.scrub.bytes_per_second =
        options_.scrub_bytes_per_second == 0
            ? 0
            : std::max<uint64_t>(options_.scrub_bytes_per_second / cores, 1);
    start.scrub.every_ns =
        std::min<uint64_t>(options_.scrub_every_seconds, 1'000'000'000) * 1'000'000'000;
    start.pace.bytes_per_second = options_.rejoin_bytes_per_second / cores;
    start.budget.hot_bytes_max = options_.hot_bytes_max / cores;
    start.budget.waiters_max = options_.waiters_per_core_max;
    start.budget.message_bytes_max = options_.message_bytes_max;
    if (start.directory == nullptr) {
      start.budget.stored_bytes_max = options_.memory_bytes_max / cores;
    }
    if (start.directory != nullptr) {
      SizeLog(options_, cores, wal_room_bytes_, &start.wal);
      start.budget.message_bytes_max = MessageBytesMax(options_, start.wal.segment_bytes);
    }
    shards_.push_back(
        std::make_unique<Shard>(&runtime_.loop(CoreId{static_cast<uint16_t>(i)}), &log_));
  }
  LimitMessages(starts->back(), cores);
}

Status Engine::StartShards(std::vector<ShardStart> starts) {
  std::vector<Status> statuses(shards_.size());
  opening_.Begin(OpeningStep::kGroups, group_count_);
  runtime_.Await([&](Function<void()> done) {
    auto missing = std::make_shared<std::atomic<std::size_t>>(shards_.size());
    auto shared = std::make_shared<Function<void()>>(std::move(done));
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      shards_[i]->loop().Post(
          [this, i, missing, shared, &statuses, start = std::move(starts[i])]() mutable {
            Shard* shard = shards_[i].get();
            shard->SetTickHook([this, shard] { RunChores(shard); });
            shard->Start(std::move(start), [i, missing, shared, &statuses](Status status) {
              statuses[i] = std::move(status);
              if (missing->fetch_sub(1) == 1) (*shared)();
            });
          });
    }
  });
  snapshot_files_.reset();
  for (Status& status : statuses) {
    if (!status.ok()) return status;
  }
  if (options_.new_history) {
    Status status = BeginHistory();
    if (!status.ok()) return status;
  }
  const EngineStats stats = Stats();
  if (recovered_payload_ != nullptr && stats.payload_lost_bytes == 0 &&
      stats.payload_lacking_bytes == 0) {
    storage::RemoveTornPayload(runtime_.loop(CoreId{0}).disk(), *recovered_payload_, StorageLog());
  }
  recovered_payload_.reset();
  gate_.Open();
  return {};
}

// Nobody has been let in yet.
Status Engine::BeginHistory() {
  const uint64_t history = io::SystemEntropy();
  Status status;
  runtime_.Await([&](Function<void()> done) {
    runtime_.loop(CoreId{0}).Post([this, history, &status, done = std::move(done)]() mutable {
      OnAllGroups(stream::SetHistory{history},
                  [&status, done = std::move(done)](Result<Outcome> set) mutable {
                    status = set.status();
                    done();
                  });
    });
  });
  return status;
}

// ---- the end ---------------------------------------------------------------------------------
//
// The gate closes; every shard ends what is under way; the last answer opens the way to free them.

void Engine::Stop(Done<Stopped> done) {
  io::Loop* first = &runtime_.loop(CoreId{0});
  if (stop_called_.exchange(true)) {
    return AnswerUncounted<Stopped>(
        first, std::move(done), Status(StatusCode::kFailedPrecondition, "Stop was called before"));
  }
  io::Loop* origin = runtime_.Current();
  BeginStop([this, origin, done = std::move(done)](Result<Stopped> result) mutable {
    auto answer = [done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    };
    if (origin != nullptr) return origin->Post(std::move(answer));
    if (outside_) return outside_.Run(std::move(answer));
    answer();
  });
}

void Engine::BeginStop(Done<Stopped> done) {
  gate_.Close();
  shards_left_.store(shards_.size() + 1);
  for (auto& shard : shards_) {
    shard->loop().Post(
        [this, target = shard.get()] { target->Stop([this] { OnShardStopped(); }); });
  }
  runtime_.loop(CoreId{0}).Post([this, done = std::move(done)]() mutable {
    stop_done_ = std::move(done);
    OnShardStopped();
  });
}

// Once all shards are still, the last call's answer ends the engine.
void Engine::OnShardStopped() {
  if (shards_left_.fetch_sub(1) == 1) CallEnded();
}

void Engine::CallEnded() {
  if (gate_.Leave()) CloseShards();
}

void Engine::CloseShards() {
  shards_left_.store(shards_.size() + 1);
  for (auto& shard : shards_) {
    shard->loop().Post([this, target = shard.get()] {
      target->Close();
      OnShardClosed();
    });
  }
  runtime_.loop(CoreId{0}).Post([this] { OnShardClosed(); });
}

void Engine::OnShardClosed() {
  if (shards_left_.fetch_sub(1) == 1) runtime_.loop(CoreId{0}).Post([this] { OnClosed(); });
}

void Engine::OnClosed() {
  closed_ = true;
  std::exchange(stop_done_, nullptr)(Stopped{});
  if (closed_waiter_) std::exchange(closed_waiter_, nullptr)();
}

// Stops, unless that is under way, and waits until nothing refers to the engine any more.
void Engine::StopNow() {
  if (!stop_called_.exchange(true)) BeginStop([](Result<Stopped>) {});
  runtime_.Await([this](Function<void()> done) {
    runtime_.loop(CoreId{0}).Post([this, done = std::move(done)]() mutable {
      if (closed_) return done();
      closed_waiter_ = std::move(done);
    });
  });
  // Answers to those who came too late are on the loops still, and so may be the call of OnClosed.
  for (uint16_t i = 0; i < runtime_.core_count(); ++i) {
    runtime_.Await(
        [this, i](Function<void()> done) { runtime_.loop(CoreId{i}).Post(std::move(done)); });
  }
  outside_.AwaitNobody();
}

void Engine::Abandon() {
  abandoned_ = true;
  stop_called_.store(true);
  gate_.Close();
  for (auto& shard : shards_) shard->Abandon();
  shards_.clear();
}

Engine::~Engine() {
  if (abandoned_) return;
  URSULA_CHECK(runtime_.Current() == nullptr &&
               "an engine is destroyed on one of its cores, which would wait for itself");
  StopNow();
}

}  // namespace ursula::engine
