#include "tests/sim/storage/node.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/storage/disk_wal_options.h"

namespace ursula::storage::sim {
namespace {

class Recorder final : public RecoverySink, public SnapshotSink {
 public:
  explicit Recorder(Found* found) : found_(*found) {}
  Status OnRecord(RecoveredRecord record) override {
    found_.records.push_back(std::move(record));
    return {};
  }
  void Begin(uint32_t group) { group_ = group; }
  Status OnSnapshotFile(const SnapshotMeta& meta, bool base) override {
    FoundSnapshot& snapshot = found_.snapshots[group_];
    snapshot.meta = meta;
    if (base) snapshot.records.clear();
    return {};
  }
  Status OnSnapshotRecord(SnapshotRecord record) override {
    auto& records = found_.snapshots[group_].records;
    if (record.tombstone) {
      records.erase(record.key);
    } else {
      records[record.key] = std::string(record.value.view());
    }
    return {};
  }

 private:
  Found& found_;
  uint32_t group_ = 0;
};

}  // namespace

void Node::Core::OnWalDurable(uint64_t lsn) {
  if (failures > 0) durable_after_failure = true;
  durable = lsn;
}

void Node::Core::OnWalFailed(Status /*status*/) { ++failures; }

void Node::Core::OnWalPinned(std::span<const GroupId> groups) {
  pinned.assign(groups.begin(), groups.end());
}

Node::~Node() {
  if (open()) Crash();
}

bool Node::failed() const {
  for (const auto& core : cores_) {
    if (core->failures > 0) return true;
  }
  return false;
}

Status Node::Open(uint16_t cores, Found* found) {
  URSULA_CHECK(!open());
  runtime_ = std::make_unique<testing::ManualRuntime>(cores, &disk_, seed_++);
  *found = {};
  Status status = Recover(cores, found);
  if (!status.ok()) {
    Close();
    return status;
  }
  status = StartLogs();
  if (!status.ok()) Stop();
  return status;
}

Status Node::Recover(uint16_t cores, Found* found) {
  io::Disk& disk = runtime_->loop(CoreId{0}).disk();
  auto directory = DataDirectory::Open(
      disk, "/data", {.group_count_if_new = profile_.groups, .id_if_new = kDirectoryId});
  if (!directory.ok()) return directory.status();
  directory_ = std::move(*directory);
  Recorder recorder(found);
  auto files = SnapshotFiles::Scan(disk, *directory_, {});
  if (!files.ok()) return files.status();
  for (uint32_t group = 0; group < profile_.groups; ++group) {
    recorder.Begin(group);
    Result<bool> loaded = (*files)->Load(disk, GroupId{group}, &recorder);
    if (!loaded.ok()) return loaded.status();
  }
  auto logs = RecoverLogs(disk, *directory_, &recorder, {});
  if (!logs.ok()) return logs.status();
  auto payload = RecoverPayload(
      disk, *directory_, cores, [cores](GroupId group) { return Raw(group) % cores; },
      [found](LogLevel level, std::string_view line) {
        if (level == LogLevel::kError) {
          found->complaints.emplace_back(line);
        }
      });
  if (!payload.ok()) return payload.status();
  for (uint16_t i = 0; i < cores; ++i) {
    std::vector<GroupId> groups;
    for (uint32_t group = i; group < profile_.groups; group += cores) {
      groups.push_back(GroupId{group});
    }
    DiskWalOptions wal;
    wal.segment_bytes = profile_.segment_bytes;
    wal.first_segment_bytes = profile_.first_segment_bytes;
    wal.batch_bytes_max = profile_.batch_bytes_max;
    wal.log_bytes_max = profile_.log_bytes_max;
    wal.read_back = true;
    ShareRecovered(&*logs, i, cores, groups, &wal);
    PayloadStoreOptions store;
    store.file_bytes = profile_.file_bytes;
    if (profile_.compacts) {
      store.compact_live_percent = 50;
      store.compact_dead_bytes_min = 16 << 10;
      store.merge_index_bytes_min = 0;
    }
    io::Loop& loop = runtime_->loop(CoreId{i});
    auto core = std::make_unique<Core>();
    core->wal = MakeDiskWal(&loop, *directory_, i, std::move(wal), core.get());
    core->payload = MakePayloadStore(&loop, *directory_, i, std::move(store), payload->get());
    core->snapshots = MakeSnapshotStore(&loop, *directory_, groups, files->get(), {});
    cores_.push_back(std::move(core));
  }
  return {};
}

Status Node::StartLogs() {
  Status first;
  std::size_t missing = cores_.size();
  for (auto& core : cores_) {
    core->wal->Start([&](Status status) {
      if (!status.ok() && first.ok()) first = std::move(status);
      --missing;
    });
  }
  const bool ended = runtime_->RunUntil([&] { return missing == 0; });
  URSULA_CHECK(ended);
  return first;
}

void Node::Stop() {
  std::size_t missing = 3 * cores_.size();
  auto one_less = [&missing] { --missing; };
  for (auto& core : cores_) {
    core->payload->Stop(one_less);
    core->snapshots->Stop(one_less);
    core->wal->Stop(one_less);
  }
  const bool ended = runtime_->RunUntil([&] { return missing == 0; });
  URSULA_CHECK(ended);
  Close();
}

void Node::Crash() {
  disk_.Crash();
  runtime_->Crash();
  Close();
}

void Node::Kill() {
  disk_.Kill();
  runtime_->Crash();
  Close();
}

void Node::Close() {
  cores_.clear();
  directory_.reset();
}

Result<PayloadSlice> Node::ReadPayload(PayloadKey key, uint64_t from, uint64_t bytes_max) {
  std::optional<Result<PayloadSlice>> result;
  core_of(Raw(key.group)).payload->Read(key, from, bytes_max, [&](Result<PayloadSlice> slice) {
    result.emplace(std::move(slice));
  });
  const bool ended = runtime_->RunUntil([&] { return result.has_value(); });
  URSULA_CHECK(ended);
  return std::move(*result);
}

}  // namespace ursula::storage::sim
