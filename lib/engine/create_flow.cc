// Creating streams that are no forks, and what a create meets under its name.

#include <utility>

#include "lib/engine/engine.h"
#include "lib/engine/stream_commands.h"

namespace ursula::engine {
namespace {

constexpr int kAttemptsMax = 8;

}  // namespace

// kFailedPrecondition: no such bucket, or it is being deleted.
void Engine::WithBucket(const std::string& bucket,
                        Function<void(Result<stream::BucketStamp>)> done) {
  if (bucket == kUpstreamBucket) return done(stream::BucketStamp{});
  Shard& here = *shards_[Raw(runtime_.Current()->core())];
  std::optional<stream::BucketStamp> known = here.KnownBucket(bucket);
  if (known) return done(*known);
  CallGroup<stream::BucketStamp>(
      kMetaGroup,
      [bucket](group::Replica& meta, Function<void(Result<stream::BucketStamp>)> reply) {
        meta.AfterBarrier([bucket, &meta, reply = std::move(reply)](Status status) mutable {
          if (!status.ok()) return reply(std::move(status));
          std::optional<stream::BucketInfo> found = meta.machine().BucketFind(bucket);
          if (!found || found->deleting) {
            return reply(Status(StatusCode::kFailedPrecondition, "no such bucket"));
          }
          reply(stream::BucketStamp{found->incarnation, stream::Incarnation{Raw(meta.applied())}});
        });
      },
      [&here, bucket, done = std::move(done)](Result<stream::BucketStamp> found) mutable {
        if (found.ok()) here.LearnBucket(bucket, *found);
        done(std::move(found));
      });
}

void Engine::CreateFlow(CreateCall call) {
  WithBucket(call->request.stream.bucket, [this, call](Result<stream::BucketStamp> bucket) {
    if (!bucket.ok()) {
      if (bucket.status().code() == StatusCode::kFailedPrecondition) {
        return Answer(call, Outcome::kBucketNotFound);
      }
      return call->done(bucket.status());
    }
    if (call->request.fork) return CreateFork(call, *bucket);
    CreateNative(call, *bucket);
  });
}

void Engine::CreateNative(CreateCall call, stream::BucketStamp bucket) {
  CallGroup<stream::Reply>(
      Home(call->request.stream),
      [call, bucket](group::Replica& replica, group::ProposeDone reply) {
        stream::Command command;
        command.body = StreamCommand(call->request, bucket);
        replica.Propose(&command, call->request.messages, std::move(reply));
      },
      [this, call](Result<stream::Reply> reply) { OnCreated(call, std::move(reply)); });
}

void Engine::OnCreated(CreateCall call, Result<stream::Reply> reply) {
  if (!reply.ok()) return call->done(reply.status());
  if (reply->placement) return CreateWherePlaced(call, *reply->placement);
  if (reply->outcome == Outcome::kBucketNotFound && ++call->attempts <= kAttemptsMax) {
    // Some bucket was deleted, and this one perhaps made again, since this core learned of it.
    // Whether it is there the meta group says, which is asked now.
    shards_[Raw(runtime_.Current()->core())]->ForgetBucket(call->request.stream.bucket);
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
  CallGroup<stream::Reply>(
      placement.target,
      [call](group::Replica& replica, group::ProposeDone reply) {
        replica.AfterBarrier([call, &replica, reply = std::move(reply)](Status status) mutable {
          if (!status.ok()) return reply(std::move(status));
          CompareAt(&replica, call->request, std::move(reply));
        });
      },
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

// Another create under this name is under way, or has just ended: once more, a little later.
void Engine::RetryCreate(CreateCall call) {
  if (++call->attempts > kAttemptsMax) {
    return call->done(
        Status(StatusCode::kUnavailable, "another create under this name is under way; try again"));
  }
  RunLater(runtime_.Current(), uint64_t{20'000'000} * static_cast<uint64_t>(call->attempts),
           [this, call] { CreateFlow(call); });
}

}  // namespace ursula::engine
