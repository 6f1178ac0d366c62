#include "lib/raft/core.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"

namespace ursula::raft {
namespace {

Status Invalid(const char* what) {
  return Status(StatusCode::kInvalidArgument, std::string("raft: ") + what);
}

Status CheckConfig(const Config& config) {
  if (config.self == kNoReplica || config.self == kAppendTarget || config.self == kApplyTarget) {
    return Invalid("this id is reserved");
  }
  if (config.heartbeat_ticks == 0 || config.election_ticks <= config.heartbeat_ticks) {
    return Invalid("an election timeout must be longer than a heartbeat");
  }
  if (config.inflight_messages_max == 0) return Invalid("inflight_messages_max is 0");
  if (config.inflight_bytes_max < config.message_bytes_max) {
    return Invalid("inflight_bytes_max is below message_bytes_max");
  }
  if (config.applying_bytes_max == 0) return Invalid("applying_bytes_max is 0");
  if (config.lease_reads && !config.check_quorum) return Invalid("lease reads need check_quorum");
  return {};
}

Status CheckState(const InitialState& state, const LogStorage& storage) {
  if (storage.first() > storage.last() + 1) return Invalid("the log ends before it begins");
  if (state.hard.empty()) return {};
  if (state.hard.commit > storage.last()) return Invalid("the commit index lies beyond the log");
  if (state.hard.term < storage.TermAt(storage.last())) {
    return Invalid("the log is of a later term than the vote");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Core>> Core::Create(const Config& config, const InitialState& state,
                                           const LogStorage* storage, Driver* driver) {
  if (Status status = CheckConfig(config); !status.ok()) return status;
  if (Status status = CheckState(state, *storage); !status.ok()) return status;
  const Index compacted = storage->first() - 1;
  const Index commit = std::max(state.hard.commit, compacted);
  if (state.applied != Index{} && (state.applied < compacted || state.applied > commit)) {
    return Invalid("the applied index lies outside the committed log");
  }
  Result<Membership> membership = Membership::FromConfState(
      state.conf, {storage->last(), config.inflight_messages_max, config.inflight_bytes_max});
  if (!membership.ok()) return membership.status();

  std::unique_ptr<Core> core(new Core(config, storage, driver));
  core->tracker_.Adopt(std::move(*membership));
  core->log_.StartAt(commit, state.applied);
  core->vote_ = state.hard.vote;
  core->term_ = state.hard.term;
  core->BecomeFollower(state.hard.term, kNoReplica);
  core->handed_soft_ = core->soft_state();
  core->handed_hard_ = core->hard_state();
  return core;
}

Core::Core(const Config& config, const LogStorage* storage, Driver* driver)
    : config_(config), driver_(driver), log_(storage, config.applying_bytes_max) {}

void Core::Reset(Term term) {
  if (term != term_) {
    URSULA_CHECK(term > term_);
    term_ = term;
    vote_ = kNoReplica;
  }
  leader_ = kNoReplica;
  election_elapsed_ = 0;
  heartbeat_elapsed_ = 0;
  election_timeout_ = config_.election_ticks + driver_->Jitter(config_.election_ticks);
  AbortTransfer();
  tracker_.ResetVotes();
  const Index last = log_.LastIndex();
  for (auto& [node, progress] : tracker_.members()) {
    progress.Restart(last + 1);
    if (node == config_.self) progress.match = last;
  }
  pending_conf_index_ = Index{};
  uncommitted_bytes_ = 0;
  reads_.Clear();
}

void Core::BecomeFollower(Term term, ReplicaId leader) {
  Reset(term);
  leader_ = leader;
  role_ = Role::kFollower;
}

void Core::BecomePreCandidate() {
  URSULA_CHECK(role_ != Role::kLeader);
  // Neither term nor vote changes: a pre-candidate that fails leaves no trace (9.6).
  tracker_.ResetVotes();
  leader_ = kNoReplica;
  role_ = Role::kPreCandidate;
}

void Core::BecomeCandidate() {
  URSULA_CHECK(role_ != Role::kLeader);
  Reset(Term{Raw(term_) + 1});
  vote_ = config_.self;
  role_ = Role::kCandidate;
}

void Core::BecomeLeader() {
  URSULA_CHECK(role_ == Role::kCandidate);
  Reset(term_);
  leader_ = config_.self;
  role_ = Role::kLeader;
  Progress* own = tracker_.Find(config_.self);
  URSULA_CHECK(own != nullptr);
  own->BecomeReplicate();
  own->recently_active = true;
  // There may be a conf change in the log that this leader hasn't applied: none is proposed before
  // all of the log is applied.
  pending_conf_index_ = log_.LastIndex();
  // An entry of its own term is what lets it commit those before it (3.6.2).
  std::vector<Entry> first(1);
  const bool appended = AppendOwn(&first);
  URSULA_CHECK(appended);
}

void Core::TellCommit(Message* message) const {
  if (!config_.votes_tell_commit) return;
  const std::optional<Term> term = log_.TermAt(log_.committed());
  if (!term || *term == Term{}) return;
  message->commit = log_.committed();
  message->commit_term = *term;
}

void Core::Send(Message message) {
  if (message.from == kNoReplica) message.from = config_.self;
  switch (message.kind) {
    case MessageKind::kVote:
    case MessageKind::kPreVote:
    case MessageKind::kVoteReply:
    case MessageKind::kPreVoteReply:
      URSULA_CHECK(message.term != Term{});  // A pre-election speaks of a term that isn't yet.
      TellCommit(&message);
      break;
    case MessageKind::kPropose:
    case MessageKind::kReadIndex:
      break;  // They ask a leader, of whatever term.
    default:
      message.term = term_;
      break;
  }
  switch (message.kind) {
    case MessageKind::kVote:
      if (config_.unsafe_as_reference) {
        messages_.push_back(std::move(message));
        break;
      }
      [[fallthrough]];
    case MessageKind::kAppendReply:
    case MessageKind::kVoteReply:
    case MessageKind::kPreVoteReply:
      // Promises: of a vote, of entries, of a term. They wait for the disk. So does a candidacy: it
      // promises never to ask for this term again, and the log that it names (3.8).
      responses_.push_back(std::move(message));
      break;
    default:
      URSULA_CHECK(message.to != config_.self);
      messages_.push_back(std::move(message));
      break;
  }
}

void Core::Tick() {
  if (role_ == Role::kLeader) {
    TickLeader();
  } else {
    TickElection();
  }
}

bool Core::CommittedInOwnTerm() const {
  return role_ == Role::kLeader && log_.TermAt(log_.committed()) == term_;
}

void Core::ReportUnreachable(ReplicaId node) {
  if (role_ != Role::kLeader) return;
  Progress* progress = tracker_.Find(node);
  // The pipeline may have a hole: find out where the follower's log ends.
  if (progress != nullptr && progress->state == ProgressState::kReplicate) {
    URSULA_SOMETIMES("raft: an unreachable follower is probed");
    progress->BecomeProbe();
  }
}

void Core::ReportSnapshot(ReplicaId node, bool installed) {
  if (role_ != Role::kLeader) return;
  Progress* progress = tracker_.Find(node);
  if (progress == nullptr || progress->state != ProgressState::kSnapshot) return;
  if (!installed) {
    URSULA_SOMETIMES("raft: a snapshot did not arrive");
    progress->pending_snapshot = Index{};
  }
  progress->BecomeProbe();
  // Wait for its answer to what was installed, or for a heartbeat before the next try.
  progress->flow_paused = true;
}

std::vector<PeerStatus> Core::Peers() const {
  std::vector<PeerStatus> peers;
  if (role_ != Role::kLeader) return peers;
  for (const auto& [node, progress] : tracker_.members()) {
    peers.push_back({node, progress.state, progress.match, progress.next, progress.pending_snapshot,
                     progress.learner, progress.paused(), progress.recently_active,
                     progress.inflights.full(), progress.inflights.count()});
  }
  return peers;
}

}  // namespace ursula::raft
