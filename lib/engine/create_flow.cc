// Creating streams that are no forks, and what a create meets under its name.

#include <utility>

#include "lib/engine/engine.h"
#include "lib/engine/stream_commands.h"

namespace ursula::engine {
namespace {

constexpr int kAttemptsMax = 8;

Status Crowded() {
  return Status(
      StatusCode::kUnavailable,
      "another create under this name, or the bucket's deletion, is under way; try again");
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
        if (found.info) {
          found.stamp = {found.info->incarnation, stream::Incarnation{Raw(replica.applied())}};
        }
        done(std::move(found));
      });
}

void Engine::CreateFlow(CreateCall call) {
  WithBucket(call->request.stream.bucket, [this, call](Result<FoundBucket> bucket) {
    if (!bucket.ok()) return call->done(bucket.status());
    if (!bucket->info) return Answer(call, Outcome::kBucketNotFound);
    // The deletion may yet be refused.
    if (bucket->info->deleting) return RetryCreate(call);
    if (call->request.fork) return CreateFork(call, bucket->stamp);
    CreateNative(call, bucket->stamp);
  });
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
  RunLater(uint64_t{20'000'000} * static_cast<uint64_t>(call->attempts),
           [this, call] { CreateFlow(call); });
}

}  // namespace ursula::engine
