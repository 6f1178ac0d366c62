// lib/engine/engine_routing.h
//
// The templates of Engine that bring work to a core and answers back. Included by engine.h.

#pragma once

#include <memory>
#include <utility>

#include "lib/base/check.h"
#include "lib/engine/engine.h"

namespace ursula::engine {

inline Status EngineStopping() {
  return Status(StatusCode::kFailedPrecondition, "the engine is stopping or has stopped");
}

template <class Reply>
Return<Reply>::Return(Engine* engine, Done<Reply> done)
    : engine_(engine), origin_(engine->runtime_.Current()), done_(std::move(done)) {}

template <class Reply>
void Return<Reply>::operator()(Result<Reply> result) {
  // Let in, but not before what it came to had stopped. Nothing was applied then either.
  if (result.status().code() == StatusCode::kUnavailable && engine_->gate_.closed()) {
    result = EngineStopping();
  }
  bool here = origin_ != nullptr ? origin_->InLoop() : !engine_->outside_;
  if (here && !inside_) {
    done_(std::move(result));
    return engine_->CallEnded();
  }
  auto answer = [done = std::move(done_), result = std::move(result)]() mutable {
    done(std::move(result));
  };
  if (origin_ == nullptr) {
    return engine_->outside_.Run(std::move(answer),
                                 [engine = engine_](bool) { engine->CallEnded(); });
  }
  origin_->Post([engine = engine_, answer = std::move(answer)]() mutable {
    answer();
    engine->CallEnded();
  });
}

template <class Reply>
void Engine::AnswerUncounted(io::Loop* owner, Done<Reply> done, Result<Reply> result) {
  io::Loop* origin = runtime_.Current();
  io::Loop* loop = origin != nullptr ? origin : owner;
  loop->Post([this, origin, done = std::move(done), result = std::move(result)]() mutable {
    if (origin != nullptr || !outside_) return done(std::move(result));
    outside_.Run([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  });
}

template <class Request, class Reply>
CallPtr<Request, Reply> Engine::Admit(GroupId group, Request&& request, Done<Reply> done) {
  if (!gate_.Enter()) {
    AnswerUncounted<Reply>(&ShardOf(group).loop(), std::move(done), EngineStopping());
    return nullptr;
  }
  return std::make_shared<Call<Request, Reply>>(std::move(request),
                                                Return<Reply>(this, std::move(done)));
}

template <class Request, class Reply>
void Engine::Enter(GroupId group, const CallPtr<Request, Reply>& call, Status valid,
                   Function<void()> flow) {
  if (call == nullptr) return;
  io::Loop& loop = ShardOf(group).loop();
  if (valid.ok() && loop.InLoop()) {
    call->done.SetInside(true);
    flow();
    return call->done.SetInside(false);
  }
  if (valid.ok()) {
    if (loop.TryPost(std::move(flow))) return;
    valid = Status(StatusCode::kResourceExhausted,
                   "too many requests wait for this core; try again shortly");
  }
  loop.Post([call, valid = std::move(valid)]() mutable { call->done(std::move(valid)); });
}

template <class Ask>
void Engine::Dispatch(GroupId group, Ask ask, Function<void(Result<typename Ask::Answer>)> done) {
  Shard& shard = ShardOf(group);
  if constexpr (ask::ForLeader<Ask>) {
    if (shard.forwarder() != nullptr) {
      return shard.forwarder()->Ask(
          group, std::move(ask),
          [done = std::move(done)](Result<ask::LeadersAnswer> answer) mutable {
            if (!answer.ok()) return done(answer.status());
            done(std::get<typename Ask::Answer>(std::move(*answer)));
          });
    }
  }
  CarryOut(shard.replica(group), std::move(ask), std::move(done));
}

template <class Ask>
void Engine::CallGroup(GroupId group, Ask ask, Function<void(Result<typename Ask::Answer>)> done) {
  using Answer = typename Ask::Answer;
  io::Loop& loop = ShardOf(group).loop();
  if (loop.InLoop()) return Dispatch(group, std::move(ask), std::move(done));
  io::Loop* here = runtime_.Current();
  URSULA_CHECK(here != nullptr);
  loop.Post([this, group, here, ask = std::move(ask), done = std::move(done)]() mutable {
    Dispatch(group, std::move(ask), [here, done = std::move(done)](Result<Answer> result) mutable {
      here->Post([done = std::move(done), result = std::move(result)]() mutable {
        done(std::move(result));
      });
    });
  });
}

// Ends a call with an outcome alone.
template <class Request, class Reply>
void Answer(const CallPtr<Request, Reply>& call, Outcome outcome) {
  Reply reply;
  reply.outcome = outcome;
  call->done(std::move(reply));
}

// Ends a call about a stream. Where there is none, its bucket may be what there isn't.
template <class Request, class Reply>
void Engine::AnswerOfStream(const CallPtr<Request, Reply>& call, const std::string& bucket,
                            Reply reply) {
  const bool of_bucket = reply.outcome == Outcome::kNotFound && bucket != kUpstreamBucket;
  if (!of_bucket) return call->done(std::move(reply));
  // What this core knows of it may be old: it learns of a deletion when it meets a fence.
  AskForBucket(bucket, [call, reply = std::move(reply)](Result<FoundBucket> found) mutable {
    if (!found.ok()) return call->done(found.status());
    if (!found->info) reply.outcome = Outcome::kBucketNotFound;
    call->done(std::move(reply));
  });
}

// Or with what kept it from one.
template <class Request, class Reply>
void AnswerWith(const CallPtr<Request, Reply>& call, const Result<Outcome>& end) {
  if (!end.ok()) return call->done(end.status());
  Answer(call, *end);
}

}  // namespace ursula::engine
