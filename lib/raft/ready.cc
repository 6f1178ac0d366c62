// What goes out in a Ready, and what storage answers to it (dissertation 10.2.1).

#include "lib/raft/ready.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/raft/core.h"

namespace ursula::raft {

bool Core::HasReady() const {
  if (soft_state() != handed_soft_) return true;
  if (hard_state() != handed_hard_) return true;
  if (!messages_.empty() || !responses_.empty() || !read_states_.empty()) return true;
  if (log_.tail().SnapshotToHandOut() || !log_.tail().NotHandedOut().empty()) return true;
  return log_.HasCommittedToApply(config_.synchronous_storage);
}

void Core::KeepSpare(std::vector<Entry>* entries) {
  constexpr std::size_t kSparesMax = 64;
  constexpr std::size_t kSpareCapacityMax = 1024;
  if (entries->capacity() == 0 || entries->capacity() > kSpareCapacityMax) return;
  if (spare_entries_.size() >= kSparesMax) return;
  entries->clear();
  spare_entries_.push_back(std::move(*entries));
}

std::vector<Entry> Core::SpareEntries() {
  if (spare_entries_.empty()) return {};
  std::vector<Entry> spare = std::move(spare_entries_.back());
  spare_entries_.pop_back();
  return spare;
}

void Core::Recycle(std::vector<Entry>* entries, std::vector<Message>* responses) {
  KeepSpare(entries);
  responses->clear();
  if (responses->capacity() > spare_responses_.capacity()) spare_responses_.swap(*responses);
}

void Core::RecycleReady(Ready* ready) {
  for (Message& message : ready->messages) KeepSpare(&message.entries);
  ready->messages.clear();
  ready->reads.clear();
  ready->soft_state.reset();
  if (ready->append) {
    Recycle(&ready->append->entries, &ready->append->responses);
    ready->append.reset();
  }
  if (ready->apply) {
    KeepSpare(&ready->apply->entries);
    ready->apply.reset();
  }
}

void Core::TakeReady(Ready* ready) {
  RecycleReady(ready);
  if (soft_state() != handed_soft_) {
    handed_soft_ = soft_state();
    ready->soft_state = handed_soft_;
  }
  ready->reads.swap(read_states_);
  ready->messages.swap(messages_);
  // What may be applied is decided before this Ready's entries count as handed out.
  TakeApply(ready);
  TakeAppend(ready);
}

void Core::TakeApply(Ready* ready) {
  const bool unstable_too = config_.synchronous_storage;
  if (!log_.HasCommittedToApply(unstable_too)) return;
  std::vector<Entry> entries = SpareEntries();
  log_.CommittedToApply(unstable_too, &entries);
  if (entries.empty()) return;  // The driver can't give them now.
  StorageApply& apply = ready->apply.emplace();
  apply.entries = std::move(entries);
  uint64_t bytes = 0;
  uint64_t payload_bytes = 0;
  for (const Entry& entry : apply.entries) {
    bytes += EntryBytes(entry);
    payload_bytes += entry.payload.size();
  }
  apply.response.kind = MessageKind::kApplied;
  apply.response.from = kApplyTarget;
  apply.response.to = config_.self;
  apply.response.index = apply.entries.back().index;
  apply.response.applied_bytes = bytes;
  apply.response.applied_payload_bytes = payload_bytes;
  log_.AcceptApplying(apply.response.index, bytes, unstable_too);
}

void Core::TakeAppend(Ready* ready) {
  Tail& tail = log_.tail();
  const std::span<const Entry> entries = tail.NotHandedOut();
  const HardState hard = hard_state();
  const bool hard_changed = hard != handed_hard_;
  if (!hard_changed && entries.empty() && !tail.SnapshotToHandOut() && responses_.empty()) return;
  StorageAppend& append = ready->append.emplace();
  append.must_sync = !entries.empty() || tail.SnapshotToHandOut() ||
                     hard.term != handed_hard_.term || hard.vote != handed_hard_.vote;
  if (hard_changed) append.hard_state = hard;
  append.entries = SpareEntries();
  append.entries.assign(entries.begin(), entries.end());
  if (tail.SnapshotToHandOut()) append.snapshot = *tail.snapshot();
  append.responses.swap(responses_);
  responses_.swap(spare_responses_);
  if (!tail.entries().empty() || tail.SnapshotToHandOut()) {
    append.responses.push_back(AppendedResponse());
  }
  handed_hard_ = hard;
  tail.HandOut();
}

// Names the end of the log as it is now, not only what this append writes: an append with nothing
// but a new term is what makes an earlier one, answered in an older term, count after all. It
// counts only if this is still the term when it arrives. Else a slot may have been overwritten
// twice, back to a term it had before, while the write between the two is still under way: the log
// would be read from storage that is about to change (the ABA race). A snapshot is named only by
// the append that writes it: it is committed, so that this answer counts in whatever term.
Message Core::AppendedResponse() const {
  Message response;
  response.kind = MessageKind::kAppended;
  response.from = kAppendTarget;
  response.to = config_.self;
  response.term = term_;
  if (!log_.tail().entries().empty()) {
    const LogPosition last = log_.Last();
    response.index = last.index;
    response.log_term = last.term;
  }
  if (log_.tail().SnapshotToHandOut()) response.snapshot = *log_.tail().snapshot();
  return response;
}

void Core::HandleAppended(const Message& message) {
  if (message.term != term_) URSULA_SOMETIMES("raft: storage answered in an older term");
  if (message.index != Index{} && message.term == term_) {
    log_.tail().StableTo(message.index, message.log_term);
  }
  if (!message.snapshot.empty()) SnapshotStored(message.snapshot.meta.index);
}

void Core::SnapshotStored(Index index) {
  if (index < log_.applied() || index > log_.committed()) return;
  log_.tail().SnapshotStable(index);
  AppliedTo(index, 0);
}

void Core::HandleApplied(const Message& message) {
  // A snapshot may have overtaken what was being applied.
  if (message.index < log_.applied()) URSULA_SOMETIMES("raft: a snapshot overtook an apply");
  AppliedTo(std::max(message.index, log_.applied()), message.applied_bytes);
  uncommitted_bytes_ -= std::min(uncommitted_bytes_, message.applied_payload_bytes);
}

void Core::AppliedTo(Index index, uint64_t bytes) {
  log_.AppliedTo(index, bytes);
  if (!tracker_.membership().auto_leave() || role_ != Role::kLeader ||
      index < pending_conf_index_) {
    return;
  }
  // The joint configuration has done its work. The change is empty and so can't be refused for its
  // size; dropped during a hand-over, it is proposed again with the next entry applied.
  URSULA_SOMETIMES("raft: a joint configuration is left by its leader");
  std::vector<Entry> leave(1);
  leave[0].kind = EntryKind::kConfChangeSet;
  bool refused = false;
  (void)ProposeEntries(&leave, &refused);
}

}  // namespace ursula::raft
