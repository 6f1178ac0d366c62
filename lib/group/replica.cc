#include "lib/group/replica.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "lib/base/check.h"

namespace ursula::group {
namespace {

Status Starting() { return Status(StatusCode::kUnavailable, "the engine is starting"); }
Status Stopping() { return Status(StatusCode::kUnavailable, "the engine is stopping"); }

bool HearsOfNoLeader(const raft::Core& core, uint64_t silent_ns) {
  return core.leader() == raft::kNoReplica && silent_ns >= Replica::kLeaderlessNs;
}

raft::Config CoreConfig(ReplicaId self, uint64_t page_bytes) {
  raft::Config config;
  config.self = self;
  config.election_ticks = 10;
  config.heartbeat_ticks = Replica::kHeartbeatTicks;
  // What is committed is handed out, and applied, by pages: a turn has room for some (Apply).
  config.applying_bytes_max = page_bytes;
  config.inflight_bytes_max = 8 << 20;
  return config;
}

// Of a round of reads: it ends at a tick, and what waits for it is to have ended by `read_ns_max`,
// unless that is a few ticks.
uint64_t RoundNs(uint64_t read_ns_max) {
  constexpr uint64_t kEarlierNs = 2 * Replica::kTickMs * 1'000'000;
  return read_ns_max >= 10 * kEarlierNs ? read_ns_max - kEarlierNs : read_ns_max;
}

}  // namespace

Replica::Replica(const Services& services, GroupId group, RecoveredGroup recovered)
    : services_(services),
      group_(group),
      log_(recovered.compacted),
      reset_missing_(recovered.reset_missing),
      machine_(std::move(recovered.machine)),
      clock_(services.loop),
      barrier_(services.self, services.opening, RoundNs(services.budget->read_ns_max)),
      leader_seen_ns_(services.loop->now_ns()),
      catch_ups_(services, this),
      window_(services, group, &log_, this),
      checkpoint_(services, group, this),
      shipments_(this, services.budget->shipment_part_bytes),
      install_(services, group, this),
      fetch_(services, group, this) {
  initial_.hard = hard_ = recovered.hard;
  initial_.conf = recovered.compacted.conf;
  initial_.applied = recovered.compacted.index;
  applied_index_ = recovered.compacted.index;
  applied_term_ = recovered.compacted.term;
  log_.Append(std::move(recovered.entries));
  payload_checked_at_ = written_index_ = opened_at_ = changed_index_ = log_.last();
  recorded_commit_ = hard_.commit;
  clock_.Observe(machine_->now_ms());  // Of the snapshot; entries tell theirs.
  checkpoint_.Bind(machine_.get(), &ring_);
  services_.payload->Watch(group_, this);
}

Replica::~Replica() {
  URSULA_CHECK(state_ == State::kStopped || core_ == nullptr);
  services_.payload->Watch(group_, nullptr);
}

Result<std::unique_ptr<Replica>> Replica::Create(const Services& services, GroupId group,
                                                 RecoveredGroup recovered) {
  std::unique_ptr<Replica> replica(new Replica(services, group, std::move(recovered)));
  Result<std::unique_ptr<raft::Core>> core =
      raft::Core::Create(CoreConfig(services.self, services.budget->apply_page_bytes),
                         replica->initial_, &replica->log_, replica.get());
  if (!core.ok()) return core.status();
  replica->core_ = std::move(*core);
  replica->NoteMembership();
  return replica;
}

void Replica::Start(Function<void(Status)> ready) {
  URSULA_CHECK(state_ == State::kStarting && !start_done_);
  start_done_ = std::move(ready);
  if (reset_missing_) {
    services_.wal->Append({.group = group_,
                           .kind = storage::RecordKind::kReset,
                           .index = log_.snapshot().index,
                           .term = log_.snapshot().term});
  }
  // A crash may have come between the snapshot and this; until it is said, the log keeps what the
  // snapshot holds, and a group without new commands would never say it.
  if (log_.snapshot().index > Index{}) services_.wal->Release(group_, log_.snapshot().index);
  // Nobody else can win: waiting for a timeout would only delay the start.
  if (sole_voter()) core_->Campaign();
  Schedule();
}

uint32_t Replica::Jitter(uint32_t bound) {
  return static_cast<uint32_t>(services_.loop->Entropy() % bound);
}

// One that doesn't vote, for it isn't taken in yet, may hear of no leader where others have one.
bool Replica::leaderless() const {
  return state_ == State::kRunning && core_->IsVoter(services_.self) &&
         HearsOfNoLeader(*core_, services_.loop->now_ns() - leader_seen_ns_);
}

Status Replica::Ready() const {
  if (state_ == State::kFailed) return failure_;
  if (state_ == State::kStopping || state_ == State::kStopped) return Stopping();
  if (state_ == State::kStarting) return Starting();
  if (HearsOfNoLeader(*core_, services_.loop->now_ns() - leader_seen_ns_)) {
    return Status(StatusCode::kUnavailable, "this group has no leader; try again");
  }
  if (!payload_failure_.ok()) return payload_failure_;
  Status status = services_.wal->Ready();
  if (status.code() == StatusCode::kResourceExhausted) return LimitReached(status.message());
  if (!status.ok()) return status;
  // What only comes too fast is refused for moments; without space nothing more comes in.
  Status room = PayloadRoom();
  return room.code() == StatusCode::kStorageFull ? room : Status();
}

Status Replica::Admit(const stream::Command& command, uint64_t payload_bytes) const {
  if (state_ == State::kFailed) return failure_;
  if (state_ == State::kStarting) return Starting();
  if (state_ != State::kRunning) return Stopping();
  if (!payload_failure_.ok()) return payload_failure_;
  if (!leads()) {
    return Status(StatusCode::kUnavailable,
                  "this group has no leader here; nothing was applied, try again");
  }
  CoreBudget& budget = *services_.budget;
  storage::Wal::Work work;
  work.bytes = budget.inflight_bytes + payload_bytes;
  work.frees_space = std::holds_alternative<stream::Delete>(command.body) ||
                     std::holds_alternative<stream::Expire>(command.body);
  Status status;
  if (payload_bytes > 0) status = AdmitPayload(payload_bytes);
  if (status.ok()) {
    status = services_.wal->ReadyFor(work);
    if (status.code() == StatusCode::kResourceExhausted) status = LimitReached(status.message());
  }
  if (status.code() == StatusCode::kStorageFull) ++budget.stats.refused_disk_full;
  return status;
}

// What would make room is refused by a full disk, or only slow.
Status Replica::LimitReached(const std::string& limit) const {
  if (!services_.budget->storage_full()) return Status(StatusCode::kResourceExhausted, limit);
  return Status(StatusCode::kStorageFull, "the disk is full: " + limit);
}

Status Replica::AdmitPayload(uint64_t bytes) const {
  CoreBudget& budget = *services_.budget;
  if (budget.inflight_bytes > 0 && budget.inflight_bytes + bytes > budget.inflight_bytes_max) {
    ++budget.stats.refused_inflight;
    return Status(StatusCode::kResourceExhausted,
                  "too many bytes of appends are under way on this core; try again shortly");
  }
  Status room = PayloadRoom();
  if (room.code() == StatusCode::kResourceExhausted) ++budget.stats.refused_inflight;
  return room;
}

Status Replica::PayloadRoom() const {
  CoreBudget& budget = *services_.budget;
  if (budget.RefusesPayload()) {
    if (budget.payload_refused) {
      return Status(StatusCode::kStorageFull, "the disk is full: payload waits for room on it");
    }
    return LimitReached("payload comes faster than the disk takes it; try again shortly");
  }
  if (budget.stored_bytes_max != UINT64_MAX &&
      services_.payload->stats().disk_bytes > budget.stored_bytes_max) {
    return Status(StatusCode::kStorageFull,
                  "the memory for payload is full; delete streams or give it more");
  }
  return {};
}

void Replica::Propose(stream::Command::Body body, ProposeDone done) {
  stream::Command command;
  command.body = std::move(body);
  Propose(&command, {}, std::move(done));
}

bool Replica::Propose(stream::Command* command, std::span<const Bytes> messages, ProposeDone done) {
  RenewHeld();  // First in the log.
  uint64_t payload_bytes = stream::PayloadSize(messages, stream::FramingOf(*command));
  Status status = Admit(*command, payload_bytes);
  if (!status.ok()) return Reject(std::move(done), std::move(status));
  const auto* level = std::get_if<stream::SetFeatureLevel>(&command->body);
  if (level != nullptr && !services_.Reaches(level->level)) {
    return Reject(std::move(done), Status(StatusCode::kUnavailable,
                                          "this node isn't of that feature level yet; try again"));
  }
  command->now_ms = clock_.NowMs();
  if (!stream::IsEncodable(*command)) {
    return Reject(std::move(done),
                  Status(StatusCode::kInvalidArgument,
                         "a name holds NUL or is too long, or a condition names too many states"));
  }
  Bytes encoded = messages.empty() ? stream::Encode(*command) : stream::Encode(*command, messages);
  if (encoded.size() + 1 > services_.wal->record_bytes_max()) {
    return Reject(std::move(done),
                  Status(StatusCode::kInvalidArgument, "one append is larger than the log takes"));
  }
  Stage(std::move(encoded), payload_bytes, std::move(done));
  return true;
}

void Replica::Stage(Bytes command, uint64_t payload_bytes, ProposeDone done) {
  services_.budget->inflight_bytes += payload_bytes;
  staged_.push_back({std::move(command), payload_bytes, services_.loop->now_ns(), std::move(done)});
  Schedule();
}

// Whether what comes behind it may still be proposed: the command is what was wrong.
bool Replica::Reject(ProposeDone done, Status status) {
  const bool decided = status.code() == StatusCode::kInvalidArgument;
  services_.loop->Defer(
      [done = std::move(done), status = std::move(status)]() mutable { done(status); });
  return decided;
}

void Replica::OnTurnEnd() {
  if (state_ == State::kStopped) return;
  ProposeTouches();
  ProposeStaged();
  if (catch_ups_.asked()) NoteCatchUps();
  if (barrier_.HasNew()) barrier_.StartRound(core_.get(), services_.loop->fresh_ns());
  Pump();
}

void Replica::ProposeStaged() {
  if (staged_.empty()) return;
  proposing_.swap(staged_);
  uint64_t bytes = 0;
  for (Staged& one : proposing_) {
    bytes += one.command.size();
    commands_.push_back(std::move(one.command));
  }
  raft::Proposal proposal;
  if (state_ != State::kFailed) proposal = core_->Propose(commands_);
  commands_.clear();
  if (proposal.outcome == raft::ProposalOutcome::kAppended) {
    catch_ups_.Wrote(proposing_.size(), bytes);
    for (Staged& one : proposing_) {
      proposals_.Add(
          {proposal.first, proposal.term, one.payload_bytes, one.start_ns, std::move(one.done)});
      proposal.first = proposal.first + 1;
    }
  } else {
    DropProposing();
  }
  proposing_.clear();
}

void Replica::DropProposing() {
  for (Staged& one : proposing_) {
    services_.budget->inflight_bytes -= one.payload_bytes;
    one.done(state_ == State::kFailed
                 ? failure_
                 : Status(StatusCode::kUnavailable,
                          "this group has no leader here; nothing was applied, try again"));
  }
}

Status Replica::RefuseReads() const {
  if (state_ == State::kStopping || state_ == State::kStopped || stop_done_) return Stopping();
  if (state_ == State::kStarting) return Starting();
  return state_ == State::kFailed && unreadable_ ? failure_ : Status();
}

void Replica::AfterBarrier(BarrierDone done) {
  Status refusal = RefuseReads();
  // With peers a majority would have to be asked, and one that has failed is silent.
  if (state_ == State::kFailed && !sole_voter()) refusal = failure_;
  if (!refusal.ok()) {
    services_.loop->Defer([done = std::move(done), refusal]() mutable { done(refusal); });
    return;
  }
  barrier_.Add(std::move(done));
  Schedule();
}

uint64_t Replica::EvictTo(uint64_t bytes) {
  if (payload_checked_) ring_.Evict(bytes);
  CountMemory();
  return ring_.bytes();
}

void Replica::CountMemory() {
  CoreBudget& budget = *services_.budget;
  budget.hot_bytes += ring_.bytes() - counted_hot_bytes_;
  budget.unflushed_bytes += ring_.UnflushedBytes() - counted_unflushed_bytes_;
  counted_hot_bytes_ = ring_.bytes();
  counted_unflushed_bytes_ = ring_.UnflushedBytes();
}

std::optional<raft::SnapshotMeta> Replica::AppliedMeta(bool again) {
  if (applied_index_ <= log_.snapshot().index && !again) return std::nullopt;
  if (applied_index_ == Index{}) return std::nullopt;
  raft::SnapshotMeta meta;
  meta.index = applied_index_;
  meta.term = applied_term_;
  meta.conf = core_->Configuration();
  return meta;
}

void Replica::OnCheckpointed(const raft::SnapshotMeta& meta) {
  ++services_.budget->stats.snapshots;
  // The log still says that there is a snapshot, once it has nothing else of what is in it.
  hard_.commit = std::max(hard_.commit, meta.index);
  PersistState(written_index_);
  KeepForPeers();
  services_.wal->Release(group_, meta.index);
  log_.Compact(meta, KeptBytesMax(), window_.from());
}

void Replica::OnBase(std::shared_ptr<const BaseSnapshot> base) {
  shipments_.OnBase(std::move(base), services_.loop->now_ns());
}

void Replica::OnFlushed() { CountMemory(); }

// Payload could only pile up from here on, in memory and in the log, until both are full.
void Replica::OnPayloadFailed(const Status& status) {
  payload_failure_ = Status(StatusCode::kUnavailable, status.message());
}

void Replica::Tick() {
  if (state_ == State::kStopped) return;
  ExpireWaiting();
  Schedule();
  if (state_ == State::kFailed) return WatchTails();
  // A core's replicas begin together: what they say of themselves goes out in the same turns.
  core_->AlignHeartbeats(static_cast<uint32_t>(ticks_++ % kHeartbeatTicks));
  core_->StandBack(StandsBack());
  core_->Tick();
  CampaignIfDue();
  ProposeRecovery();
  ForgetWholeness();
  TellWhole();
  if (state_ == State::kRunning) WatchLeader();
  if (catch_ups_.Tick()) NoteCatchUps();
  KeepForPeers();
  WatchShipments();
  install_.Tick();
  fetch_.Tick();
  barrier_.AskAgain(core_.get());
  if (state_ == State::kStopping) return;
  WatchClock();
  SweepExpired();
  TouchLate();
  RenewAtLeader();
  WatchTails();
  checkpoint_.Tick();
}

void Replica::Stop(Function<void()> done) {
  URSULA_CHECK(!stop_done_ && state_ != State::kStopped);
  stop_done_ = std::move(done);
  if (state_ != State::kFailed) state_ = State::kStopping;
  if (!sole_voter()) {
    stop_deadline_ns_ = services_.loop->now_ns() + kStopDeadlineNs;
    farewell_ns_ = services_.loop->now_ns() + kFarewellNs;
    HandOver();
  }
  EndSettling(Stopping());
  std::vector<uint64_t> ids;  // What one read's end calls may end another.
  for (auto& [id, task] : tasks_) ids.push_back(id);
  for (uint64_t id : ids) {
    auto task = tasks_.find(id);
    if (task == tasks_.end()) continue;
    task->second->Cancel(Status(StatusCode::kCancelled, "the engine is stopping"));
  }
  Schedule();
  install_.Stop();
  fetch_.Stop();
  shipments_.Clear();
  checkpoint_.Stop([this] { MaybeFinishStop(); });
}

void Replica::MaybeFinishStop() {
  const uint64_t now_ns = services_.loop->now_ns();
  const bool may_hand_over = stop_done_ && state_ == State::kStopping && now_ns < stop_deadline_ns_;
  if (may_hand_over && core_->is_leader() && !hands_over()) {
    HandOver();  // Others don't know that it stops, and may make it lead again.
    if (hands_over()) Schedule();
  }
  const bool handing_over = may_hand_over && (hands_over() || AwaitsHeir());
  if (handing_over) farewell_ns_ = now_ns + kFarewellNs;
  if (install_.busy() || fetch_.busy()) return;
  if (!stop_done_ || checkpoint_.busy() || !staged_.empty() || !tasks_.empty()) return;
  if (state_ != State::kFailed && (!proposals_.empty() || !barrier_.empty())) return;
  if (!fresh_.empty()) return;
  if (handing_over || (state_ == State::kStopping && now_ns < farewell_ns_)) return;
  state_ = State::kStopped;
  StopWaiting();
  catch_ups_.Clear();
  EndSettling(Stopping());
  barrier_.FailAll(Stopping());
  services_.loop->Defer(std::exchange(stop_done_, nullptr));
}

void Replica::Abandon() {
  state_ = State::kStopped;
  StopWaiting();
  staged_.clear();
  proposals_.TakeAll();
  for (auto& [id, task] : tasks_) {
    if (task->linked()) task->Unlink();
  }
  waiters_.clear();
  fresh_.clear();
  settling_.clear();
  tasks_.clear();
  stop_done_ = nullptr;
}

}  // namespace ursula::group
