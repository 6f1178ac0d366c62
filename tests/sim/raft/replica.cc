#include "tests/sim/raft/replica.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "tests/sim/raft/hash.h"
#include "tests/sim/raft/world.h"

namespace ursula::raft::sim {
namespace {

constexpr std::size_t kReadsMax = 64;  // Older ones are given up.

Bytes EncodeContext(uint64_t id) {
  return Bytes::Copy(std::string_view(reinterpret_cast<const char*>(&id), sizeof(id)));
}

}  // namespace

Replica::Replica(uint32_t id, ConfState born_with, World* world) : id_(id), world_(*world) {
  if (!born_with.voters.empty()) disk_.Format(std::move(born_with));
}

uint32_t Replica::Jitter(uint32_t bound) {
  return static_cast<uint32_t>(world_.random().Below(bound));
}

bool Replica::MayCatchUp(ReplicaId peer) {
  const uint32_t one_in = world_.profile().held_one_in;
  if (one_in == 0 || !world_.random().OneIn(one_in)) return true;
  held_.push_back(peer);
  return false;
}

void Replica::Start() {
  Config config = world_.profile().config;
  config.self = node();
  Result<std::unique_ptr<Core>> core = Core::Create(config, disk_.Initial(), &disk_, this);
  if (!core.ok()) {
    world_.Violate("what a crash left can't be started from: " + core.status().message());
    return;
  }
  core_ = std::move(*core);
  applied_ = disk_.checkpoint();
  handed_from_ = disk_.first();
  handed_out_.clear();
  for (Index index = disk_.first(); index <= disk_.last(); index = index + 1) {
    handed_out_.push_back(disk_.TermAt(index));
  }
  world_.checkers().OnStarted(*this);
  Settle();
}

void Replica::Crash() {
  core_.reset();
  ++incarnation_;
  if (!disk_.Crash(&world_.random())) world_.Violate("a write does not fit the log");
  write_under_way_ = 0;
  applies_.clear();
  applying_ = false;
  superseded_ = Index{};
  proposals_.clear();
  reads_.clear();
  held_.clear();
  paused_until_ = 0;
  disk_stuck_until_ = 0;
}

void Replica::OnTick() {
  core_->StandBack(world_.profile().stands_back && disk_stuck_until_ > world_.now());
  for (ReplicaId peer : std::exchange(held_, {})) core_->SendMore(peer);
  core_->Tick();
  Settle();
}

void Replica::OnDelivered(Message message) {
  world_.checkers().BeforeStep(*this, message);
  const StepResult result = core_->Step(std::move(message));
  if (result == StepResult::kMalformed) world_.Violate("a peer's message was refused");
  world_.checkers().AfterStep(*this);
  Settle();
}

void Replica::OnSnapshotReport(ReplicaId peer, bool installed) {
  core_->ReportSnapshot(peer, installed);
  Settle();
}

void Replica::OnUnreachable(ReplicaId peer) {
  core_->ReportUnreachable(peer);
  Settle();
}

void Replica::Settle() {
  world_.checkers().OnCalled(*this);
  while (core_->HasReady()) {
    core_->TakeReady(&ready_);
    world_.checkers().OnReady(*this, ready_);
    for (const Message& message : ready_.messages) world_.network().Send(id_, message);
    for (const ReadState& read : ready_.reads) OnRead(read);
    if (ready_.append) TakeAppend(std::move(*ready_.append));
    if (ready_.apply) {
      applies_.push_back(std::move(*ready_.apply));
      if (!applying_) StartApply();
    }
  }
}

void Replica::TakeAppend(StorageAppend append) {
  if (!append.snapshot.empty()) superseded_ = append.snapshot.meta.index;
  NoteHandedOut(append);
  disk_.Queue(std::move(append));
  if (write_under_way_ == 0) StartWrite();
}

void Replica::NoteHandedOut(const StorageAppend& append) {
  if (!append.snapshot.empty()) {
    handed_out_.clear();
    handed_from_ = append.snapshot.meta.index + 1;
  }
  if (append.entries.empty()) return;
  handed_out_.resize(append.entries.front().index - handed_from_);
  for (const Entry& entry : append.entries) handed_out_.push_back(entry.term);
}

std::optional<Term> Replica::HandedOut(Index index) const {
  if (index < handed_from_ || index >= handed_from_ + handed_out_.size()) return std::nullopt;
  return handed_out_[index - handed_from_];
}

void Replica::StartWrite() {
  // What comes while it is under way waits for the next write; some of what is there may, too.
  in_write_ = disk_.queued();
  if (world_.random().OneIn(2)) in_write_ = 1 + world_.random().Below(in_write_);
  ScheduleWrite();
}

void Replica::StickDiskUntil(Time time) {
  disk_stuck_until_ = time;
  if (write_under_way_ != 0) ScheduleWrite();
}

void Replica::ScheduleWrite() {
  write_under_way_ = ++writes_;
  Time takes = 1 + world_.random().Below(world_.write_max());
  if (disk_stuck_until_ > world_.now()) takes += disk_stuck_until_ - world_.now();
  world_.Schedule(takes, EventKind::kStored, id_, write_under_way_);
}

void Replica::OnStored() {
  for (std::size_t i = 0; i < in_write_ && world_.ok(); ++i) {
    const bool snapshot = !disk_.oldest().snapshot.empty();
    if (!disk_.Complete()) {
      world_.Violate("a write does not fit the log");
      return;
    }
    if (snapshot) InstallSnapshot();
    Release(disk_.TakeResponses());
    world_.checkers().OnStored(*this);
  }
  write_under_way_ = 0;
  if (disk_.queued() > 0) StartWrite();
}

void Replica::Release(std::vector<Message> responses) {
  for (Message& response : responses) {
    world_.checkers().OnPromise(*this, response);
    if (response.to == node()) {
      (void)core_->Step(std::move(response));
      Settle();
    } else {
      world_.network().Send(id_, response);
    }
  }
}

void Replica::InstallSnapshot() {
  applied_ = disk_.checkpoint();
  world_.checkers().OnSnapshotInstalled(*this);
}

void Replica::StartApply() {
  applying_ = true;
  world_.Schedule(1 + world_.random().Below(world_.apply_max()), EventKind::kApplied, id_,
                  incarnation_);
}

void Replica::OnApplied() {
  StorageApply apply = std::move(applies_.front());
  applies_.pop_front();
  bool reconfigured = false;
  for (const Entry& entry : apply.entries) {
    if (entry.index <= superseded_) continue;
    Apply(entry);
    reconfigured |= entry.kind != EntryKind::kNormal;
    if (!world_.ok()) return;
  }
  (void)core_->Step(std::move(apply.response));
  Settle();
  // A replica that has just joined takes no snapshot from before it did.
  checkpoint_due_ |= reconfigured;
  const uint64_t one_in = checkpoint_due_ ? 2 : world_.profile().checkpoint_one_in;
  if (world_.healed() || world_.random().OneIn(one_in)) SaveCheckpoint();
  applying_ = false;
  if (!applies_.empty()) StartApply();
}

void Replica::Apply(const Entry& entry) {
  if (entry.index != applied_.meta.index + 1) {
    world_.Violate("applied out of order");
    return;
  }
  if (entry.kind != EntryKind::kNormal) ApplyConfChange(entry);
  applied_.meta.index = entry.index;
  applied_.meta.term = entry.term;
  applied_.state = Mix(applied_.state, HashEntry(entry));
  applied_.state = Mix(applied_.state, HashConf(applied_.meta.conf));
  world_.checkers().OnApplied(*this, entry);
  ResolveProposals(entry);
}

void Replica::ApplyConfChange(const Entry& entry) {
  Result<ConfChange> change = DecodeConfChange(entry.kind, entry.payload.view());
  if (!change.ok()) {
    world_.Violate("a committed membership change is malformed");
    return;
  }
  Result<ConfState> conf = core_->ApplyConfChange(*change);
  if (conf.ok()) applied_.meta.conf = std::move(*conf);
  Settle();
}

bool Replica::conf_may_change() const {
  if (disk_.queued() > 0) return true;  // Who knows.
  const Index from = std::max(applied() + 1, disk_.first());
  if (from > disk_.last()) return false;
  std::vector<Entry> entries;
  (void)disk_.Entries(from, disk_.last() + 1, UINT64_MAX, &entries);
  return std::any_of(entries.begin(), entries.end(),
                     [](const Entry& entry) { return entry.kind != EntryKind::kNormal; });
}

void Replica::SaveCheckpoint() {
  if (applied_.meta.index <= disk_.checkpoint().meta.index) return;
  // Entries that a pending snapshot voids may lie above what is durable: not now.
  if (applied_.meta.index < superseded_) return;
  disk_.Save(applied_);
  checkpoint_due_ = false;
  if (!world_.random().OneIn(2)) return;
  const uint64_t kept = std::min(world_.random().Below(8), Raw(applied_.meta.index));
  disk_.Compact(std::max(applied_.meta.index - kept, disk_.first() - 1));
}

void Replica::Propose(std::span<const Bytes> commands, uint64_t first_id) {
  const Proposal proposal = core_->Propose(commands);
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (proposal.outcome != ProposalOutcome::kAppended) break;
    proposals_.push_back({proposal.first + i, proposal.term, first_id + i});
  }
  Settle();
}

