// Proposals: commands and membership changes on their way into the leader's log (dissertation 3.5,
// 4.1, 4.3).

#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/raft/core.h"

namespace ursula::raft {

Proposal Core::Propose(std::span<const Bytes> commands) {
  URSULA_CHECK(!commands.empty());
  scratch_.resize(commands.size());
  for (std::size_t i = 0; i < commands.size(); ++i) {
    scratch_[i].kind = EntryKind::kNormal;
    scratch_[i].payload = commands[i];
  }
  return ProposeOwn(&scratch_);
}

Proposal Core::ProposeConfChange(const ConfChange& change) {
  scratch_.resize(1);
  scratch_[0].kind = change.simple_form ? EntryKind::kConfChange : EntryKind::kConfChangeSet;
  scratch_[0].payload = EncodeConfChange(change);
  return ProposeOwn(&scratch_);
}

Proposal Core::ProposeOwn(std::vector<Entry>* entries) {
  Proposal proposal;
  if (role_ == Role::kLeader) {
    proposal.term = term_;
    proposal.first = log_.LastIndex() + 1;
    if (ProposeEntries(entries, &proposal.conf_change_refused) == StepResult::kOk) {
      proposal.outcome = ProposalOutcome::kAppended;
    }
  } else if (role_ == Role::kFollower && leader_ != kNoReplica && config_.forward_proposals) {
    Message message;
    message.kind = MessageKind::kPropose;
    message.to = leader_;
    message.entries.swap(*entries);
    Send(std::move(message));
    proposal.outcome = ProposalOutcome::kForwarded;
  }
  entries->clear();  // Lets go of the payloads, keeps the capacity.
  return proposal;
}

StepResult Core::ProposeEntries(std::vector<Entry>* entries, bool* conf_change_refused) {
  // A removed leader goes on until the others can do without it, but takes nothing new; nor does
  // one that is handing over.
  if (tracker_.Find(config_.self) == nullptr) {
    URSULA_SOMETIMES("raft: a removed leader dropped a proposal");
    return StepResult::kProposalDropped;
  }
  if (transfer_target_ != kNoReplica) {
    URSULA_SOMETIMES("raft: a proposal during a hand-over was dropped");
    return StepResult::kProposalDropped;
  }

  const Index pending_before = pending_conf_index_;
  Index at = log_.LastIndex();
  for (Entry& entry : *entries) {
    at = at + 1;
    if (entry.kind == EntryKind::kNormal) continue;
    Result<ConfChange> change = DecodeConfChange(entry.kind, entry.payload.view());
    if (!change.ok()) {
      pending_conf_index_ = pending_before;
      return StepResult::kMalformed;
    }
    if (config_.validate_conf_changes && !ConfChangeAllowed(*change)) {
      URSULA_SOMETIMES("raft: a conf change was refused");
      Note(Notice::kConfChangeRefused);
      *conf_change_refused = true;
      entry = Entry();
    } else {
      pending_conf_index_ = at;
    }
  }
  if (!AppendOwn(entries)) {
    pending_conf_index_ = pending_before;
    return StepResult::kProposalDropped;
  }
  BroadcastAppend();
  return StepResult::kOk;
}

bool Core::ConfChangeAllowed(const ConfChange& change) const {
  // The last one is not applied yet: two in flight could step from one configuration to another
  // whose majorities don't overlap.
  if (pending_conf_index_ > log_.applied()) return false;
  const bool leaves = change.steps.empty();
  return tracker_.membership().joint() == leaves;
}

Result<ConfState> Core::ApplyConfChange(const ConfChange& change) {
  // Whatever is being applied stands before the snapshot, whose configuration is in force already.
  if (log_.tail().snapshot()) return Configuration();
  Result<Membership> membership = tracker_.membership().Apply(
      change, {log_.LastIndex(), config_.inflight_messages_max, config_.inflight_bytes_max});
  if (!membership.ok()) return membership.status();
  return SwitchTo(std::move(*membership));
}

ConfState Core::SwitchTo(Membership membership) {
  ConfState state = membership.ToConfState();
  tracker_.Adopt(std::move(membership));
  if (role_ != Role::kLeader) {
    if (role_ != Role::kFollower) RecountVotes();
    return state;
  }
  const Progress* own = tracker_.Find(config_.self);
  if (own == nullptr || own->learner) {
    // It led until the change was committed (4.2.2); now others can.
    if (config_.step_down_on_removal) {
      URSULA_SOMETIMES("raft: a removed leader stepped down");
      BecomeFollower(term_, kNoReplica);
    }
    return state;
  }
  if (state.voters.empty()) return state;
  if (MaybeCommit()) {
    // The quorum may have shrunk to those who already have more.
    URSULA_SOMETIMES("raft: a smaller quorum committed at once");
    BroadcastAppend();
  } else {
    for (auto& [node, progress] : tracker_.members()) {
      if (node != config_.self) SendAppend(node, &progress, false);
    }
  }
  if (transfer_target_ != kNoReplica && !tracker_.membership().IsVoter(transfer_target_)) {
    URSULA_SOMETIMES("raft: a hand-over lost its target");
    AbortTransfer();
  }
  return state;
}

}  // namespace ursula::raft
