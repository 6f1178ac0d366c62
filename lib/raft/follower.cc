// The follower's side: entries, heartbeats and snapshots from a leader (dissertation 3.5, 5.1).

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/raft/core.h"

namespace ursula::raft {

StepResult Core::HandleAppend(Message* message) {
  Message reply;
  reply.kind = MessageKind::kAppendReply;
  reply.to = message->from;
  if (message->index < log_.committed()) {
    URSULA_SOMETIMES("raft: an append from before the commit index");
    reply.index = log_.committed();  // An old message: what is committed agrees anyway.
    Send(std::move(reply));
    return StepResult::kOk;
  }
  if (!log_.Matches({message->log_term, message->index})) {
    URSULA_SOMETIMES("raft: an append that does not fit was refused");
    const LogPosition hint =
        log_.LastNotAfter(std::min(message->index, log_.LastIndex()), message->log_term);
    reply.index = message->index;
    reply.reject = true;
    reply.reject_hint = hint.index;
    reply.log_term = hint.term;
    Send(std::move(reply));
    return StepResult::kOk;
  }
  const std::span<const Entry> entries = message->entries;
  const Index last = message->index + entries.size();
  // What agrees is left alone: a late message must not cut off what a newer one has brought.
  const Index first_new = log_.FirstNew(entries);
  if (first_new != Index{}) {
    if (first_new <= log_.LastIndex()) URSULA_SOMETIMES("raft: a conflicting tail was cut off");
    log_.Append(entries.subspan(first_new - message->index - 1));
  }
  log_.CommitTo(std::min(message->commit, last));
  KeepSpare(&message->entries);
  reply.index = last;
  Send(std::move(reply));
  return StepResult::kOk;
}

StepResult Core::HandleHeartbeat(const Message& message) {
  log_.CommitTo(message.commit);
  Message reply;
  reply.kind = MessageKind::kHeartbeatReply;
  reply.to = message.from;
  reply.read_round = message.read_round;
  Send(std::move(reply));
  return StepResult::kOk;
}

StepResult Core::HandleSnapshot(Message* message) {
  Message reply;
  reply.kind = MessageKind::kAppendReply;
  reply.to = message->from;
  reply.index = Restore(&message->snapshot) ? log_.LastIndex() : log_.committed();
  Send(std::move(reply));
  return StepResult::kOk;
}

bool Core::Restore(Snapshot* snapshot) {
  const SnapshotMeta& meta = snapshot->meta;
  if (meta.index <= log_.committed()) {
    URSULA_SOMETIMES("raft: a late snapshot was ignored");
    return false;
  }
  const JoinAt join{meta.index, config_.inflight_messages_max, config_.inflight_bytes_max};
  Result<Membership> membership = Membership::FromConfState(meta.conf, join);
  URSULA_CHECK(membership.ok());  // Else the message was not well formed.
  // A snapshot for another configuration than one with this replica is not for it.
  if (membership->Find(config_.self) == nullptr) {
    URSULA_SOMETIMES("raft: a snapshot for other replicas was refused");
    Note(Notice::kSnapshotForOthers);
    return false;
  }
  if (log_.Matches({meta.term, meta.index})) {
    URSULA_SOMETIMES("raft: a snapshot told only what is committed");
    log_.CommitTo(meta.index);  // The log has it all.
    return false;
  }
  URSULA_SOMETIMES("raft: a snapshot was restored");
  log_.Restore(std::move(*snapshot));
  SwitchTo(std::move(*membership));
  return true;
}

}  // namespace ursula::raft
