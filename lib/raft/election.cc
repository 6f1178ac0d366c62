// Elections, pre-elections and the hand-over of leadership (dissertation 3.4, 3.10, 6.2, 9.6).

#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/raft/core.h"

namespace ursula::raft {

void Core::Campaign() {
  StartCampaign(config_.pre_vote ? CampaignKind::kPreElection : CampaignKind::kElection);
}

void Core::TickElection() {
  ++election_elapsed_;
  if (!Promotable() || election_elapsed_ < election_timeout_) return;
  if (stands_back_) {
    if (role_ == Role::kFollower) ForgetLeader();
    return;
  }
  election_elapsed_ = 0;
  Campaign();
}

void Core::TickLeader() {
  ++heartbeat_elapsed_;
  ++election_elapsed_;
  if (election_elapsed_ >= config_.election_ticks) {
    election_elapsed_ = 0;
    if (config_.check_quorum) CheckQuorum();
    // A hand-over that took this long has failed; clients wait for it (3.10).
    if (role_ == Role::kLeader && transfer_target_ != kNoReplica) {
      URSULA_SOMETIMES("raft: a hand-over timed out");
      AbortTransfer();
    }
  }
  if (role_ != Role::kLeader) return;
  if (heartbeat_elapsed_ >= config_.heartbeat_ticks) {
    heartbeat_elapsed_ = 0;
    BroadcastHeartbeat(reads_.last_round());
  }
}

void Core::AlignHeartbeats(uint32_t ticks_ago) {
  URSULA_CHECK(ticks_ago < config_.heartbeat_ticks);
  heartbeat_elapsed_ = ticks_ago;
}

void Core::CheckQuorum() {
  if (!tracker_.QuorumActive()) {
    URSULA_SOMETIMES("raft: a leader without a quorum stepped down");
    Note(Notice::kSteppedDownWithoutQuorum);
    BecomeFollower(term_, kNoReplica);
  }
  for (auto& [node, progress] : tracker_.members()) {
    if (node != config_.self) progress.recently_active = false;
  }
}

bool Core::Promotable() const {
  const Progress* own = tracker_.Find(config_.self);
  // Over a snapshot that isn't durable the log's end could still be lost.
  return own != nullptr && !own->learner && !log_.tail().snapshot();
}

void Core::StartCampaign(CampaignKind kind) {
  if (role_ == Role::kLeader) return;
  if (stands_back_) {
    URSULA_SOMETIMES("raft: a replica that stands back didn't campaign");
    return;
  }
  if (!Promotable()) {
    URSULA_SOMETIMES("raft: a replica that may not lead was asked to campaign");
    Note(Notice::kNotPromotable);
    return;
  }
  if (log_.applied() < log_.committed() && log_.ConfChangeUnapplied()) {
    // It would count votes by a configuration that is no longer in force.
    URSULA_SOMETIMES("raft: a campaign awaits a committed conf change");
    Note(Notice::kCampaignAwaitsConfChange);
    return;
  }
  SolicitVotes(kind);
}

void Core::SolicitVotes(CampaignKind kind) {
  const bool pre = kind == CampaignKind::kPreElection;
  if (pre) {
    BecomePreCandidate();
  } else {
    BecomeCandidate();
  }
  const Term term = pre ? Term{Raw(term_) + 1} : term_;
  const LogPosition last = log_.Last();
  for (ReplicaId voter : tracker_.membership().AllVoters()) {
    Message message;
    message.to = voter;
    message.term = term;
    if (voter == config_.self) {
      // Its own vote, too, counts only once it is durable.
      message.kind = pre ? MessageKind::kPreVoteReply : MessageKind::kVoteReply;
    } else {
      message.kind = pre ? MessageKind::kPreVote : MessageKind::kVote;
      message.index = last.index;
      message.log_term = last.term;
      message.transfer = kind == CampaignKind::kTransfer;
    }
    Send(std::move(message));
  }
}

void Core::HandleVoteRequest(const Message& message) {
  const bool pre = message.kind == MessageKind::kPreVote;
  // A repeated request, or a first one while no leader is known; a pre-vote binds nobody.
  const bool free_to_vote = vote_ == message.from ||
                            (vote_ == kNoReplica && leader_ == kNoReplica) ||
                            (pre && message.term > term_);
  Message reply;
  reply.kind = pre ? MessageKind::kPreVoteReply : MessageKind::kVoteReply;
  reply.to = message.from;
  // A learner votes too: its own configuration may be behind the candidate's (4.2.2).
  if (free_to_vote && log_.UpToDate({message.log_term, message.index})) {
    // A granted pre-vote is for the term asked about; the asker would drop one of an older term.
    reply.term = message.term;
    if (!pre) {
      election_elapsed_ = 0;
      vote_ = message.from;
    }
  } else {
    if (free_to_vote) URSULA_SOMETIMES("raft: a vote for a stale log was refused");
    if (!free_to_vote && !pre) URSULA_SOMETIMES("raft: a second vote in a term was refused");
    reply.term = term_;
    reply.reject = true;
  }
  Send(std::move(reply));
}

void Core::HandleVoteReply(const Message& message) {
  tracker_.RecordVote(message.from, !message.reject);
  CountVotes();
}

void Core::CountVotes() {
  switch (tracker_.TallyVotes()) {
    case VoteResult::kWon:
      if (role_ == Role::kPreCandidate) {
        SolicitVotes(CampaignKind::kElection);
      } else {
        if (tracker_.membership().joint()) URSULA_SOMETIMES("raft: an election was won jointly");
        BecomeLeader();
        BroadcastAppend();
      }
      break;
    case VoteResult::kLost:
      URSULA_SOMETIMES("raft: an election was lost");
      BecomeFollower(term_, kNoReplica);
      break;
    case VoteResult::kPending:
      break;
  }
}

// Of what it learned in its own election it has applied other members. A vote is given to a term
// and a log, and is worth the same whoever counts it.
void Core::RecountVotes() {
  if (!Promotable()) {
    URSULA_SOMETIMES("raft: a candidate applied its own removal");
    return BecomeFollower(term_, kNoReplica);
  }
  URSULA_SOMETIMES("raft: a candidate counted its votes by other members");
  CountVotes();
}

// What is committed stays so, and an entry is the same wherever its index and term are. Without
// this a replica whose log ends a joint configuration, and that doesn't know that this is
// committed, could wait for ever for votes of the former members: who knows it may have the shorter
// log.
void Core::LearnCommit(const Message& message) {
  if (!config_.votes_tell_commit || role_ == Role::kLeader) return;
  if (!log_.MaybeCommit({message.commit_term, message.commit})) return;
  URSULA_SOMETIMES("raft: an election told of what is committed");
}

void Core::TransferLeadership(ReplicaId to) {
  Message message;
  message.kind = MessageKind::kTransferLeader;
  message.from = to;
  if (role_ == Role::kLeader) {
    HandleTransfer(message);
  } else if (role_ == Role::kFollower && leader_ != kNoReplica) {
    message.to = leader_;
    Send(std::move(message));
  }
}

void Core::HandleTransfer(const Message& message) {
  const ReplicaId target = message.from;
  Progress* progress = tracker_.Find(target);
  if (progress == nullptr || progress->learner || transfer_target_ == target) return;
  if (transfer_target_ != kNoReplica) URSULA_SOMETIMES("raft: a hand-over was replaced by another");
  AbortTransfer();
  if (target == config_.self) return;
  election_elapsed_ = 0;  // It has one election timeout.
  transfer_target_ = target;
  if (progress->match == log_.LastIndex()) {
    SendTimeoutNow(target);
  } else {
    URSULA_SOMETIMES("raft: a hand-over waits until its target has the log");
    // It may be held up, and isn't any more.
    if (progress->state == ProgressState::kReplicate) {
      progress->flow_paused = progress->inflights.full();
    }
    SendAppend(target, progress, true);
  }
}

void Core::SendTimeoutNow(ReplicaId to) {
  Message message;
  message.kind = MessageKind::kTimeoutNow;
  message.to = to;
  Send(std::move(message));
}

void Core::ForgetLeader() {
  if (role_ != Role::kFollower) return;
  if (config_.lease_reads) {
    URSULA_SOMETIMES("raft: a leader with a lease was not forgotten");
    Note(Notice::kForgetLeaderRefused);  // Its vote could end a lease that a leader counts on.
    return;
  }
  leader_ = kNoReplica;
}

}  // namespace ursula::raft
