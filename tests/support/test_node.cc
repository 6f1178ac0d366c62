#include "tests/support/test_node.h"

#include <optional>
#include <utility>

#include "lib/base/check.h"
#include "lib/group/recovery.h"

namespace ursula::testing {
namespace {

constexpr uint64_t kDirectoryId = 7;
constexpr uint64_t kClusterId = 8;

// Shows every record to another sink first.
class Teeing final : public storage::RecoverySink {
 public:
  Teeing(storage::RecoverySink* also, storage::RecoverySink* sink) : also_(also), sink_(*sink) {}
  Status OnRecord(storage::RecoveredRecord record) override {
    if (also_ != nullptr) {
      Status status = also_->OnRecord(record);
      if (!status.ok()) return status;
    }
    return sink_.OnRecord(std::move(record));
  }

 private:
  storage::RecoverySink* also_;
  storage::RecoverySink& sink_;
};

}  // namespace

TestNode::~TestNode() {
  if (open()) Crash();
}

Status TestNode::Open(const TestNodeOptions& options, storage::RecoverySink* also) {
  URSULA_CHECK(!open());
  log_lines_.clear();
  log_ = [this](int, std::string_view line) { log_lines_.emplace_back(line); };
  runtime_ = std::make_unique<ManualRuntime>(options.cores, &disk_, seed_++);
  runtime_->AdvanceTo(options.start_ns);
  runtime_->manual_loop(CoreId{0}).SetWallMs(static_cast<int64_t>(options.start_ns / 1'000'000));
  std::vector<engine::ShardStart> starts(options.cores);
  Status status = Recover(options, also, &starts);
  if (!status.ok()) {
    directory_.reset();
    return status;
  }
  status = StartShards(std::move(starts));
  snapshot_files_.reset();
  if (!status.ok()) Stop();
  return status;
}

// As Engine::Recover (lib/engine/open.cc), with the sizes that tests want.
Status TestNode::Recover(const TestNodeOptions& options, storage::RecoverySink* also,
                         std::vector<engine::ShardStart>* starts) {
  io::Disk& disk = runtime_->loop(CoreId{0}).disk();
  auto directory = storage::DataDirectory::Open(
      disk, "/data",
      {.group_count_if_new = options.groups,
       .id_if_new = kDirectoryId,
       .nonce = seed_,
       .if_new = {.cluster_id = kClusterId, .history_id = kTestHistory},
       .feature_level_max = 1});  // As a machine begins that isn't told.
  if (!directory.ok()) return directory.status();
  directory_ = std::move(*directory);
  group_count_ = directory_->group_count();
  storage::LogLine log = [this](storage::LogLevel, std::string_view line) {
    log_lines_.emplace_back(line);
  };
  auto files = storage::SnapshotFiles::Scan(disk, *directory_, log);
  if (!files.ok()) return files.status();
  snapshot_files_ = std::move(*files);
  group::Recovery recovery(group_count_, group::FoundingOf(*directory_));
  Status status = recovery.LoadSnapshots(disk, snapshot_files_.get());
  if (!status.ok()) return status;
  Teeing sink(also, &recovery);
  auto logs = storage::RecoverLogs(disk, *directory_, &sink, log);
  if (!logs.ok()) return logs.status();
  auto groups = recovery.Finish();
  if (!groups.ok()) return groups.status();
  uint32_t cores = options.cores;
  auto payload = storage::RecoverPayload(
      disk, *directory_, cores, [cores](GroupId group) { return Raw(group) % cores; }, log);
  if (!payload.ok()) return payload.status();
  for (uint32_t group = 0; group < group_count_; ++group) {
    engine::ShardStart& start = (*starts)[group % cores];
    start.groups.push_back(GroupId{group});
    start.recovered.push_back(std::move((*groups)[group]));
  }
  for (uint32_t core = 0; core < cores; ++core) {
    engine::ShardStart& start = (*starts)[core];
    start.directory = directory_.get();
    start.self = directory_->replica_id();
    start.opening = &opening_;
    start.payload = *payload;
    start.snapshots = snapshot_files_.get();
    start.core_count = cores;
    start.budget.inflight_bytes_max = options.inflight_bytes_max / cores;
    start.budget.hot_bytes_max = options.hot_bytes_max / cores;
    start.budget.waiters_max = 1000;
    start.budget.message_bytes_max = options.wal_segment_bytes;
    start.budget.collection_step = options.collection_step;
    start.wal.segment_bytes = options.wal_segment_bytes;
    start.wal.first_segment_bytes = options.wal_first_segment_bytes;
    start.wal.batch_bytes_max = std::min<uint32_t>(options.wal_segment_bytes / 4, 64 << 10);
    start.wal.log_bytes_max = options.wal_bytes_max;
    start.wal.log = log;
    storage::ShareRecovered(&*logs, core, cores, start.groups, &start.wal);
  }
  return {};
}

Status TestNode::StartShards(std::vector<engine::ShardStart> starts) {
  std::size_t missing = starts.size();
  Status first;
  for (std::size_t core = 0; core < starts.size(); ++core) {
    io::Loop& loop = runtime_->loop(CoreId{static_cast<uint16_t>(core)});
    shards_.push_back(std::make_unique<engine::Shard>(&loop, &log_));
    loop.Post([&, shard = shards_.back().get(), start = std::move(starts[core])]() mutable {
      shard->Start(std::move(start), [&](Status status) {
        if (!status.ok() && first.ok()) first = std::move(status);
        --missing;
      });
    });
  }
  bool ended = runtime_->RunUntil([&] { return missing == 0; });
  URSULA_CHECK(ended);
  return first;
}

void TestNode::Stop() {
  std::size_t missing = shards_.size();
  for (auto& shard : shards_) {
    shard->loop().Post([&missing, target = shard.get()] { target->Stop([&] { --missing; }); });
  }
  bool ended = runtime_->RunUntil([&] { return missing == 0; });
  URSULA_CHECK(ended);
  for (auto& shard : shards_) shard->Close();
  Close();
}

void TestNode::Crash() {
  disk_.Crash();
  runtime_->Crash();
  for (auto& shard : shards_) shard->Abandon();
  Close();
}

void TestNode::Close() {
  shards_.clear();
  directory_.reset();
}

}  // namespace ursula::testing
