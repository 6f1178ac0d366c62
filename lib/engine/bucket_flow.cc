// Deleting a bucket: begun in the meta group, fenced in every group, finished (or, where streams
// are found, undone) in the meta group. All on the meta group's loop.

#include <utility>

#include "lib/engine/engine.h"

namespace ursula::engine {
namespace {

// It was begun, and the chores end it, one way or the other.
Status Unknown() {
  return Status(StatusCode::kOutcomeUnknown,
                "the bucket's deletion has begun and goes on; ask for the bucket");
}

struct Round {
  std::size_t missing = 0;
  Outcome outcome = Outcome::kOk;  // The first refusal.
  Status failure;
};

}  // namespace

void Engine::OnAllGroups(stream::Command::Body body, Function<void(Result<Outcome>)> done) {
  auto round = std::make_shared<Round>();
  auto ended = std::make_shared<Function<void(Result<Outcome>)>>(std::move(done));
  round->missing = group_count_;
  for (uint32_t i = 0; i < group_count_; ++i) {
    ProposeAt(GroupId{i}, body, [round, ended](Result<stream::Reply> reply) {
      if (!reply.ok()) {
        round->failure = reply.status();
      } else if (reply->outcome != Outcome::kOk) {
        round->outcome = reply->outcome;
      }
      if (--round->missing > 0) return;
      if (!round->failure.ok()) return (*ended)(round->failure);
      (*ended)(round->outcome);
    });
  }
}

void Engine::DeleteBucketFlow(NameCall call) {
  if (!bucket_deletes_.insert(call->request).second) {
    return call->done(
        Status(StatusCode::kUnavailable, "this bucket is being deleted already; try again"));
  }
  ProposeAt(kMetaGroup, stream::DeleteBucket{call->request, stream::DeleteBucket::Step::kBegin, {}},
            [this, call](Result<stream::Reply> reply) {
              if (!reply.ok()) {
                bucket_deletes_.erase(call->request);
                return call->done(reply.status());
              }
              if (reply->outcome != Outcome::kOk) {
                bucket_deletes_.erase(call->request);
                return Answer(call, reply->outcome);
              }
              FenceAll(call, reply->incarnation, reply->attempt);
            });
}

void Engine::FenceAll(NameCall call, stream::Incarnation incarnation, stream::Incarnation attempt) {
  OnAllGroups(stream::FenceBucket{call->request, incarnation, attempt},
              [this, call, incarnation, attempt](Result<Outcome> outcome) {
                // Failed half-way: the bucket stays "deleting", and the chores go on.
                if (!outcome.ok()) {
                  bucket_deletes_.erase(call->request);
                  return call->done(Unknown());
                }
                if (*outcome == Outcome::kOk) return EndBucketDelete(call, attempt, *outcome);
                if (*outcome == Outcome::kConflict) {  // A newer attempt ends it.
                  bucket_deletes_.erase(call->request);
                  return call->done(Status(StatusCode::kUnavailable,
                                           "this bucket is being deleted already; try again"));
                }
                OnAllGroups(stream::UnfenceBucket{call->request, incarnation, attempt},
                            [this, call, attempt, refusal = *outcome](Result<Outcome> undone) {
                              if (!undone.ok()) {
                                bucket_deletes_.erase(call->request);
                                return call->done(Unknown());
                              }
                              EndBucketDelete(call, attempt, refusal);
                            });
              });
}

void Engine::EndBucketDelete(NameCall call, stream::Incarnation attempt, Outcome outcome) {
  using Step = stream::DeleteBucket::Step;
  Step step = outcome == Outcome::kOk ? Step::kFinish : Step::kAbort;
  ProposeAt(kMetaGroup, stream::DeleteBucket{call->request, step, attempt},
            [this, call, outcome](Result<stream::Reply> reply) {
              bucket_deletes_.erase(call->request);
              if (!reply.ok()) return call->done(Unknown());
              // Other cores learn of it by the fences.
              shards_[Raw(runtime_.Current()->core())]->ForgetBucket(call->request);
              if (reply->settled_through == stream::kNoIncarnation) return Answer(call, outcome);
              // Lost, it is made up for by the next deletion's.
              OnAllGroups(stream::SettleFences{reply->settled_through},
                          [call, outcome](Result<Outcome>) { Answer(call, outcome); });
            });
}

void Engine::ResumeBucketDelete(const std::string& bucket) {
  if (bucket_deletes_.contains(bucket)) return;
  auto call = Admit(kMetaGroup, std::string(bucket), Done<BucketReply>([](Result<BucketReply>) {}));
  if (call != nullptr) DeleteBucketFlow(std::move(call));
}

}  // namespace ursula::engine
