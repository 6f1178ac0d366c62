// Linearizable reads without log entries (dissertation 6.4).

#include <utility>

#include "lib/base/check.h"
#include "lib/base/sometimes.h"
#include "lib/raft/core.h"

namespace ursula::raft {

bool Core::ReadIndex(Bytes context) {
  if (context.empty()) return false;
  Message message;
  message.kind = MessageKind::kReadIndex;
  message.context = std::move(context);
  if (role_ == Role::kLeader) return HandleReadIndex(std::move(message));
  if (role_ != Role::kFollower || leader_ == kNoReplica) return false;
  message.to = leader_;
  Send(std::move(message));
  return true;
}

bool Core::HandleReadIndex(Message message) {
  if (reads_.size() + postponed_reads_.size() >= config_.pending_reads_max) {
    URSULA_SOMETIMES("raft: too many reads wait");
    return false;
  }
  const bool early = config_.unsafe_as_reference && tracker_.IsSingleton();
  // Until an entry of its own term is committed, a leader doesn't know all that is. That holds for
  // a sole voter too: its commit index may be older than what it acknowledged before a crash.
  if (early || CommittedInOwnTerm()) {
    StartRead(std::move(message));
  } else {
    postponed_reads_.push_back(std::move(message));
  }
  return true;
}

void Core::StartRead(Message message) {
  const bool may_vote = config_.unsafe_as_reference || IsVoter(config_.self);
  if (config_.lease_reads || (tracker_.IsSingleton() && may_vote)) {
    AnswerRead(message, log_.committed());
    return;
  }
  // What the leader asked of itself may have come back to it from another, and is the same read.
  if (message.from == kNoReplica) message.from = config_.self;
  ReadQueue::Read* read = reads_.Add(std::move(message), log_.committed());
  ReadQueue::Acknowledge(read, config_.self);
  BroadcastHeartbeat(read->round);
}

void Core::AnswerRead(const Message& request, Index index) {
  if (request.from == kNoReplica || request.from == config_.self) {
    read_states_.push_back({index, request.context});
    return;
  }
  Message reply;
  reply.kind = MessageKind::kReadIndexReply;
  reply.to = request.from;
  reply.index = index;
  reply.context = request.context;
  Send(std::move(reply));
}

void Core::ReleasePostponedReads() {
  if (postponed_reads_.empty() || !CommittedInOwnTerm()) return;
  URSULA_SOMETIMES("raft: postponed reads were started");
  std::vector<Message> released;
  released.swap(postponed_reads_);
  for (Message& message : released) StartRead(std::move(message));
}

}  // namespace ursula::raft
