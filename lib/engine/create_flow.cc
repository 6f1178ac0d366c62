// Creating streams that are no forks, and what a create meets under its name.

#include <utility>

#include "lib/engine/engine.h"
#include "lib/engine/stream_commands.h"

namespace ursula::engine {
namespace {

constexpr int kAttemptsMax = 8;
constexpr int kAttemptsAtOnce = 3;         // What was known of the bucket was old.
constexpr uint64_t kPauseNs = 20'000'000;  // Times the attempts so far.

Status Crowded() {
  return Status(
      StatusCode::kUnavailable,
      "another create under this name, or the bucket's deletion, is under way; try again");
}

// Of one that is being deleted what was so before that attempt: then its fence counts, and once
// that is forgotten the stamp is too old.
stream::BucketStamp StampOf(const stream::BucketInfo& info, Index applied) {
  const uint64_t seen = info.deleting ? Raw(info.attempt) - 1 : Raw(applied);
  return {info.incarnation, stream::Incarnation{seen}};
}

}  // namespace

void Engine::WithBucket(const std::string& bucket, Function<void(Result<FoundBucket>)> done) {
  if (bucket == kUpstreamBucket) return done(FoundBucket{stream::BucketInfo{}, {}});
  Shard& here = *shards_[Raw(runtime_.Current()->core())];
  if (std::optional<stream::BucketStamp> known = here.KnownBucket(bucket)) {
    return done(FoundBucket{stream::BucketInfo{known->incarnation, false}, *known});
  }
  AskForBucket(bucket, std::move(done));
}

void Engine::AskForBucket(const std::string& bucket, Function<void(Result<FoundBucket>)> done) {
  Shard& here = *shards_[Raw(runtime_.Current()->core())];
  CallGroup(kMetaGroup, ask::Bucket{bucket},
            [&here, bucket, done = std::move(done)](Result<FoundBucket> found) mutable {
              if (found.ok() && found->info && !found->info->deleting) {
                here.LearnBucket(bucket, found->stamp);
              }
              done(std::move(found));
            });
}

void Engine::CarryOut(group::Replica& replica, ask::Bucket ask,
                      Function<void(Result<FoundBucket>)> done) {
  replica.AfterBarrier(
      [&replica, bucket = std::move(ask.bucket), done = std::move(done)](Status status) mutable {
        if (!status.ok()) return done(std::move(status));
        FoundBucket found;
        found.info = replica.machine().BucketFind(bucket);
        if (found.info) found.stamp = StampOf(*found.info, replica.applied());
        done(std::move(found));
      });
}

void Engine::CreateFlow(CreateCall call) {
  WithBucket(call->request.stream.bucket, [this, call](Result<FoundBucket> bucket) {
    if (!bucket.ok()) return call->done(bucket.status());
    if (!bucket->info) return Answer(call, Outcome::kBucketNotFound);
    // The deletion may yet be refused: its fence decides, at the group of the name. Where the
    // leader has nobody wait for that, it is asked again a little later.
    const bool pause = bucket->info->deleting && call->attempts > kAttemptsAtOnce;
    if (!pause) return CreateStamped(call, bucket->stamp);
    RunLater(kPauseNs * static_cast<uint64_t>(call->attempts),
             [this, call, stamp = bucket->stamp] { CreateStamped(call, stamp); });
  });
}

void Engine::CreateStamped(CreateCall call, stream::BucketStamp bucket) {
  if (call->request.fork) return CreateFork(call, bucket);
  CreateNative(call, bucket);
}

void Engine::CreateNative(CreateCall call, stream::BucketStamp bucket) {
  ask::Propose ask{StreamCommand(call->request, bucket), call->request.messages};
  CallGroup(Home(call->request.stream), std::move(ask),
            [this, call](Result<stream::Reply> reply) { OnCreated(call, std::move(reply)); });
}

void Engine::OnCreated(CreateCall call, Result<stream::Reply> reply) {
  if (!reply.ok()) return call->done(reply.status());
  if (reply->placement) return CreateWherePlaced(call, *reply->placement);
  if (reply->outcome == Outcome::kBucketNotFound) {
    // Some bucket was deleted, and this one perhaps made again, since this core learned of it.
    // Whether it is there the meta group says, which is asked now.
    shards_[Raw(runtime_.Current()->core())]->ForgetBucket(call->request.stream.bucket);
    if (++call->attempts > kAttemptsMax) return call->done(Crowded());
    return CreateFlow(call);
  }
  CreateReply answer;
  answer.outcome = reply->outcome;
  answer.info = std::move(reply->info);
  call->done(std::move(answer));
}

// The name is a fork's whose state lives in another group: that group compares the request with
// it. When it has no such stream any more, the placement is stale and goes first.
void Engine::CreateWherePlaced(CreateCall call, stream::Placement placement) {
  StreamId id = call->request.stream;
  if (!placement.confirmed) {
    return ResolvePlacement(id, placement, [this, call](Status status) {
      if (!status.ok()) return call->done(std::move(status));
      RetryCreate(call);
    });
  }
  ask::Compare ask{StreamCommand(call->request, {}), call->request.fork};
  CallGroup(placement.target, std::move(ask),
            [this, call, id, placement](Result<stream::Reply> reply) {
              if (!reply.ok()) return call->done(reply.status());
              if (reply->incarnation != stream::kNoIncarnation) {
                reply->placement.reset();
                return OnCreated(call, std::move(reply));
              }
              Unreserve(id, placement.reservation, [this, call](Result<stream::Incarnation> freed) {
                if (!freed.ok()) return call->done(freed.status());
                RetryCreate(call);
              });
            });
}

// Another create under this name, or the bucket's deletion, is under way or has just ended: once
// more, a little later.
void Engine::RetryCreate(CreateCall call) {
  if (++call->attempts > kAttemptsMax) return call->done(Crowded());
  RunLater(kPauseNs * static_cast<uint64_t>(call->attempts), [this, call] { CreateFlow(call); });
}

}  // namespace ursula::engine
