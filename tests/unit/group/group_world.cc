#include "tests/unit/group/group_world.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace ursula::group {
namespace {

constexpr uint64_t kDirectoryId = 70;  // And its node's.
constexpr uint64_t kClusterId = 8;
constexpr uint64_t kHistoryId = 9;
constexpr uint64_t kTickNs = Replica::kTickMs * 1'000'000;

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

StreamId NameOf(std::string_view name) { return {kUpstreamBucket, "", std::string(name)}; }

std::string ReadAnswer::text() const {
  if (!reply) return "unanswered";
  if (!reply->ok()) return reply->status().ToString();
  if ((*reply)->placement) return "placed elsewhere";
  const ReadReply& read = (*reply)->reply;
  if (read.outcome != Outcome::kOk) {
    return "outcome " + std::to_string(static_cast<int>(read.outcome));
  }
  std::string text;
  for (const Bytes& part : read.parts) text += part.view();
  return text;
}

GroupWorld::GroupWorld(uint64_t seed, const testing::FaultDisk::Faults& faults)
    : disk(seed, faults), seed_(seed) {
  log_function_ = [this](int, std::string_view line) { log_.emplace_back(line); };
  tick_.Then<&GroupWorld::OnTick>(this);
}

GroupWorld::~GroupWorld() {
  if (open()) Crash();
}

Status GroupWorld::Open(storage::RecoverySink* also) {
  Status status = Begin(also);
  if (!status.ok()) return status;
  bool ended = RunUntil([this] { return started(); });
  URSULA_CHECK(ended);
  return start_status_;
}

Status GroupWorld::Begin(storage::RecoverySink* also) {
  URSULA_CHECK(!open());
  log_.clear();
  pinned_.clear();
  wal_failure_ = Status();
  start_status_ = Status();
  runtime_ = std::make_unique<testing::ManualRuntime>(1, &disk, seed_++);
  runtime_->AdvanceTo(now_ns_);
  Status status = Recover(also);
  if (!status.ok()) {
    directory_.reset();
    runtime_.reset();
    return status;
  }
  to_start_ = recovered_.size() + 1;
  loop().Post(
      [this] { wal_->Start([this](Status started) { OnWalStarted(std::move(started)); }); });
  return {};
}

// As Engine::Recover (lib/engine/open.cc), with the sizes that tests want.
Status GroupWorld::Recover(storage::RecoverySink* also) {
  io::Disk& from = loop().disk();
  auto directory = storage::DataDirectory::Open(from, "/data",
                                                {.group_count_if_new = options.groups,
                                                 .id_if_new = kDirectoryId + Raw(options.self),
                                                 .nonce = seed_,
                                                 .if_new = {.cluster_id = kClusterId,
                                                            .history_id = kHistoryId,
                                                            .node_id = Raw(options.self),
                                                            .replica_id = options.self,
                                                            .voters = options.voters}});
  if (!directory.ok()) return directory.status();
  directory_ = std::move(*directory);
  storage::LogLine log = [this](storage::LogLevel, std::string_view line) {
    log_.emplace_back(line);
  };
  auto files = storage::SnapshotFiles::Scan(from, *directory_, log);
  if (!files.ok()) return files.status();
  Recovery recovery(directory_->group_count(), FoundingOf(*directory_));
  Status status = recovery.LoadSnapshots(from, files->get());
  if (!status.ok()) return status;
  Teeing sink(also, &recovery);
  auto logs = storage::RecoverLogs(from, *directory_, &sink, log);
  if (!logs.ok()) return logs.status();
  auto groups = recovery.Finish();
  if (!groups.ok()) return groups.status();
  recovered_ = std::move(*groups);
  auto payload = storage::RecoverPayload(
      from, *directory_, 1, [](GroupId) { return 0; }, log);
  if (!payload.ok()) return payload.status();

  std::vector<GroupId> ids;
  for (uint32_t group = 0; group < recovered_.size(); ++group) ids.push_back(GroupId{group});
  storage::DiskWalOptions wal;
  wal.segment_bytes = options.wal_segment_bytes;
  wal.batch_bytes_max = options.wal_segment_bytes / 4;
  wal.log_bytes_max = options.wal_bytes_max;
  wal.read_back = true;
  wal.log = log;
  storage::ShareRecovered(&*logs, 0, 1, ids, &wal);
  wal_ = storage::MakeDiskWal(&loop(), *directory_, 0, std::move(wal), this);
  storage::PayloadStoreOptions store;
  store.direct = options.payload_direct;
  store.compact_dead_bytes_min = 0;  // The files are small.
  store.log = log;
  payload_ = storage::MakePayloadStore(&loop(), *directory_, 0, std::move(store), payload->get());
  snapshots_ = storage::MakeSnapshotStore(&loop(), *directory_, ids, files->get(), log);
  budget_ = CoreBudget();
  budget_.inflight_bytes_max = options.inflight_bytes_max;
  budget_.hot_bytes_max = options.hot_bytes_max;
  budget_.kept_log_bytes_max = options.kept_log_bytes_max;
  budget_.log_kept_ns = options.log_kept_ns;
  budget_.collection_step = options.collection_step;
  budget_.shipment_part_bytes = options.shipment_part_bytes;
  budget_.apply_page_bytes = options.apply_page_bytes;
  budget_.unapplied_max = options.unapplied_max;
  budget_.waiters_max = options.waiters_max;
  budget_.message_bytes_max = options.wal_segment_bytes;
  return {};
}

void GroupWorld::OnWalStarted(Status status) {
  if (!status.ok()) {
    start_status_ = std::move(status);
    to_start_ = 0;
    return;
  }
  Services services;
  services.loop = &loop();
  services.wal = wal_.get();
  services.payload = payload_.get();
  services.snapshots = snapshots_.get();
  services.budget = &budget_;
  pace_ = std::make_unique<Pace>(&loop(), Pace::Options{options.rejoin_bytes_per_second});
  services.pace = pace_.get();
  applies_ = std::make_unique<ApplyTurns>(&loop(), options.apply_turn_cost);
  services.applies = applies_.get();
  services.self = directory_->replica_id();
  services.opening = loop().Entropy();
  services.levels = levels;
  if (network_ != nullptr) {
    peers::Receiver* receiver = this;
    hub_ = std::make_unique<peers::Hub>(
        &loop(), network_->Join(NodeOf(services.self), runtime_.get()), receiver,
        peers::HubOptions{0, options.peer_window_bytes_max, services.opening});
    services.hub = hub_.get();
  }
  services.log = &log_function_;
  for (RecoveredGroup& one : recovered_) {
    GroupId id{static_cast<uint32_t>(replicas_.size())};
    Result<std::unique_ptr<Replica>> replica = Replica::Create(services, id, std::move(one));
    URSULA_CHECK(replica.ok());
    replicas_.push_back(std::move(*replica));
  }
  recovered_.clear();
  for (auto& replica : replicas_) {
    replica->Start([this](Status started) { OnReplicaStarted(std::move(started)); });
  }
  loop().StartTimer(&tick_, loop().now_ns() + kTickNs);
  OnReplicaStarted(Status());
}

void GroupWorld::OnReplicaStarted(Status status) {
  if (start_status_.ok()) start_status_ = std::move(status);
  --to_start_;
}

void GroupWorld::OnTick() {
  loop().StartTimer(&tick_, loop().now_ns() + kTickNs);
  for (auto& replica : replicas_) replica->Tick();
  if (!options.balances) return;
  for (auto& replica : replicas_) {
    if (budget_.unflushed_bytes > budget_.hot_bytes_max / 4) replica->Flush();
    if (budget_.hot_bytes > budget_.hot_bytes_max) replica->EvictTo(budget_.hot_bytes_max / 2);
  }
}

void GroupWorld::OnWalDurable(uint64_t lsn) {
  for (auto& replica : replicas_) replica->OnWalDurable(lsn);
}

void GroupWorld::OnWalFailed(Status status) {
  wal_failure_ = status;
  for (auto& replica : replicas_) replica->OnWalFailed(status);
}

void GroupWorld::OnWalPinned(std::span<const GroupId> groups) {
  pinned_.assign(groups.begin(), groups.end());
  for (GroupId group : groups) replicas_[Raw(group)]->Checkpoint();
}

void GroupWorld::OnLetter(NodeId from, GroupId group, Bytes letter) {
  if (Raw(group) < replicas_.size()) replicas_[Raw(group)]->OnPeerLetter(from, letter);
}

void GroupWorld::OnBeats(peers::Beats record) {
  for (const peers::Beat& beat : record.beats) {
    if (Raw(beat.group) >= replicas_.size()) continue;
    replicas_[Raw(beat.group)]->OnPeerBeat(record.from, record.to, beat);
  }
}

void GroupWorld::OnPeerLost(NodeId peer, bool ended) {
  for (auto& replica : replicas_) replica->OnPeerLost(peer, ended);
}

void GroupWorld::OnDropped(NodeId to, GroupId group, uint64_t /*token*/) {
  if (Raw(group) < replicas_.size()) replicas_[Raw(group)]->OnLetterDropped(to);
}

void GroupWorld::BeginStopReplicas() {
  to_stop_ = replicas_.size();
  for (auto& replica : replicas_) replica->Stop([this] { --to_stop_; });
}

bool GroupWorld::StopReplicas() {
  BeginStopReplicas();
  return RunUntil([this] { return replicas_stopped(); });
}

bool GroupWorld::StopStores() {
  bool stopped = false;
  loop().CancelTimer(&tick_);
  payload_->Stop([&] { snapshots_->Stop([&] { wal_->Stop([&] { stopped = true; }); }); });
  if (!RunUntil([&] { return stopped; })) return false;
  Close(true);
  return true;
}

void GroupWorld::Crash() {
  disk.Crash();
  CloseAbandoned(false);
}

void GroupWorld::Kill() {
  disk.Kill();
  CloseAbandoned(true);
}

void GroupWorld::CloseAbandoned(bool told) {
  runtime_->Crash();
  for (auto& replica : replicas_) replica->Abandon();
  Close(told);
}

// `told`: peers learn of it.
void GroupWorld::Close(bool told) {
  replicas_.clear();
  if (hub_ != nullptr) {
    hub_.reset();
    network_->Leave(NodeOf(options.self), told);
  }
  pace_.reset();
  applies_.reset();
  recovered_.clear();
  snapshots_.reset();
  payload_.reset();
  wal_.reset();
  directory_.reset();
  now_ns_ = runtime_->now_ns();
  runtime_.reset();
}

bool GroupWorld::Logged(std::string_view part) const {
  return std::any_of(log_.begin(), log_.end(), [part](const std::string& line) {
    return line.find(part) != std::string::npos;
  });
}

Asked GroupWorld::Propose(stream::Command::Body body, uint32_t group) {
  Asked asked = std::make_shared<Answer>();
  stream::Command command;
  command.body = std::move(body);
  std::vector<Bytes> messages;
  if (auto* append = std::get_if<stream::Append>(&command.body);
      append != nullptr && !append->payload.empty()) {
    messages.push_back(std::exchange(append->payload, {}));
  }
  replica(group).Propose(&command, messages, [this, asked](Result<stream::Reply> reply) {
    URSULA_CHECK(!asked->reply);
    asked->reply.emplace(std::move(reply));
    asked->order = ++answers_;
  });
  return asked;
}

Asked GroupWorld::Append(std::string_view name, std::string_view bytes, uint32_t group) {
  stream::Append append;
  append.id = NameOf(name);
  append.payload = Bytes::Copy(bytes);
  return Propose(std::move(append), group);
}

Asked GroupWorld::Create(std::string_view name, Lifetime lifetime, uint32_t group) {
  stream::CreateStream create;
  create.id = NameOf(name);
  create.lifetime = std::move(lifetime);
  return Propose(std::move(create), group);
}

bool GroupWorld::Finish(const Asked& asked) {
  RunUntil([&] { return asked->reply.has_value(); });
  return asked->ok();
}

AskedRead GroupWorld::Read(ReadRequest request, uint64_t read_id, uint32_t group) {
  AskedRead asked = std::make_shared<ReadAnswer>();
  replica(group).Read(std::move(request), read_id, [asked](Result<GroupReadReply> reply) {
    URSULA_CHECK(!asked->reply);
    asked->reply.emplace(std::move(reply));
  });
  return asked;
}

std::string GroupWorld::FinishRead(const AskedRead& read) {
  RunUntil([&] { return read->reply.has_value(); });
  return read->text();
}

std::string GroupWorld::Content(std::string_view name, uint32_t group) {
  std::string content;
  ReadRequest request;
  request.stream = NameOf(name);
  for (;;) {
    AskedRead page = Read(request, 0, group);
    content += FinishRead(page);
    if (!page->reply || !page->reply->ok()) return content;
    const ReadReply& reply = (*page->reply)->reply;
    if (reply.outcome != Outcome::kOk || reply.up_to_date) return content;
    request.from = reply.next;
  }
}

bool GroupWorld::CheckpointNow(uint32_t group) {
  uint64_t before = budget_.stats.snapshots;
  replica(group).Checkpoint();
  return runtime_->RunUntil(
      [&] { return budget_.stats.snapshots > before && replica(group).log_bytes() == 0; },
      2'000'000'000);
}

bool GroupWorld::FlushNow(uint32_t group) {
  replica(group).Flush();
  return runtime_->RunUntil([&] { return replica(group).unflushed_bytes() == 0; }, 2'000'000'000);
}

}  // namespace ursula::group
