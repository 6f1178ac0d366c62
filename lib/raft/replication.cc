// The leader's side of replication: its own log, what it sends, and what it makes of the answers
// (dissertation 3.5, 3.6, 10.2.1).

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/raft/core.h"

namespace ursula::raft {
namespace {

uint64_t PayloadBytes(const std::vector<Entry>& entries) {
  uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.payload.size();
  return bytes;
}

}  // namespace

bool Core::ReserveUncommitted(uint64_t bytes) {
  // One proposal always fits, and empty entries always do: the protocol's own must not be refused.
  if (uncommitted_bytes_ > 0 && bytes > 0 &&
      (uncommitted_bytes_ > config_.uncommitted_bytes_max ||
       bytes > config_.uncommitted_bytes_max - uncommitted_bytes_)) {
    URSULA_SOMETIMES("raft: too many uncommitted bytes");
    return false;
  }
  uncommitted_bytes_ += bytes;
  return true;
}

bool Core::AppendOwn(std::vector<Entry>* entries) {
  if (!ReserveUncommitted(PayloadBytes(*entries))) return false;
  Index last = log_.LastIndex();
  for (Entry& entry : *entries) {
    last = last + 1;
    entry.term = term_;
    entry.index = last;
  }
  log_.Append(*entries);
  // The leader acknowledges itself once its own disk has them, like any follower.
  Message own;
  own.kind = MessageKind::kAppendReply;
  own.to = config_.self;
  own.index = last;
  Send(std::move(own));
  return true;
}

bool Core::MaybeCommit() {
  // Of this term only: an entry of an earlier one that a majority holds may still be overwritten
  // (paper, figure 8).
  return log_.MaybeCommit({term_, tracker_.Committed()});
}

void Core::BroadcastAppend() {
  for (auto& [node, progress] : tracker_.members()) {
    if (node != config_.self) SendAppend(node, &progress, true);
  }
}

void Core::BroadcastHeartbeat(uint64_t read_round) {
  for (auto& [node, progress] : tracker_.members()) {
    if (node == config_.self) continue;
    Message message;
    message.kind = MessageKind::kHeartbeat;
    message.to = node;
    // Not beyond what it is known to hold: it takes the index without looking at its log.
    message.commit = std::min(progress.match, log_.committed());
    message.read_round = read_round;
    progress.sent_commit = message.commit;
    Send(std::move(message));
  }
}

bool Core::SendAppend(ReplicaId to, Progress* progress, bool even_if_empty) {
  if (progress->paused()) return false;
  const Index before = progress->next - 1;
  const std::optional<Term> before_term = log_.TermAt(before);
  if (!before_term) return SendSnapshot(to, progress);

  Message message;
  // A full pipeline gets an empty message now and then: its answer shows whether the rest was lost.
  message.entries = SpareEntries();
  const bool full = progress->state == ProgressState::kReplicate && progress->inflights.full();
  if (full) URSULA_SOMETIMES("raft: a pipeline is full");
  const bool behind = progress->next <= log_.committed() && !full;
  // A hand-over's target is waited for by everybody.
  const bool held = behind && to != transfer_target_ && !driver_->MayCatchUp(to);
  if (!full && !held &&
      !log_.EntriesFrom(progress->next, config_.message_bytes_max, &message.entries)) {
    if (progress->next < log_.FirstIndex()) return SendSnapshot(to, progress);
    // Not in memory now; the empty message keeps the follower's answers coming.
    URSULA_SOMETIMES("raft: entries for a follower are not at hand");
  }
  if (message.entries.empty()) {
    KeepSpare(&message.entries);
    if (held) URSULA_SOMETIMES("raft: what a follower lacks was held up");
    if (!even_if_empty) return false;
  }
  message.kind = MessageKind::kAppend;
  message.to = to;
  message.index = before;
  message.log_term = *before_term;
  message.commit = log_.committed();
  const uint64_t bytes = PayloadBytes(message.entries);
  if (behind && !message.entries.empty()) driver_->OnCatchUp(to, message.entries.size(), bytes);
  progress->SentEntries(message.entries.size(), bytes);
  if (held) progress->flow_paused = true;  // Until it answers.
  progress->sent_commit = log_.committed();
  Send(std::move(message));
  return true;
}

// A probe's answer goes on by itself.
void Core::SendMore(ReplicaId node) {
  if (role_ != Role::kLeader) return;
  Progress* progress = tracker_.Find(node);
  if (progress == nullptr || progress->state != ProgressState::kReplicate) return;
  progress->flow_paused = progress->inflights.full();
  while (SendAppend(node, progress, false)) {
  }
}

bool Core::SendSnapshot(ReplicaId to, Progress* progress) {
  if (!progress->recently_active) {
    URSULA_SOMETIMES("raft: no snapshot for a silent follower");
    return false;  // Too dear to send into the void.
  }
  std::optional<Snapshot> snapshot = log_.NewestSnapshot();
  if (!snapshot || snapshot->empty()) {
    URSULA_SOMETIMES("raft: a snapshot is not to be had now");
    return false;
  }
  URSULA_SOMETIMES("raft: a snapshot was sent");
  progress->BecomeSnapshot(snapshot->meta.index);
  Message message;
  message.kind = MessageKind::kSnapshot;
  message.to = to;
  message.snapshot = std::move(*snapshot);
  Send(std::move(message));
  return true;
}

void Core::HandleAppendReply(const Message& message, Progress* progress) {
  progress->recently_active = true;
  if (!message.reject) {
    HandleAccepted(message, progress);
    return;
  }
  Index hint = message.reject_hint;
  if (message.log_term > Term{}) {
    // The follower holds nothing of a later term up to its hint: neither can we agree above the
    // last entry of ours that isn't of a later term. One round for each term in conflict.
    hint = log_.LastNotAfter(message.reject_hint, message.log_term).index;
  }
  if (hint < message.reject_hint) URSULA_SOMETIMES("raft: a probe skipped a term");
  if (!progress->Rejected(message.index, hint)) {
    URSULA_SOMETIMES("raft: a late refusal was ignored");
    return;
  }
  if (progress->state == ProgressState::kReplicate) {
    URSULA_SOMETIMES("raft: a pipeline fell back to probing");
    progress->BecomeProbe();
  }
  SendAppend(message.from, progress, true);
}

void Core::HandleAccepted(const Message& message, Progress* progress) {
  const bool found = progress->state == ProgressState::kProbe && progress->match == message.index;
  if (!progress->Acknowledged(message.index) && !found) return;
  switch (progress->state) {
    case ProgressState::kProbe:
      progress->BecomeReplicate();
      break;
    case ProgressState::kSnapshot:
      // Whether by the snapshot or otherwise, it can be fed from the log again.
      if (progress->match + 1 >= log_.FirstIndex()) progress->BecomeReplicate();
      break;
    case ProgressState::kReplicate:
      progress->inflights.FreeThrough(message.index);
      break;
  }
  const bool peer = message.from != config_.self;
  if (MaybeCommit()) {
    ReleasePostponedReads();
    BroadcastAppend();
  } else if (peer && progress->CommitWouldHelp(log_.committed())) {
    SendAppend(message.from, progress, true);
  }
  if (!peer) return;
  // Room in the pipeline: fill it.
  while (SendAppend(message.from, progress, false)) {
  }
  if (message.from == transfer_target_ && progress->match == log_.LastIndex()) {
    URSULA_SOMETIMES("raft: a hand-over's target has caught up");
    SendTimeoutNow(message.from);
  }
}

void Core::HandleHeartbeatReply(const Message& message, Progress* progress) {
  progress->recently_active = true;
  progress->flow_paused = false;
  // Also to a probed follower that has everything: only an answer to an append ends the probing.
  if (progress->match < log_.LastIndex() || progress->state == ProgressState::kProbe) {
    SendAppend(message.from, progress, true);
  }
  if (config_.lease_reads || message.read_round == 0) return;
  ReadQueue::Read* read = reads_.Find(message.read_round);
  if (read == nullptr) return;
  ReadQueue::Acknowledge(read, message.from);
  if (!tracker_.IsQuorum(read->acks)) return;
  for (const ReadQueue::Read& confirmed : reads_.TakeThrough(read)) {
    AnswerRead(confirmed.request, confirmed.index);
  }
}

}  // namespace ursula::raft