void Replica::ResolveProposals(const Entry& entry) {
  for (std::size_t i = 0; i < proposals_.size();) {
    if (proposals_[i].index != entry.index) {
      ++i;
      continue;
    }
    if (proposals_[i].term == entry.term) {
      world_.checkers().OnAcknowledged(entry.index, proposals_[i].id);
    }
    proposals_[i] = proposals_.back();
    proposals_.pop_back();
  }
}

void Replica::Read(uint64_t id) {
  if (reads_.size() == kReadsMax) reads_.erase(reads_.begin());
  reads_.push_back({world_.checkers().ReadFloor(), Term{}, id});
  if (!core_->ReadIndex(EncodeContext(id))) reads_.pop_back();
  Settle();
}

void Replica::OnRead(const ReadState& read) {
  for (std::size_t i = 0; i < reads_.size(); ++i) {
    if (EncodeContext(reads_[i].id) != read.context) continue;
    world_.checkers().OnReadAnswered(*this, reads_[i].index, read.index);
    reads_.erase(reads_.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

void Replica::Reconfigure(const ConfChange& change) {
  (void)core_->ProposeConfChange(change);
  Settle();
}

void Replica::Transfer(ReplicaId to) {
  core_->TransferLeadership(to);
  Settle();
}

void Replica::ForgetLeader() {
  core_->ForgetLeader();
  Settle();
}

void Replica::Campaign() {
  core_->Campaign();
  Settle();
}

}  // namespace ursula::raft::sim
