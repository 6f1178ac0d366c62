// The part of Replica that brings peers up that are too far behind, and itself.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/group/payload_check.h"
#include "lib/group/payload_serve.h"
#include "lib/group/replica.h"

namespace ursula::group {
namespace {

constexpr std::size_t kServesMax = 16;  // Of peers that lack payload, at once on a core.
constexpr uint32_t kDamageLinesMax = 100;

}  // namespace

bool Replica::WriteLetter(ReplicaId to, Letter letter) {
  if (services_.hub == nullptr || state_ == State::kFailed || state_ == State::kStopped) {
    return false;
  }
  const bool small =
      std::holds_alternative<SnapshotAck>(letter) || std::holds_alternative<PayloadAsk>(letter) ||
      std::holds_alternative<Wholeness>(letter) || std::holds_alternative<TimeNews>(letter) ||
      std::holds_alternative<Lacking>(letter);
  const auto* part = std::get_if<SnapshotPart>(&letter);
  const uint64_t part_bytes = part == nullptr ? 0 : part->records.size();
  if (!Write(to, small ? Channel::kControl : Channel::kBulk, std::move(letter))) return false;
  if (part_bytes > 0) services_.Take(part_bytes);
  return true;
}

void Replica::OnPeerLetter(NodeId node, const Bytes& letter) {
  if (state_ == State::kFailed || state_ == State::kStopped) return;
  Result<AddressedLetter> read = DecodeLetter(letter);
  if (!read.ok()) return;
  const ReplicaId from = read->from;
  if (NodeOf(from) != node) return;
  if (read->to != services_.self) {
    URSULA_SOMETIMES("members: a letter came for a replica that its node has lost");
    return;
  }
  if (auto* message = std::get_if<raft::Message>(&read->letter)) {
    OnPeerMessage(std::move(*message));
  } else if (auto* part = std::get_if<SnapshotPart>(&read->letter)) {
    if (payload_failure_.ok()) install_.OnPart(from, std::move(*part));
  } else if (auto* ack = std::get_if<SnapshotAck>(&read->letter)) {
    shipments_.OnAck(from, *ack, services_.loop->now_ns());
  } else if (auto* ask = std::get_if<PayloadAsk>(&read->letter)) {
    Serve(from, *ask);
  } else if (auto* whole = std::get_if<Wholeness>(&read->letter)) {
    OnWholeness(from, *whole);
  } else if (std::holds_alternative<Lacking>(read->letter)) {
    whole_peers_.erase(from);
  } else if (auto* news = std::get_if<TimeNews>(&read->letter)) {
    OnTimeNews(*news);
  } else {
    fetch_.OnAnswer(from, std::get<PayloadAnswer>(read->letter));
  }
}

// ---- as leader: what a peer lacks, at the core's pace ------------------------------------------

void Replica::NoteCatchUps() {
  if (!core_->is_leader() || state_ == State::kFailed) return catch_ups_.Clear();
  catch_ups_.Note(core_->Peers(), core_->Configuration(), core_->commit(), core_->last_index(),
                  [this](ReplicaId peer) { return IsActive(peer); });
}

void Replica::OnCatchUpDue(ReplicaId to) {
  if (!core_->is_leader()) return;
  core_->SendMore(to);
  shipments_.SendMore(to, services_.loop->now_ns());
  Schedule();
}

// Where the disk is full what nobody needs is the first to go.
void Replica::KeepForPeers() {
  Index from{UINT64_MAX};
  const uint64_t now_ns = services_.loop->now_ns();
  const uint64_t since_ns = now_ns - std::min(now_ns, services_.budget->log_kept_ns);
  const bool ended = state_ == State::kFailed || state_ == State::kStopped;
  if (core_->is_leader() && !ended && !services_.budget->storage_full()) {
    for (const raft::PeerStatus& peer : core_->Peers()) {
      // Who hasn't been heard of since this one leads may have been a moment before.
      const bool comes_back = HeardSince(peer.id, since_ns) || led_not_ns_ > since_ns;
      if (peer.id == services_.self || !comes_back) continue;
      // Who takes over a snapshot goes on from there.
      from = std::min(from, std::max(peer.match, peer.pending_snapshot) + 1);
    }
  }
  window_.Keep(from);
}

// One thing at a time is at hand: not before who waits for the pace has what was read for it.
void Replica::ReadMissed() {
  if (!log_.has_missed()) return;
  for (const raft::PeerStatus& peer : core_->Peers()) {
    if (log_.IsFilled(peer.next) && catch_ups_.Waits(peer.id)) return;
  }
  window_.ReadMissed();
}

void Replica::OnWindowRead() {
  if (!core_->is_leader() || state_ == State::kFailed || state_ == State::kStopped) return;
  for (const raft::PeerStatus& peer : core_->Peers()) {
    if (peer.id != services_.self && peer.next < log_.first_in_memory()) core_->SendMore(peer.id);
  }
  Schedule();
}

// ---- as leader: a snapshot for a peer ----------------------------------------------------------

void Replica::Ship(raft::Message message) {
  URSULA_SOMETIMES("group: a snapshot is on its way to a peer");
  whole_peers_.erase(message.to);
  shipped_[message.to] = message.snapshot.meta.index;
  shipments_.Begin(std::move(message), services_.loop->now_ns());
}

void Replica::WantBase() { checkpoint_.RequestBase(); }

// Below a snapshot, for peers. One that takes over a base goes on from there, and one that lacks
// entries gets them at the pace, behind other groups: until then nothing that it is to get may go,
// within reason. For one that isn't heard of nothing is kept besides.
uint64_t Replica::KeptBytesMax() const {
  if (alone_) return 0;
  const uint64_t kept = services_.budget->kept_log_bytes_max;
  const bool brings_up = shipments_.size() > 0 || FeedsOneBehind();
  return brings_up && !window_.holds() ? 4 * std::max(kept, uint64_t{4} << 20) : kept;
}

bool Replica::FeedsOneBehind() const {
  for (const raft::PeerStatus& peer : core_->Peers()) {  // None, unless it leads.
    if (peer.id == services_.self || !IsActive(peer.id)) continue;
    const bool fed = peer.state == raft::ProgressState::kReplicate && peer.next <= core_->commit();
    if (fed || catch_ups_.Waits(peer.id)) return true;
  }
  return false;
}

void Replica::OnShipmentLost(ReplicaId to) {
  core_->ReportSnapshot(to, false);
  Schedule();
}

uint64_t Replica::DrawShipment() { return services_.loop->Entropy() | 1; }

void Replica::WatchShipments() {
  if (shipments_.size() == 0) return;
  if (!core_->is_leader()) return shipments_.Clear();
  shipments_.Tick(services_.loop->now_ns(), [this](ReplicaId to, Index base) {
    for (const raft::PeerStatus& peer : core_->Peers()) {
      if (peer.id != to) continue;
      if (peer.state != raft::ProgressState::kSnapshot) return true;
      // The log has moved on since; where it still begins, a probe tells.
      if (base == Index{} || peer.match < base) return false;
      core_->ReportSnapshot(to, true);
    }
    return true;  // Or it is no member any more.
  });
}

// ---- as one that is behind: a peer's snapshot --------------------------------------------------

void Replica::DrainCheckpoint(Function<void()> done) { checkpoint_.Drain(std::move(done)); }

// What Raft has handed out since waits behind the record (held_appends_).
void Replica::OnInstallWritten(const raft::SnapshotMeta& meta) {
  storage::WalRecord record;
  record.group = group_;
  record.kind = storage::RecordKind::kReset;
  record.index = meta.index;
  record.term = meta.term;
  last_lsn_ = services_.wal->Append(record);
  written_index_ = meta.index;
  services_.wal->Release(group_, meta.index);
  raft::StorageAppend append = std::move(held_appends_.front());
  held_appends_.pop_front();
  URSULA_CHECK(append.snapshot.meta.index == meta.index);
  WriteAppend(&append);
  appends_.back().snapshot = std::make_unique<raft::SnapshotMeta>(std::move(append.snapshot.meta));
  while (!held_appends_.empty()) {
    WriteAppend(&held_appends_.front());
    held_appends_.pop_front();
  }
}

void Replica::OnInstallFailed(Status status) { Fail(std::move(status)); }

// The record is durable: from here on this is the state.
void Replica::Swap(const raft::SnapshotMeta& meta) {
  URSULA_SOMETIMES("group: a peer's snapshot was installed");
  URSULA_CHECK(held_applies_.empty());
  machine_ = install_.TakeMachine();
  ring_.Clear();
  checkpoint_.Resume(machine_.get());
  log_.Reset(meta);
  applied_index_ = meta.index;
  applied_term_ = meta.term;
  hard_.commit = std::max(hard_.commit, meta.index);
  clock_.Restart(machine_->now_ms());
  clock_.Forget();
  opened_at_ = std::max(opened_at_, meta.index);
  heard_ = false;
  renewed_until_ms_ = INT64_MIN;
  touched_.clear();
  payload_checked_ = true;
  NoteMembership();
  services_.payload->Keep(group_, [this](uint64_t incarnation) {
    return machine_->OwnRange(stream::Incarnation{incarnation}).has_value();
  });
  for (const auto& [incarnation, waiting] : waiters_) woken_.insert(incarnation);
  fetch_.Begin(LackingPayload(services_, group_, *machine_, ring_), Fetch::Why::kNew);
  for (Proposals::Waiter& waiter : proposals_.TakeSkipped(meta.index)) {
    EndUnknown(&waiter,
               "this replica fell behind and took over another's state; what was "
               "proposed here may or may not be part of it");
  }
}

// ---- payload -----------------------------------------------------------------------------------

void Replica::Serve(ReplicaId from, const PayloadAsk& ask) {
  if (services_.budget->serves >= kServesMax || stop_done_) return;  // It asks again, or another.
  auto task = std::make_unique<PayloadServe>(this, ++next_internal_id_, from, ask);
  PayloadServe* raw = task.get();
  ++services_.budget->serves;
  tasks_.emplace(raw->id(), std::move(task));
  raw->Start();
}

std::vector<ReplicaId> Replica::Sources() {
  std::vector<ReplicaId> sources;
  const raft::ConfState conf = core_->Configuration();
  auto add = [&](ReplicaId one) {
    if (NodeOf(one) == NodeOf(services_.self) || one == raft::kNoReplica) return;
    if (std::find(sources.begin(), sources.end(), one) == sources.end()) sources.push_back(one);
  };
  add(core_->leader());
  for (ReplicaId one : conf.voters) add(one);
  for (ReplicaId one : conf.voters_outgoing) add(one);
  for (ReplicaId one : conf.learners) add(one);
  return sources;
}

std::optional<stream::ReadRange> Replica::OwnRangeNow(stream::Incarnation incarnation) {
  return machine_->OwnRange(incarnation);
}

void Replica::OnPayloadLost(const stream::ReadRange& range) {
  services_.budget->stats.payload_lost_bytes += range.to - range.from;
  LogLostPayload(services_, group_, *machine_, {range}, PayloadFate::kLost);
}

void Replica::OnPayloadRepaired(const stream::ReadRange& range) {
  services_.budget->stats.payload_repaired_bytes += range.to - range.from;
}

// The store has said which file and where; this says of which stream, and what becomes of it.
void Replica::OnPayloadDamaged(const storage::PayloadDamage& damage) {
  if (state_ == State::kStopped) return;
  stream::ReadRange range{stream::Incarnation{damage.key.incarnation}, damage.from, damage.to};
  const std::optional<stream::ReadRange> own = machine_->OwnRange(range.owner);
  if (!own) return;
  range.from = std::max(range.from, own->from);
  range.to = std::min(range.to, own->to);
  if (range.from >= range.to) return;
  services_.budget->stats.payload_damaged_bytes += range.to - range.from;
  if (++damage_logged_ <= kDamageLinesMax) {
    LogLostPayload(services_, group_, *machine_, {range},
                   alone_ ? PayloadFate::kLost : PayloadFate::kAskedFor);
  }
  if (alone_) {
    services_.budget->stats.payload_lost_bytes += range.to - range.from;
  } else if (payload_checked_ && !stop_done_) {  // Else a check is to come, which misses it too.
    fetch_.Add(range);
  }
}

}  // namespace ursula::group
