// The part of Replica that keeps the contract of raft::Core (lib/raft/core.h).

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/group/payload_check.h"
#include "lib/group/replica.h"

namespace ursula::group {

void Replica::Pump() {
  if (pumping_ || core_ == nullptr) return;
  pumping_ = true;
  ReleaseDurable();
  ApplyHeld();
  while (core_->HasReady()) {
    core_->TakeReady(&ready_);
    if (ready_.soft_state) TakeSoftState(*ready_.soft_state);
    Send(std::move(ready_.messages));
    for (const raft::ReadState& read : ready_.reads) barrier_.OnRead(read);
    if (ready_.append) Persist(&*ready_.append);
    if (ready_.apply) Apply(&*ready_.apply);
    ReleaseDurable();
  }
  pumping_ = false;
  ReadMissed();
  AfterApply();
}

void Replica::TakeSoftState(const raft::SoftState& soft_state) {
  leaders_ms_ = INT64_MIN;
  if (soft_state.role == raft::Role::kLeader) {
    if (sole_voter()) clock_.BeginTerm();  // Else once it has applied what others have stamped.
    renewed_until_ms_ = INT64_MIN;
  } else {
    clock_.EndTerm();
    held_read_replies_.clear();
    shipments_.Clear();
    catch_ups_.Clear();
  }
  if (soft_state.leader != raft::kNoReplica) leader_seen_ns_ = services_.loop->now_ns();
  barrier_.AskAgain(core_.get());  // Of the new leader.
}

void Replica::Persist(raft::StorageAppend* append) {
  const bool snapshot = !append->snapshot.empty();
  if (!snapshot && !install_.running()) return WriteAppend(append);
  // In the log a snapshot's record comes first, and that once the snapshot is durable.
  held_appends_.push_back(std::move(*append));
  if (snapshot) install_.Begin(held_appends_.back().snapshot.meta);
}

void Replica::WriteAppend(raft::StorageAppend* append) {
  // The commit index alone isn't worth a write: it comes back with the next leader. Before the
  // entries: a crash may keep any prefix of the records, and a log is never of a newer term than
  // its state.
  if (append->hard_state) hard_ = *append->hard_state;
  if (append->hard_state && append->must_sync) {
    // What these entries cut off is not to be called committed.
    PersistState(append->entries.empty() ? written_index_ : append->entries.front().index - 1);
  }
  for (const raft::Entry& entry : append->entries) {
    changed_index_ = std::min(changed_index_, entry.index - 1);  // It replaces what stood there.
    // Members count as they were when the last known commit index is applied. A change is proposed
    // once the one before it is applied, so whoever has it must not forget that one: else two that
    // remember old members alone may elect a leader beside that of the new ones. Before it, for a
    // crash may keep it and lose what comes behind it.
    if (entry.kind != raft::EntryKind::kNormal || ForgetsChange(entry.index - 1)) {
      PersistState(entry.index - 1);
    }
    if (entry.kind != raft::EntryKind::kNormal) changed_index_ = entry.index;
    char kind = static_cast<char>(entry.kind);
    storage::WalRecord record;
    record.group = group_;
    record.kind = storage::RecordKind::kEntry;
    record.index = entry.index;
    record.term = entry.term;
    record.parts = {std::string_view(&kind, 1), entry.payload.view()};
    last_lsn_ = services_.wal->Append(record);
    written_index_ = entry.index;
  }
  if (!append->entries.empty() && append->entries.front().index <= payload_checked_at_) {
    payload_checked_at_ = append->entries.front().index - 1;
  }
  appends_.push_back({last_lsn_, std::move(append->entries), std::move(append->responses),
                      services_.loop->now_ns(), nullptr});
}

// Whether it is known, and nothing in the log says so, that a change there is committed: who then
// has what was proposed behind it remembers that, too (ChangeIsRemembered). After a restart each
// entry is taken for a change.
bool Replica::ForgetsChange(Index written) const {
  return recorded_commit_ < changed_index_ && std::min(hard_.commit, written) > recorded_commit_;
}

// Invariant: its commit index is of an entry that is durable here by then, in the log or in a
// snapshot; so where an opening finds neither, one of them was taken away (Recovery::Finish).
void Replica::PersistState(Index written) {
  raft::HardState hard = hard_;
  hard.commit = std::min(hard.commit, written);
  recorded_commit_ = hard.commit;
  std::string state = EncodeState(hard);
  storage::WalRecord record;
  record.group = group_;
  record.kind = storage::RecordKind::kState;
  record.index = hard.commit;
  record.term = hard.term;
  record.parts = {std::string_view(state), {}};
  last_lsn_ = services_.wal->Append(record);
}

void Replica::OnWalDurable(uint64_t lsn) {
  durable_lsn_ = lsn;
  if (state_ == State::kStopped) return;
  if (appends_.empty() || appends_.front().lsn > lsn) return;
  Pump();
}

void Replica::ReleaseDurable() {
  while (!appends_.empty() && appends_.front().lsn <= durable_lsn_) {
    PendingAppend append = std::move(appends_.front());
    appends_.pop_front();
    if (append.snapshot) Swap(*append.snapshot);
    log_.Append(std::move(append.entries));
    for (raft::Message& message : append.responses) {
      if (message.to == services_.self) {
        core_->Step(std::move(message));
      } else {
        SendToPeer(std::move(message));
      }
    }
    core_->Recycle(&append.entries, &append.responses);
  }
}

// Where the turn has no room for it, it waits for another one, and what comes behind it does; all
// else goes on meanwhile (2, of Core's contract).
void Replica::Apply(raft::StorageApply* apply) {
  if (held_applies_.empty() && MayApply()) return ApplyPage(apply);
  URSULA_SOMETIMES("group: what was committed waited for another turn");
  held_applies_.push_back(std::move(*apply));
  services_.applies->Wait(this);
}

void Replica::ApplyPage(raft::StorageApply* apply) {
  for (const raft::Entry& entry : apply->entries) {
    if (!corrupt_) ApplyEntry(entry);
  }
  services_.Applied(apply->entries.size(), apply->response.applied_bytes);
  apply->entries.clear();  // Keeps the capacity, for the core to use again.
  core_->Step(std::move(apply->response));
}

void Replica::ApplyHeld() {
  while (!held_applies_.empty() && MayApply()) {
    raft::StorageApply apply = std::move(held_applies_.front());
    held_applies_.pop_front();
    ApplyPage(&apply);
  }
  if (!held_applies_.empty()) services_.applies->Wait(this);
}

// All of its log that is known to be committed, however long that takes: before a snapshot takes
// the place of it, for payload that is there alone would go with it; and before an election that it
// is asked for, which an unapplied change of members would refuse. False: it has ended.
bool Replica::ApplyAll() {
  applies_all_ = true;
  Pump();
  applies_all_ = false;
  return state_ != State::kFailed && state_ != State::kStopped;
}

void Replica::OnApplyTurn() {
  if (state_ != State::kStopped) Pump();
}

void Replica::ApplyEntry(const raft::Entry& entry) {
  URSULA_CHECK(entry.index == applied_index_ + 1);
  stream::ApplyResult result;
  if (entry.kind != raft::EntryKind::kNormal) {
    if (!ApplyConfChange(entry, &result.reply)) return;
  } else if (!entry.payload.empty()) {
    // What was encoded here, and kept in memory since, has the checksum that was made of it then.
    const bool own = proposals_.IsOwn(entry.index, entry.term);
    Result<stream::Command> command =
        stream::Decode(entry.payload, own ? stream::Checksum::kIgnore : stream::Checksum::kVerify);
    if (!command.ok()) return Corrupt(command.status());
    // What precedes a step of our own was stamped by us, before it.
    const bool live = entry.index > opened_at_ && entry.term >= opened_term_;
    if (clock_steps_ == 0) clock_.Observe(command->now_ms, live);
    result = machine_->Apply(entry.index, *command);
    if (std::holds_alternative<stream::StepClock>(command->body) && clock_steps_ == 0) {
      clock_.Restart(machine_->now_ms());
      renewed_until_ms_ = INT64_MIN;
      leaders_ms_ = INT64_MIN;
    }
    CarryOut(&result);
  }
  applied_index_ = entry.index;
  ++services_.budget->stats.entries_applied;
  applied_term_ = entry.term;
  proposals_.Resolve(
      entry.index, entry.term,
      [&](Proposals::Waiter& waiter) {
        CoreBudget& budget = *services_.budget;
        budget.inflight_bytes -= waiter.payload_bytes;
        if (waiter.payload_bytes > 0 && result.reply.outcome == Outcome::kOk) {
          ++budget.stats.appends;
          budget.stats.append_bytes += waiter.payload_bytes;
          budget.stats.append_us.Add((services_.loop->now_ns() - waiter.start_ns) / 1000);
        }
        waiter.done(std::move(result.reply));
      },
      [&](Proposals::Waiter& waiter) {
        services_.budget->inflight_bytes -= waiter.payload_bytes;
        waiter.done(Status(StatusCode::kUnavailable,
                           "another leader's entry took the place; nothing was applied"));
      });
}

bool Replica::ApplyConfChange(const raft::Entry& entry, stream::Reply* reply) {
  if (OfFormerMembers(entry)) return true;
  Result<raft::ConfChange> change = raft::DecodeConfChange(entry.kind, entry.payload.view());
  if (!change.ok()) {
    Corrupt(Status(StatusCode::kDataLoss, change.status().message()));
    return false;
  }
  const raft::ConfState before = core_->Configuration();
  Result<raft::ConfState> conf = core_->ApplyConfChange(*change);
  if (!conf.ok()) {
    reply->outcome = Outcome::kConflict;
    services_.Log(2, group_, "a membership change had no effect: " + conf.status().message());
  }
  NoteChange(before);
  NoteMembership();
  return true;
}

void Replica::CarryOut(stream::ApplyResult* result) {
  if (result->appended) {
    stream::Appended& appended = *result->appended;
    // Also where a restart applies it again and the payload store has the bytes: after a sync that
    // failed they may be in the page cache alone, and only a write that succeeds lets the log go.
    ring_.Add(appended.incarnation, appended.start, std::move(appended.payload));
  }
  for (stream::Incarnation freed : result->freed) {
    ring_.Drop(freed);
    services_.payload->Free({group_, Raw(freed)});
  }
  // Who begins to wait from here on has seen this.
  for (stream::Incarnation changed : result->changed) {
    if (HasWaiters(changed)) woken_.insert(changed);
  }
}

// Its term's first entry is applied, so all is that others have stamped: time goes on from that.
void Replica::BeginToLead() {
  if (!leads()) return;
  if (!clock_.leads()) clock_.BeginTerm();
  for (auto& [to, reply] : std::exchange(held_read_replies_, {})) SendToPeer(std::move(reply));
}

// Everything that may call back into this replica, once the core is at rest.
void Replica::AfterApply() {
  BeginToLead();
  CountMemory();
  TellLeader();
  MaybeCheckPayload();
  CheckSettling();
  if (barrier_.HasReached(applied_index_) && recovery_applied() && !RenewHeld()) {
    for (BarrierDone& done : barrier_.TakeReached(applied_index_)) done(Status());
  }
  // What is held is renewed by who leads; nobody here waits for one that was voted out.
  if (!fresh_.empty() && (follows() || !RenewHeld())) AnswerFresh();
  while (!woken_.empty()) {
    stream::Incarnation incarnation = *woken_.begin();
    woken_.erase(woken_.begin());
    Wake(incarnation);
  }
  MaybeFinishStart();
  MaybeFinishStop();
}

void Replica::MaybeCheckPayload() {
  if (payload_checked_ || applied_index_ < payload_checked_at_ || state_ == State::kFailed) return;
  // A sole voter has applied its own term's first entry by then: nothing else is in the log.
  if (sole_voter() && !core_->CommittedInOwnTerm()) return;
  PayloadCheck check = CheckPayload(services_, group_, *machine_, ring_, applied_index_);
  if (!check.status.ok()) {
    unreadable_ = true;
    return Fail(std::move(check.status));
  }
  payload_checked_ = true;
  services_.payload->Keep(group_, [this](uint64_t incarnation) {
    return machine_->OwnRange(stream::Incarnation{incarnation}).has_value();
  });
  EngineStats& stats = services_.budget->stats;
  for (const stream::ReadRange& range : check.lacking) {
    (alone_ ? stats.payload_lost_bytes : stats.payload_damaged_bytes) += range.to - range.from;
  }
  LogLostPayload(services_, group_, *machine_, check.lacking,
                 alone_ ? PayloadFate::kLost : PayloadFate::kAskedFor);
  // Others may have what is lost here.
  if (!alone_) fetch_.Begin(std::move(check.lacking), Fetch::Why::kLost);
}

void Replica::MaybeFinishStart() {
  // Among several more is committed all the time: what was known of it at the opening is awaited.
  const Index awaited = sole_voter() ? core_->commit() : initial_.hard.commit;
  if (state_ != State::kStarting || core_->applied() < awaited) return;
  if (sole_voter() && (!core_->CommittedInOwnTerm() || !recovery_applied())) return;
  if (sole_voter()) recovered_index_ = applied_index_;
  state_ = State::kRunning;
  std::exchange(start_done_, nullptr)(Status());
}

void Replica::Corrupt(Status status) {
  corrupt_ = true;
  unreadable_ = true;
  if (state_ == State::kFailed) return barrier_.FailAll(failure_);
  Fail(std::move(status));
}

// Committed state that can't be read, or a log that takes nothing any more: this replica can't go
// on. Where it has applied all that was acknowledged, that may still be read.
void Replica::Fail(Status status) {
  if (state_ == State::kFailed || state_ == State::kStopped) return;
  services_.Log(3, group_, "has failed: " + status.ToString());
  bool starting = state_ == State::kStarting;
  state_ = State::kFailed;
  failure_ = Status(StatusCode::kUnavailable, status.message());
  unreadable_ |= starting;
  // What reads wait for is never applied.
  if (unreadable_) barrier_.FailAll(failure_);
  EndSettling(failure_);
  catch_ups_.Clear();
  window_.Keep(Index{UINT64_MAX});
  fetch_.Stop();  // Answers aren't heard any more; nor do deadlines pass.
  if (starting && start_done_) std::exchange(start_done_, nullptr)(std::move(status));
  for (Proposals::Waiter& waiter : proposals_.TakeAll()) {
    services_.budget->inflight_bytes -= waiter.payload_bytes;
    waiter.done(Status(StatusCode::kOutcomeUnknown,
                       "the log failed before it confirmed this; it may or may not be applied"));
  }
}

void Replica::Refuse(const std::string& why) {
  unreadable_ = true;
  Fail(Status(StatusCode::kUnavailable, why));
}

void Replica::OnWalFailed(const Status& status) {
  Fail(status);
  MaybeFinishStop();
}

}  // namespace ursula::group
