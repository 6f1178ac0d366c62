// What arrives: first whether it may be believed, then its term, then what each role does with it.

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/raft/core.h"
#include "lib/raft/membership.h"

namespace ursula::raft {
namespace {

// Far above what a correct group reaches; above them sums would overflow.
constexpr uint64_t kNumberMax = UINT64_MAX / 4;

bool FromStorage(const Message& message) {
  return message.from == kAppendTarget || message.from == kApplyTarget;
}

bool IsReply(MessageKind kind) {
  switch (kind) {
    case MessageKind::kAppendReply:
    case MessageKind::kVoteReply:
    case MessageKind::kPreVoteReply:
    case MessageKind::kHeartbeatReply:
    case MessageKind::kReadIndexReply:
      return true;
    default:
      return false;
  }
}

// What a replica says to itself: once its own disk is done, that it agrees; and what it asked a
// leader that follows it by now, and so passed it back.
bool MayBeOwn(const Message& message) {
  switch (message.kind) {
    case MessageKind::kAppendReply:
    case MessageKind::kVoteReply:
    case MessageKind::kPreVoteReply:
      return !message.reject;
    case MessageKind::kPropose:
    case MessageKind::kReadIndex:
    case MessageKind::kTransferLeader:  // A hand-over to the node that leads already.
      return true;
    default:
      return false;
  }
}

bool PayloadWellFormed(const Entry& entry) {
  return entry.kind == EntryKind::kNormal ||
         DecodeConfChange(entry.kind, entry.payload.view()).ok();
}

// A kAppend's entries follow on index and log_term without a gap.
bool Contiguous(const Message& message) {
  Index index = message.index;
  Term term = message.log_term;
  for (const Entry& entry : message.entries) {
    index = index + 1;
    if (entry.index != index || entry.term < term || entry.term > message.term) return false;
    if (!PayloadWellFormed(entry)) return false;
    term = entry.term;
  }
  return term <= message.term;
}

bool SnapshotWellFormed(const Message& message) {
  return !message.snapshot.empty() && message.snapshot.meta.term <= message.term &&
         Membership::FromConfState(message.snapshot.meta.conf, {}).ok();
}

}  // namespace

StepResult Core::Step(Message message) {
  if (!WellFormed(message)) {
    Note(Notice::kMalformedMessage);
    return StepResult::kMalformed;
  }
  if (FromStorage(message)) {
    if (message.kind == MessageKind::kAppended) {
      HandleAppended(message);
    } else {
      HandleApplied(message);
    }
    return StepResult::kOk;
  }
  if (IsReply(message.kind) && tracker_.Find(message.from) == nullptr) {
    return StepResult::kUnknownPeer;
  }
  if (message.term > term_ && !EnterHigherTerm(message)) return StepResult::kOk;
  if (message.term != Term{} && message.term < term_) {
    AnswerLowerTerm(message);
    return StepResult::kOk;
  }
  if (OfElection(message.kind)) LearnCommit(message);
  const StepResult result = StepInTerm(std::move(message));
  if (result == StepResult::kMalformed) Note(Notice::kMalformedMessage);
  return result;
}

bool Core::WellFormed(const Message& message) const {
  if (message.to != config_.self) return false;
  for (uint64_t number : {Raw(message.term), Raw(message.log_term), Raw(message.index),
                          Raw(message.commit), Raw(message.commit_term), Raw(message.reject_hint),
                          Raw(message.snapshot.meta.index), Raw(message.snapshot.meta.term)}) {
    if (number > kNumberMax) return false;
  }
  if (message.kind == MessageKind::kAppended || message.kind == MessageKind::kApplied) {
    return FromStorage(message) && StorageAnswerWellFormed(message);
  }
  if (FromStorage(message) || message.from == kNoReplica) return false;
  if (message.from == config_.self && !MayBeOwn(message)) return false;
  switch (message.kind) {
    case MessageKind::kPropose:
      return message.term == Term{} && !message.entries.empty();
    case MessageKind::kReadIndex:
      return message.term == Term{} && !message.context.empty();
    case MessageKind::kAppend:
      return AppendWellFormed(message);
    case MessageKind::kHeartbeat:
      // A leader tells of no more than what this replica has acknowledged.
      return message.term != Term{} && message.commit <= log_.LastIndex();
    case MessageKind::kAppendReply:
      return message.term != Term{} && AppendReplyWellFormed(message);
    case MessageKind::kSnapshot:
      return message.term != Term{} && SnapshotWellFormed(message);
    case MessageKind::kVote:
    case MessageKind::kPreVote:
    case MessageKind::kVoteReply:
    case MessageKind::kPreVoteReply:
      // Nobody has an entry of a later term than its own.
      return message.term != Term{} && message.commit_term <= message.term;
    case MessageKind::kHeartbeatReply:
    case MessageKind::kReadIndexReply:
    case MessageKind::kTransferLeader:
    case MessageKind::kTimeoutNow:
      return message.term != Term{};
    default:
      return false;
  }
}

bool Core::AppendWellFormed(const Message& message) const {
  if (message.term == Term{} || !Contiguous(message)) return false;
  if (message.term < term_ || message.index < log_.committed()) return true;  // Not looked into.
  if (!log_.Matches({message.log_term, message.index})) return true;
  // What is committed here stands; and nobody but this replica makes entries of a term it leads.
  const Index first_new = log_.FirstNew(message.entries);
  return first_new == Index{} || first_new > log_.committed();
}

bool Core::AppendReplyWellFormed(const Message& message) const {
  // Nobody has acknowledged more of this term's log than there is of it.
  return message.reject || message.term != term_ || role_ != Role::kLeader ||
         message.index <= log_.LastIndex();
}

bool Core::StorageAnswerWellFormed(const Message& message) const {
  if (message.kind == MessageKind::kApplied) {
    return message.from == kApplyTarget && message.index <= log_.applying();
  }
  return message.from == kAppendTarget && message.term <= term_;
}

bool Core::EnterHigherTerm(const Message& message) {
  const bool vote = message.kind == MessageKind::kVote || message.kind == MessageKind::kPreVote;
  if (vote && !message.transfer && config_.check_quorum && leader_ != kNoReplica &&
      election_elapsed_ < config_.election_ticks) {
    URSULA_SOMETIMES("raft: a lease held off a vote request");
    return false;  // A leader was heard of just now: who can't hear it shall not depose it (4.2.3).
  }
  if (message.kind == MessageKind::kPreVote) return true;  // Only a question.
  // Granted for the term to be; the election that follows will enter it.
  if (message.kind == MessageKind::kPreVoteReply && !message.reject) return true;
  if (message.kind == MessageKind::kPreVoteReply) {
    URSULA_SOMETIMES("raft: a pre-candidate learned of a higher term");
  }
  const bool of_leader = message.kind == MessageKind::kAppend ||
                         message.kind == MessageKind::kHeartbeat ||
                         message.kind == MessageKind::kSnapshot;
  BecomeFollower(message.term, of_leader ? message.from : kNoReplica);
  return true;
}

void Core::AnswerLowerTerm(const Message& message) {
  Message reply;
  reply.to = message.from;
  if ((config_.check_quorum || config_.pre_vote) &&
      (message.kind == MessageKind::kHeartbeat || message.kind == MessageKind::kAppend)) {
    // Its vote requests went unanswered because of the lease, or it never asked because of PreVote:
    // so it is told of the term here, and the stale leader steps down.
    URSULA_SOMETIMES("raft: a stale leader was told of the term");
    reply.kind = MessageKind::kAppendReply;
    Send(std::move(reply));
  } else if (message.kind == MessageKind::kPreVote) {
    // Without an answer two that differ in term could wait for each other for ever.
    URSULA_SOMETIMES("raft: a pre-vote for an older term was refused");
    reply.kind = MessageKind::kPreVoteReply;
    reply.term = term_;
    reply.reject = true;
    Send(std::move(reply));
  }
}

StepResult Core::StepInTerm(Message message) {
  if (message.kind == MessageKind::kVote || message.kind == MessageKind::kPreVote) {
    HandleVoteRequest(message);
    return StepResult::kOk;
  }
  switch (role_) {
    case Role::kLeader:
      return StepLeader(std::move(message));
    case Role::kFollower:
      return StepFollower(std::move(message));
    default:
      return StepCandidate(std::move(message));
  }
}

StepResult Core::StepLeader(Message message) {
  if (message.kind == MessageKind::kPropose) {
    bool conf_change_refused = false;
    return ProposeEntries(&message.entries, &conf_change_refused);
  }
  if (message.kind == MessageKind::kReadIndex) {
    (void)HandleReadIndex(std::move(message));  // Dropped: asked again after a timeout.
    return StepResult::kOk;
  }
  Progress* progress = tracker_.Find(message.from);
  if (progress == nullptr) return StepResult::kOk;
  switch (message.kind) {
    case MessageKind::kAppendReply:
      HandleAppendReply(message, progress);
      break;
    case MessageKind::kHeartbeatReply:
      HandleHeartbeatReply(message, progress);
      break;
    case MessageKind::kTransferLeader:
      HandleTransfer(message);
      break;
    default:
      break;
  }
  return StepResult::kOk;
}

StepResult Core::StepCandidate(Message message) {
  switch (message.kind) {
    case MessageKind::kPropose:
      return StepResult::kProposalDropped;
    case MessageKind::kAppend:
    case MessageKind::kHeartbeat:
    case MessageKind::kSnapshot:
      URSULA_SOMETIMES("raft: a candidate found that another has won");
      BecomeFollower(message.term, message.from);
      return StepFollower(std::move(message));
    case MessageKind::kPreVoteReply:
      if (role_ == Role::kPreCandidate) HandleVoteReply(message);
      return StepResult::kOk;
    case MessageKind::kVoteReply:
      if (role_ == Role::kCandidate) HandleVoteReply(message);
      return StepResult::kOk;
    default:
      return StepResult::kOk;
  }
}

StepResult Core::StepFollower(Message message) {
  switch (message.kind) {
    case MessageKind::kPropose:
      if (leader_ == kNoReplica || !config_.forward_proposals) return StepResult::kProposalDropped;
      message.to = leader_;
      Send(std::move(message));
      return StepResult::kOk;
    case MessageKind::kAppend:
    case MessageKind::kHeartbeat:
    case MessageKind::kSnapshot:
      election_elapsed_ = 0;
      leader_ = message.from;
      if (message.kind == MessageKind::kAppend) return HandleAppend(&message);
      if (message.kind == MessageKind::kHeartbeat) return HandleHeartbeat(message);
      return HandleSnapshot(&message);
    case MessageKind::kTransferLeader:
    case MessageKind::kReadIndex:
      if (leader_ == kNoReplica) return StepResult::kOk;
      message.to = leader_;
      message.term = Term{};
      Send(std::move(message));
      return StepResult::kOk;
    case MessageKind::kTimeoutNow:
      // At once, without a pre-election: the leader wants it, and nothing is being recovered.
      StartCampaign(CampaignKind::kTransfer);
      return StepResult::kOk;
    case MessageKind::kReadIndexReply:
      read_states_.push_back({message.index, std::move(message.context)});
      return StepResult::kOk;
    default:
      return StepResult::kOk;
  }
}

}  // namespace ursula::raft
