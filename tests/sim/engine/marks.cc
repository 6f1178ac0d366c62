#include "tests/sim/engine/marks.h"

#include <string_view>

#include "lib/base/sometimes.h"

namespace ursula::engine::sim {
namespace {

void MarkCondition(const CreateRequest& request, Outcome outcome) {
  if (request.condition.empty()) return;
  if (outcome == Outcome::kOk) URSULA_SOMETIMES("engine: a create's condition was met");
  if (outcome == Outcome::kExisted)
    URSULA_SOMETIMES("engine: a repeated create's condition was met");
  if (outcome != Outcome::kPreconditionFailed) return;
  if (request.fork) {
    URSULA_SOMETIMES("engine: a fork's condition was not met");
  } else {
    URSULA_SOMETIMES("engine: a create's condition was not met");
  }
}

void MarkCondition(const AppendRequest& request, Outcome outcome) {
  const bool failed = outcome == Outcome::kPreconditionFailed;
  if (!failed && outcome != Outcome::kOk) return;
  if (request.expected_tail) {
    if (failed) {
      URSULA_SOMETIMES("engine: an append's expected tail had moved");
    } else {
      URSULA_SOMETIMES("engine: an append's expected tail was there");
    }
  }
  if (request.condition.empty()) return;
  if (failed) {
    URSULA_SOMETIMES("engine: an append's condition was not met");
  } else {
    URSULA_SOMETIMES("engine: an append's condition was met");
  }
}

void MarkCondition(const DeleteRequest& request, Outcome outcome) {
  if (request.condition.empty()) return;
  if (outcome == Outcome::kOk) URSULA_SOMETIMES("engine: a delete's condition was met");
  if (outcome == Outcome::kPreconditionFailed) {
    URSULA_SOMETIMES("engine: a delete's condition was not met");
  }
}

void MarkFork(const CreateRequest& request, Outcome outcome, const Model& before) {
  if (!request.fork) return;
  const ModelStream* there = before.Find(request.stream);
  if (outcome == Outcome::kExisted && there != nullptr && there->point &&
      *there->point != *request.fork) {
    URSULA_SOMETIMES("engine: a fork was found by another spelling of its point");
  }
  if (outcome == Outcome::kExisted && before.Find(request.fork->source) == nullptr) {
    URSULA_SOMETIMES("engine: a fork was found after its source had gone");
  }
  if (outcome != Outcome::kOk) return;
  if (request.fork->sub_offset > 0) URSULA_SOMETIMES("engine: a fork was made inside an append");
}

void MarkPage(const ReadRequest& request, const ReadReply& reply, const Model& before) {
  if (reply.next == reply.start) return;
  if (!reply.up_to_date) URSULA_SOMETIMES("engine: a page ended before the tail");
  const ModelStream* stream = before.Find(request.stream);
  if (stream == nullptr || !request.boundaries) return;
  const bool inside = reply.message_ends.empty() || reply.message_ends.back() != reply.next;
  if (inside) URSULA_SOMETIMES("engine: a page that tells ends was cut inside a message");
  const uint64_t inherited = stream->inherited;
  if (reply.start.bytes < inherited && reply.next.bytes > inherited) {
    URSULA_SOMETIMES("engine: a page that tells ends went past a fork's beginning");
  }
}

void MarkBucket(const BucketRequest& request, Outcome outcome) {
  if (request.kind != BucketRequest::Kind::kDelete) return;
  if (outcome == Outcome::kOk) URSULA_SOMETIMES("engine: a bucket was deleted");
  if (outcome == Outcome::kBucketNotEmpty) URSULA_SOMETIMES("engine: a bucket was not empty");
}

}  // namespace

void MarkAnswer(const Operation& operation, const Model& before) {
  if (const auto* reply = ReplyOf<CreateReply>(operation)) {
    const auto& request = std::get<CreateRequest>(operation.request);
    MarkCondition(request, reply->outcome);
    MarkFork(request, reply->outcome, before);
  } else if (const auto* appended = ReplyOf<AppendReply>(operation)) {
    MarkCondition(std::get<AppendRequest>(operation.request), appended->outcome);
  } else if (const auto* deleted = ReplyOf<DeleteReply>(operation)) {
    MarkCondition(std::get<DeleteRequest>(operation.request), deleted->outcome);
  } else if (const auto* page = ReplyOf<ReadReply>(operation)) {
    MarkPage(std::get<ReadRequest>(operation.request), *page, before);
  } else if (const auto* bucket = ReplyOf<BucketReply>(operation)) {
    MarkBucket(std::get<BucketRequest>(operation.request), bucket->outcome);
  }
}

void MarkExpired(const ModelStream& stream) {
  if (stream.effective.ttl_seconds) {
    URSULA_SOMETIMES("engine: a sliding lifetime ended");
  } else {
    URSULA_SOMETIMES("engine: a fixed lifetime ended");
  }
  if (stream.point) URSULA_SOMETIMES("engine: a fork's lifetime ended");
}

}  // namespace ursula::engine::sim
